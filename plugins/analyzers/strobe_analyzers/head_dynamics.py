"""When heads agree, and when they part."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from pydantic import Field

import strobe
from strobe import Analyzer, Results, array, dim, hookimpl, metric


class HeadDynamics(Analyzer):
    """Which frequency each head follows over training: switches per head, and when all heads of a layer agree and part again.

    A head follows a frequency at a step when that explains `threshold` or more of its map (see head_frequency); the last is carried over gaps, and
    a switch is the checkpoint at which it follows another. `head` null is the layer: `distinct` frequencies per step among heads that follow one;
    consensus: first checkpoint at which every head follows the same; diversification: first checkpoint after it with two or more. Both also less the
    turn and less the step of generalising (interpolated, see phases); null where either did not happen. No forward: reads head_frequency.
    """

    consumes = ("head_frequency", "phases")
    families = ("modular_addition",)

    threshold: float = Field(0.5, gt=0, le=1)

    class Row(strobe.Row):
        layer: int = dim("layer")
        head: int | None = dim("head; null for all heads of the layer")
        frequency: int | None = dim("frequency followed at the last checkpoint; of the layer: when all follow the same")
        switches: int = metric("changes between successive followed frequencies; of the layer: of all heads", unit="1")
        switch_steps: np.ndarray = array(
            "checkpoints at which a frequency was taken up: the first time, then each switch", dims=["switch"], dtype="int64", unit="step"
        )
        switch_lowers: np.ndarray = array("last checkpoint before each at which it was not yet followed", dims=["switch"], dtype="int64", unit="step")
        switch_frequencies: np.ndarray = array("the frequency taken up; null row of the layer: empty", dims=["switch"], dtype="int64", unit="1")
        steps: np.ndarray = array("checkpoints", dims=["checkpoint"], dtype="int64", unit="step")
        followed: np.ndarray = array("frequency followed, 0 for none; of the layer: how many distinct", dims=["checkpoint"], dtype="int64", unit="1")
        consensus_step: int | None = metric("layer: first checkpoint at which all heads follow the same frequency", unit="step")
        diversification_step: int | None = metric("layer: first checkpoint after it with two or more frequencies", unit="step")
        consensus_minus_turn: float | None = metric("consensus less the turn", unit="step")
        consensus_minus_generalised: float | None = metric("consensus less generalising", unit="step")
        diversification_minus_turn: float | None = metric("diversification less the turn", unit="step")
        diversification_minus_generalised: float | None = metric("diversification less generalising", unit="step")

    @hookimpl
    def analyze_results(self, results: Results) -> Iterator[Row]:
        moments = {name: _moment(results["phases"], name) for name in ("turn", "generalised")}
        for layer, table in results["head_frequency"].groupby("layer"):
            followed = _followed(table, self.threshold)  # [step, head]
            heads = [self._head(int(str(layer)), int(h), followed[h]) for h in followed.columns]
            yield from heads
            yield self._layer(int(str(layer)), followed, sum(row.switches for row in heads), moments)

    def _head(self, layer: int, head: int, sequence: pd.Series) -> Row:
        values, steps = sequence.to_numpy(), sequence.index.to_numpy(np.int64)
        points = _switches(values)
        return self._row(
            layer,
            head,
            steps,
            values,
            frequency=int(values[-1]) or None,
            switches=max(len(points) - 1, 0),
            switch_steps=steps[points],
            switch_lowers=steps[np.maximum(points - 1, 0)],
            switch_frequencies=values[points],
        )

    def _layer(self, layer: int, followed: pd.DataFrame, switches: int, moments: dict[str, float | None]) -> Row:
        values, steps = followed.to_numpy(), followed.index.to_numpy(np.int64)
        distinct = np.array([len(set(row) - {0}) for row in values])
        agreed = (distinct == 1) & (values > 0).all(axis=1)
        consensus = _first(agreed, steps)
        parted = None if consensus is None else _first((distinct > 1) & (steps > consensus), steps)
        since = {
            f"{what}_minus_{name}": None if step is None or at is None else step - at
            for what, step in (("consensus", consensus), ("diversification", parted))
            for name, at in moments.items()
        }
        frequency = int(values[-1, 0]) if agreed[-1] else None
        shared = {"consensus_step": consensus, "diversification_step": parted, **since}
        return self._row(layer, None, steps, distinct, frequency=frequency, switches=switches, **shared)

    def _row(self, layer: int, head: int | None, steps: np.ndarray, followed: np.ndarray, **given: object) -> Row:
        empty = {name: np.zeros(0, np.int64) for name in ("switch_steps", "switch_lowers", "switch_frequencies")}
        nothing = dict.fromkeys(name for name in self.Row.model_fields if "_step" in name or "_minus_" in name)
        return self.Row(**{**nothing, **empty, "layer": layer, "head": head, "steps": steps, "followed": followed, **given})


def _followed(table: pd.DataFrame, threshold: float) -> pd.DataFrame:
    """Frequency each head follows, 0 for none: [step, head]."""
    fractions = table.pivot(index="step", columns="head", values="fraction").astype(float).sort_index()
    leading = table.pivot(index="step", columns="head", values="frequency").astype(float).fillna(0).sort_index()
    return leading.where(fractions >= threshold, 0).astype(int)


def _switches(sequence: np.ndarray) -> np.ndarray:
    """Indices at which a followed frequency (not 0) differs from the last followed one; the first is one."""
    held = np.flatnonzero(sequence)
    values = sequence[held]
    return held[np.r_[True, values[1:] != values[:-1]]] if len(held) else held


def _first(holds: np.ndarray, steps: np.ndarray) -> int | None:
    return int(steps[int(np.argmax(holds))]) if holds.any() else None


def _moment(phases: pd.DataFrame, event: str) -> float | None:
    found = phases.loc[phases["event"] == event, "interpolated_step"].dropna()
    return float(found.iloc[0]) if len(found) else None
