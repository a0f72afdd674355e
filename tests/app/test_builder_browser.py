"""The builder and the query page in a real browser: a report made by hand, kept, read again, and drawn the same by the command line."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import fake_install
import pandas as pd
import pytest
from playwright.sync_api import Browser, Page, expect
from reading import PATIENCE, chosen, serving, still, until
from small import small_workspace

from strobe.reports.files import load, save
from strobe.reports.library import file_of
from strobe.reports.model import Panel, Report, Section

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    fake_install.install(Path(__file__).parents[1] / "plugins" / "strobe-participation", folder)
    return folder


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, site: Path):
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(site))
        yield small_workspace(tmp_path_factory.mktemp("building") / "workspace", ["weight_norms", "activation_maps", "phases", "participation_ratio"])
    sys.modules.pop("strobe_participation", None)


@pytest.fixture(scope="module")
def address(small, site: Path) -> Iterator[str]:
    path = os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH", "")]))
    with serving(small[0].root, site, {"PYTHONPATH": path}) as started:
        yield started


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[Page]:
    """A tab that fails when a script of it fails."""
    problems: list[str] = []
    tab = browser.new_page(viewport={"width": 1920, "height": 1300})
    tab.set_default_timeout(PATIENCE)
    tab.on("pageerror", lambda error: problems.append(str(error)))
    yield tab
    tab.close()
    assert problems == []


def choose(page: Page, label: str, option: str) -> None:
    chosen(page, page.get_by_role("combobox", name=label).first, option)


def has(page: Page, *panels: str) -> None:
    """The outline shows these panels, in this order; Streamlit hides what is gone before it removes it."""
    page.wait_for_function(
        """names => {
          const buttons = [...document.querySelectorAll(".st-key-builder-outline [class*='st-key-builder-at'] button")];
          const shown = buttons.filter(b => b.offsetParent).map(b => b.innerText.trim()).filter(t => /^\\d/.test(t));
          return JSON.stringify(shown.map(t => t.replace(/^\\d+\\s+/, ""))) === JSON.stringify(names);
        }""",
        arg=list(panels),
        timeout=PATIENCE,
    )
    still(page)  # the outline comes first, and what stands beside it is made anew after it


def yaml(page: Page) -> str:
    """What the text area says, once it says anything: it is there before its text is."""
    area = page.get_by_role("textbox", name="YAML")
    expect(area).to_have_value(re.compile("title: "))
    return area.input_value()


def test_a_report_is_built_changed_undone_kept_and_drawn_the_same_by_the_command_line(page: Page, address: str, small, site: Path) -> None:
    workspace, _ = small
    page.goto(f"{address}/builder?step=10")
    for result, renderer in (
        ("weight_norms", "norms_over_steps"),
        ("weight_norms", "distribution"),
        ("participation_ratio", "line_over_steps"),
        ("phases", "phase_table"),
        ("activation_maps", "neuron_map"),
    ):
        choose(page, "Result", result)
        expect(page.locator(f".st-key-builder-renderer-{result}")).to_be_visible(timeout=PATIENCE)
        choose(page, "Drawn as", renderer)
        page.get_by_role("button", name="Add the panel").click()
        expect(page.get_by_role("textbox", name="YAML")).to_have_value(re.compile(renderer), timeout=PATIENCE)
        still(page)
    has(page, "Norms over steps", "Weight norms", "Participation ratio", "Phase table", "Neuron map")
    page.get_by_role("button", name="Up", exact=True).click()
    has(page, "Norms over steps", "Weight norms", "Participation ratio", "Neuron map", "Phase table")
    page.get_by_role("slider", name="Width").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("textbox", name="YAML")).to_have_value(re.compile("width: 7"), timeout=PATIENCE)
    still(page)
    page.get_by_role("button", name="2 Weight norms").click()
    expect(page.locator(".st-key-card-builder")).to_contain_text("distribution of weight_norms", timeout=PATIENCE)
    still(page)
    page.get_by_role("button", name="Remove", exact=True).click()
    has(page, "Norms over steps", "Participation ratio", "Neuron map", "Phase table")
    page.get_by_role("button", name="Undo", exact=True).click()
    has(page, "Norms over steps", "Weight norms", "Participation ratio", "Neuron map", "Phase table")
    page.get_by_role("textbox", name="Name", exact=True).fill("built")
    page.get_by_role("textbox", name="Name", exact=True).press("Enter")
    page.get_by_role("button", name="Save as", exact=True).click()
    expect(page.get_by_text("Saved as reports/built.yaml")).to_be_visible(timeout=PATIENCE)
    page.goto(f"{address}/builder?step=10&report=built")
    has(page, "Norms over steps", "Weight norms", "Participation ratio", "Neuron map", "Phase table")
    text = yaml(page).replace("title: New report", "title: Edited by hand\ndescription: in the YAML")
    page.get_by_role("textbox", name="YAML").fill(text)
    page.get_by_role("textbox", name="YAML").press("Control+Enter")
    expect(page.get_by_role("button", name="Edited by hand")).to_be_visible(timeout=PATIENCE)
    page.get_by_role("button", name="Save built", exact=True).click()
    expect(page.get_by_text("Saved as reports/built.yaml")).to_be_visible(timeout=PATIENCE)
    report = load(file_of(workspace, "built"))
    assert (report.title, len(report.panels), report.panels[3].width) == ("Edited by hand", 5, 7)
    _drawn_the_same(page, address, small, site)


SHOWN = """() => { const { board } = window.strobe; return board.panels.map(p => { const shot = board.frames.get(p.card, p.cursor);
    return [board.frames.spec(shot.spec), Object.fromEntries(Object.entries(shot.datasets).map(([name, [, rows]]) => [name, rows]))]; }); }"""
"""Of every panel of the page: its specification, and its rows."""


def _drawn_the_same(page: Page, address: str, small, site: Path) -> None:
    """What the board shows is what `strobe report render` writes into a file."""
    workspace, run = small
    file = workspace.root.parent / "built.html"
    path = os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH", "")]))
    words = ["report", "render", "built", "-o", str(file), "--run", run.name, "--at", "step=10", "--workspace", str(workspace.root)]
    child = subprocess.Popen([sys.executable, "-c", "from strobe.cli import main; main()", *words], env={**os.environ, "PYTHONPATH": path}, cwd=site)
    shown = []
    for place in (f"{address}/?report=built&run={run.name}&step=10", file.as_uri()):
        if place.startswith("file:"):
            assert child.wait(120) == 0
        page.goto(place)
        until(page, "window.strobe?.board?.panels.length === 5 && (document.body.dataset.step ?? window.strobe.board.root.dataset.step) === '10'")
        page.evaluate("window.strobe.board.panels.forEach(p => (p.near = true)); window.strobe.board.update()")
        until(page, "window.strobe.board.panels.every(p => window.strobe.board.frames.get(p.card, p.cursor))")
        shown.append(page.evaluate(SHOWN))
    assert len(shown[0]) == 5
    assert alike(shown[0], shown[1])


def alike(board: object, file: object) -> bool:
    """The same, but for numbers, of which a file keeps about three digits, and maps, of which it keeps fewer shades."""
    if isinstance(board, dict) and isinstance(file, dict):
        return board.keys() == file.keys() and all(alike(board[k], file[k]) for k in board)
    if isinstance(board, list) and isinstance(file, list):
        return len(board) == len(file) and all(map(alike, board, file))
    if isinstance(board, float | int) and isinstance(file, float | int):
        return board == pytest.approx(file, rel=1e-3, abs=1e-9)
    return board == file or (str(board)[:5] == str(file)[:5] == "data:")


def test_a_panel_of_the_board_opens_its_sql_its_python_and_its_files(page: Page, address: str, small) -> None:
    workspace, run = small
    save(Report(title="Doors", sections=[Section(title="S", panels=[Panel(renderer="table", table="weight_norms")])]), file_of(workspace, "doors"))
    page.goto(f"{address}/?report=doors&run={run.name}&step=10")
    page.locator("#card-1 summary", has_text="data").click(timeout=PATIENCE)
    sql = page.locator("#card-1 pre[data-language=sql]")
    expect(sql).to_contain_text("select * from weight_norms where run = 'small' and (step = 10 or step is null)", timeout=PATIENCE)
    expected = workspace.sql(sql.inner_text())
    known: dict[str, object] = {}
    exec(page.locator("#card-1 pre[data-language=python]").inner_text().replace("workspace.view", "view = workspace.view"), known)
    assert known["view"].to_dict()
    for format_, read in (("CSV", pd.read_csv), ("Parquet", pd.read_parquet)):
        with page.expect_download(timeout=PATIENCE) as download:
            page.locator("#card-1 .doors a", has_text=format_).click()
        rows = read(BytesIO(Path(download.value.path()).read_bytes()))
        assert rows["frobenius"].tolist() == pytest.approx(expected["frobenius"].tolist())
        assert download.value.suggested_filename == f"small-1-table-step10.{format_.lower()}"


def test_the_query_page_draws_a_result(page: Page, address: str) -> None:
    page.goto(f"{address}/query?step=10")
    expect(page.get_by_role("textbox", name="SQL")).to_have_value(re.compile("select"))  # it is there before its text, which would come over ours
    still(page)
    page.get_by_role("textbox", name="SQL").fill("select step, parameter, ratio from participation_ratio where run = $run")
    page.get_by_role("textbox", name="SQL").press("Control+Enter")
    expect(page.locator(".st-key-card-query .vega-embed :is(canvas, svg)").first).to_be_visible(timeout=PATIENCE)
    expect(page.get_by_text("from participation_ratio").last).to_be_visible(timeout=PATIENCE)
    page.get_by_role("textbox", name="SQL").fill("drop table participation_ratio")
    page.get_by_role("textbox", name="SQL").press("Control+Enter")
    expect(page.get_by_text("DROP is refused")).to_be_visible(timeout=PATIENCE)
