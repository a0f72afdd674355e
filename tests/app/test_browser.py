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
from playwright.sync_api import Locator, Page, expect
from reading import PATIENCE, serving
from small import SHOWN, small_workspace

from strobe.panels.cards import cards_of, resolve
from strobe.reports.default import default_report
from strobe.reports.files import save
from strobe.reports.library import file_of
from strobe.reports.model import Panel, Report, Section

pytestmark = pytest.mark.browser


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


def test_the_slider_moves_the_charts_of_the_app(tab: Page, address: str) -> None:
    tab.goto(f"{address}/?report=few&step=10&board=0")
    for card in (1, 2, 3):
        expect(chart(tab, card)).to_be_visible(timeout=PATIENCE)
    before = {card: picture(tab, card) for card in (1, 2, 3)}
    tab.get_by_role("slider").focus()
    tab.keyboard.press("ArrowRight")
    for card in (1, 2, 3):
        wait_for_change(tab, card, before[card])
    tab.wait_for_function("new URL(location).searchParams.get('step') === '20'", timeout=PATIENCE)
    assert tab.locator("[data-testid=stException], [data-testid=stAlert]").count() == 0


def test_the_default_report_draws_every_card_and_that_of_a_strangers_analyzer(tab: Page, address: str, small) -> None:
    workspace, run = small
    cards = cards_of(resolve(workspace, default_report(workspace, run), run))
    problems = [p for c in cards if (p := c.draw({"step": 10, "layer": 0, "head": 0, "neuron": 0}).problem)]
    assert all("compute them with `strobe analyze" in problem for problem in problems), "what is not computed here: its card says what to type"
    tab.goto(f"{address}/?report=default&step=10&board=0")
    expect(chart(tab, len(cards))).to_be_visible(timeout=PATIENCE)
    expect(tab.locator("[class*='st-key-card-'] .vega-embed .marks")).to_have_count(len(cards) - len(problems), timeout=PATIENCE)
    assert tab.locator("[data-testid=stException]").count() == 0
    expect(tab.locator("[data-testid=stAlert]")).to_have_count(len(problems))
    last = tab.locator("[class*='st-key-card-']", has_text="line_over_steps of participation_ratio")
    expect(last).to_contain_text("Participation ratio")
    expect(last).to_contain_text("How many singular values carry a weight matrix")
    expect(last).to_contain_text("line_over_steps of participation_ratio")


def test_a_click_on_a_mark_moves_the_cursor(tab: Page, address: str, small) -> None:
    workspace, _ = small
    panels = [Panel(renderer="neuron_clusters"), Panel(renderer="neuron_map")]
    save(Report(title="Clicks", sections=[Section(title="S", panels=panels)]), file_of(workspace, "clicks"))
    tab.goto(f"{address}/?report=clicks&step=20&neuron=0&board=0")
    clusters = chart(tab, 1)
    expect(clusters).to_be_visible(timeout=PATIENCE)
    expect(chart(tab, 2)).to_be_visible(timeout=PATIENCE)
    before = picture(tab, 2)
    box = clusters.bounding_box()
    assert box is not None
    clusters.click(position={"x": box["width"] * 0.6, "y": box["height"] * 0.4})
    wait_for_change(tab, 2, before)
    assert tab.evaluate("new URL(location).searchParams.get('neuron')") != "0"


def test_a_finished_export_is_previewed_and_downloaded(tab: Page, problems: list[str], address: str, small) -> None:
    workspace, run = small
    file = workspace.view("loss_curves", run).save(workspace.root / "exports" / "curves.png", scale=1)
    tab.goto(f"{address}/exports")
    card = tab.locator("[class*='st-key-export-curves']")
    expect(card).to_contain_text("curves.png", timeout=PATIENCE)
    card.get_by_text("Preview").click()
    expect(card.locator("img")).to_be_visible(timeout=PATIENCE)
    tab.wait_for_function("image => image.complete && image.naturalWidth > 300", arg=card.locator("img").element_handle())
    with tab.expect_download() as taken:
        card.get_by_role("button", name="Download").click()
    assert taken.value.suggested_filename == "curves.png"
    assert Path(taken.value.path()).read_bytes() == file.read_bytes()
    problems[:] = [problem for problem in problems if "404" not in problem]  # Streamlit asks below /exports first, and a browser logs it
