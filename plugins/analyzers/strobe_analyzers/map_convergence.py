"""When each neuron and head has found its final pattern."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from pydantic import Field

import strobe
from strobe import Analyzer, Results, dim, hookimpl, metric


class MapConvergence(Analyzer):
    """Correlation of each neuron's and head's map with its own last one, per step, and the step from which it stays at `threshold` or above.

    Pearson correlation over pairs (a, b): -1..1, 1 at the last step, 0 for unrelated patterns; null where a map is constant. Heads ('= -> a') are
    taken over all pairs; neurons over the seeded sample of pairs that `activation_maps` keeps, or over all where its maps are not resampled (p at
    most 28). A correlation r from n pairs has a standard error of (1 - r^2) / sqrt(n): with 128 pairs 0.017 at 0.9, 0.09 at 0.
    (Their 28 x 28 tiles would not do: they attenuate frequencies above 14, and settle thousands of steps later than the maps.)
    Rows with a step hold a correlation; one row per map without a step holds `converged_step` with its bracket (null for a map without a
    correlation at the end) beside its coarseness at the last step; one row per layer and kind without a unit holds `coarse_first`, the rank
    correlation of converged_step with -low_frequency_energy: above 0 slow patterns settle first (null below three maps, or when all are alike).
    Cost: no forward, 1 ms per 100 maps and step; memory of one layer's maps at two steps beside the tables. Derived from stored rows.
    """

    consumes = ("activation_maps", "attention_maps", "coarseness")
    families = ("modular_addition",)

    threshold: float = Field(0.9, gt=0, lt=1)

    class Row(strobe.Row):
        step: int | None = dim("step of the checkpoint; null for what is said of the whole run")
        layer: int = dim("layer")
        kind: str = dim("neuron or head")
        neuron: int | None = dim("neuron; null for heads and for all maps of a kind together")
        head: int | None = dim("head; null for neurons and for all maps of a kind together")
        correlation: float | None = metric("correlation with the map's last one", unit="1")
        converged_step: int | None = metric("first checkpoint from which the correlation stays at the threshold or above", unit="step")
        lower: int | None = metric("checkpoint before it: it settled in between; null when it never was below", unit="step")
        low_frequency_energy: float | None = metric("coarseness of the last map", unit="1")
        coarse_first: float | None = metric("rank correlation of settling late with being fine-grained: above 0 coarse maps settle first", unit="1")

    @hookimpl
    def analyze_results(self, results: Results) -> Iterator[Row]:
        attention = results["attention_maps"]
        tables = {"neuron": results["activation_maps"], "head": attention[attention["key"] == 0] if len(attention) else attention}
        for kind, table in tables.items():
            for layer, maps in table.groupby("layer") if len(table) else ():
                yield from self._layer(int(layer), kind, maps, results["coarseness"])

    def _layer(self, layer: int, kind: str, maps: pd.DataFrame, coarseness: pd.DataFrame) -> Iterator[Row]:
        found = correlations(maps, kind)
        last = int(found.steps[-1])
        now = coarseness[(coarseness["step"] == last) & (coarseness["layer"] == layer) & (coarseness["kind"] == kind)]
        energy = now.set_index(kind)["low_frequency_energy"].astype(float).reindex(found.units).to_numpy()
        for step, values in zip(found.steps.tolist(), found.values, strict=True):
            for unit, value in zip(found.units, values, strict=True):
                yield self._row(layer, kind, unit, step=step, correlation=float(value))
        settled = [settles(column, self.threshold) for column in found.values.T]
        for unit, i, low in zip(found.units, settled, energy, strict=True):
            yield self._row(layer, kind, unit, **_bracket(found.steps, i), low_frequency_energy=float(low))
        late = np.array([np.nan if i is None else i for i in settled], float)
        yield self._row(layer, kind, None, coarse_first=rank_correlation(late, -energy))

    def _row(self, layer: int, kind: str, unit: int | None, **values: Any) -> Row:
        where = {"layer": layer, "kind": kind, "neuron": unit if kind == "neuron" else None, "head": unit if kind == "head" else None}
        numbers = {name: None if isinstance(v, float) and not np.isfinite(v) else v for name, v in values.items()}
        return self.Row(**{**dict.fromkeys(self.Row.model_fields), **where, **numbers})


class Correlations(NamedTuple):
    """Of the maps of one kind and layer: steps ascending, units ascending, correlations [step, unit] (NaN where undefined)."""

    steps: np.ndarray
    units: list[int]
    values: np.ndarray


def correlations(maps: pd.DataFrame, unit: str) -> Correlations:
    """Each map's correlation with the same unit's map at the last step, from rows step, unit, map."""
    steps = np.sort(maps["step"].unique())
    by_step = dict(iter(maps.groupby("step")))
    final = by_step[steps[-1]].sort_values(unit)
    units = [int(u) for u in final[unit]]
    cells = "sample" if "sample" in maps and maps["sample"].notna().any() else "map"
    reference = _standardised(final[cells])
    values = np.full((len(steps), len(units)), np.nan)
    for i, step in enumerate(steps):
        here = by_step[step].set_index(unit).reindex(units)
        values[i] = (_standardised(here[cells]) * reference).sum(1) if here[cells].notna().any() else np.nan
    return Correlations(steps, units, values.clip(-1, 1))


def _standardised(maps: pd.Series) -> np.ndarray:
    """Maps as rows of mean 0 and norm 1, float64 [n, cells]; NaN for constant and for missing maps, and for those that are not finite."""
    missing = np.full(next((np.size(m) for m in maps if m is not None), 1), np.nan)
    x = np.stack([missing if m is None else np.asarray(m, np.float64).ravel() for m in maps])
    x[~np.isfinite(x).all(1)] = np.nan
    low, high = x.min(1), x.max(1)
    x = x - x.mean(1, keepdims=True)
    norms = np.sqrt((x**2).sum(1))
    norms[~(high > low)] = np.nan
    return x / norms[:, None]


def settles(values: np.ndarray, threshold: float) -> int | None:
    """Index from which on all values are at the threshold or above; None when the last is not (or undefined)."""
    below = np.flatnonzero(~(values >= threshold))
    first = int(below[-1]) + 1 if len(below) else 0
    return first if first < len(values) else None


def _bracket(steps: np.ndarray, i: int | None) -> dict[str, int | None]:
    return {"converged_step": None if i is None else int(steps[i]), "lower": int(steps[i - 1]) if i else None}


def rank_correlation(x: np.ndarray, y: np.ndarray) -> float | None:
    """Spearman's rank correlation over the pairs in which both are known, ties at their mean rank; None when it is undefined."""
    known = np.isfinite(x) & np.isfinite(y)
    if known.sum() < 3:
        return None
    ranks = [pd.Series(v[known]).rank().to_numpy() for v in (x, y)]
    a, b = (r - r.mean() for r in ranks)
    scale = np.sqrt((a**2).sum() * (b**2).sum())
    return float((a * b).sum() / scale) if scale > 0 else None
