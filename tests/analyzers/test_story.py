"""The fifteen points of a real run's story, and its dated events, from its stored tables at all 43 steps: no checkpoint, no forward."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
import pytest

from strobe import Results, Workspace
from strobe.schema import to_arrow, to_pandas

RUN = "modadd_p113_seed999"


@pytest.fixture(scope="module")
def check_story(root: Path) -> ModuleType:
    """benchmarks/check_story.py, which asks the same of a whole workspace."""
    sys.path.insert(0, str(root / "benchmarks"))
    try:
        return importlib.import_module("check_story")
    finally:
        sys.path.remove(str(root / "benchmarks"))


@pytest.fixture(scope="module")
def tables(check_story: ModuleType, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Tables of steps are read, derived ones are computed from them; the losses of every epoch come with the nine checkpoints that are kept here."""
    ws = Workspace(tmp_path_factory.mktemp("story"))
    metrics = ws.import_run(data / RUN, "modular_addition").metrics

    class Stored(check_story.Tables):  # type: ignore[misc]
        def __getitem__(self, name: str) -> pd.DataFrame:
            if name not in self.kept:
                file = data / "story" / f"{name}.parquet"
                self.kept[name] = pd.read_parquet(file) if file.is_file() else self.derived(name)
            return self.kept[name]

        def derived(self, name: str) -> pd.DataFrame:
            plugin = ws.registry.get("analyzer", name)
            given = {"results": Results({u: self[u] for u in plugin.load().upstream()}), "metrics": metrics}
            rows = plugin.load()().analyze_results(**{a: given[a] for a in plugin.contract.arguments})
            made = to_arrow(plugin.load().Row, rows)
            assert made.not_finite == {}
            return to_pandas(made.table)

    return Stored(ws, RUN)


def test_every_number_of_the_story(check_story: ModuleType, tables: Any) -> None:
    checks = list(check_story.story(tables))
    assert {c.point for c in checks} == set(range(1, 16))
    differ = [(c.point, c.what, found, c.expected) for c in checks if not c.agrees(found := c.found())]
    assert differ == []


def test_events_in_order_with_their_intervals(tables: Any) -> None:
    events = tables["events"]
    assert events["interpolated_step"].is_monotonic_increasing
    assert (events["lower"] <= events["interpolated_step"]).all()
    assert (events["interpolated_step"] <= events["upper"]).all()
    assert set(events["event"]) >= {"memorised", "peak", "turn", "generalised", "regress", "velocity burst", "cohort pruned"}
    turn = events.set_index("event").loc["turn"]
    assert (turn["at_step"], turn["lower"], turn["upper"], round(turn["interpolated_step"])) == (5500, 5000, 5500, 5056)
    bursts = events[events["event"] == "velocity burst"]
    assert list(zip(bursts["lower"], bursts["upper"], strict=True)) == [(5000, 5500), (20_500, 22_000)]
    switches = events[events["event"] == "head switches frequency"].set_index("subject")
    assert switches["detail"].to_dict() == {"head 0": "from k 41 to k 39", "head 2": "from k 41 to k 39"}
    assert events.loc[events["event"] == "cohort pruned", "frequency"].tolist() == [54]
    assert events.loc[events["event"] == "collapse to a line", "frequency"].tolist() == [36]


def test_a_wrong_number_and_a_missing_table_are_told(check_story: ModuleType, tables: Any) -> None:
    assert not check_story.Check(1, "", lambda: 4.76, 4.77, 0.005).agrees(4.76)
    missing = check_story.Check(1, "", lambda: tables.one("margins", "minimum", split="all", step=3), 1.0)
    assert "0 rows of margins" in missing.found()
    assert not missing.agrees(missing.found())
