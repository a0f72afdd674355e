"""Profiles of made-up runs, with the columns of `run_profile`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from strobe import Context
from strobe.schema import to_arrow, to_pandas
from strobe_analyzers.run_profile import Profile, RunProfile
from strobe_analyzers.run_table import NUMBERS, WORDS

TYPICAL = {
    **{"generalises": True, "epochs": 10_000, "memorised": 200.0, "turn": 4000.0, "generalised": 5000.0, "turn_to_generalised": 1000.0},
    **{"delay": 25.0, "final_train_loss": 1e-7, "final_test_loss": 2e-7, "min_train_loss": 1e-7, "min_test_loss": 2e-7, "final_over_min": 1.0},
    **{"regress": 0.0, "n_keys": 5, "key_frequencies": "1, 2, 3, 4, 5", "n_lost": 0, "frequencies_lost": "", "mixed_share": 0.1},
    **{"mean_frequency": 8.0, "worst_axis_ratio": 0.8, "worst_amplitude_ratio": 0.9, "path_length": 100.0, "efficiency": 0.3},
    **{"start_to_end": 0.8, "loop_closed": False, "robust_crossings": 0},
}


def profiles(runs: dict[str, dict[str, Any]], *, noise: float = 0.05, seed: int = 0) -> pd.DataFrame:
    """One row per run: `TYPICAL` with a seeded relative noise on its floats, and what the run says itself."""
    rng = np.random.default_rng(seed)
    nothing = dict.fromkeys((*NUMBERS, *WORDS))
    tables = []
    for run, own in runs.items():
        noisy = {n: v * float(np.exp(noise * rng.standard_normal())) if isinstance(v, float) else v for n, v in TYPICAL.items()}
        row = {name: (nothing | noisy | own)[name] for name in Profile.model_fields}
        tables.append(to_pandas(to_arrow(RunProfile.Row, [RunProfile.Row(**row)]).table).assign(run=run))
    return pd.concat(tables, ignore_index=True)


def context(parameters: dict[str, dict[str, Any]]) -> Context:
    return Context("*", parameters=parameters)
