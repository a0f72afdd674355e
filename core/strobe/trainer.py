"""Trains a run into a workspace: consumes the events of `training.train` and puts checkpoints and metrics on disk."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from . import runs
from .analysis import configured
from .errors import UsageError
from .executors import one_thread
from .plan import fingerprint
from .runs import Run, RunRecord, merge_metrics, versions, write_metrics
from .training import Evaluated, Training, train

if TYPE_CHECKING:
    from .family import Family
    from .workspace import Workspace

OnEpoch = Callable[[int, int, Mapping[str, Any]], None]


def train_run(
    workspace: Workspace,
    family_name: str,
    *,
    name: str = "",
    training: Training | Mapping[str, Any] | None = None,
    progress: OnEpoch | None = None,
    parameters: Mapping[str, Any] | None = None,
) -> Run:
    """Train, from step 0 saved before the first update to the last epoch. A complete run of the same identity is returned as it is; one that
    was interrupted is trained again from the start."""
    plugin = workspace.registry.get("family", family_name)
    family: Family = configured(plugin.load(), plugin.who, parameters or {})
    config = configure_training(family, training)
    record = describe(family_name, family, config, name, parameters or {})
    if record.name in {p.name for p in workspace.registry.all("family")}:
        raise UsageError(f"a run may not bear a family's name ({record.name}); choose another with --name")
    folder = workspace.root / "runs" / record.name
    if (folder / "run.json").is_file():
        run = Run(folder, workspace.registry)
        if run.record.identity != record.identity:
            raise UsageError(f"there is a run {record.name!r} already, with another configuration; choose another name with --name")
        if run.record.state == "complete":
            return run
        shutil.rmtree(folder)
    split = family.split()
    run = runs.create(folder, record, split, workspace.registry)
    _consume(run, family, config, split, progress)
    run.save(state="complete")
    return run


def configure_training(family: Family, training: Training | Mapping[str, Any] | None) -> Training:
    """The family's defaults, with overrides."""
    if isinstance(training, Training):
        return training
    return configured(Training, "training", {**family.training().model_dump(), **(training or {})})  # type: ignore[arg-type,no-any-return]


def describe(family_name: str, family: Family, training: Training, name: str, given: Mapping[str, Any]) -> RunRecord:
    """run.json of a new run. Its identity covers everything that moves the trajectory, and ends its readable name."""
    identity = fingerprint(family_name, family.identity(), training.model_dump(mode="json"), versions()["torch"])
    said = [f"{key}{value}" for key, value in given.items() if key in type(family).model_fields]
    return RunRecord(
        name=name or "-".join([family_name, *said, identity[:4]]),
        family=family_name,
        parameters=family.model_dump(mode="json"),
        training=training.model_dump(mode="json"),
        identity=identity,
        state="training",
        versions=versions(),
    )


def _consume(run: Run, family: Family, training: Training, split: Mapping[str, Any], progress: OnEpoch | None) -> None:
    """Checkpoints as they come; metrics as a part per checkpoint, merged at the end."""
    rows: list[dict[str, Any]] = []
    part = 0
    with one_thread():
        for event in train(family, training, split):
            if isinstance(event, Evaluated):
                rows.append(asdict(event))
                if progress is not None:
                    progress(event.step, training.epochs, rows[-1])
            else:
                run.add_checkpoint(event.step, event.tensors)
                write_metrics(run.folder / "metrics", rows, part)
                rows, part = [], part + 1
    merge_metrics(run.folder / "metrics")
