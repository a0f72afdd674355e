"""What is known of each neuron at a step, as columns to sort and to filter by; shared by renderers of all neurons."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from strobe import StrobeError

COLUMNS = {
    "neuron": "its number",
    "band": "frequency that leads it at the last step",
    "frequency": "frequency that leads it now",
    "fraction": "share of its map that this frequency explains now, 0 to 1",
    "coarseness": "share of its map's variance at long wavelengths now, 0 to 1",
    "switches": "how often it changed its frequency over training",
    "commitment_step": "step from which it stays with its last frequency",
    "cluster": "cluster of profiles, largest first",
}
CONDITION = re.compile(r"\s*(\w+)\s*(<=|>=|!=|==|=|<|>)\s*(-?[\d.]+(?:e-?\d+)?)\s*")
COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "=": operator.eq, "==": operator.eq, "!=": operator.ne,
}  # fmt: skip


def neuron_columns(neurons: pd.Series, layer: int, step: int, tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """A row per neuron with the columns of `COLUMNS` and `representative`; missing values where a table is not computed."""
    table = pd.DataFrame({"neuron": neurons.astype(int).to_numpy()})
    tracks = _of(tables, "neuron_frequency", layer)
    if len(tracks):
        last = tracks[tracks["step"] == tracks["step"].max()]
        table = _join(table, last, {"frequency": "band", "fraction": "end"})
        table = _join(table, tracks[tracks["step"] == step], {"frequency": "frequency", "fraction": "fraction"})
    coarse = _of(tables, "coarseness", layer)
    if len(coarse):
        table = _join(table, coarse[(coarse["step"] == step) & coarse["neuron"].notna()], {"low_frequency_energy": "coarseness"})
    table = _join(table, _of(tables, "neuron_dynamics", layer), {"switches": "switches", "commitment_step": "commitment_step"})
    table = _join(table, _of(tables, "neuron_profiles", layer), {"cluster": "cluster", "representative": "representative"})
    return table.reindex(columns=[*COLUMNS, "end", "representative"])


def _of(tables: Mapping[str, pd.DataFrame], name: str, layer: int) -> pd.DataFrame:
    table = tables.get(name)
    return pd.DataFrame() if table is None or not len(table) else table[table["layer"] == layer]


def _join(table: pd.DataFrame, other: pd.DataFrame, columns: Mapping[str, str]) -> pd.DataFrame:
    if not len(other):
        return table
    named = other[["neuron", *columns]].rename(columns=dict(columns)).astype({"neuron": int})
    return table.merge(named, on="neuron", how="left")


def kept(table: pd.DataFrame, where: str) -> pd.DataFrame:
    """The rows that satisfy every condition, `fraction >= 0.85, switches < 2`. Raises `StrobeError` naming the part that is none."""
    for part in filter(str.strip, re.split(r",|\band\b", where)):
        match = CONDITION.fullmatch(part)
        if match is None or match[1] not in COLUMNS:
            raise StrobeError(f"where: {part.strip()!r} is no condition; write such as 'fraction >= 0.85, switches < 2', of {', '.join(COLUMNS)}")
        values = pd.to_numeric(table[match[1]])
        table = table[COMPARE[match[2]](values, float(match[3])).fillna(False).astype(bool)]
    return table


def ordered(table: pd.DataFrame, order: str, *, descending: bool) -> pd.DataFrame:
    """Sorted by a column, missing values last; inside a band the purest at the end first."""
    by = {"band": ["band", "end", "neuron"], "cluster": ["cluster", "end", "neuron"]}.get(order, [order, "neuron"])
    ascending = [name != "end" and not (descending and name == order) for name in by]
    return table.sort_values(by, ascending=ascending, na_position="last", kind="stable")
