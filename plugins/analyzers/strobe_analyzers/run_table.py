"""The profiles of several runs as one table, and what the runs were made with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from .run_profile import Profile

WORDS = ("key_frequencies", "frequencies_lost")
NUMBERS = tuple(name for name in Profile.model_fields if name not in WORDS)
LOGARITHMIC = ("final_train_loss", "final_test_loss", "min_train_loss", "min_test_loss", "final_over_min", "delay")
"""Compared as log10: they span decades."""
SEEDS = ("seed", "data_seed", "batch_seed", "split_seed", "init_seed")

Parameters = Mapping[str, Mapping[str, Any]]


def profiles(table: pd.DataFrame) -> pd.DataFrame:
    """Numbers of each run, float64 [run, column]: yes is 1, no is 0, unknown is NaN."""
    rows = table.drop_duplicates("run", keep="last").set_index("run")
    return pd.DataFrame({name: pd.to_numeric(rows[name], errors="coerce").astype(float) for name in NUMBERS}, index=rows.index.astype(str))


def compared(values: pd.DataFrame) -> pd.DataFrame:
    """The numbers on the scale on which runs are compared: log10 where they span decades (NaN where not positive)."""
    scaled = values.copy()
    for name in LOGARITHMIC:
        scaled[name] = np.log10(values[name].where(values[name] > 0))
    return scaled


def text(value: Any) -> str:
    """A parameter's value in words, as it would be typed."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def varying(parameters: Parameters, runs: Iterable[str]) -> list[str]:
    """Names of the parameters that are not the same for all runs."""
    known = [parameters.get(run, {}) for run in runs]
    return sorted({name for own in known for name in own if len({text(o.get(name)) for o in known}) > 1})


def alike(parameters: Parameters, run: str, ignore: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """What a run must share with its peers: all its parameters but those to `ignore`."""
    return tuple(sorted((name, text(value)) for name, value in parameters.get(run, {}).items() if name not in ignore))
