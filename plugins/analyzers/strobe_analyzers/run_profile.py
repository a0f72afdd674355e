"""One run in one row."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

import strobe
from strobe import Analyzer, Results, dim, hookimpl, metric

from .dimensionality_threshold import moment


class Profile(strobe.Row):
    """What is said of a whole run."""

    generalises: bool = dim("whether its test loss falls below 0.1 and stays there")
    epochs: int | None = metric("last recorded step", unit="step")
    memorised: float | None = metric("step at which the train loss first falls below 0.01", unit="step")
    turn: float | None = metric("step at which the test loss turns", unit="step")
    generalised: float | None = metric("step at which it generalises", unit="step")
    turn_to_generalised: float | None = metric("steps from the turn to there", unit="step")
    delay: float | None = metric("step of generalising over that of memorising; below 2 there is no grokking delay", unit="1")
    final_train_loss: float | None = metric("last recorded train loss", unit="nats")
    final_test_loss: float | None = metric("last recorded test loss", unit="nats")
    min_train_loss: float | None = metric("lowest recorded train loss", unit="nats")
    min_test_loss: float | None = metric("lowest recorded test loss", unit="nats")
    final_over_min: float | None = metric("final over lowest test loss: 1 when it never got worse", unit="1")
    regress: float | None = metric("rise of the test loss after its lowest value, where phases finds one; 0 where not", unit="1")
    n_keys: int | None = metric("key frequencies at the last checkpoint", unit="1")
    key_frequencies: str | None = dim("which")
    n_lost: int | None = metric("key frequencies in use after generalising that are gone at the end", unit="1")
    frequencies_lost: str | None = dim("which")
    mixed_share: float | None = metric("share of the neurons that respond but follow no single frequency at the end, 0..1", unit="1")
    mean_frequency: float | None = metric("mean frequency of the embedding at the end, weighted by power", unit="frequency")
    worst_axis_ratio: float | None = metric("smallest axis ratio of a key frequency in the embedding at the end, 0 (line) to 1", unit="1")
    worst_amplitude_ratio: float | None = metric(
        "smallest ratio of cosine and sine amplitude (smaller over larger) of a key frequency, 0..1", unit="1"
    )
    path_length: float | None = metric("length of the path of all parameters", unit="1")
    efficiency: float | None = metric("distance from the start over path length", unit="1")
    start_to_end: float | None = metric("distance of the end from the start over the diameter of the path", unit="1")
    loop_closed: bool | None = dim("whether the path of all parameters ends close to where it started")
    robust_crossings: int | None = metric("robust crossings of the path, over all planes", unit="1")
    sigma_30_W_in: float | None = metric("step at which PR_sigma of W_in falls below 30", unit="step")
    sigma_25_W_in: float | None = metric("step at which PR_sigma of W_in falls below 25", unit="step")
    lambda_30_W_in: float | None = metric("step at which PR_lambda of W_in falls below 30", unit="step")
    lambda_25_W_in: float | None = metric("step at which PR_lambda of W_in falls below 25", unit="step")
    sigma_30_W_out: float | None = metric("step at which PR_sigma of W_out falls below 30", unit="step")
    sigma_25_W_out: float | None = metric("step at which PR_sigma of W_out falls below 25", unit="step")
    lambda_30_W_out: float | None = metric("step at which PR_lambda of W_out falls below 30", unit="step")
    lambda_25_W_out: float | None = metric("step at which PR_lambda of W_out falls below 25", unit="step")
    sigma_half_W_out: float | None = metric("step at which log PR_sigma of W_out is half-way down", unit="step")
    gap_half_W_out: float | None = metric("step at which the log spectral gap of W_out is half-way up", unit="step")


class RunProfile(Analyzer):
    """One run in one row: when it memorised, turned and generalised, where it ended, what it computes with, how its weights moved.

    From phases, what training recorded, and the run's stored measures. Null where a measure is missing or does not apply: a run without metrics has
    no losses and dates, one that never generalises no delay and no lost frequencies. The last of several layers. Runs are compared by run_summary,
    anomalies, run_groups and run_correlations, which read this table. Cost: reads results.
    """

    consumes = (
        *("phases", "key_frequencies", "neuron_dynamics", "dominant_frequencies", "axis_ratio", "trajectory_loops", "update_geometry"),
        *("dimensionality_threshold", "turn_predictors"),
    )
    families = ("modular_addition", "modular_mlp")

    class Row(Profile):
        pass

    @hookimpl
    def analyze_results(self, results: Results, metrics: pd.DataFrame) -> Iterator[Row]:
        keys = _keys(results["key_frequencies"])
        yield self.Row(
            **_dates(results["phases"]),
            **_losses(metrics, results["phases"]),
            **keys,
            mixed_share=_mixed(results["neuron_dynamics"]),
            **_embedding(results["dominant_frequencies"], results["axis_ratio"], keys["key_frequencies"]),
            **_path(results["update_geometry"], results["trajectory_loops"]),
            **_dimensions(results["dimensionality_threshold"], results["turn_predictors"]),
        )


def _dates(phases: pd.DataFrame) -> dict[str, Any]:
    memorised, turn, generalised = (moment(phases, event) for event in ("memorised", "turn", "generalised"))
    return {
        "generalises": generalised is not None,
        "memorised": memorised,
        "turn": turn,
        "generalised": generalised,
        "turn_to_generalised": generalised - turn if generalised is not None and turn is not None else None,
        "delay": generalised / memorised if generalised is not None and memorised else None,
    }


def _losses(metrics: pd.DataFrame | None, phases: pd.DataFrame) -> dict[str, Any]:
    found: dict[str, Any] = {"epochs": None if metrics is None or "step" not in metrics or not len(metrics) else int(metrics["step"].max())}
    for split in ("train", "test"):
        name = f"{split}_loss"
        known = metrics.sort_values("step")[name].dropna() if metrics is not None and name in metrics else pd.Series(dtype=float)
        known = known[np.isfinite(known.astype(float))]
        found[f"final_{name}"] = float(known.iloc[-1]) if len(known) else None
        found[f"min_{name}"] = float(known.min()) if len(known) else None
    final, least = found["final_test_loss"], found["min_test_loss"]
    rise = phases.loc[(phases["event"] == "regress") & phases["rise"].notna(), "rise"]
    generalised = moment(phases, "generalised") is not None
    return found | {
        "final_over_min": final / least if least else None,
        "regress": float(rise.iloc[0]) if len(rise) else 0.0 if generalised else None,
    }


def _keys(table: pd.DataFrame) -> dict[str, Any]:
    sets = {row["set"]: row for row in table[table["set"].isin(["last", "union"])].to_dict("records")}
    last, union = (sets.get(name) for name in ("last", "union"))
    nothing = dict.fromkeys(("n_keys", "key_frequencies", "n_lost", "frequencies_lost"))
    if last is None or last["frequencies"] is None:
        return nothing
    keys = sorted(int(k) for k in last["frequencies"])
    found = nothing | {"n_keys": len(keys), "key_frequencies": _words(keys)}
    if union is None or union["frequencies"] is None or not pd.isna(union["flag"]):
        return found
    lost = sorted({int(k) for k in union["frequencies"]} - set(keys))
    return found | {"n_lost": len(lost), "frequencies_lost": _words(lost)}


def _words(keys: list[int]) -> str:
    return ", ".join(map(str, keys))


def _mixed(neurons: pd.DataFrame) -> float | None:
    if not len(neurons):
        return None
    last = neurons[neurons["layer"] == neurons["layer"].max()]
    return float((last["frequency"].isna() & last["fraction"].notna()).mean())


def _embedding(spectra: pd.DataFrame, ratios: pd.DataFrame, keys: str | None) -> dict[str, Any]:
    """Of W_E at the last step: its mean frequency and, over the key frequencies, the flattest ellipse."""
    found: dict[str, Any] = dict.fromkeys(("mean_frequency", "worst_axis_ratio", "worst_amplitude_ratio"))
    last = spectra[(spectra["view"] == "W_E") & (spectra["step"] == spectra["step"].max()) & spectra["share"].notna()]
    if not len(last) or not last["share"].astype(float).sum() > 0:
        return found
    share, k = last["share"].astype(float), last["frequency"].astype(float)
    found["mean_frequency"] = float((share * k).sum() / share.sum())
    wanted = [int(word) for word in keys.split(", ")] if keys else []
    amplitudes = last[last["frequency"].isin(wanted)].pivot_table(index="frequency", columns="component", values="amplitude").astype(float)
    if len(amplitudes) and {"cos", "sin"} <= set(amplitudes):
        pair = amplitudes[["cos", "sin"]].dropna()
        found["worst_amplitude_ratio"] = float((pair.min(axis=1) / pair.max(axis=1)).min()) if len(pair) else None
    ellipse = ratios[(ratios["view"] == "W_E") & (ratios["step"] == ratios["step"].max()) & ratios["frequency"].isin(wanted)]["axis_ratio"].dropna()
    found["worst_axis_ratio"] = float(ellipse.min()) if len(ellipse) else None
    return found


def _path(moves: pd.DataFrame, loops: pd.DataFrame) -> dict[str, Any]:
    whole, planes = moves[moves["group"] == "all"].sort_values("step"), loops[loops["group"] == "all"]
    efficiency = whole["efficiency"].iloc[-1] if len(whole) else None
    return {
        "path_length": float(whole["path_length"].iloc[-1]) if len(whole) else None,
        "efficiency": None if efficiency is None or pd.isna(efficiency) else float(efficiency),
        "start_to_end": float(planes["start_to_end"].iloc[0]) if len(planes) else None,
        "loop_closed": bool(planes["closed"].iloc[0]) if len(planes) else None,
        "robust_crossings": int(planes["crossings_robust"].sum()) if len(planes) else None,
    }


def _dimensions(thresholds: pd.DataFrame, predictors: pd.DataFrame) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for matrix in ("W_in", "W_out"):
        own = _last_block(thresholds, matrix)
        for ratio in ("sigma", "lambda"):
            for level in (30, 25):
                date = own[(own["ratio"] == ratio) & (own["level"] == level)]["interpolated_step"].dropna()
                found[f"{ratio}_{level}_{matrix}"] = float(date.iloc[0]) if len(date) else None
    own = _last_block(predictors, "W_out")
    for name, signal in (("sigma_half_W_out", "participation_ratio_sigma"), ("gap_half_W_out", "spectral_gap")):
        date = own[own["signal"] == signal]["half"].dropna()
        found[name] = float(date.iloc[0]) if len(date) else None
    return found


def _last_block(table: pd.DataFrame, matrix: str) -> pd.DataFrame:
    """Rows of the matrix of this name in the last block that has one."""
    mine = table[table["parameter"].str.endswith(f".{matrix}")]
    return mine[mine["parameter"] == max(mine["parameter"], key=_block)] if len(mine) else mine


def _block(parameter: str) -> int:
    return next((int(part) for part in parameter.split(".") if part.isdigit()), -1)
