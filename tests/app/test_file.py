"""The standalone file in a real browser whose network is off: slider, play, clicks and linked panels work, it asks for nothing, and it prints."""

from __future__ import annotations

import io
import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from pypdf import PdfReader
from reading import PATIENCE, until
from small import STEPS, small_workspace

from strobe.export import write_report
from strobe.export.columns import ERROR
from strobe.reports.model import Panel, Report, Section
from strobe.runs import labels

pytestmark = pytest.mark.browser
EVIL = "<img src=x onerror=\"document.title='owned'\"></script><script>document.title='owned'</script>"
MARK = """() => {
    const { view } = strobe.board.panels[6];
    const [left, top] = view.origin();
    const middle = ({ x1, x2, y1, y2 }, dx, dy) => [(x1 + x2) / 2 + dx, (y1 + y2) / 2 + dy];
    const look = (items, dx, dy) => {
        for (const item of items) {
            const inner = item.items?.map((mark) => look(mark.items, dx + (item.x ?? 0), dy + (item.y ?? 0))).find(Boolean);
            if (inner) return inner;
            if (item.datum?.neuron === 9) return middle(item.bounds, dx, dy);
        }
    };
    return look(view.scenegraph().root.items, left + view.padding().left, top + view.padding().top);
}"""
"""Where neuron 9 is in the seventh card, px."""
PANELS = ["loss_curves", "frequency_spectrum", "neuron_map", "nothing_like_it", "phase_table", "attention_map", "neuron_clusters"]
SHOWN = ["dominant_frequencies", "key_frequencies", "activation_maps", "attention_maps", "head_frequency", "phases", "neuron_frequency"]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory):
    workspace, run = small_workspace(tmp_path_factory.mktemp("file") / "workspace", [*SHOWN, "loss_and_accuracy"])
    labels.relabel(run, label=EVIL)
    return workspace, run


@pytest.fixture(scope="module")
def file(small) -> Path:
    workspace, run = small
    panels = [Panel(renderer=name, title=EVIL if name == "phase_table" else "", how_to_read=EVIL) for name in PANELS]
    report = Report(title=f"Offline {EVIL}", description=EVIL, sections=[Section(title=EVIL, markdown=EVIL, panels=panels)])
    return write_report(workspace, report, run, workspace.root / "offline.html", cursor={"step": 10, "neuron": 2})


@pytest.fixture(scope="module")
def tab(browser: Browser, file: Path) -> Iterator[tuple[Page, list[str]]]:
    """The file, opened once, and a list of what it asked for and what went wrong in it."""
    context = browser.new_context(viewport={"width": 1280, "height": 1400}, offline=True)
    page, odd = context.new_page(), list[str]()
    page.on("pageerror", lambda error: odd.append(str(error)))
    page.on("console", lambda message: odd.append(message.text) if message.type == "error" else None)
    page.on("request", lambda request: odd.append(request.url) if not request.url.startswith(("data:", "blob:", file.as_uri())) else None)
    page.goto(file.as_uri())
    until(page, "document.body.dataset.step === '10'")
    yield page, odd
    context.close()


@pytest.fixture
def page(tab: tuple[Page, list[str]]) -> Iterator[Page]:
    """The file at its opening place; a request or an error fails the test."""
    tab[0].evaluate("strobe.store.set({step: 10, neuron: 2}); scrollTo(0, 0)")
    settled(tab[0])
    yield tab[0]
    assert tab[1] == []


def settled(page: Page) -> None:
    until(page, "strobe.board.settled")


def picture(page: Page, card: int) -> str:
    return str(page.evaluate(f"document.querySelector('#card-{card} canvas.marks').toDataURL()"))


def rows(page: Page, card: int, name: str) -> list[dict[str, object]]:
    shown: list[dict[str, object]] = page.evaluate(
        f"strobe.board.frames.get(strobe.board.cards[{card - 1}], strobe.store.cursor).datasets['{name}'][1]"
    )
    return shown


def test_the_slider_moves_the_charts_there_and_back(page: Page) -> None:
    before = page.evaluate("[2, 3].map(c => document.querySelector(`#card-${c} canvas.marks`).toDataURL())")
    page.locator("#step").focus()
    page.keyboard.press("ArrowRight")
    until(page, "document.body.dataset.step === '20'")
    after = page.evaluate("[2, 3].map(c => document.querySelector(`#card-${c} canvas.marks`).toDataURL())")
    assert before[0] != after[0]
    assert before[1] != after[1]
    page.keyboard.press("ArrowLeft")
    until(page, "document.body.dataset.step === '10'")
    assert page.evaluate("[2, 3].map(c => document.querySelector(`#card-${c} canvas.marks`).toDataURL())") == before


def test_its_rows_are_those_that_are_drawn_elsewhere(page: Page, small) -> None:
    from strobe.panels.cards import cards_of, resolve

    workspace, run = small
    report = Report(title="x", sections=[Section(title="y", panels=[Panel(renderer=name) for name in PANELS])])
    for card in cards_of(resolve(workspace, report, run)):
        if card.view is None:
            continue
        for name, drawn in card.draw({"step": 10, "neuron": 2, "layer": 0, "head": 0}).datasets.items():
            told = json.loads(json.dumps(drawn, default=str))
            kept = rows(page, card.number, name)
            assert len(kept) == len(told)
            assert all(alike(mine, theirs) for mine, theirs in zip(kept, told, strict=True)), (card.title, name)


def alike(mine: object, theirs: object) -> bool:
    if isinstance(theirs, dict) and isinstance(mine, dict):
        return mine.keys() == theirs.keys() and all(alike(mine[k], theirs[k]) for k in theirs)
    if isinstance(theirs, float) and isinstance(mine, (int, float)):
        return abs(mine - theirs) <= ERROR * abs(theirs) + 1e-9
    if isinstance(theirs, str) and theirs.startswith("data:image/png"):
        return isinstance(mine, str) and mine.startswith("data:image/png")  # in fewer shades
    return mine == theirs


def test_a_click_on_one_panel_moves_another(page: Page) -> None:
    before = picture(page, 3)
    page.locator("#card-7 canvas.marks").click(position=dict(zip("xy", page.evaluate(MARK), strict=True)))
    until(page, "strobe.store.cursor.neuron !== 2")
    settled(page)
    assert picture(page, 3) != before


def test_neurons_that_are_few_can_be_chosen(page: Page) -> None:
    assert page.evaluate("strobe.store.model.choices.neuron.length") == 16
    before = picture(page, 3)
    page.evaluate("strobe.store.set({neuron: 5})")
    settled(page)
    assert picture(page, 3) != before


def test_it_plays_to_the_end_and_stops(page: Page) -> None:
    page.locator("#play").click()
    until(page, f"document.body.dataset.step === '{STEPS[-1]}'")
    expect(page.locator("#play")).to_have_attribute("aria-label", "play", timeout=PATIENCE)


def test_events_data_and_reasons_are_at_hand(page: Page) -> None:
    page.locator("#events button", has_text="peak").click()
    until(page, "document.body.dataset.step !== '10'")
    page.locator("#card-1 summary").first.click()
    expect(page.locator("#card-1 td").nth(10)).to_be_visible()
    expect(page.locator("#card-4 .problem")).to_contain_text("no renderer 'nothing_like_it'")


def test_html_in_words_is_text(page: Page) -> None:
    assert page.title().startswith("Offline <img")
    expect(page.locator("h1")).to_have_text(f"Offline {EVIL}")
    assert page.locator("img[onerror]").count() == 0


def test_what_is_not_in_its_scripts_does_not_run(page: Page, tab: tuple[Page, list[str]]) -> None:
    with page.expect_request("https://example.org/x.png"), page.expect_console_message(lambda message: "img-src" in message.text):
        page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=\"https://example.org/x.png\" onerror=\"document.title=1\" id=bad>')")
    refused = [words for words in tab[1] if "Content Security Policy" in words]
    assert refused == [words for words in tab[1] if not words.startswith("https")]
    assert refused
    tab[1].clear()
    page.evaluate("document.getElementById('bad').remove()")


def test_any_way_to_print_draws_cards_that_were_never_in_sight(browser: Browser, file: Path) -> None:
    """A browser that prints waits for nothing: what its "beforeprint" has drawn when its microtasks are done is on the paper."""
    page = browser.new_page(viewport={"width": 1280, "height": 300})
    try:
        page.goto(file.as_uri())
        until(page, "document.body.dataset.step === '10'")
        assert page.locator("#card-6 canvas").count() == 0
        paper = PdfReader(io.BytesIO(page.pdf()))
    finally:
        page.close()
    words = "".join(sheet.extract_text() for sheet in paper.pages)
    assert "frequency k" in words  # the axis of the last card
    assert sum(len(sheet.images) for sheet in paper.pages) >= 2  # maps


def test_on_paper_there_is_every_card_and_no_sidebar(page: Page) -> None:
    page.evaluate("strobe.forPaper()")
    page.emulate_media(media="print")
    try:
        expect(page.locator("aside")).to_be_hidden()
        assert page.locator(".printed svg").count() == len(PANELS) - 1
        assert page.locator(".printed svg").nth(0).is_visible()
        expect(page.locator("#card-1 .chart")).to_be_hidden()
        expect(page.locator("#card-1 .actions")).to_be_hidden()
        boxes = [page.locator(f"#card-{i}").bounding_box() for i in range(1, len(PANELS) + 1)]
        assert all(a and b and a["y"] + a["height"] <= b["y"] + 1 for a, b in itertools.pairwise(boxes))
    finally:
        page.emulate_media(media="screen")
        page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator(".printed").count() == 0
