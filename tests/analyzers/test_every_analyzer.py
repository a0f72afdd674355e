"""What holds for every built-in analyzer: a row in docs/measures.md, and a picture of its table."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from small import small_workspace

from strobe import Workspace
from strobe.panels.cards import cards_of, resolve
from strobe.renderer import fits
from strobe.reports.model import Panel, Report, Section
from strobe.runs.run import Run

ROOT = Path(__file__).parents[2]
CATEGORIES: dict[str, dict[str, str]] = tomllib.loads((ROOT / "entrypoints.toml").read_text("utf-8"))["strobe"]["analyzers"]
ANALYZERS = [name for names in CATEGORIES.values() for name in names]
SEVERAL_RUNS = ("shared_trajectory", "shared_loops")
"""Need a second run: drawn in their own tests."""
WITH_SETTINGS = ("full_activation_maps", "mode_connectivity")
"""Have results only for the settings they are given, and a panel shows the defaults."""
FOR_VALUES = ("squared_error",)
"""Of a regression: drawn in tests/families/test_regression.py."""
COLUMNS = ["analyzer", "definition", "source", "checked against", "tolerance", "CPU ms", "bytes"]


def measures() -> dict[str, list[str]]:
    """Analyzer -> the cells of its row in docs/measures.md."""
    text = (ROOT / "docs" / "measures.md").read_text("utf-8")
    rows = [[cell.strip() for cell in line.strip("|").replace(r"\|", "│").split("|")] for line in text.splitlines() if line.startswith("| `")]
    assert text.count("| " + " | ".join(COLUMNS) + " |") == len(CATEGORIES)
    assert len({row[0] for row in rows}) == len(rows)
    return {row[0].split("`")[1]: row for row in rows}


def test_every_analyzer_has_a_row_in_the_table_of_measures() -> None:
    found = measures()
    assert set(found) == set(ANALYZERS)
    for name, cells in found.items():
        assert len(cells) == len(COLUMNS), name
        assert all(cells[COLUMNS.index(column)] for column in ("definition", "checked against", "tolerance", "CPU ms", "bytes")), name


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, Run]:
    """A small trained run with the results of everything that one run can have."""
    workspace, run = small_workspace(tmp_path_factory.mktemp("every"), (), steps=(0, 10, 20))
    settings = {"full_activation_maps": {"neurons": [3]}, "mode_connectivity": {"other": str(run.path(run.steps[0]))}}
    names = [p.name for p in workspace.registry.all("analyzer") if p.name not in SEVERAL_RUNS]
    report = workspace.analyze(run, names, settings=settings)
    assert [(f.analyzer, f.message) for f in report.failures] == []
    return workspace, run


def descriptions(spec: Mapping[str, Any]) -> list[str]:
    drawn = spec.get("scene", spec)
    return [drawn["description"]] if drawn.get("description") else []


@pytest.mark.parametrize("analyzer", [name for name in ANALYZERS if name not in (*SEVERAL_RUNS, *WITH_SETTINGS, *FOR_VALUES)])
def test_every_table_can_be_drawn(analyzer: str, small: tuple[Workspace, Run]) -> None:
    """By every renderer that says it fits: without an error, with alt text, and on a card that says how to read it; by one as more than a note."""
    workspace, run = small
    schema = workspace.schema(analyzer)
    names = [p.name for p in workspace.registry.all("renderer") if fits(p.load(), analyzer, schema)]
    assert names
    panels = [Panel(renderer=name, table=analyzer) for name in names]
    cards = cards_of(resolve(workspace, Report(title="every table", sections=[Section(title="all", panels=panels)]), run))
    marks = []
    for name, card in zip(names, cards, strict=True):
        drawing = card.draw({"step": 20, "layer": 0, "head": 0, "neuron": 0, "frequency": 1, "input": 0})
        assert (name, drawing.problem) == (name, "")
        assert descriptions(drawing.spec), name
        assert card.how_to_read, name
        marks.append(sum(map(len, drawing.datasets.values())))
    assert max(marks) > 1 or not len(workspace.table(analyzer, runs=run))
