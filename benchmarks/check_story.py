"""The story of a real run, read off its tables: `python benchmarks/check_story.py DATA`.

DATA is the folder of checkpoints of `modadd_p113_seed999`, which is imported and analyzed (in `--workspace FOLDER`, which is kept, if given), or
such a workspace. Each number of its fifteen-point story is queried and compared at the digits the story gives, and so are events and their intervals;
a table that is not there is named. Exits with 1 when a number differs or cannot be read. `--keep FOLDER` writes what the queries and the derived
analyzers read, small: tests/data/story was made with it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import strobe

RUN = "modadd_p113_seed999"


@dataclass(frozen=True)
class Check:
    """One number of the story: how to read it, what it should be, and how far off it may be (absolute)."""

    point: int
    what: str
    read: Callable[[], Any]
    expected: Any
    tolerance: float = 0.0

    def found(self) -> Any:
        try:
            return self.read()
        except (strobe.StrobeError, KeyError, IndexError, ValueError) as e:
            return f"cannot be read: {e}"

    def agrees(self, found: Any) -> bool:
        if isinstance(self.expected, (set, str, tuple)):
            return bool(found == self.expected)
        return isinstance(found, (int, float, np.number)) and abs(float(found) - self.expected) <= self.tolerance


class Tables:
    """The tables of one run, each read once, and the few ways this story looks at them."""

    def __init__(self, ws: strobe.Workspace, run: str) -> None:
        self.ws, self.run, self.kept = ws, run, dict[str, pd.DataFrame]()

    def __getitem__(self, name: str) -> pd.DataFrame:
        if name not in self.kept:
            self.kept[name] = self.ws.table(name, runs=[self.run])
        return self.kept[name]

    @cached_property
    def metrics(self) -> pd.DataFrame:
        return self.ws.run(self.run).metrics.set_index("step")

    def one(self, table: str, column: str, **where: Any) -> Any:
        """The value of a column in the one row where the others are as said; None means null."""
        rows = self[table]
        for name, value in where.items():
            rows = rows[rows[name].isna() if value is None else rows[name] == value]
        if len(rows) != 1:
            raise ValueError(f"{len(rows)} rows of {table} where {where}")
        return rows[column].iloc[0]

    def interval(self, event: str, subject: str) -> tuple[int, int]:
        return int(self.event(event, "lower", subject)), int(self.event(event, "upper", subject))

    def event(self, event: str, column: str, subject: str = "") -> Any:
        rows = self["events"]
        rows = rows[(rows["event"] == event) & rows["subject"].str.startswith(subject)]
        return rows[column].iloc[-1]

    def attends(self, head: int, key: int, step: int) -> float:
        return float(np.asarray(self.one("attention_maps", "map", head=head, key=key, step=step), float).mean())

    def leader(self, step: int) -> int:
        rows = self["dominant_frequencies"]
        rows = rows[(rows["view"] == "W_L") & (rows["step"] == step) & (rows["frequency"] > 0)]
        return int(rows.groupby("frequency")["share"].sum().idxmax())

    def share(self, k: int, step: int) -> float:
        rows = self["dominant_frequencies"]
        return float(rows[(rows["view"] == "W_E") & (rows["step"] == step) & (rows["frequency"] == k)]["share"].sum())

    def axis_ratio(self, k: int, step: int) -> float:
        return float(self.one("representation_geometry", "axis_ratios", site="resid_post", step=step)[k - 1])

    def committed(self, step: int, threshold: float = 0.85, k: int | None = None) -> int:
        rows = self["neuron_frequency"]
        rows = rows[(rows["step"] == step) & (rows["fraction"].astype(float) >= threshold)]
        return len(rows if k is None else rows[rows["frequency"] == k])

    def dimensions(self, step: int) -> int:
        return int(self.one("spectral_gap", "k", parameter="blocks.0.mlp.W_out", head=None, step=step))

    def velocity(self, step: int) -> float:
        return float(self.one("parameter_velocity", "velocity", group="all", step=step))

    def steepest_train_fall(self) -> tuple[int, int]:
        loss = np.log(self.metrics["train_loss"].dropna())
        starts = np.arange(1500, int(loss.index.max()) - 200, 100)
        first = int(min(starts, key=lambda s: loss[s + 200] - loss[s]))
        return first, first + 200

    def positive_from(self) -> int:
        rows = self["margins"]
        rows = rows[rows["split"] == "all"].sort_values("step")
        wrong = rows[rows["minimum"] <= 0]["step"].max()
        return int(rows[rows["step"] > wrong]["step"].min())

    def half_peak(self) -> float:
        loss = self.metrics["test_loss"].dropna()
        peak = loss.idxmax()
        after = loss[loss.index >= peak]
        step = after[after < loss[peak] / 2].index[0]
        before = after[after.index < step].index[-1]
        share = (np.log(loss[peak] / 2) - np.log(loss[before])) / (np.log(loss[step]) - np.log(loss[before]))
        return float(before + share * (step - before))


def story(t: Tables) -> Iterator[Check]:
    """Every number of the fifteen points."""
    yield from _early(t)
    yield from _hidden_progress(t)
    yield from _the_turn(t)
    yield from _afterwards(t)


def _early(t: Tables) -> Iterator[Check]:
    norm = lambda step: t.one("group_norms", "sum_of_squares", group="all", step=step)  # noqa: E731
    yield Check(1, "train loss at 0", lambda: t.metrics["train_loss"][0], 4.77, 0.005)
    yield Check(1, "silent neurons at 0", lambda: t.one("dormant_neurons", "dead", split="all", step=0), 65)
    for name in ("W_in", "W_out"):
        where = {"parameter": f"blocks.0.mlp.{name}", "head": None, "step": 0}
        yield Check(1, f"PR_sigma of {name} at 0", lambda w=where: t.one("effective_dimensionality", "participation_ratio_sigma", **w), 120, 0.5)
    yield Check(2, "train loss at 100", lambda: t.metrics["train_loss"][100], 2.13, 0.005)
    yield Check(2, "test loss at 100", lambda: t.metrics["test_loss"][100], 8.06, 0.005)
    yield Check(2, "dead neurons at 100", lambda: t.one("dormant_neurons", "dead", split="all", step=100), 0)
    yield Check(2, "squared norm at 0", lambda: norm(0), 1779, 0.5)
    yield Check(2, "squared norm at 250", lambda: norm(250), 3615, 0.5)
    yield Check(3, "train < 1e-2", lambda: t.event("memorised", "at_step"), 267)
    yield Check(3, "train < 1e-6", lambda: (t.metrics["train_loss"] < 1e-6).idxmax(), 1165)
    yield Check(3, "head 0 attends to b", lambda: max(t.attends(0, 1, s) for s in (250, 500, 750, 1000)), 0.94, 0.01)
    yield Check(3, "head 2 attends to a", lambda: max(t.attends(2, 0, s) for s in (250, 500, 750, 1000)), 0.96, 0.01)
    for step, expected in ((250, 0.86), (500, 0.95)):
        where = {"site": "resid_post", "step": step}
        yield Check(4, f"alignment at {step}", lambda w=where: t.one("representation_geometry", "alignment", **w), expected, 0.005)
        yield Check(4, f"its frequency at {step}", lambda w=where: t.one("representation_geometry", "alignment_frequency", **w), 24)


def _hidden_progress(t: Tables) -> Iterator[Check]:
    yield Check(5, "test loss at its peak", lambda: t.event("peak", "value"), 24.0, 0.05)
    yield Check(5, "peak at", lambda: t.event("peak", "at_step"), 1500)
    excluded = lambda step: t.one("progress_measures", "excluded_loss", split="train", step=step)  # noqa: E731
    restricted = lambda step: t.one("progress_measures", "restricted_loss", split="all", step=step)  # noqa: E731
    for step, out, within in ((1000, 0.003, 2.5), (3000, 0.94, 0.82), (4000, 3.96, 0.16)):
        yield Check(6, f"excluded loss at {step}", lambda s=step: excluded(s), out, 0.006 if out > 0.1 else 0.0005)  # 0.935 is told as 0.94
        yield Check(6, f"restricted loss at {step}", lambda s=step: restricted(s), within, 0.05 if within > 1 else 0.005)
    yield Check(6, "test loss at 4000", lambda: t.metrics["test_loss"][4000], 12.0, 0.05)
    yield Check(7, "leader of W_L at 3000", lambda: t.leader(3000), 24)
    yield Check(7, "leader of W_L at 3500", lambda: t.leader(3500), 41)
    yield Check(8, "velocity to 3500", lambda: t.velocity(3500), 0.0099, 0.00005)
    yield Check(8, "velocity 5000 to 5500", lambda: t.velocity(5500), 0.0172, 0.00005)
    yield Check(8, "burst at the turn", lambda: t["events"].query("event == 'velocity burst'")["upper"].iloc[0], 5500)
    yield Check(8, "steepest fall of the train loss", t.steepest_train_fall, (4900, 5100))
    yield Check(8, "middle of it, as an event", lambda: t.event("steepest fall", "at_step", "train_loss"), 5000, 50)


def _the_turn(t: Tables) -> Iterator[Check]:
    yield Check(9, "test at half its peak", t.half_peak, 4003, 0.5)
    yield Check(9, "turn", lambda: t.event("turn", "interpolated_step"), 5056, 0.5)
    yield Check(9, "test at 0.1", lambda: t.event("generalised", "interpolated_step"), 5639, 0.5)
    for step, share in ((4500, 0.30), (5000, 0.66), (5500, 0.956), (6000, 0.991)):
        digits = 0.005 if share < 0.9 else 0.0005
        yield Check(9, f"test accuracy at {step}", lambda s=step: t.one("loss_and_accuracy", "accuracy", split="test", step=s), share, digits)
    for step, many in ((5000, 34), (5500, 69), (8000, 256), (10000, 345)):
        yield Check(10, f"committed neurons at {step}", lambda s=step: t.committed(s), many)
    yield Check(10, "every margin positive from", t.positive_from, 7500)
    yield Check(10, "dimensions of W_out at 7000", lambda: t.dimensions(7000), 10)
    for head in range(4):
        for key in (0, 1):
            yield Check(11, f"head {head} attends to {'ab'[key]} at 8000", lambda h=head, k=key: t.attends(h, k, 8000), 0.5, 0.05)
    heads = lambda: set(t["head_frequency"].query("step == 8000")["frequency"])  # noqa: E731
    yield Check(11, "frequencies of the heads at 8000", heads, {41})
    yield Check(11, "consensus of the heads by 8000", lambda: int(t.one("head_dynamics", "consensus_step", head=None) <= 8000), 1)


def _afterwards(t: Tables) -> Iterator[Check]:
    yield Check(12, "axis ratio of k = 36 at 7000", lambda: t.axis_ratio(36, 7000), 0.83, 0.005)
    yield Check(12, "axis ratio of k = 36 at 16000", lambda: t.axis_ratio(36, 16000), 0.009, 0.0005)
    yield Check(12, "collapse to a line of", lambda: t.event("collapse to a line", "frequency"), 36)
    yield Check(13, "lowest test loss", lambda: t.event("regress", "value"), 3.03e-7, 0.005e-7)
    yield Check(13, "lowest at", lambda: t.event("regress", "at_step"), 12500)
    yield Check(13, "rise after it", lambda: t.one("phases", "rise", event="regress"), 0.87, 0.005)
    yield Check(13, "last test loss", lambda: t.metrics["test_loss"][25000], 5.68e-7, 0.005e-7)
    margin = lambda step: t.one("margins", "minimum", split="all", step=step)  # noqa: E731
    yield Check(13, "largest minimum margin after 10000", lambda: t["margins"].query("split == 'all' and step > 10000")["minimum"].max(), 10.5, 0.05)
    yield Check(13, "minimum margin at the end", lambda: margin(25000), 8.2, 0.05)
    yield Check(13, "last train loss", lambda: t.one("loss_and_accuracy", "loss", split="train", step=25000), 9.2e-8, 0.05e-8)
    for head, step in ((0, 14500), (2, 23500)):
        yield Check(14, f"head {head} switches at", lambda h=head: t.event("head switches frequency", "upper", f"head {h}"), step)
        yield Check(14, f"head {head} switches to", lambda h=head: t.event("head switches frequency", "frequency", f"head {h}"), 39)
    yield from _the_death_of_54(t)
    yield from _dated(t)


def _dated(t: Tables) -> Iterator[Check]:
    """The events that the story turns on, each with the recorded steps between which it lies."""
    intervals = (
        (3, "memorised", "train_loss", (266, 267)),
        (9, "turn", "test_loss", (5000, 5500)),
        (9, "generalised", "test_loss", (5500, 6000)),
        (12, "collapse to a line", "k 36", (8500, 13500)),
        (13, "regress", "test_loss", (12000, 13000)),
        (14, "head switches frequency", "head 0", (14000, 14500)),
        (14, "head switches frequency", "head 2", (22000, 23500)),
        (15, "velocity burst", "all parameters", (20500, 22000)),
        (15, "cohort pruned", "neurons of k 54", (20500, 22000)),
        (15, "frequency lost", "k 54 in embedding", (20500, 22000)),
    )
    for point, event, subject, between in intervals:
        yield Check(point, f"{event}, {subject}: between", lambda e=event, s=subject: t.interval(e, s), between)


def _the_death_of_54(t: Tables) -> Iterator[Check]:
    transient = lambda: set(t["transient_frequencies"].query("transient")["frequency"])  # noqa: E731
    norm = lambda step: t.one("group_norms", "sum_of_squares", group="all", step=step)  # noqa: E731
    yield Check(15, "transient frequencies", transient, {54})
    yield Check(15, "cohort pruned in", lambda: (t.event("cohort pruned", "lower"), t.event("cohort pruned", "upper")), (20500, 22000))
    yield Check(15, "share of W_E at 20500", lambda: t.share(54, 20500), 0.087, 0.0005)
    yield Check(15, "share of W_E at 22000", lambda: t.share(54, 22000), 0.010, 0.0005)
    yield Check(15, "its neurons at 0.7, step 20500", lambda: t.committed(20500, 0.7, 54), 76)
    yield Check(15, "its neurons at 0.85, step 20500", lambda: t.committed(20500, 0.85, 54), 37)
    lost = lambda column: t.one("cohort_norms", column, frequency=54, step=22000)  # noqa: E731
    yield Check(15, "neurons whose norm is followed", lambda: lost("members"), 76)
    yield Check(15, "share of it that they lose", lambda: -lost("change"), 0.90, 0.005)
    yield Check(15, "dormant at 22000", lambda: t.one("dormant_neurons", "dormant", split="all", step=22000), 77)
    yield Check(15, "velocity of the burst", lambda: t.event("velocity burst", "value"), 0.0044, 0.00005)
    yield Check(15, "times the interval before", lambda: t.velocity(22000) / t.velocity(20500), 2.7, 0.05)
    yield Check(15, "squared norm at 20500", lambda: norm(20500), 945, 0.5)
    yield Check(15, "squared norm at 22000", lambda: norm(22000), 885, 0.5)
    for k, many in ((24, 72), (36, 44), (39, 149), (41, 140), (None, 405)):
        yield Check(15, f"committed to {k or 'any'} at the end", lambda k=k: t.committed(25000, 0.85, k), many)
    yield Check(15, "frequencies at the end", lambda: t.one("key_frequencies", "n_keys", set="last"), 4)
    yield Check(15, "dimensions of W_out at 22000", lambda: t.dimensions(22000), 7)


def kept(t: Tables) -> Iterator[tuple[str, pd.DataFrame]]:
    """What the story's queries and the derived analyzers behind them read of each table of steps, and of the pass over the weights."""
    whole = ["head_frequency", "progress_measures", "key_frequencies", "parameter_velocity", "weight_norms", "margins", "loss_and_accuracy"]
    yield from ((name, t[name].drop(columns=["fractions"], errors="ignore")) for name in whole)
    neurons = t["neuron_frequency"]
    yield "neuron_frequency", neurons[["step", "layer", "neuron", "frequency", "fraction", "dead"]].astype({"fraction": "float32"})
    spectra = t["dominant_frequencies"]
    yield "dominant_frequencies", spectra[spectra["view"].isin(["W_E", "W_L"])].astype({"amplitude": "float32", "share": "float32"})
    maps = t["attention_maps"]
    yield "attention_maps", maps.assign(map=[np.asarray(m, float).mean(keepdims=True).ravel() for m in maps["map"]])
    yield "dormant_neurons", t["dormant_neurons"].drop(columns=["scores", "utility"])
    norms = t["neuron_norms"]
    yield "neuron_norms", norms.assign(norms=[np.asarray(n, np.float16) for n in norms["norms"]])
    sizes = t["effective_dimensionality"]
    yield "effective_dimensionality", sizes[sizes["head"].isna() & sizes["parameter"].str.contains("mlp")]
    geometry = t["representation_geometry"]
    yield "representation_geometry", geometry[geometry["site"] == "resid_post"]
    yield "logit_fourier", t["logit_fourier"][t["logit_fourier"]["keys"] == "all"]
    path = t["parameter_trajectory"]
    yield "parameter_trajectory", path[(path["group"] == "all") & (path["component"] <= 3)]


def keep(t: Tables, folder: Path) -> None:
    """Write them as Parquet, one file per table."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in kept(t):
        shown = pd.DataFrame(table).drop(columns=["run", "probe"], errors="ignore")
        shown.to_parquet(folder / f"{name}.parquet", index=False, compression="zstd", compression_level=19)


def analyzed(data: Path, workspace: Path) -> strobe.Workspace:
    """The workspace with the run and all of its results."""
    ws = strobe.Workspace(data if (data / "runs").is_dir() else workspace)
    if not (data / "runs").is_dir():
        ws.analyze(RUN if RUN in {run.name for run in ws.runs()} else ws.import_run(data, "modular_addition", name=RUN))
    return ws


def told(t: Tables) -> int:
    """Print every number of the story beside what the tables say; how many differ."""
    wrong = 0
    for check in story(t):
        found = check.found()
        agrees = check.agrees(found)
        wrong += not agrees
        shown = f"{found:.4g}" if isinstance(found, float) else str(found)
        print(f"{check.point:>2}  {'ok  ' if agrees else 'DIFF'}  {check.what:<52} {shown:<18} {check.expected}")
    print(f"{wrong} of the numbers differ" if wrong else "the whole story can be read off the tables")
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--workspace", type=Path)
    parser.add_argument("--keep", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        tables = Tables(analyzed(arguments.data, arguments.workspace or Path(folder)), RUN)
        if arguments.keep:
            keep(tables, arguments.keep)
        return int(told(tables) > 0)


if __name__ == "__main__":
    sys.exit(main())
