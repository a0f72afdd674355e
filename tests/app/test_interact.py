"""Marking, choosing and comparing in a real browser: brush, bands, pins with their difference, atlas, heads, settings, runs of every size."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect
from reading import PATIENCE, Reader, serving
from small import forget, small_workspace

from strobe import Training, Workspace
from strobe.reports.files import save
from strobe.reports.library import file_of
from strobe.reports.model import Panel, Report, Section

pytestmark = pytest.mark.browser
ANALYZERS = [
    *["activation_maps", "neuron_frequency", "neuron_dynamics", "head_frequency", "head_labels", "attention_maps", "key_frequencies"],
    *["loss_and_accuracy", "dominant_frequencies"],
]
FULL = {"full_activation_maps": {"neurons": [5, 6]}}
PLACE = """([card, field, value]) => {
    const { view } = strobe.board.panels[card - 1], [left, top] = view.origin();
    const find = (items, x, y) => {
        for (const item of items) {
            const inner = item.items?.map((mark) => find(mark.items, x + (item.x ?? 0), y + (item.y ?? 0))).find(Boolean);
            if (inner) return inner;
            const { x1, x2, y1, y2 } = item.bounds ?? {};
            if (!item.items && item.mark.marktype === "rect" && item.datum?.[field] === value)
                return { x: left + x + (x1 + x2) / 2, y: top + y + (y1 + y2) / 2 };
        }
    };
    return find(view.scenegraph().root.items, 0, 0);
}"""
"""Where the first rectangle of a value stands in a card's drawing."""


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """`small`, and runs with one and two of everything."""
    made, run = small_workspace(tmp_path_factory.mktemp("interact") / "workspace", ANALYZERS)
    assert not made.analyze(run, ["full_activation_maps"], settings=FULL).failures
    for n in (1, 2):
        family = {"p": 3 if n == 1 else 5, "d_model": 4 * n, "n_heads": n, "d_mlp": n, "fraction": 0.6}
        few = made.train("modular_addition", name=f"of{n}", training=Training(epochs=1, lr=1e-2, schedule="at:1"), **family)
        if n == 1:
            forget(few, 1)
        assert not made.analyze(few, ANALYZERS).failures

    def report(name: str, *panels: Panel) -> None:
        save(Report(title=name.title(), sections=[Section(title="S", panels=list(panels))]), file_of(made, name))

    tables = [Panel(renderer="table", table="neuron_dynamics"), Panel(renderer="table", table="neuron_frequency")]
    report("marks", Panel(renderer="neuron_clusters"), Panel(renderer="neuron_atlas"), *tables, Panel(renderer="frequency_spectrum"))
    maps = [
        Panel(renderer="neuron_map"),
        Panel(renderer="table", table="loss_and_accuracy"),
        Panel(renderer="line_over_steps", table="loss_and_accuracy"),
    ]
    report("pins", *maps)
    report("atlas", Panel(renderer="neuron_atlas", settings={"pixels": 2}), Panel(renderer="neuron_map"))
    purity = Panel(renderer="line_over_steps", table="head_frequency", follow=["head"], slots={"y": "fraction"})
    report("badges", Panel(renderer="head_badges"), purity)
    names = ["loss_curves", "frequency_spectrum", "neuron_clusters", "neuron_atlas", "neuron_map", "attention_map", "head_spectrum", "head_badges"]
    report("sizes", *[Panel(renderer=name) for name in names])
    return made


@pytest.fixture(scope="module")
def address(workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(workspace.root, Path(tmp_path_factory.mktemp("cwd"))) as found:
        yield found


def rows(reader: Reader, card: int, dataset: str) -> list[dict]:
    return reader.tab.evaluate("([card, name]) => strobe.board.panels[card - 1].view.data(name).map((row) => ({ ...row }))", [card, dataset])


def drag(reader: Reader, card: int, start: float, end: float) -> None:
    """Draw a rectangle over a card's chart between two shares of its width."""
    _, box = reader.canvas(card)
    across = [box["x"] + box["width"] * share for share in (start, end)]
    reader.tab.mouse.move(across[0], box["y"] + box["height"] * 0.3)
    reader.tab.mouse.down()
    reader.tab.mouse.move(across[1], box["y"] + box["height"] * 0.5, steps=4)
    reader.tab.mouse.up()


def test_a_brush_over_neurons_leaves_theirs_in_atlas_and_tables_and_escape_all(reader: Reader) -> None:
    reader.open("marks", step=20, neuron=5, layer=0)
    assert len(rows(reader, 2, "tiles")) == 16
    drag(reader, 1, 0.15, 0.4)
    chip = reader.tab.locator(".chip")
    expect(chip).to_contain_text("of 16 neurons; 3 panels show only these", timeout=PATIENCE)
    reader.settled(20)
    shown = {row["neuron"] for row in rows(reader, 2, "tiles")}
    assert 0 < len(shown) < 16
    assert f"Filtered: {len(shown)} of 16" in chip.inner_text()
    assert {row["neuron"] for row in rows(reader, 3, "cells") if row.get("neuron") is not None} == shown
    assert reader.at("neuron") == 5  # the end of a drag is no click
    reader.key("End", 30)
    reader.tab.reload()
    reader.settled(30)
    assert {row["neuron"] for row in rows(reader, 2, "tiles")} == shown  # the address keeps it, and the step of a moment ago
    reader.tab.keyboard.press("Escape")
    expect(chip).to_be_hidden()
    reader.settled(30)
    assert len(rows(reader, 2, "tiles")) == 16


def test_a_brush_over_frequencies_leaves_the_neurons_that_they_lead(reader: Reader) -> None:
    reader.open("marks", step=20)
    led = {row["neuron"]: row["frequency"] for row in rows(reader, 1, "neurons")}
    drag(reader, 5, 0.12, 0.35)
    reader.tab.wait_for_function("strobe.store.cursor.only?.includes('frequency:')", timeout=PATIENCE)
    reader.settled(20)
    chosen = reader.tab.evaluate("strobe.store.cursor.only.split('frequency:')[1]")
    low, _, high = chosen.partition("-")
    assert {row["neuron"] for row in rows(reader, 2, "tiles")} == {n for n, k in led.items() if k and int(low) <= k <= int(high or low)}


def test_keys_and_buttons_stay_in_the_band(reader: Reader) -> None:
    reader.open("marks", step=20)
    led = {row["neuron"]: row["frequency"] for row in rows(reader, 1, "neurons") if row["frequency"]}
    bands = {k: [n for n, of in led.items() if of == k] for k in led.values()}
    frequency, members = max(bands.items(), key=lambda band: len(band[1]))
    reader.tab.evaluate("neuron => strobe.store.set({ neuron })", members[0])
    visited = []
    for key in ["]"] * len(members):
        reader.tab.keyboard.press(key)
        reader.tab.wait_for_function("([last]) => strobe.store.cursor.neuron !== last", arg=[([members[0], *visited])[-1]], timeout=PATIENCE)
        visited.append(reader.at("neuron"))
    assert visited == [*members[1:], members[0]]
    band = reader.tab.locator(".band")
    reader.settled(20)
    expect(band).to_contain_text(f"k {frequency}: 1 of {len(members)}")
    reader.tab.get_by_role("button", name="previous neuron of this band").click()
    reader.tab.wait_for_function("neuron => strobe.store.cursor.neuron === neuron", arg=members[-1], timeout=PATIENCE)
    reader.tab.get_by_role("button", name="show only this band in atlas and tables").click()
    expect(reader.tab.locator(".chip")).to_contain_text(f"{len(members)} of 16 neurons, frequency {frequency}", timeout=PATIENCE)


def test_pins_show_the_difference_of_a_map_a_table_and_both_marks_on_lines(reader: Reader) -> None:
    reader.open("pins", step=0, neuron=5)
    reader.tab.get_by_role("button", name="keep this place as A").click()
    reader.key("End", 30)
    reader.tab.evaluate("strobe.store.set({ neuron: 6 })")
    reader.tab.get_by_role("button", name="keep this place as B").click()
    expect(reader.tab.locator("table.ab")).to_contain_text("B − A")
    dialog = reader.tab.get_by_role("dialog")
    for card, found in ((1, "neuron 5, activation −"), (2, "B − A"), (3, "A 0")):
        reader.tab.get_by_label("compare A and B in").select_option(str(card))
        expect(dialog.locator("svg.marks")).to_have_count(3, timeout=PATIENCE)
        last = dialog.locator("[data-place=difference]")
        expect(last.locator("svg.marks")).to_contain_text(found, timeout=PATIENCE)
        if card == 1:
            expect(last.locator("svg image").first).to_be_visible()
        expect(last.locator(".how")).to_contain_text("step 0 (A), 30 (B)")
        if card == 3:
            expect(last.locator("svg.marks")).to_contain_text("B 30")
        reader.tab.keyboard.press("Escape")
        expect(dialog).to_have_count(0)


def test_a_tile_of_the_atlas_leads_to_the_full_map(reader: Reader, workspace: Workspace) -> None:
    reader.open("atlas", step=20, neuron=0)
    spot = reader.tab.evaluate(PLACE, [1, "neuron", 6])
    reader.tab.locator("#card-1 canvas").first.click(position=spot)
    reader.settled(20)
    assert reader.at("neuron") == 6
    assert "neuron 6," in rows(reader, 2, "range")[0]["text"]


def test_a_head_is_chosen_by_its_badge(reader: Reader) -> None:
    reader.open("badges", step=20, head=0)
    before = reader.picture(2)
    reader.tab.locator("#card-1 canvas").first.click(position=reader.tab.evaluate(PLACE, [1, "head", 1]))
    reader.tab.wait_for_function("strobe.store.cursor.head === 1", timeout=PATIENCE)
    reader.settled(20)
    assert reader.picture(2) != before


def test_an_enlarged_panel_has_its_settings_and_keeps_them(reader: Reader) -> None:
    reader.open("atlas", step=20)
    reader.tab.locator("#card-1 .enlarge").click()
    dialog = reader.tab.get_by_role("dialog")
    where = dialog.locator("[data-setting=where]")
    where.fill("neuron < 4")
    where.press("Tab")
    expect(dialog.locator("svg.marks")).to_contain_text("4 of 16 neurons", timeout=PATIENCE)
    where.fill("neuron is 4")
    where.press("Tab")
    expect(dialog.locator(".problem")).to_contain_text("'neuron is 4' is no condition", timeout=PATIENCE)
    where.fill("neuron < 3")
    where.press("Tab")
    expect(dialog.locator("svg.marks")).to_contain_text("3 of 16 neurons", timeout=PATIENCE)
    reader.tab.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    reader.settled(20)
    assert {row["neuron"] for row in rows(reader, 1, "tiles")} == {0, 1, 2}


def test_runs_with_one_two_and_more_of_everything(reader: Reader, workspace: Workspace) -> None:
    reader.tab.set_viewport_size({"width": 1280, "height": 6000})
    for run in ("of1", "of2", "small"):
        reader.open("sizes", run, step=10_000, neuron=900, head=70, frequency=500)
        steps = workspace.run(run).steps
        last = reader.tab.evaluate("Object.fromEntries(Object.entries(strobe.store.model.choices).map(([name, values]) => [name, values.at(-1)]))")
        assert {name: reader.at(name) for name in ("step", *last)} == {"step": steps[-1], **last, **({"layer": 0} if "layer" in last else {})}
        expect(reader.tab.locator(".notes")).to_contain_text(f"step 10,000 is not in {run}: {steps[-1]}")
        assert reader.tab.locator(".problem").all_inner_texts() == []
        reader.key("Home", steps[0])
        assert reader.tab.locator(".problem").all_inner_texts() == []


def test_a_neuron_says_what_it_is_when_pointed_at(reader: Reader) -> None:
    """Its words are worked out only then, and are those of the rows drawn now."""
    reader.open("marks", step=0)
    reader.key("End", 30)
    [said] = reader.tab.evaluate("strobe.board.panels[0].view.data('neurons').filter(row => row.neuron === 3)")
    place = reader.tab.evaluate(PLACE, [1, "neuron", 3])
    reader.tab.locator("#card-1 canvas").first.hover(position=place)
    tip = reader.tab.locator("#vg-tooltip-element")
    expect(tip).to_contain_text("neuron3", timeout=PATIENCE)
    expect(tip).to_contain_text(f"frequency{said['frequency']:.0f}" if said["frequency"] is not None else "frequency")
