"""Every reference value of real runs against what Strobe computes: `python benchmarks/check_real.py DATA`.

DATA is a folder of checkpoints with run.json and reference.json (and reference_extra.json, see the module of that name), or a folder of such folders;
a published run beside it is checked too. Imports and analyzes into a temporary workspace (or `--workspace FOLDER`, which is kept), prints the worst
relative error of each quantity, and exits with 1 when one is beyond its tolerance: 1e-6 for what is computed in float64 from weights, 1e-3 where a
float32 forward is in between, none for counts and sets, and what reference_extra.py says of the few others.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import reference_extra
import torch
from reference_extra import EXACT, FORWARD, NOT_BUILT_HERE, WEIGHTS, Tables

import strobe
from strobe import maths

PARAMETERS = {"W_E": "embed.W_E", "W_in": "blocks.0.mlp.W_in", "W_out": "blocks.0.mlp.W_out", "W_U": "unembed.W_U"}
RATIOS = ("stable_rank", "participation_ratio_sigma", "participation_ratio_lambda", "effective_rank")
ANALYZERS = [
    *["weight_norms", "effective_dimensionality", "dominant_frequencies", "neuron_frequency", "attention_maps", "loss_and_accuracy"],
    *["progress_measures", "key_frequencies", "phases", "centroid_pca"],
]
"""What reference.json needs; reference_extra.json needs more."""
OWN = {"keys": "own"}
SETTINGS = {"progress_measures": OWN}
EVENTS = {
    "modadd_p113_seed999": {("memorised", "at_step"): 267, ("turn", "interpolated_step"): 5_056, ("generalised", "interpolated_step"): 5_639},
}
"""Steps of events: of the train loss, which is there for every epoch, the epoch itself; of the test loss, interpolated between checkpoints."""


@dataclass(frozen=True)
class Comparison:
    """One number: how far it is from its reference, relative to it (to `floor` where the reference is smaller)."""

    quantity: str
    step: int
    found: float
    expected: float
    tolerance: float
    floor: float = 1e-300

    @property
    def error(self) -> float:
        difference = abs(self.found - self.expected)
        return float("inf") if np.isnan(difference) else difference / max(abs(self.expected), self.floor) if difference else 0.0

    @property
    def ok(self) -> bool:
        return self.error <= self.tolerance


def compare(ws: strobe.Workspace, run: str, reference: Mapping[str, Any]) -> Iterator[Comparison]:
    """Every number of `reference` (step -> values) that the analyzers compute."""
    for text, expected in reference.items():
        step = int(text)
        for measure in (_outputs, _progress, _fourier, _keys, _neurons, _spectra, _attention, _centroids):
            for quantity, found, value, tolerance, *floor in measure(ws, run, step, expected):
                yield Comparison(quantity, step, float(found), float(value), tolerance, *floor)
    for (event, column), at in EVENTS.get(run, {}).items():
        table = ws.table("phases", runs=run).set_index("event")
        yield Comparison(f"phases: {event}", -1, round(table[column][event]), at, EXACT)


Found = Iterator[tuple[Any, ...]]
"""(quantity, found, expected, tolerance) and, for small numbers, a floor."""


def _outputs(ws: strobe.Workspace, run: str, step: int, expected: Mapping[str, Any]) -> Found:
    table = ws.table("loss_and_accuracy", runs=run, steps=step).set_index("split")
    yield from (("loss", table["loss"][split], value, FORWARD) for split, value in expected["loss"].items())
    yield from (("accuracy", table["accuracy"][split], value, FORWARD) for split, value in expected["accuracy"].items())
    yield "min_logit_margin", table["min_margin"]["all"], expected["min_logit_margin"], FORWARD


def _progress(ws: strobe.Workspace, run: str, step: int, expected: Mapping[str, Any]) -> Found:
    table = ws.table("progress_measures", runs=run, steps=step, settings=OWN).set_index("split")
    yield from (("restricted_loss", table["restricted_loss"][split], value, FORWARD) for split, value in expected["restricted_loss"].items())
    yield "excluded_loss_train", table["excluded_loss"]["train"], expected["excluded_loss_train"], FORWARD


def _fourier(ws: strobe.Workspace, run: str, step: int, expected: Mapping[str, Any]) -> Found:
    table = ws.table("dominant_frequencies", runs=run, steps=step)
    for view in ("W_E", "W_U", "W_L"):
        rows = table[(table["view"] == view) & (table["frequency"] > 0)]
        shares = rows.groupby("frequency")["share"].sum().sort_values(ascending=False)
        for rank, (frequency, share) in enumerate(expected[f"fourier_{view}"]["top"]):
            yield f"fourier_{view}: frequencies", shares.index[rank], frequency, EXACT
            yield f"fourier_{view}: shares", shares[frequency], share, WEIGHTS
        pairs = rows.assign(power=rows["amplitude"] ** 2).groupby("frequency")["power"].sum() ** 0.5
        yield f"fourier_{view}: gini_pairs", maths.gini(torch.tensor(pairs.to_numpy())), expected[f"fourier_{view}"]["gini_pairs"], WEIGHTS


def _keys(ws: strobe.Workspace, run: str, step: int, expected: Mapping[str, Any]) -> Found:
    table = ws.table("key_frequencies", runs=run, steps=step)
    own = table[table["set"] == "own"]["frequencies"].item()
    yield "key_frequencies", own.tolist() == expected["key_frequencies"], True, EXACT


def _neurons(ws: strobe.Workspace, run: str, step: int, expected: Mapping[str, Any]) -> Found:
    table = ws.table("neuron_frequency", runs=run, steps=step)
    alive, neurons = table[~table["dead"].astype(bool)], expected["neurons"]
    explained = alive[alive["fraction"] >= 0.85]
    clusters = {str(k): n for k, n in explained["frequency"].value_counts().items()}
    yield "neurons: explained_085", len(explained), neurons["explained_085"], EXACT
    yield "neurons: dead", table["dead"].sum(), neurons["dead"], EXACT
    yield "neurons: clusters", clusters == neurons["clusters"], True, EXACT
    yield "neurons: median_fraction", torch.tensor(alive["fraction"].to_numpy(float)).median(), neurons["median_fraction"], FORWARD


def _spectra(ws: strobe.Workspace, run: str, step: int, expected: Mapping[str, Any]) -> Found:
    norms = ws.table("weight_norms", runs=run, steps=step).set_index("parameter")
    spectra = ws.table("effective_dimensionality", runs=run, steps=step)
    whole = spectra[spectra["head"].isna()].set_index("parameter")
    for short, name in PARAMETERS.items():
        values = expected["spectra"][short]
        yield "spectra: spectral_norm", norms["spectral"][name], values["spectral_norm"], WEIGHTS
        yield "spectra: frobenius", norms["frobenius"][name], values["frobenius"], WEIGHTS
        yield from ((f"spectra: {ratio}", whole[ratio][name], values[ratio], WEIGHTS) for ratio in RATIOS)
    yield "sum_of_squares", (norms["frobenius"] ** 2).sum(), expected["sum_of_squares"], WEIGHTS


def _attention(ws: strobe.Workspace, run: str, step: int, expected: Mapping[str, Any]) -> Found:
    """Means of float16 maps, which end at 6e-8."""
    table = ws.table("attention_maps", runs=run, steps=step).sort_values(["head", "key"])
    means = [row.astype(float).mean() for row in table["map"]]
    values = np.ravel(expected["attention_mean_last_to"]["head"])
    yield from (("attention_mean_last_to", found, value, FORWARD, 1e-4) for found, value in zip(means, values, strict=True))


def _centroids(ws: strobe.Workspace, run: str, step: int, expected: Mapping[str, Any]) -> Found:
    if shares := expected.get("centroid_pca_share_resid_post"):
        table = ws.table("centroid_pca", runs=run, steps=step)
        row = table[(table["frame"] == "own") & (table["site"] == "resid_post")].iloc[0]
        yield from (("centroid_pca_share", found, value, FORWARD) for found, value in zip(row["shares"], shares, strict=False))


def compare_extra(ws: strobe.Workspace, run: str, reference: Mapping[str, Any]) -> Iterator[Comparison]:
    """Every number of reference_extra.json of this run: its own, or of the published run that its file also describes."""
    tables = Tables(ws, run)
    for _, step, (quantity, found, value, *rest) in reference_extra.at_steps(tables, reference):
        yield Comparison(quantity, step, float(found), float(value), *rest)
    for _, step, (quantity, found, value, *rest) in reference_extra.trajectory(tables, reference.get("parameter_trajectory", {}).get("values", {})):
        yield Comparison(quantity, step, float(found), float(value), *rest)


def extra_reference(folder: Path, steps: tuple[int, ...]) -> dict[str, Any]:
    """What reference_extra.json, here or in the folder beside, says of a run: {} when nothing."""
    if (folder / "reference_extra.json").is_file():
        found: dict[str, Any] = json.loads((folder / "reference_extra.json").read_text("utf-8"))
        return found
    for file in folder.parent.glob("*/reference_extra.json"):
        if values := json.loads(file.read_text("utf-8")).get(folder.name, {}).get("values"):
            return {key: {"values": {str(steps[0]): value}} for key, value in reference_extra.published(values).items()}
    return {}


def read_reference(folder: Path, steps: tuple[int, ...]) -> dict[str, Any]:
    """Step -> values; the reference of a run with one checkpoint names no step."""
    data = json.loads((folder / "reference.json").read_text("utf-8"))
    return data if "loss" not in data else {str(steps[0]): data}


def check(ws: strobe.Workspace, folder: Path) -> pd.DataFrame:
    """Import and analyze a folder: one row per quantity, with its worst error."""
    known = folder.resolve().name in {run.name for run in ws.runs()}
    run = ws.run(folder.resolve().name) if known else ws.import_run(folder, "modular_addition")
    for settings in ({}, *reference_extra.SETTINGS):
        report = ws.analyze(run, list(settings) or sorted({*ANALYZERS, *reference_extra.ANALYZERS}), settings=settings)
        if report.failures:
            raise SystemExit(f"{folder.name}: {report.failures[0].analyzer}: {report.failures[0].message}")
    found = [*compare(ws, run.name, read_reference(folder, run.steps)), *compare_extra(ws, run.name, extra_reference(folder, run.steps))]
    rows = pd.DataFrame([{"quantity": c.quantity, "values": 1, "worst relative error": c.error, "tolerance": c.tolerance, "ok": c.ok} for c in found])
    merged = rows.groupby("quantity", sort=False).agg({"values": "sum", "worst relative error": "max", "tolerance": "max", "ok": "all"}).reset_index()
    merged.insert(0, "run", f"{folder.name} ({len(run.steps)} checkpoints)")
    return merged


def folders(data: Path) -> list[Path]:
    """The folders to check: `data` and a published run beside it, or those in it."""
    if (data / "reference.json").is_file():
        beside = data.parent / "progress_measures_wd01"
        return [data, *([beside] if beside != data and (beside / "reference.json").is_file() else [])]
    return sorted(f.parent for f in data.glob("*/reference.json"))


def main(data: Path, workspace: Path | None = None) -> int:
    """Print the table; 1 when a number misses its reference, 2 when there is nothing to check."""
    chosen = folders(data)
    if not chosen:
        print(f"{data} holds no reference.json; give a folder of checkpoints with run.json and reference.json", file=sys.stderr)
        return 2
    torch.set_num_threads(1)
    with contextlib.nullcontext(workspace) if workspace else tempfile.TemporaryDirectory() as folder:
        table = pd.concat([check(strobe.Workspace(folder), f) for f in chosen], ignore_index=True)
    table["worst relative error"] = table["worst relative error"].map("{:.1e}".format)
    table["tolerance"] = table["tolerance"].map(lambda t: f"{t:.0e}" if t else "exact")
    print(table.to_string(index=False))
    for key, why in NOT_BUILT_HERE.items():
        print(f"not built here: {key} ({why})")
    missed = (~table["ok"]).sum()
    print(f"{table['values'].sum()} values, {len(table)} quantities, {missed} beyond their tolerance")
    return int(missed > 0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--workspace", type=Path, help="keep the import and the results here, and reuse what is there")
    sys.exit(main(**vars(parser.parse_args())))
