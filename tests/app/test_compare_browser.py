"""Twelve runs compared in a real browser: the table sorts, a cell opens the panel behind it, and one cursor moves all runs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect
from reading import PATIENCE, SETTLED, serving
from sweep import sweep

from strobe import Workspace
from strobe.reports.files import save
from strobe.reports.library import file_of
from strobe.reports.model import Panel, Report, Section

pytestmark = pytest.mark.browser
TABLE = Panel(renderer="run_table", compare="overlay", settings={"sort": "turn"}, width="full")
CELL = """([row, column]) => { const panel = strobe.board.panels[0], items = [];
  const collect = (group) => { for (const mark of group.items ?? []) for (const item of mark.items ?? [])
    if (item.datum?.column === column && item.datum.row === row) items.push(item); else if (item.items) collect(item); };
  collect(panel.view.scenegraph().root.items[0]);
  const box = panel.chart.querySelector("canvas").getBoundingClientRect(), at = items[0];
  const [left, top] = panel.view.origin().map((value) => value + panel.view.padding().left);
  return [box.x + left + at.x + (at.align === "right" ? -4 : 4), box.y + top + at.y]; }"""
"""Where a cell of the table is on the screen."""


@pytest.fixture(scope="module")
def twelve(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    workspace = sweep(tmp_path_factory.mktemp("twelve") / "workspace")
    beside = [
        Panel(renderer="table", table="weight_norms", compare="side_by_side"),
        Panel(renderer="runs_over_steps", table="metrics", compare="overlay", width=8),
    ]
    words = "See [the table](?run=p7-s2&report=table), <b>not</b> this."
    section = Section(title="S", markdown=words, panels=beside)
    save(Report(title="Table", sections=[Section(title="All", panels=[TABLE])]), file_of(workspace, "table"))
    save(Report(title="Beside", align="turn", runs="seed == 1 and p < 13", sections=[section]), file_of(workspace, "beside"))
    return workspace


@pytest.fixture(scope="module")
def address(twelve: Workspace) -> Iterator[str]:
    with serving(twelve.root, twelve.root) as started:
        yield started


def settled(tab: Page, run: str, step: int) -> None:
    """Everything in sight shows this run and step."""
    tab.wait_for_function("run => globalThis.strobe?.store.model?.run === run", arg=run, timeout=PATIENCE)
    tab.wait_for_function(SETTLED, arg=step, timeout=PATIENCE)


def test_the_table_sorts_and_a_cell_opens_the_panel_behind_it(tab: Page, address: str) -> None:
    tab.set_viewport_size({"width": 1900, "height": 1000})
    tab.goto(f"{address}/?run=p7-s1&report=table&step=400")
    settled(tab, "p7-s1", 400)
    first, last = tab.evaluate(CELL, [0, "turn"]), tab.evaluate(CELL, [11, "turn"])
    assert first[1] < last[1], "the earliest turn on top"
    x, y = tab.evaluate("""() => { const panel = strobe.board.panels[0];
      const [left, top] = panel.view.origin().map((value) => value + panel.view.padding().left);
      const box = panel.chart.querySelector("canvas").getBoundingClientRect();
      const head = panel.view.data("head").find((row) => row.column === "turn" && row.direction === -1);
      return [box.x + left + head.x - 4, box.y + top + head.y]; }""")
    tab.mouse.click(x, y)
    tab.wait_for_function(f"([before]) => ({CELL})([0, 'turn'])[1] > before", arg=[first[1]], timeout=PATIENCE)
    assert tab.evaluate(CELL, [11, "turn"])[1] < tab.evaluate(CELL, [0, "turn"])[1], "the latest turn on top"
    tab.mouse.click(*tab.evaluate(CELL, [11, "turn"]))
    tab.wait_for_url("**report=default**", timeout=PATIENCE)
    settled(tab, "p13-s4", 800)  # the checkpoint nearest to its turn
    card = tab.locator("article[data-renderer=loss_curves]")
    expect(card).to_be_in_viewport(timeout=PATIENCE)
    assert tab.evaluate("location.hash") == "#loss_curves"


def test_one_cursor_moves_runs_that_stand_side_by_side(tab: Page, address: str) -> None:
    tab.set_viewport_size({"width": 1900, "height": 1000})
    tab.goto(f"{address}/?run=p7-s1&report=beside&step=400")
    settled(tab, "p7-s1", 400)
    assert tab.locator(".card").count() == 3
    expect(tab.locator("#card-2 .as-of")).to_have_text("step 400 of p11-s1")
    tab.evaluate("strobe.store.set({step: 1200})")
    settled(tab, "p7-s1", 1200)
    expect(tab.locator("#card-2 .as-of")).to_have_text("step 1,200 of p11-s1")
    canvas = tab.locator("#card-3 canvas").first
    canvas.scroll_into_view_if_needed()
    settled(tab, "p7-s1", 1200)
    at = tab.evaluate("""() => { const { view } = strobe.board.panels[2], [left, top] = view.origin(), pad = view.padding();
      return { x: left + pad.left + view.scale("x")(700 - strobe.board.cards[2].clocks[""][0][1]), y: top + pad.top + 20 }; }""")
    canvas.click(position=at)
    settled(tab, "p7-s1", 800)
    words = tab.locator(".words")
    expect(words).to_contain_text("<b>not</b> this.")
    expect(words.locator("a")).to_have_attribute("href", "?run=p7-s2&report=table")
    wide, half = (tab.locator(f"#card-{n}").bounding_box() for n in (3, 1))
    assert wide is not None
    assert half is not None
    assert 1.25 < wide["width"] / half["width"] < 1.45, "eight columns beside six"
