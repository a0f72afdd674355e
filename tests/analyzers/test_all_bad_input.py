"""Every analyzer, through a workspace, on runs that are too small, dead, broken, coarse or oddly split: a stated result or a stated reason.

Never a crash, never a silent NaN. A table that does not apply says why; a number that does not exist is null; where the weights themselves are not
finite, a row of `_failures` of kind `not_finite` says so beside what could be stored.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

from strobe import Workspace
from strobe.analysis.engine import Report

Tensors = dict[str, torch.Tensor]
Change = Callable[[Tensors], Tensors]
SETTINGS = {"full_activation_maps": {"neurons": [0, 5]}, "powerlaw_alpha": {"min_width": 1}, "marchenko_pastur": {"min_width": 1}}
"""Nothing is left out because nobody asked for it, or because the model is small."""


@dataclass(frozen=True)
class Case:
    """A run: its modulus, its steps and what is done to the initial weights there, and which inputs are trained on (None: the family's draw)."""

    p: int = 7
    steps: Mapping[int, Change] | None = None
    train: Callable[[int], torch.Tensor] | None = None
    broken: bool = False
    """Whether weights are not finite, so that rows may hold nulls and `_failures` must say so."""


def same(t: Tensors) -> Tensors:
    return t


def moved(seed: int) -> Change:
    """Other weights, as after some training."""

    def change(t: Tensors) -> Tensors:
        generator = torch.Generator().manual_seed(seed)
        return {name: x + 0.3 * torch.randn(x.shape, generator=generator) for name, x in t.items()}

    return change


def filled(value: float, *names: str) -> Change:
    return lambda t: {name: torch.full_like(x, value) if name in names else x for name, x in t.items()}


def one(value: float, name: str) -> Change:
    """One entry of one tensor."""

    def change(t: Tensors) -> Tensors:
        t = {n: x.clone() for n, x in t.items()}
        t[name].view(-1)[3] = value
        return t

    return change


def cast(dtype: torch.dtype) -> Change:
    return lambda t: {name: x.to(dtype) for name, x in moved(1)(t).items()}


def over(change: Change) -> Mapping[int, Change]:
    """A healthy checkpoint, then another."""
    return {0: same, 10: change}


NEURONS_OFF = filled(-1e3, "blocks.0.mlp.b_in")
CASES: Mapping[str, Case] = {
    "healthy": Case(steps={0: same, 10: moved(1), 40: moved(2)}),
    "p = 3": Case(p=3),
    "p = 4": Case(p=4),
    "p = 6": Case(p=6),
    "one checkpoint, late": Case(steps={5000: moved(1)}),
    "two identical checkpoints": Case(steps={0: moved(1), 10: moved(1)}),
    "unequal gaps": Case(steps={0: same, 1: moved(1), 2: moved(2), 100: moved(3), 90_000: moved(4)}),
    "every neuron dead": Case(steps=over(NEURONS_OFF)),
    "an MLP of zeros": Case(steps=over(filled(0.0, "blocks.0.mlp.W_in", "blocks.0.mlp.W_out"))),
    "an embedding that does not vary": Case(steps=over(filled(0.5, "embed.W_E"))),
    "attention that does not vary": Case(steps=over(filled(0.0, "blocks.0.attn.W_Q", "blocks.0.attn.W_O"))),
    "an unembedding of zeros": Case(steps=over(filled(0.0, "unembed.W_U"))),
    "all weights zero": Case(steps=over(lambda t: {name: torch.zeros_like(x) for name, x in t.items()})),
    "NaN in the embedding": Case(steps=over(one(torch.nan, "embed.W_E")), broken=True),
    "NaN in W_in": Case(steps=over(one(torch.nan, "blocks.0.mlp.W_in")), broken=True),
    "infinity in W_Q": Case(steps=over(one(torch.inf, "blocks.0.attn.W_Q")), broken=True),
    "infinity in W_U": Case(steps=over(one(torch.inf, "unembed.W_U")), broken=True),
    "NaN everywhere": Case(steps=over(lambda t: {name: torch.full_like(x, torch.nan) for name, x in t.items()}), broken=True),
    "NaN at the only checkpoint": Case(steps={0: one(torch.nan, "embed.W_E")}, broken=True),
    "float16": Case(steps={0: cast(torch.float16), 10: cast(torch.float16)}),
    "bfloat16": Case(steps={0: cast(torch.bfloat16), 10: cast(torch.bfloat16)}),
    "huge weights": Case(steps=over(lambda t: {name: x * 1e3 for name, x in t.items()})),
    "trained on nothing": Case(train=lambda p: torch.zeros(0, dtype=torch.int64)),
    "trained on everything": Case(train=lambda p: torch.arange(p * p)),
    "trained on one input": Case(train=lambda p: torch.tensor([2])),
}


@pytest.fixture(scope="module")
def ws(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return Workspace(tmp_path_factory.mktemp("bad"))


def as_run(case: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in case)


def analyzed(ws: Workspace, name: str, folder: Path) -> Report:
    """The run of a case, imported and with every analyzer asked for."""
    case, run = CASES[name], as_run(name)
    family = {"p": case.p, "d_model": 8, "n_heads": 2, "d_mlp": 12, "fraction": 0.5}
    initial = ws.registry.family("modular_addition")(**family).initial()
    for step, change in (case.steps or over(moved(1))).items():
        save_file({n: x.contiguous() for n, x in change(dict(initial)).items()}, folder / f"model-{step}.safetensors")
    if case.train is not None:
        save_file({"train_index": case.train(case.p)}, folder / "losses.safetensors")
    ws.import_run(folder, "modular_addition", name=run, **family)
    return ws.analyze(run, asked(ws), settings=SETTINGS)


def asked(ws: Workspace) -> list[str]:
    """Every analyzer of one run that needs no choice, and those whose choice is made here. The loss landscape on request has its own tests."""
    loaded = {p.name: p.load() for p in ws.registry.all("analyzer")}
    return [name for name, cls in loaded.items() if cls.scope != "runs" and (not cls.opt_in or name in SETTINGS)]


def not_finite(table: pd.DataFrame, told: set[int | None]) -> set[str]:
    """Columns with numbers, alone or in arrays, that are neither null nor finite, at steps of which `_failures` does not tell."""
    rows = table.head(0) if None in told else table[~table["step"].isin(told)] if "step" in table else table
    return {str(name) for name in rows.columns if not all(map(null_or_finite, rows[name]))}


def null_or_finite(value: Any) -> bool:
    """A null metric comes back as None, NaN or NA; an array has no nulls in it."""
    if isinstance(value, np.ndarray):
        return value.dtype.kind != "f" or bool(np.isfinite(value).all())
    return not isinstance(value, float) or not np.isinf(value)


@pytest.mark.parametrize("name", CASES)
def test_a_stated_result_or_a_stated_reason(name: str, ws: Workspace, tmp_path: Path) -> None:
    report = analyzed(ws, name, tmp_path)
    sound(ws, report, asked(ws), {"not_finite"} if CASES[name].broken else set())


def test_runs_against_runs_that_are_all_like_that(ws: Workspace) -> None:
    """Of some of the runs above: of other sizes, of one checkpoint, broken, and split oddly."""
    some = ("healthy", "p = 6", "one checkpoint, late", "NaN everywhere", "trained on nothing")
    runs = [run for run in map(as_run, some) if any(r.name == run for r in ws.runs())]
    across = [p.name for p in ws.registry.all("analyzer") if p.load().scope == "runs" and not p.load().opt_in]
    report = ws.analyze(runs, across)
    assert {t.analyzer for t in report.tables} >= set(across)
    sound(ws, report, {t.analyzer for t in report.tables}, {"not_finite"})


def sound(ws: Workspace, report: Report, analyzers: Collection[str], expected: set[str]) -> None:
    assert [(f.analyzer, f.step, f.kind, f.message) for f in report.failures if f.kind not in expected] == []
    assert [t.analyzer for t in report.tables if t.state == "not applicable" and not t.why] == []
    assert {t.analyzer for t in report.tables} == set(analyzers)
    found = {}
    for table in (t for t in report.tables if t.state != "not applicable"):
        told = {f.step for f in report.failures if f.analyzer == table.analyzer}
        found[table.analyzer] = not_finite(ws.table(table.analyzer, runs=report.runs, settings=SETTINGS.get(table.analyzer)), told)
    assert {analyzer: columns for analyzer, columns in found.items() if columns} == {}
