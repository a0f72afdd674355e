"""Two more p = 113 runs, trained on a GPU: what is kept of them agrees with itself, and tells the same story with other frequencies."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from strobe_analyzers.phases import Phases

FOLDER = Path(__file__).parents[1] / "data" / "p113_runs"
RUNS = ("modular_addition-p113-seed1-7c29", "modular_addition-p113-seed2-47bd")


def kept(table: str, run: str) -> pd.DataFrame:
    rows = pd.read_parquet(FOLDER / f"{table}.parquet")
    return rows[rows["run"] == run].reset_index(drop=True)


@pytest.mark.parametrize("run", RUNS)
def test_phases_are_found_again_in_the_kept_metrics(run: str) -> None:
    """Only every tenth epoch is kept: the interpolated steps move by less than that."""
    stored = kept("phases", run).set_index("event")["interpolated_step"]
    found = {row.event: row.interpolated_step for row in Phases().analyze_results(kept("metrics", run))}
    for event in ("memorised", "turn", "generalised", "accurate"):
        assert found[event] == pytest.approx(stored[event], abs=1)


@pytest.mark.parametrize("run", RUNS)
def test_the_summary_is_what_phases_and_metrics_say(run: str) -> None:
    summary, metrics = kept("run_summary", run).iloc[0], kept("metrics", run)
    events = kept("phases", run).set_index("event")["interpolated_step"]
    assert summary["turn"] == pytest.approx(events["turn"])
    assert summary["turn_to_generalised"] == pytest.approx(events["generalised"] - events["turn"])
    assert summary["final_test_loss"] == pytest.approx(metrics["test_loss"].iloc[-1])
    assert summary["final_over_min"] == pytest.approx(metrics["test_loss"].iloc[-1] / metrics["test_loss"].min(), rel=0.05)
    assert len(summary["key_frequencies"].split(", ")) == summary["n_keys"] == 4


def test_they_grok_at_other_times_with_other_frequencies() -> None:
    one, two = (kept("run_summary", run).iloc[0] for run in RUNS)
    assert one["turn"] == pytest.approx(5553, abs=1)
    assert two["turn"] == pytest.approx(7640, abs=1)
    assert one["key_frequencies"] != two["key_frequencies"]
    for run in (one, two):  # the turn is as sharp as in the first run (583 steps), and dimensions fall before it is over
        assert 300 < run["turn_to_generalised"] < 600
        assert run["lambda_30_W_in"] < run["turn"] < run["sigma_25_W_in"]
