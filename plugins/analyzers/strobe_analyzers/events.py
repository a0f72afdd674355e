"""What happened in this run, in order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from pydantic import Field

import strobe
from strobe import Analyzer, Results, dim, hookimpl, metric


class Found(NamedTuple):
    """An event before it is a row."""

    event: str
    source: str
    subject: str
    step: float
    lower: int
    upper: int
    value: float | None = None
    unit: str = "1"
    frequency: int | None = None
    head: int | None = None
    detail: str = ""
    at: int | None = None
    """Recorded step at which it holds; None: the end of the interval."""


class Events(Analyzer):
    """One dated table of what changed over a run, from all signals, each with the interval between recorded steps in which it lies.

    Phase events (memorised, peak, turn, generalised, accurate, regress) as in phases. Frequency acquired or lost, per place, as in
    frequency_timeline. Head takes up or switches frequency (head_dynamics). Cohort pruned: a transient frequency's neurons are given up
    (transient_frequencies). Collapse: the axis ratio of a key frequency's class centroids at resid_post falls from `circle` or more to below `line`;
    the interval runs from the last checkpoint as a circle to the first as a line. First circle: the first key frequency whose ratio is `circle` or
    more while classes go round in the top plane more evenly than 95 % of random angles. Velocity burst: a checkpoint interval whose log velocity (all
    parameters) exceeds the median of the seven around it by more than `deviations` robust deviations (1.4826 times the median absolute one, at least
    0.02, as a smooth decay has none), and more than both its neighbours. Excluded-loss onset: first checkpoint after memorising from which the
    excluded loss on train stays at `excluded_from` nats or more. Steepest fall: after memorising, the interval in which log participation ratio
    (sigma) of W_in or W_out falls fastest per step.
    The same of the train loss (loss_slope) after the peak of the test loss: the second fall, that of the circuit that generalises.
    Turning point: local extremum of PC1..3 of the trajectory of all parameters. Only events that were found have rows. No forward.
    """

    consumes = (
        "phases",
        "frequency_timeline",
        "head_dynamics",
        "transient_frequencies",
        "parameter_velocity",
        "progress_measures",
        "representation_geometry",
        "key_frequencies",
        "effective_dimensionality",
        "parameter_trajectory",
        "loss_slope",
    )
    families = ("modular_addition",)

    deviations: float = Field(3.0, gt=0)
    excluded_from: float = Field(0.1, gt=0)
    circle: float = Field(0.5, gt=0, lt=1)
    line: float = Field(0.1, gt=0, lt=1)

    class Row(strobe.Row):
        event: str = dim("what happened")
        source: str = dim("table that it is read from")
        subject: str = dim("what it happened to: a loss, k 54 in neurons, head 0, ...")
        frequency: int | None = dim("frequency, where it is about one")
        head: int | None = dim("head, where it is about one")
        at_step: int = metric("recorded step at which it first holds", unit="step")
        interpolated_step: float = metric("where it is dated inside its interval; at_step when nothing better is known", unit="step")
        lower: int = metric("last recorded step before it", unit="step")
        upper: int = metric("end of its interval", unit="step")
        value: float | None = metric("the signal there, in `unit`", unit="1")
        unit: str = dim("unit of the value")
        detail: str = dim("the event in words")

    @hookimpl
    def analyze_results(self, results: Results) -> Iterator[Row]:
        found = [
            *_phases(results["phases"]),
            *_timeline(results["frequency_timeline"]),
            *_heads(results["head_dynamics"]),
            *_pruned(results["transient_frequencies"]),
            *self._bursts(results["parameter_velocity"]),
            *self._onset(results["progress_measures"], results["phases"]),
            *self._circles(results["representation_geometry"], _keys(results["key_frequencies"])),
            *_falls(results["effective_dimensionality"], _moment(results["phases"], "memorised")),
            *_second_fall(results["loss_slope"], _moment(results["phases"], "peak")),
            *_turning_points(results["parameter_trajectory"], results["phases"]),
        ]
        for e in sorted(found, key=lambda e: (e.step, e.event, e.subject)):
            yield self.Row(
                event=e.event,
                source=e.source,
                subject=e.subject,
                frequency=e.frequency,
                head=e.head,
                at_step=e.upper if e.at is None else e.at,
                interpolated_step=e.step,
                lower=e.lower,
                upper=e.upper,
                value=e.value,
                unit=e.unit,
                detail=e.detail,
            )

    def _bursts(self, velocity: pd.DataFrame) -> Iterator[Found]:
        rows = velocity[(velocity["group"] == "all") & (velocity["velocity"].astype(float) > 0)].sort_values("step")
        if len(rows) < 7:
            return
        log = np.log(rows["velocity"].to_numpy(float))
        local = np.array([np.median(log[max(i - 3, 0) : i + 4]) for i in range(len(log))])
        residual = log - local
        deviation = max(1.4826 * float(np.median(np.abs(residual))), LEAST_DEVIATION)
        for i in range(2, len(log) - 1):  # the first two intervals have no past to burst out of
            if residual[i] > self.deviations * deviation and log[i] > max(log[i - 1], log[i + 1]):
                row, times = rows.iloc[i], float(np.exp(log[i] - log[i - 1]))
                detail = f"{times:.1f} times the interval before, {residual[i] / deviation:.1f} deviations"
                lower, upper, v = int(row["previous_step"]), int(row["step"]), float(row["velocity"])
                yield Found("velocity burst", "parameter_velocity", "all parameters", upper, lower, upper, v, "1/step", detail=detail)

    def _onset(self, progress: pd.DataFrame, phases: pd.DataFrame) -> Iterator[Found]:
        memorised = _moment(phases, "memorised")
        rows = progress[(progress["split"] == "train") & progress["excluded_loss"].notna()].sort_values("step")
        if memorised is None or not len(rows):
            return
        steps, losses = rows["step"].to_numpy(np.int64), rows["excluded_loss"].to_numpy(float)
        later = steps >= memorised
        steps, losses = steps[later], losses[later]
        below = np.flatnonzero(losses < self.excluded_from)
        i = int(below[-1]) + 1 if len(below) else 0
        if i < len(steps):
            lower, value = int(steps[max(i - 1, 0)]), float(losses[i])
            detail = f"the key frequencies carry the train loss from here on: {value:.2g} nats without them"
            yield Found(
                "excluded-loss onset", "progress_measures", "excluded loss", int(steps[i]), lower, int(steps[i]), value, "nats", detail=detail
            )

    def _circles(self, geometry: pd.DataFrame, keys: list[int]) -> Iterator[Found]:
        rows = geometry[(geometry["site"] == "resid_post") & geometry["axis_ratios"].notna()].sort_values(["layer", "step"])
        rows = rows[rows["layer"] == rows["layer"].max()]
        first: Found | None = None
        for k in keys:
            ratios = np.array([_at(r, k) for r in rows["axis_ratios"]])
            shares = np.array([_at(r, k) for r in rows["frequency_shares"]])
            yield from self._collapse(k, ratios, shares, rows["step"].to_numpy(np.int64))
            round_ = (ratios >= self.circle) & (rows["alignment"].astype(float) > rows["alignment_null_95"].astype(float)).to_numpy()
            round_ &= (rows["alignment_frequency"].astype(float) == k).to_numpy()
            if round_.any():
                i = int(np.argmax(round_))
                step, lower = int(rows["step"].iloc[i]), int(rows["step"].iloc[max(i - 1, 0)])
                if first is None or step < first.step:
                    aligned = float(rows["alignment"].iloc[i])
                    text = f"class centroids on a circle: axis ratio {ratios[i]:.2f}, alignment {aligned:.2f}"
                    first = Found(
                        "first circle", "representation_geometry", f"k {k} at resid_post", step, lower, step, float(ratios[i]), "1", k, detail=text
                    )
        if first is not None:
            yield first

    def _collapse(self, k: int, ratios: np.ndarray, shares: np.ndarray, steps: np.ndarray) -> Iterator[Found]:
        flat = (ratios < self.line) & (shares >= NEGLIGIBLE)
        if not flat.any():
            return
        i = int(np.argmax(flat))
        before = np.flatnonzero(ratios[:i] >= self.circle)
        if len(before):
            lower, upper = int(steps[before[-1]]), int(steps[i])
            detail = f"axis ratio of its centroids {ratios[before[-1]]:.2f} at {lower:,}, {ratios[i]:.3f} at {upper:,}: a line"
            yield Found(
                "collapse to a line", "representation_geometry", f"k {k} at resid_post", upper, lower, upper, float(ratios[i]), "1", k, detail=detail
            )


LEAST_DEVIATION = 0.02
"""Of log velocities: where they fall smoothly, each is the median of those around it, and any step up would be infinitely many deviations."""
NEGLIGIBLE = 0.005
"""Share of the centroids' variance below which the geometry of a frequency is that of noise."""


def _phases(phases: pd.DataFrame) -> Iterator[Found]:
    for row in phases[phases["at_step"].notna()].to_dict("records"):
        event, at = str(row["event"]), int(row["at_step"])
        unit = "1" if event == "accurate" else "nats"
        detail = f"rises {row['rise']:.0%} by the last step" if event == "regress" else ""
        lower, upper, value = int(row["lower"]), int(row["upper"]), float(row["value"])
        yield Found(event, "phases", str(row["signal"]), float(row["interpolated_step"]), lower, upper, value, unit, detail=detail, at=at)


def _timeline(timeline: pd.DataFrame) -> Iterator[Found]:
    for row in timeline.to_dict("records"):
        k, place = int(row["frequency"]), str(row["place"])
        detail = f"{row['share']:.1%} of {place}; at most {row['peak_share']:.1%}"
        yield Found(
            f"frequency {row['change']}",
            "frequency_timeline",
            f"k {k} in {place}",
            int(row["at_step"]),
            int(row["lower"]),
            int(row["upper"]),
            float(row["share"]),
            "1",
            k,
            detail=detail,
        )


def _heads(heads: pd.DataFrame) -> Iterator[Found]:
    for row in heads[heads["head"].notna()].to_dict("records"):
        head, before = int(row["head"]), None
        for step, lower, k in zip(row["switch_steps"], row["switch_lowers"], row["switch_frequencies"], strict=True):
            event = "head takes up a frequency" if before is None else "head switches frequency"
            detail = f"to k {k}" if before is None else f"from k {before} to k {k}"
            subject = f"head {head}" if not row["layer"] else f"head {head} of layer {row['layer']}"
            yield Found(event, "head_dynamics", subject, int(step), int(lower), int(step), float(k), "frequency", int(k), head, detail)
            before = int(k)


def _pruned(transient: pd.DataFrame) -> Iterator[Found]:
    for row in transient[transient["transient"]].to_dict("records"):
        k, step = int(row["frequency"]), int(row["pruned_step"])
        detail = f"{row['peak']} neurons at {row['peak_step']:,}, {row['final']} at the end; {row['homeless']} end uncommitted"
        yield Found(
            "cohort pruned", "transient_frequencies", f"neurons of k {k}", step, int(row["lower"]), step, float(row["final"]), "1", k, detail=detail
        )


def _falls(spectra: pd.DataFrame, after: float | None) -> Iterator[Found]:
    for parameter, rows in spectra[spectra["head"].isna()].groupby("parameter"):
        name, known = str(parameter), rows.dropna(subset=["participation_ratio_sigma"]).sort_values("step")
        known = known[known["step"] >= (after or 0)]
        if name.rpartition(".")[2] in ("W_in", "W_out") and len(known) > 1:
            steps = known["step"].to_numpy(np.int64)
            slope = np.diff(np.log(known["participation_ratio_sigma"].to_numpy(float))) / np.diff(steps)
            i = int(np.argmin(slope))
            if slope[i] < 0:
                lower, upper = int(steps[i]), int(steps[i + 1])
                detail = f"falls by {-np.expm1(slope[i] * 1e3):.0%} per 1,000 steps"
                yield Found(
                    "steepest fall", "effective_dimensionality", f"PR of {name}", upper, lower, upper, float(slope[i]), "1/step", detail=detail
                )


def _second_fall(slopes: pd.DataFrame, peak: float | None) -> Iterator[Found]:
    """Where the train loss falls fastest once the test loss has begun to fall."""
    later = slopes[(slopes["signal"] == "train_loss") & (slopes["step"] > (np.inf if peak is None else peak))]
    if len(later) and float(later["slope"].min()) < 0:
        row = later.loc[later["slope"].idxmin()]
        step, slope, lower, upper = int(row["step"]), float(row["slope"]), int(row["lower"]), int(row["upper"])
        detail = f"falls by {1 - 10**slope:.0%} per 1,000 steps, long after it was learned by heart"
        yield Found("steepest fall", "loss_slope", "train_loss", step, lower, upper, slope, "decades/1000 steps", detail=detail, at=step)


def _turning_points(trajectory: pd.DataFrame, phases: pd.DataFrame) -> Iterator[Found]:
    memorised = _moment(phases, "memorised")
    rows = trajectory[(trajectory["group"] == "all") & trajectory["component"].isin([1, 2, 3]) & trajectory["coordinate"].notna()]
    for component, table in rows.groupby("component"):
        table = table.sort_values("step")
        steps, at = table["step"].to_numpy(np.int64), table["coordinate"].to_numpy(float)
        moves = np.diff(at)
        for i in np.flatnonzero(np.sign(moves[:-1]) * np.sign(moves[1:]) < 0) + 1:
            since = f", {steps[i] - memorised:+,.0f} steps from memorised" if memorised is not None else ""
            what = "maximum" if moves[i - 1] > 0 else "minimum"
            yield Found(
                "turning point",
                "parameter_trajectory",
                f"PC{component}",
                int(steps[i]),
                int(steps[i - 1]),
                int(steps[i + 1]),
                float(at[i]),
                "1",
                detail=f"local {what}{since}",
                at=int(steps[i]),
            )


def _moment(phases: pd.DataFrame, event: str) -> float | None:
    found = phases.loc[phases["event"] == event, "interpolated_step"].dropna()
    return float(found.iloc[0]) if len(found) else None


def _keys(table: pd.DataFrame) -> list[int]:
    sets: list[Any] = [keys for keys in table.loc[table["set"] == "union", "frequencies"] if keys is not None]
    return sorted(int(k) for k in sets[0]) if sets else []


def _at(values: Any, k: int) -> float:
    found = np.asarray(values, float)
    return float(found[k - 1]) if k <= len(found) else float("nan")
