"""A workspace with one small trained and analyzed run, made in seconds: p = 13, five checkpoints."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from strobe import Training, Workspace
from strobe.runs.run import Run

STEPS = (0, 5, 10, 20, 30)
FAMILY = {"p": 13, "d_model": 16, "n_heads": 2, "d_mlp": 16, "fraction": 0.5}


SHOWN = [
    *["weight_norms", "effective_dimensionality", "dominant_frequencies", "key_frequencies", "parameter_trajectory", "phases"],
    *["neuron_frequency", "activation_maps", "attention_maps", "head_frequency", "loss_and_accuracy", "progress_measures"],
    *["parameter_velocity", "centroid_planes", "margins", "axis_ratio", "neuron_timeline"],
]
"""The analyzers that the default report draws."""


def small_workspace(root: Path, analyzers: Iterable[str] = SHOWN, *, name: str = "small", steps: tuple[int, ...] = STEPS) -> tuple[Workspace, Run]:
    """A workspace and its run, with the results of `analyzers`."""
    workspace = Workspace(root)
    schedule = "at:" + ",".join(map(str, steps[1:]))
    run = workspace.train("modular_addition", name=name, training=Training(epochs=steps[-1], lr=1e-2, schedule=schedule), **FAMILY)
    if wanted := list(analyzers):
        assert not workspace.analyze(run, wanted).failures
    return workspace, run


def forget(run: Run, step: int) -> None:
    """Leave a run one checkpoint fewer, as an import of a single file would."""
    manifest = run.folder / "checkpoints" / "manifest.json"
    content = json.loads(manifest.read_text())
    del content["checkpoints"][str(step)]
    manifest.write_text(json.dumps(content))
    run.path(step).unlink()
