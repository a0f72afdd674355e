"""`strobe import` and `strobe analyze` on two real runs: every reference value that the analyzers compute."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest

from strobe import Workspace


@pytest.fixture(scope="module")
def check_real(root: Path) -> ModuleType:
    """benchmarks/check_real.py, which checks the same numbers on all 43 checkpoints."""
    sys.path.insert(0, str(root / "benchmarks"))
    try:
        return importlib.import_module("check_real")
    finally:
        sys.path.remove(str(root / "benchmarks"))


@pytest.fixture(scope="module")
def analyzed(tmp_path_factory: pytest.TempPathFactory, data: Path, check_real: ModuleType) -> Workspace:
    """Both runs, imported and analyzed."""
    ws = Workspace(tmp_path_factory.mktemp("real"))
    for name in ("modadd_p113_seed999", "progress_measures_wd01"):
        ws.import_run(data / name, "modular_addition")
    report = ws.analyze(None, check_real.ANALYZERS, settings=check_real.SETTINGS)
    assert report.failures == []
    assert report.counters["forwards"] == 10  # nine checkpoints and one
    assert report.counters["models_built"] == 0
    return ws


@pytest.mark.slow
@pytest.mark.parametrize(("run", "values"), [("modadd_p113_seed999", 800), ("progress_measures_wd01", 90)])
def test_every_reference_value(analyzed: Workspace, check_real: ModuleType, data: Path, run: str, values: int) -> None:
    reference = check_real.read_reference(data / run, analyzed.run(run).steps)
    found = list(check_real.compare(analyzed, run, reference))
    assert len(found) >= values
    missed = [f"step {c.step} {c.quantity}: {c.found!r}, expected {c.expected!r} ({c.error:.1e} > {c.tolerance:g})" for c in found if not c.ok]
    assert not missed, "\n".join(missed[:20])


def test_phases_of_the_real_run(data: Path, tmp_path: Path) -> None:
    """Nine checkpoints are kept here, and the losses of all 43: phases reads losses alone."""
    ws = Workspace(tmp_path)
    ws.import_run(data / "modadd_p113_seed999", "modular_addition", name="real")
    report = ws.analyze("real", ["phases"])
    assert report.counters["checkpoints_read"] == report.counters["forwards"] == 0
    table = ws.table("phases").set_index("event")
    assert table["at_step"]["memorised"] == 267  # the train loss of every epoch is recorded
    assert {event: round(table["interpolated_step"][event]) for event in ("turn", "generalised")} == {"turn": 5_056, "generalised": 5_639}


def test_a_wrong_number_is_found(check_real: ModuleType) -> None:
    def ok(found: float, expected: float, tolerance: float) -> bool:
        return bool(check_real.Comparison("x", 0, found, expected, tolerance).ok)

    assert ok(1 + 9e-7, 1.0, check_real.WEIGHTS)
    assert not ok(1 + 2e-6, 1.0, check_real.WEIGHTS)
    assert not ok(float("nan"), 1.0, check_real.FORWARD)
    assert not ok(5, 6, check_real.EXACT)
    assert ok(0.0, 0.0, check_real.EXACT)
