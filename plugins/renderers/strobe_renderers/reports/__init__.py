"""Reports that belong to no family: any runs that were analyzed can be looked at with them."""

from __future__ import annotations

from pathlib import Path

COMPARE_RUNS = Path(__file__).parent / "compare_runs.yaml"
ANY_MODEL = Path(__file__).parent / "any_model.yaml"
