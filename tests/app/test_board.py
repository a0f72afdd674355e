"""The board in a real browser: one cursor moves every card, nothing stale is shown, and the server is asked once for a place."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, expect
from reading import PATIENCE, Reader, chosen, serving, until, watched
from small import STEPS, forget, small_workspace

from strobe import Training, Workspace
from strobe.panels.bookmarks import bookmarks
from strobe.panels.bookmarks import keep as bookmarks_keep
from strobe.reports.files import save
from strobe.reports.library import file_of
from strobe.reports.model import Panel, Report, Section

pytestmark = pytest.mark.browser
DRAWN = [
    *["dominant_frequencies", "key_frequencies", "activation_maps", "attention_maps", "neuron_frequency", "head_frequency"],
    *["weight_norms", "loss_and_accuracy", "parameter_trajectory", "phases"],
]
"""What the reports here show."""
BROKEN = '''
import altair as alt
from strobe import Frame, Number, Renderer, hookimpl


class Bad(Renderer):
    """Draws until the last step, and fails there."""

    slots = {"y": Number()}

    @hookimpl
    def render(self, frame: Frame) -> alt.Chart:
        if frame.cursor["step"] == 30:
            raise ValueError("no luck")
        return alt.Chart(alt.Data(values=[{"x": 1}])).mark_point().encode(x="x:Q")
'''


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, Path]:
    """`small`, a smaller run, one with a single checkpoint, and reports."""
    folder = tmp_path_factory.mktemp("board")
    workspace, _ = small_workspace(folder / "workspace", DRAWN)
    for name, schedule, heads, neurons in (("tiny", "at:5", 1, 8), ("single", "at:", 2, 2)):
        family = {"p": 7, "d_model": 8, "n_heads": heads, "d_mlp": neurons, "fraction": 0.5}
        training = Training(epochs=5, lr=1e-2, schedule=schedule if name == "tiny" else "at:5")
        run = workspace.train("modular_addition", name=name, training=training, **family)
        if name == "single":
            for step in run.steps[1:]:
                forget(run, step)
        workspace.analyze(run, DRAWN)
    (folder / "bad.py").write_text(BROKEN)
    (folder / "bad-1.dist-info").mkdir()  # where the app finds packages first
    (folder / "bad-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: bad\nVersion: 1\n")
    (folder / "bad-1.dist-info" / "entry_points.txt").write_text("[strobe.renderers]\nbad = bad:Bad\n")

    steps = Training(epochs=42, lr=1e-2, schedule="every:1")
    many = workspace.train("modular_addition", name="many", training=steps, p=7, d_model=8, n_heads=2, d_mlp=8, fraction=0.5)
    workspace.analyze(many, ["dominant_frequencies", "activation_maps", "attention_maps", "key_frequencies"])

    def report(name: str, *panels: Panel) -> None:
        save(Report(title=name.title(), sections=[Section(title="S", panels=list(panels))]), file_of(workspace, name))

    report("few", *[Panel(renderer=name) for name in ("loss_curves", "frequency_spectrum", "neuron_map", "attention_map")])
    report("later", Panel(renderer="loss_curves"), Panel(renderer="line_over_steps", table="gini"))
    report("neurons", Panel(renderer="neuron_clusters"), Panel(renderer="neuron_map"))
    by_head = Panel(renderer="line_over_steps", table="head_frequency", follow=["head"], slots={"y": "fraction"})
    report("heads", Panel(renderer="head_spectrum"), by_head)
    workspace.analyze(["small", "tiny"], ["run_summary"])
    report("runs", Panel(renderer="run_table"))
    report("turned", Panel(renderer="trajectory_3d"))
    bad = Panel(renderer="bad", table="weight_norms")
    report("broken", Panel(renderer="loss_curves"), bad, Panel(renderer="nothing_like_it"))
    return workspace, folder


@pytest.fixture(scope="module")
def address(small) -> Iterator[str]:
    with serving(small[0].root, small[1], {"PYTHONPATH": str(small[1])}) as found:
        yield found


# --- time --------------------------------------------------------------------------------------------------------------------------------------


def test_the_slider_moves_every_card_and_the_address(reader: Reader) -> None:
    reader.open("few", step=10, neuron=3)
    before = {card: reader.picture(card) for card in (1, 2, 3)}
    slider = reader.tab.get_by_role("slider", name="step", exact=True)
    slider.fill("3")
    reader.settled(20)
    assert [card for card in before if reader.picture(card) == before[card]] == []
    slider.fill("2")
    reader.settled(10)
    assert {card: reader.picture(card) for card in (2, 3)} == {card: before[card] for card in (2, 3)}
    reader.tab.wait_for_function("new URL(location).searchParams.get('step') === '10'", timeout=PATIENCE)


def test_keys_move_by_one_by_ten_and_to_both_ends(reader: Reader) -> None:
    reader.open("few", step=10)
    for key, step in [
        ("ArrowRight", 20),
        ("ArrowLeft", 10),
        ("Home", 0),
        ("ArrowLeft", 0),
        ("Shift+ArrowRight", 30),
        ("Shift+ArrowLeft", 0),
        ("End", 30),
    ]:
        reader.key(key, step)


def test_it_plays_to_the_end_stops_there_and_loops_when_asked(reader: Reader) -> None:
    reader.open("few", step=10)
    play = reader.tab.locator("#play")
    play.evaluate(
        """play => { globalThis.said = [];
          strobe.store.subscribe((origin, moved) => origin === "play" && !("step" in moved) && said.push(play.ariaLabel)) }"""
    )
    reader.tab.keyboard.press("Space")
    reader.tab.wait_for_function("globalThis.said.join() === 'pause,play'", timeout=PATIENCE)
    reader.settled(STEPS[-1])
    reader.tab.get_by_label("loop").check()
    reader.tab.get_by_label("speed").select_option("8")
    play.click()
    reader.tab.wait_for_function("strobe.store.cursor.step === 10", timeout=PATIENCE)
    reader.tab.wait_for_function("strobe.store.cursor.step === 30", timeout=PATIENCE)
    reader.tab.wait_for_function("strobe.store.cursor.step === 0", timeout=PATIENCE)
    play.click()


def test_a_typed_step_and_an_event_go_to_the_nearest_checkpoint(reader: Reader) -> None:
    reader.open("few", step=10)
    field = reader.tab.get_by_label("go to step")
    field.fill("18")
    field.press("Enter")
    reader.settled(20)
    reader.tab.locator("#events button", has_text="peak").click()
    peak = float(reader.tab.evaluate("strobe.store.model.events.find(e => e.event === 'peak').step"))
    reader.settled(min(STEPS, key=lambda step: abs(step - peak)))


def test_fast_scrubbing_never_shows_another_step_than_it_says(reader: Reader) -> None:
    """43 steps, in leaps, faster than they are drawn: no card ever shows another step than it says, and no place is asked for twice."""
    reader.open("few", run="many", step=0)
    assert reader.tab.evaluate("strobe.store.model.steps.length") == 43
    stale = reader.tab.evaluate(
        """async () => {
            const { store, board } = strobe, stale = [];
            const look = () => {
                for (const panel of board.inSight) {
                    const busy = panel.element.getAttribute("aria-busy") === "true";
                    if (busy) continue;
                    if (panel.element.dataset.at !== board.frames.key(panel.card, store.cursor)) stale.push([panel.card.number, store.cursor.step]);
                    for (const [name, [, rows]] of Object.entries(board.frames.get(panel.card, store.cursor).datasets)) {
                        const shown = panel.mounted.rows(name); // the rows that are really drawn
                        const other = (row, i) => Object.keys(row).some((k) => JSON.stringify(shown[i][k]) !== JSON.stringify(row[k]));
                        if (shown.length !== rows.length || rows.some(other)) stale.push([panel.card.number, store.cursor.step, name]);
                    }
                }
            };
            const steps = store.model.steps;
            for (let i = 0; i < 129; i++) {
                store.set({ step: steps[(i * 7) % steps.length] });
                if (i % 4 === 0) await board.settling;
                await new Promise((done) => setTimeout(done, i % 3));
                await new Promise((done) => requestAnimationFrame(done));
                if (board.settled) look();
            }
            return stale;
        }"""
    )
    assert stale == []
    reader.settled()
    assert len(set(reader.asked)) == len(reader.asked) <= 2 * 43
    assert reader.tab.evaluate("strobe.board.panels.map(p => p.element.dataset.at)") == reader.tab.evaluate(
        "strobe.board.panels.map(p => strobe.board.frames.key(p.card, strobe.store.cursor))"
    )


def test_a_place_is_asked_for_once_and_neighbours_before_they_are_needed(reader: Reader) -> None:
    reader.open("few", step=10)
    reader.tab.wait_for_function(
        "[0, 5, 20, 30].every(step => strobe.board.inSight.every(p => strobe.board.frames.get(p.card, {...strobe.store.cursor, step})))"
    )
    asked = len(reader.asked)
    assert asked <= 2 * len(STEPS)
    for key, step in [("ArrowRight", 20), ("ArrowRight", 30), ("Home", 0), ("End", 30), ("Home", 0)]:
        reader.key(key, step)
    assert len(reader.asked) == asked
    assert len(set(reader.asked)) == asked


# --- clicks ------------------------------------------------------------------------------------------------------------------------------------


def test_a_click_on_the_loss_curve_moves_the_step(reader: Reader) -> None:
    reader.open("few", step=10)
    reader.click(1, 0.14, 0.5)
    reader.settled(0)
    reader.click(1, 0.80, 0.5)
    reader.settled(30)


def test_a_click_on_a_neuron_shows_its_map(reader: Reader) -> None:
    reader.open("neurons", step=20, neuron=0)
    before = reader.picture(2)
    reader.click(1, 0.6, 0.4)
    reader.tab.wait_for_function("strobe.store.cursor.neuron !== 0", timeout=PATIENCE)
    reader.settled(20)
    assert reader.picture(2) != before
    reader.tab.locator("#card-1 [data-details=neuron]").click()  # the second intent: go there
    expect(reader.tab.locator("#card-2")).to_be_in_viewport()


def test_a_click_on_a_head_moves_what_follows_the_head(reader: Reader) -> None:
    reader.open("heads", step=20, head=0)
    before = reader.picture(2)
    spot = reader.tab.evaluate(
        """() => {
            const { view } = strobe.board.panels[0], [left, top] = view.origin();
            const find = (items, x, y) => {
                for (const item of items) {
                    const inner = item.items?.map((mark) => find(mark.items, x + (item.x ?? 0), y + (item.y ?? 0))).find(Boolean);
                    if (inner) return inner;
                    if (!item.items && item.mark.marktype === "rect" && item.datum?.head === 1)
                        return { x: left + x + (item.bounds.x1 + item.bounds.x2) / 2, y: top + y + item.bounds.y2 - 1 };
                }
            };
            return find(view.scenegraph().root.items, 0, 0);
        }"""
    )
    reader.tab.locator("#card-1 canvas").first.click(position=spot)
    reader.tab.wait_for_function("strobe.store.cursor.head === 1", timeout=PATIENCE)
    reader.settled(20)
    assert reader.picture(2) != before


# --- places ------------------------------------------------------------------------------------------------------------------------------------


def test_a_bookmark_is_kept_in_the_workspace_and_leads_back(reader: Reader, small) -> None:
    reader.open("few", step=20, neuron=3)
    reader.tab.get_by_label("bookmark name").fill("the turn")
    reader.tab.get_by_label("bookmark note").fill("test falls")
    reader.tab.get_by_role("button", name="Bookmark this place").click()
    mark = reader.tab.get_by_role("button", name="the turn: test falls")
    expect(mark).to_be_visible(timeout=PATIENCE)
    (kept,) = bookmarks(small[0].run("small"))
    assert (kept.name, kept.note, kept.cursor["step"], kept.cursor["neuron"]) == ("the turn", "test falls", 20, 3)
    reader.key("Home", 0)
    mark.click()
    reader.settled(20)
    link = reader.tab.get_by_title("address of this bookmark").get_attribute("href")
    reader.tab.goto(f"{reader.address}/{link}")
    reader.settled(20)
    assert reader.at("neuron") == 3
    reader.tab.get_by_role("button", name="remove bookmark the turn").click()
    expect(reader.tab.get_by_role("button", name="the turn: test falls")).to_have_count(0, timeout=PATIENCE)
    assert bookmarks(small[0].run("small")) == []


def test_two_pinned_places_are_compared_side_by_side(reader: Reader) -> None:
    reader.open("few", step=0)
    reader.tab.get_by_role("button", name="keep this place as A").click()
    reader.key("End", 30)
    reader.tab.get_by_role("button", name="keep this place as B").click()
    reader.tab.get_by_label("compare A and B in").select_option("2")
    dialog = reader.tab.get_by_role("dialog")
    expect(dialog.locator("svg.marks")).to_have_count(2, timeout=PATIENCE)
    expect(dialog.locator(".how").nth(0)).to_contain_text("A: step 0")
    expect(dialog.locator(".how").nth(1)).to_contain_text("B: step 30")
    drawn = [
        shapes.evaluate("svg => [...svg.querySelectorAll('path')].map(p => p.getAttribute('d')).join()")
        for shapes in dialog.locator("svg.marks").all()
    ]
    assert drawn[0] != drawn[1]


def test_a_card_fills_the_page_and_escape_returns_to_the_same_place(reader: Reader) -> None:
    reader.tab.set_viewport_size({"width": 1280, "height": 700})
    reader.open("few", step=10)
    reader.tab.locator("#card-3").scroll_into_view_if_needed()
    reader.settled()
    scrolled = "document.querySelector('[data-testid=stMain]').scrollTop"
    before = reader.tab.evaluate(scrolled)
    assert before > 0
    reader.tab.locator("#card-3 .enlarge").click()
    dialog = reader.tab.get_by_role("dialog")
    expect(dialog.locator("svg.marks")).to_be_visible(timeout=PATIENCE)
    box = dialog.bounding_box()
    assert box is not None
    assert box["width"] > 1200
    reader.key("ArrowRight", 20)
    reader.tab.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    assert reader.tab.evaluate(scrolled) == before


def choose_run(reader: Reader, name: str) -> None:
    chosen(reader.tab, reader.tab.get_by_role("combobox", name="Run").first, name)
    reader.tab.wait_for_function("name => strobe.store.model.run === name", arg=name, timeout=PATIENCE)
    reader.settled()


def test_a_smaller_run_takes_the_cursor_to_its_last_and_says_so(reader: Reader) -> None:
    reader.open("few", step=30, neuron=15, head=1)
    choose_run(reader, "tiny")
    assert {name: reader.at(name) for name in ("step", "neuron", "head")} == {"step": 5, "neuron": 7, "head": 0}
    notes = reader.tab.locator(".notes")
    for words in ("step 30 is not in tiny: 5 is the nearest", "neuron 15 is not in tiny: 7", "head 1 is not in tiny: 0"):
        expect(notes).to_contain_text(words)
    choose_run(reader, "single")
    assert reader.at() == 0
    reader.key("End", 0)


@pytest.mark.parametrize("neuron", [0, 15])
def test_first_and_last_neuron_can_be_chosen(reader: Reader, neuron: int) -> None:
    reader.open("neurons", step=20, neuron=7)
    reader.tab.locator("[data-coordinate=neuron]").select_option(str(neuron))
    reader.settled(20)
    assert reader.at("neuron") == neuron


def test_a_broken_card_says_so_and_the_others_go_on(reader: Reader) -> None:
    reader.open("broken", step=20)
    expect(reader.tab.locator("#card-2 canvas")).to_be_visible(timeout=PATIENCE)
    expect(reader.tab.locator("#card-3 .problem")).to_contain_text("no renderer 'nothing_like_it'")
    before = reader.picture(1)
    reader.key("End", 30)
    expect(reader.tab.locator("#card-2 .problem")).to_contain_text("ValueError: no luck")
    assert reader.picture(1) != before
    reader.key("Home", 0)
    expect(reader.tab.locator("#card-2 canvas")).to_be_visible(timeout=PATIENCE)


# --- results that come while one watches ------------------------------------------------------------------------------------------------------


def test_new_results_appear_without_a_reload(reader: Reader, small) -> None:
    reader.open("later", run="many", step=3)
    expect(reader.tab.locator("#card-2 .problem")).to_contain_text("strobe analyze many -a gini")
    reader.tab.evaluate("globalThis.mine = true")
    reader.tab.evaluate("strobe.watch.close()")  # or it looks in the middle of the analysis as well, and again
    asked = len(reader.asked)
    small[0].analyze("many", ["gini"])
    reader.tab.evaluate("Object.assign(strobe.watch, { closed: false }).look()")
    expect(reader.tab.locator("#card-2 canvas").first).to_be_visible(timeout=PATIENCE)
    reader.settled(3)
    assert reader.tab.evaluate("globalThis.mine")
    assert len(reader.asked) - asked <= 10  # one question for the place, its neighbours, and the same once more should the page be made twice


def test_a_run_still_training_grows_while_one_watches(reader: Reader, small) -> None:
    workspace = small[0]
    family = {"p": 7, "d_model": 8, "n_heads": 1, "d_mlp": 8, "fraction": 0.5}
    run = workspace.train("modular_addition", name="growing", training=Training(epochs=4, lr=1e-2, schedule="every:2"), **family)
    reader.open("later", run="growing", step=2)
    reader.tab.get_by_label("bookmark name").fill("half a na")
    reader.tab.evaluate("globalThis.mine = true")
    workspace.train(run, training={"epochs": 8})
    bookmarks_keep(run, {"name": "from elsewhere", "cursor": {"step": 2}})
    reader.tab.evaluate("strobe.watch.look()")
    reader.tab.wait_for_function("strobe.store.model.steps.at(-1) === 8", timeout=PATIENCE)
    reader.settled(2)
    expect(reader.tab.get_by_role("button", name="from elsewhere", exact=False).first).to_be_visible(timeout=PATIENCE)
    expect(reader.tab.get_by_label("bookmark name")).to_have_value("half a na")  # whoever types is not disturbed
    reader.tab.get_by_label("bookmark name").press("Tab")
    reader.tab.get_by_role("button", name="play").focus()
    reader.key("End", 8)
    assert reader.tab.evaluate("globalThis.mine")


def test_a_page_that_is_not_known_any_more_is_given_up_and_asked_for_once(reader: Reader) -> None:
    reader.open("few", run="many", step=0)
    reader.tab.evaluate("strobe.watch.close()")  # it looks every four seconds, and then the page is asked for again
    refused: list[str] = []

    def refuse(route: Route) -> None:
        refused.append(route.request.url)
        route.fulfill(status=409, json={"changed": True})

    reader.tab.route("**/api/frames/**", refuse)
    for _ in range(20):
        reader.tab.evaluate("strobe.store.move('step', 2)")
    reader.tab.wait_for_function("strobe.board.frames.gone", timeout=PATIENCE)
    reader.tab.evaluate("strobe.store.move('step', -5)")
    reader.tab.wait_for_timeout(300)
    assert len(refused) <= 2  # one, and a neighbour that was on its way
    reader.tab.unroute("**/api/frames/**")
    reader.tab.evaluate("strobe.watch.look()")
    reader.settled()
    reader.problems[:] = [problem for problem in reader.problems if "409" not in problem]  # the browser's own complaint


# --- around it ---------------------------------------------------------------------------------------------------------------------------------


def test_python_running_again_leaves_the_charts_as_they_are(reader: Reader) -> None:
    reader.open("few", step=10)
    reader.tab.evaluate("strobe.board.panels.forEach(p => (p.view.mine = true))")
    with reader.python_runs():  # once the cursor has come to rest
        reader.key("ArrowRight", 20)
    assert reader.tab.evaluate("strobe.board.panels.every(p => p.view.mine)")


def test_the_place_is_kept_while_another_page_is_shown(reader: Reader) -> None:
    reader.open("few", run="small", step=10, neuron=3)
    reader.key("ArrowRight", 20)  # Python is not told before the link is followed, nor while it answers
    reader.tab.get_by_test_id("stSidebarNavLink").filter(has_text="Runs").click()
    expect(reader.tab.get_by_role("heading", name="Runs")).to_be_visible(timeout=PATIENCE)
    reader.tab.get_by_test_id("stSidebarNavLink").filter(has_text="Report").click()
    reader.tab.wait_for_function("strobe.board.root.isConnected", timeout=PATIENCE)
    reader.settled(20)
    assert (reader.at("neuron"), reader.tab.evaluate("strobe.store.model.run")) == (3, "small")
    reader.tab.wait_for_function("new URL(location).searchParams.get('step') === '20'", timeout=PATIENCE)


def test_two_tabs_do_not_disturb_each_other(reader: Reader, address: str) -> None:
    reader.open("few", step=0)
    beside = reader.tab.context.new_page()
    with watched(beside) as problems, Reader.of(beside, address, problems) as other:
        other.open("few", step=30)
        with reader.python_runs():
            reader.key("ArrowRight", 5)
        assert (reader.at(), other.at()) == (5, 30)
    beside.close()
    assert problems == []


def test_the_strip_stays_when_the_sidebar_is_collapsed(reader: Reader) -> None:
    reader.open("few", step=10)
    strip = reader.tab.locator(".strip")
    expect(strip).to_be_hidden()
    reader.tab.get_by_test_id("stSidebar").hover()
    reader.tab.get_by_test_id("stSidebarCollapseButton").locator("button").click()
    expect(strip).to_be_visible(timeout=PATIENCE)
    strip.get_by_role("slider").fill("3")
    reader.settled(20)


def test_plain_charts_take_over_when_the_board_cannot_load(reader: Reader) -> None:
    reader.tab.route("**/api/board/*", lambda route: route.abort())
    reader.tab.goto(f"{reader.address}/?run=small&report=few&step=10")
    expect(reader.tab.get_by_test_id("stAlert").first).to_contain_text("The board could not be loaded", timeout=PATIENCE)
    expect(reader.tab.locator(".st-key-card-1 .vega-embed .marks").first).to_be_visible(timeout=PATIENCE)
    reader.problems.clear()  # the browser's own complaint about the script that was held back


# --- scenes ------------------------------------------------------------------------------------------------------------------------------------

DOT = """() => { const view = strobe.board.panels[0].view, box = view.canvas.getBoundingClientRect();
  const dot = view.dots.find((d) => d.row.step === 10); return [box.x + dot.x, box.y + dot.y]; }"""


def turn_and_click(tab: Page) -> None:
    """A drag turns the scene and moves nothing else; a click on a dot moves the step, and the ring with it; what was turned stays."""
    until(tab, "globalThis.strobe?.board.panels[0]?.view?.painted")
    camera = "({...strobe.board.panels[0].camera})"
    before, step = tab.evaluate(camera), tab.evaluate("strobe.store.cursor.step")
    assert before["azimuth"] == pytest.approx(35)
    box = tab.locator("#card-1 canvas").bounding_box()
    assert box
    tab.mouse.move(box["x"] + 60, box["y"] + 60)
    tab.mouse.down()
    tab.mouse.move(box["x"] + 100, box["y"] + 90, steps=4)
    tab.mouse.up()
    turned = tab.evaluate(camera)
    assert turned["azimuth"] < before["azimuth"] - 10
    assert turned["elevation"] > before["elevation"] + 5
    assert tab.evaluate("strobe.store.cursor.step") == step
    until(tab, "!strobe.board.panels[0].view.frame")  # the last of the drag is painted
    x, y = tab.evaluate(DOT)
    tab.mouse.click(x, y)
    until(tab, "strobe.store.cursor.step === 10 && strobe.board.panels[0].view.datasets.cursor[0].step === 10")
    assert tab.evaluate(camera) == turned


def test_a_scene_is_turned_and_clicked(reader: Reader) -> None:
    scripts: list[str] = []
    reader.tab.on("request", lambda request: scripts.append(request.url) if "/api/scene" in request.url else None)
    reader.open("few")
    assert scripts == []  # no page pays for what it does not show
    reader.open("turned", step=20)
    assert len(scripts) == 1
    turn_and_click(reader.tab)
    marked = "strobe.board.panels[0].view.marked.map(Math.round)"
    first = reader.tab.evaluate(marked)
    reader.key("ArrowRight", 20)
    reader.tab.wait_for_function(f"({marked}).join() !== '{','.join(map(str, first))}'", timeout=PATIENCE)
    place = "(() => { const v = strobe.board.panels[0].view; const [x, y] = v.see(v.placed.at(-1).rows[4].place); return [x, y]; })()"
    reader.tab.dblclick("#card-1 canvas", position={"x": 5, "y": 5})
    seen = reader.tab.evaluate(place)
    assert seen == pytest.approx(_projected(reader), abs=0.5)  # the picture in the browser and the one on paper look from the same side


def _projected(reader: Reader) -> list[float]:
    """Where the last dot lies in the projected chart, px."""
    spec = reader.tab.evaluate("(() => { const v = strobe.board.panels[0].view; return {scene: v.spec, datasets: v.datasets}; })()")
    from strobe.charts.scene import REACH, flat

    chart = flat(spec["scene"], spec["datasets"]).to_dict()
    (row,) = [r for r in chart["datasets"]["path"] if r["step"] == 30]
    width, height = chart["width"], chart["height"]
    return [width / 2 + row["across"] / REACH * height / 2, height / 2 - row["up"] / REACH * height / 2]


def test_a_scene_in_a_file(small, browser: Browser, tmp_path: Path) -> None:
    from strobe.export.html import write_html
    from strobe.reports.library import find

    workspace, _ = small
    file = write_html(workspace, find(workspace, "turned", "small"), "small", tmp_path / "turned.html")
    tab = browser.new_page()
    problems: list[str] = []
    tab.on("pageerror", lambda error: problems.append(str(error)))
    tab.on("request", lambda request: problems.append(request.url) if not request.url.startswith(("file:", "data:", "blob:")) else None)
    tab.goto(file.as_uri())
    turn_and_click(tab)
    assert problems == []
    tab.close()


def test_without_the_board_a_scene_is_a_chart(reader: Reader) -> None:
    reader.tab.goto(f"{reader.address}/?run=small&report=turned&board=0")
    expect(reader.tab.locator("[data-testid=stVegaLiteChart] canvas, [data-testid=stVegaLiteChart] svg").first).to_be_visible(timeout=PATIENCE)


def test_a_line_of_the_table_of_runs_opens_its_run(reader: Reader) -> None:
    reader.open("runs", step=20)
    x, y = reader.tab.evaluate(
        """() => { const panel = strobe.board.panels[0], view = panel.view, box = panel.chart.querySelector("canvas").getBoundingClientRect();
          const cell = view.data("cells").find((row) => row.run === "tiny"), [left, top] = view.origin();
          return [box.x + left + cell.x + 4, box.y + top + cell.y]; }"""
    )
    reader.tab.mouse.click(x, y)
    reader.tab.wait_for_function("globalThis.strobe?.store.model?.run === 'tiny'", timeout=PATIENCE)
    reader.settled()
    assert "run=tiny" in reader.tab.url
    assert "report=runs" in reader.tab.url
