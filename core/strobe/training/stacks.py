"""Trains several new runs at once on the GPU, into a workspace: each run is bitwise what it is when trained by itself, and stored in the same way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from ..analysis.executors import one_thread
from ..analysis.request import configured
from ..runs import run as runs
from ..runs.run import Run, RunRecord
from . import cuda as cuda_training
from .keeping import Keeper, OnEpoch
from .trainer import configure_training, describe, held, train_run

if TYPE_CHECKING:
    from ..family import Family
    from ..workspace import Workspace
    from .loop import Training

AT_ONCE = 16
"""Runs in one graph. More are no faster: sixteen of p=113 fill an H200."""


def train_runs(
    workspace: Workspace,
    family_name: str,
    variants: Sequence[Mapping[str, Any]],
    *,
    training: Mapping[str, Any] | None = None,
    progress: OnEpoch | None = None,
) -> list[Run]:
    """A run per variant of the family's parameters, in their order; `training` with device=cuda. Complete runs are returned as they are, interrupted
    ones are resumed one by one, and new ones are trained together, `AT_ONCE` at a time. Progress is that of the first run of each stack."""
    plugin = workspace.registry.get("family", family_name)
    families: list[Family] = [configured(plugin.load(), plugin.who, variant) for variant in variants]
    configs = [configure_training(family, training) for family in families]
    records = [describe(family_name, f, c, "", v) for f, c, v in zip(families, configs, variants, strict=True)]
    new: dict[str, dict[str, tuple[Family, RunRecord]]] = {}  # runs of one training configuration stack
    for family, config, record in zip(families, configs, records, strict=True):
        if not (workspace.root / "runs" / record.name / "run.json").is_file():
            new.setdefault(config.model_dump_json(), {})[record.name] = family, record
    by_key = {config.model_dump_json(): config for config in configs}
    for key, named in new.items():
        members = list(named.values())
        for at in range(0, len(members), AT_ONCE):
            _train_new(workspace, members[at : at + AT_ONCE], by_key[key], progress)
    return [train_run(workspace, family_name, training=training, progress=progress, parameters=variant) for variant in variants]


def _train_new(workspace: Workspace, members: Sequence[tuple[Family, RunRecord]], training: Training, progress: OnEpoch | None) -> None:
    cuda_training.refuse(training)
    families = [family for family, _ in members]
    created = [runs.create(workspace.root / "runs" / record.name, record, f.split(), workspace.registry) for f, record in members]
    with ExitStack() as stack, one_thread():
        for run in created:
            stack.enter_context(held(run))
        keepers = [Keeper(run, training, progress if run is created[0] else None) for run in created]
        for at, event in cuda_training.train_stack(families, training, [run.split for run in created]):
            keepers[at].take(event)
        for keeper in keepers:
            keeper.finish()
