"""The app's plain charts and its exports in a real browser: charts are drawn, the slider moves them, nothing is asked of the network.

The board has its own file, test_board.py, and the standalone page too, test_file.py.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import fake_install
import pytest
from playwright.sync_api import Browser, Locator, Page, expect
from reading import PATIENCE, serving
from small import SHOWN, small_workspace

from strobe.reports.report import Panel, Report, Section, default_report, file_of, save

pytestmark = pytest.mark.browser


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page that fails its test when a script of it fails."""
    tab = browser.new_page(viewport={"width": 1280, "height": 1400})
    problems: list[str] = []
    tab.on("pageerror", lambda error: problems.append(str(error)))
    tab.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    yield tab
    tab.close()
    assert problems == []


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds a third-party package, as pip would have installed it."""
    folder = tmp_path_factory.mktemp("site")
    fake_install.install(Path(__file__).parents[1] / "plugins" / "strobe-participation", folder)
    return folder


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, site: Path):
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(site))
        workspace, run = small_workspace(tmp_path_factory.mktemp("browser") / "workspace", [*SHOWN, "participation_ratio"])
        panels = [Panel(renderer=name) for name in ("loss_curves", "frequency_spectrum", "neuron_map")]
        save(Report(title="Few", sections=[Section(title="S", panels=panels)]), file_of(workspace, "few"))
        yield workspace, run
    sys.modules.pop("strobe_participation", None)


@pytest.fixture(scope="module")
def address(small, site: Path) -> Iterator[str]:
    """The app, running, in an environment where the third-party package is installed."""
    path = os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH", "")]))
    with serving(small[0].root, site, {"PYTHONPATH": path}) as found:
        yield found


PICTURE = """card => [...document.querySelectorAll(`.st-key-card-${card} .vega-embed > :is(canvas, svg), .st-key-card-${card} .vega-embed .marks,
    #card-${card} .vega-embed canvas`)].map(e => e.tagName === "CANVAS" ? e.toDataURL() : e.outerHTML.replace(/clip\\d+/g, "")).join()"""
"""What a card shows: the pixels of a canvas, or the shapes of an SVG without the numbers of its clips."""


def picture(page: Page, card: int) -> str:
    return str(page.evaluate(PICTURE, card))


def wait_for_change(page: Page, card: int, before: str) -> None:
    page.wait_for_function(f"before => {{ const now = ({PICTURE})({card}); return now && now !== before }}", arg=before, timeout=PATIENCE)


def chart(page: Page, card: int) -> Locator:
    """The drawing in a card of the app, canvas or SVG."""
    return page.locator(f".st-key-card-{card} .vega-embed .marks").first


# --- the app's plain charts -----------------------------------------------------------------------------------------------------------------------


def test_the_slider_moves_the_charts_of_the_app(page: Page, address: str) -> None:
    page.goto(f"{address}/?report=few&step=10&board=0")
    for card in (1, 2, 3):
        expect(chart(page, card)).to_be_visible(timeout=PATIENCE)
    before = {card: picture(page, card) for card in (1, 2, 3)}
    page.get_by_role("slider").focus()
    page.keyboard.press("ArrowRight")
    for card in (1, 2, 3):
        wait_for_change(page, card, before[card])
    page.wait_for_function("new URL(location).searchParams.get('step') === '20'", timeout=PATIENCE)
    assert page.locator("[data-testid=stException], [data-testid=stAlert]").count() == 0


def test_the_default_report_draws_every_card_and_that_of_a_strangers_analyzer(page: Page, address: str, small) -> None:
    cards = len(default_report(*small).panels) - 1  # flatness is not computed here: its card says what to type
    page.goto(f"{address}/?report=default&step=10&board=0")
    expect(chart(page, cards + 1)).to_be_visible(timeout=PATIENCE)
    expect(page.locator("[class*='st-key-card-'] .vega-embed .marks")).to_have_count(cards, timeout=PATIENCE)
    assert page.locator("[data-testid=stException]").count() == 0
    expect(page.locator("[data-testid=stAlert]")).to_have_count(1)
    last = page.locator("[class*='st-key-card-']", has_text="line_over_steps of participation_ratio")
    expect(last).to_contain_text("Participation ratio")
    expect(last).to_contain_text("How many singular values carry a weight matrix")
    expect(last).to_contain_text("line_over_steps of participation_ratio")


def test_a_click_on_a_mark_moves_the_cursor(page: Page, address: str, small) -> None:
    workspace, _ = small
    panels = [Panel(renderer="neuron_clusters"), Panel(renderer="neuron_map")]
    save(Report(title="Clicks", sections=[Section(title="S", panels=panels)]), file_of(workspace, "clicks"))
    page.goto(f"{address}/?report=clicks&step=20&neuron=0&board=0")
    clusters = chart(page, 1)
    expect(clusters).to_be_visible(timeout=PATIENCE)
    expect(chart(page, 2)).to_be_visible(timeout=PATIENCE)
    before = picture(page, 2)
    box = clusters.bounding_box()
    assert box is not None
    clusters.click(position={"x": box["width"] * 0.6, "y": box["height"] * 0.4})
    wait_for_change(page, 2, before)
    assert page.evaluate("new URL(location).searchParams.get('neuron')") != "0"


def test_a_finished_export_is_previewed_and_downloaded(browser: Browser, address: str, small) -> None:
    workspace, run = small
    page = browser.new_page(viewport={"width": 1280, "height": 1200})  # not `page`: Streamlit asks below /exports first, and a browser logs its 404
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    file = workspace.view("loss_curves", run).save(workspace.root / "exports" / "curves.png", scale=1)
    page.goto(f"{address}/exports")
    card = page.locator("[class*='st-key-export-curves']")
    expect(card).to_contain_text("curves.png", timeout=PATIENCE)
    card.get_by_text("Preview").click()
    expect(card.locator("img")).to_be_visible(timeout=PATIENCE)
    page.wait_for_function("image => image.complete && image.naturalWidth > 300", arg=card.locator("img").element_handle())
    with page.expect_download() as taken:
        card.get_by_role("button", name="Download").click()
    assert taken.value.suggested_filename == "curves.png"
    assert Path(taken.value.path()).read_bytes() == file.read_bytes()
    page.close()
    assert problems == []
