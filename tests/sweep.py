"""Twelve small runs that turn at known steps, made without training: p = 7, 11, 13, four seeds each. Weights are drawn, losses made up."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from strobe import Workspace
from strobe.runs.run import Run, RunRecord, create, write_metrics
from strobe.schema import to_arrow
from strobe.storage.parts import StoredCell
from strobe_analyzers.run_profile import Profile
from strobe_analyzers.run_summary import RunSummary

PRIMES, SEEDS = (7, 11, 13), (1, 2, 3, 4)
STEPS = (0, 100, 400, 800, 1200)
EVERY = 20
"""Steps between recorded losses."""


def turn_of(p: int, seed: int) -> int:
    """The step around which the test loss of a run falls."""
    return 300 + 20 * p + 30 * seed


def losses(p: int, seed: int) -> list[dict[str, float]]:
    """Train loss falls at once, test loss rises a little and falls at the turn."""
    rows = []
    for step in range(0, STEPS[-1] + 1, EVERY):
        test = 1e-4 + 3 * (1 + step / 2000) / (1 + np.exp((step - turn_of(p, seed)) / 25))
        rows.append({"step": step, "train_loss": 2 * float(np.exp(-step / 20)) + 1e-6, "test_loss": float(test)})
    return rows


def sweep(root: Path, *, analyzers: tuple[str, ...] = ("weight_norms", "phases"), primes: tuple[int, ...] = PRIMES) -> Workspace:
    """A workspace with the runs `p7-s1` ... `p13-s4`, their analyses, and a row of `run_summary` each."""
    workspace = Workspace(root)
    for p in primes:
        for seed in SEEDS:
            _made(workspace, p, seed)
    assert not workspace.analyze(None, analyzers).failures
    _summarise(workspace)
    return workspace


def _made(workspace: Workspace, p: int, seed: int) -> Run:
    parameters = {"p": p, "seed": seed, "d_model": 8, "n_heads": 2, "d_mlp": 8, "fraction": 0.5}
    family = workspace.registry.family("modular_addition")(**parameters)
    record = RunRecord(
        name=f"p{p}-s{seed}", family="modular_addition", parameters=family.model_dump(mode="json"), training={"lr": 1e-3, "epochs": STEPS[-1]}
    )
    run = create(workspace.root / "runs" / record.name, record, family.split(), workspace.registry)
    weights = family.initial()
    for step in STEPS:
        run.add_checkpoint(step, {name: w * (1 + step / 400) for name, w in weights.items()})
    write_metrics(run.folder / "metrics", losses(p, seed), 0)
    return run


def _summarise(workspace: Workspace) -> None:
    """What `run_summary` would store, from the phases; the rest is unknown, as in runs of which less was computed."""
    rows = []
    for run in workspace.runs():
        events = workspace.table("phases", runs=run).set_index("event")["interpolated_step"].astype(float)
        known = {"turn": events["turn"], "memorised": events["memorised"], "generalised": events["generalised"], "generalises": True}
        known |= {
            "delay": events["generalised"] / events["memorised"],
            "final_test_loss": 1e-4 * run.family.p,
            "key_frequencies": "1, 3",
            "loop_closed": False,
        }
        own = {"run": run.name, "family": "modular_addition", "varying": "", "parameters": "{}", "complete": True, "seed": run.family.seed}
        nothing = dict.fromkeys(Profile.model_fields)
        rows.append(RunSummary.Row(**{**nothing, **known}, **own, p=run.family.p, fraction=0.5, weight_decay=1.0, lr=1e-3))
    (address,) = workspace.addresses("run_summary", workspace.runs())
    workspace.store.replace(address, StoredCell(None, "made-up", to_arrow(RunSummary.Row, rows).table), {})
