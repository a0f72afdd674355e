"""Keep what tests need of whole p = 113 runs: `python benchmarks/p113_runs.py WORKSPACE KEEP RUN...`.

The runs of `tests/data/p113_runs` were trained on one H200 in 31 s, together, and analyzed with every default analyzer:

    strobe train modular_addition --set p=113 --set seed=1,2 --device cuda --epochs 25000 --schedule at:0,10,100,250,500,750,1000,...
    strobe analyze

Writes metrics (the epochs at which the test split was looked at), phases, run profiles and summaries as Parquet.
"""

from __future__ import annotations

import sys
from pathlib import Path

import strobe

TABLES = ("phases", "run_profile", "run_summary")


def main(root: str, keep: str, *names: str) -> None:
    workspace, folder = strobe.Workspace(root), Path(keep)
    folder.mkdir(parents=True, exist_ok=True)
    workspace.analyze(list(names), list(TABLES))
    for table in TABLES:
        rows = workspace.table(table, runs=list(names))
        rows[rows["run"].isin(names)].reset_index(drop=True).to_parquet(folder / f"{table}.parquet", compression="zstd")
    metrics = workspace.table("metrics", runs=list(names)).dropna(subset=["test_loss"]).reset_index(drop=True)
    metrics.to_parquet(folder / "metrics.parquet", compression="zstd")


if __name__ == "__main__":
    main(*sys.argv[1:])
