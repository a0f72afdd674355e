"""Trains runs into a workspace: new ones, the rest of interrupted ones, more epochs, more checkpoints, branches."""

from __future__ import annotations

import fcntl
import os
import re
import socket
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from .. import checkpoints
from ..analysis.executors import one_thread
from ..analysis.plan import fingerprint
from ..analysis.request import configured
from ..errors import StrobeError, UsageError, did_you_mean
from ..runs import run as runs
from ..runs.run import Run, RunRecord, merge_metrics, versions, write_metrics
from .interventions import Named, named
from .keeping import Keeper, OnEpoch, last_state, write_state
from .loop import Evaluated, Saved, Training, ready, train

if TYPE_CHECKING:
    from ..family import Family
    from ..workspace import Workspace


def train_target(
    workspace: Workspace,
    target: str | Run,
    name: str,
    training: Training | Mapping[str, Any] | None,
    add: str,
    interventions: Sequence[str],
    progress: OnEpoch | None,
    parameters: Mapping[str, Any],
) -> Run:
    """What `Workspace.train` does: a new run of a family, more of a run, or a branch `RUN@STEP`."""
    known = {p.name for p in workspace.registry.all("family")}
    if isinstance(target, str) and target in known:
        return train_run(workspace, target, name=name, training=training, progress=progress, parameters=parameters, interventions=interventions)
    text = target if isinstance(target, str) else target.name
    base, at, step = text.partition("@")
    run = _run_named(workspace, base, known)
    changes = training.model_dump(exclude_unset=True) if isinstance(training, Training) else dict(training or {})
    if parameters:
        raise UsageError(f"{', '.join(parameters)}: the parameters of {run.name} are fixed; train a new run of {run.record.family}")
    if at:
        if not step.isdigit():
            raise UsageError(f"{text!r}: write RUN@STEP, for example {base}@200")
        return branch_run(workspace, run, int(step), name=name, overrides=changes, progress=progress, interventions=interventions)
    if odd := sorted(set(changes) - {"epochs"}):
        raise UsageError(f"{', '.join(odd)}: the training of {run.name} is fixed; branch off with `strobe train {run.name}@STEP --set {odd[0]}=...`")
    if add:
        add_checkpoints(workspace, run, add, progress)
        return run
    return resume_run(workspace, run, epochs=int(changes.get("epochs", 0)), progress=progress)


def _run_named(workspace: Workspace, name: str, families: Collection[str]) -> Run:
    names = [r.name for r in workspace.runs()]
    if name not in names:
        raise UsageError(f"{name!r} is neither a family nor a run{did_you_mean(name, [*families, *names])}")
    return workspace.run(name)


def train_run(
    workspace: Workspace,
    family_name: str,
    *,
    name: str = "",
    training: Training | Mapping[str, Any] | None = None,
    progress: OnEpoch | None = None,
    parameters: Mapping[str, Any] | None = None,
    interventions: Sequence[str] = (),
) -> Run:
    """Train a run, from step 0 saved before the first update to the last epoch.

    A run of the same identity that is complete is returned as it is, or trained on when more epochs are asked for; an interrupted one is resumed.
    """
    plugin = workspace.registry.get("family", family_name)
    family: Family = configured(plugin.load(), plugin.who, parameters or {})
    config = configure_training(family, training)
    acting = named(workspace.registry, interventions)
    ready(config, acting)
    record = describe(family_name, family, config, name, parameters or {}, acting)
    refuse_family_name(workspace, record.name)
    folder = workspace.root / "runs" / record.name
    if (folder / "run.json").is_file():
        run = Run(folder, workspace.registry)
        if run.record.identity != record.identity:
            raise UsageError(f"there is a run {record.name!r} already, with another configuration; choose another name with --name")
        return resume_run(workspace, run, epochs=config.epochs, progress=progress)
    run = runs.create(folder, record, family.split(), workspace.registry)
    with held(run):
        _run_to_end(run, config, None, progress, acting)
    return run


def resume_run(workspace: Workspace, run: Run, *, epochs: int = 0, progress: OnEpoch | None = None) -> Run:
    """Train an interrupted run to its end, or a complete one to more `epochs`; one that is complete already is returned as it is."""
    config = training_of(run)
    if run.record.state == "complete" and epochs <= config.epochs:
        return run
    config = config.model_copy(update={"epochs": max(epochs, config.epochs)})
    with held(run):
        run.save(training=config.model_dump(mode="json"), state="training")
        _run_to_end(run, config, last_state(run), progress, named(workspace.registry, run.record.interventions))
    return run


def branch_run(
    workspace: Workspace,
    parent: Run,
    step: int,
    *,
    name: str = "",
    overrides: Mapping[str, Any] | None = None,
    interventions: Sequence[str] = (),
    progress: OnEpoch | None = None,
) -> Run:
    """A run that shares `parent` up to a step and goes on with another training configuration. The parent is recorded, the shared checkpoints and
    metrics are copied."""
    config: Training = configured(Training, "training", {**training_of(parent).model_dump(), **(overrides or {})})
    if step not in parent.steps:
        raise UsageError(f"run {parent.name} has no checkpoint at step {step}; there are {', '.join(map(str, parent.steps))}")
    found = named(workspace.registry, [*parent.record.interventions, *interventions])
    acts = list(dict.fromkeys((a.name, a.code) for a in found))
    ready(config, acts)
    record = _branched(parent, step, name, config, acts)
    folder = workspace.root / "runs" / record.name
    if (folder / "run.json").is_file():
        return resume_run(workspace, Run(folder, workspace.registry), epochs=config.epochs, progress=progress)
    start = replayed(workspace, parent, step)
    run = runs.create(folder, record, parent.split, workspace.registry)
    with held(run):
        _share_prefix(run, parent, step)
        write_state(run, start)
        _run_to_end(run, config, start, progress, named(workspace.registry, record.interventions))
    return run


def _branched(parent: Run, step: int, name: str, config: Training, acts: Sequence[tuple[str, str]]) -> RunRecord:
    """The record of a branch: its parent's, with what is its own. `acts`: its interventions, as (name, code)."""
    identity = fingerprint(parent.record.identity, step, config.identity(), acts)
    own = {
        "name": name or f"{parent.name}-at{step}-{identity[:4]}",
        "training": config.model_dump(mode="json"),
        "identity": identity,
        "state": "training",
        "interventions": [name for name, _ in acts],
        "parent": {"run": parent.name, "step": step},
        "versions": versions(),
    }
    return parent.record.model_copy(update=own)


def add_checkpoints(workspace: Workspace, run: Run, schedule: str, progress: OnEpoch | None = None) -> list[int]:
    """Add the checkpoints of a schedule that a run lacks, by training again from the nearest state before them; returns the steps added.

    Every checkpoint met on the way must come out bitwise as it is stored; where one does not, `StrobeError` says so and nothing is added after it.
    """
    from . import schedules

    config = training_of(run)
    last = max(run.steps, default=0)
    wanted = schedules.steps(schedule, last, lambda event: event_step(workspace, run, event))
    missing = [step for step in wanted if step not in run.steps]
    if not missing:
        return []
    until = min(step for step in run.steps if step >= missing[-1])
    start = last_state(run, before=missing[0])
    keep = {*missing, *(s for s in run.steps if s <= until)}
    with held(run), one_thread():
        events = train(
            run.family, config.model_copy(update={"epochs": until}), run.split, resume=start, keep=keep, interventions=_calls(workspace, run)
        )
        _insert(run, events, set(missing), until, progress)
    return missing


def event_step(workspace: Workspace, run: Run, event: str) -> int:
    """The step of a phase event of a run, for `around:EVENT:...`."""
    workspace.analyze(run, ["phases"])
    table = workspace.table("phases", runs=run)
    found = table[(table["event"] == event) & table["at_step"].notna()]
    if found.empty:
        events = ", ".join(table.loc[table["at_step"].notna(), "event"])
        raise UsageError(f"run {run.name} has no event {event!r}; it has {events or 'none'}")
    return round(float(found["interpolated_step"].iloc[0]))


def replayed(workspace: Workspace, run: Run, step: int) -> Saved:
    """The state of a run at one of its checkpoints, trained again from the nearest one that was kept."""
    near = last_state(run, before=step)
    if near is not None and near.step == step:
        return near
    config = training_of(run).model_copy(update={"epochs": step})
    with one_thread():
        events = train(run.family, config, run.split, resume=near, keep=[step], interventions=_calls(workspace, run))
        saved = [event for event in events if isinstance(event, Saved)][-1]
    _must_equal(run, saved)
    return saved


def training_of(run: Run) -> Training:
    """The configuration a run was trained with. Imported runs have none."""
    if not run.record.training:
        raise UsageError(f"run {run.name} was imported: how it was trained is not known, so it cannot be trained further")
    return Training(**run.record.training)


def seconds_per_epoch(family: Family, training: Training) -> float:
    """Measured on a few updates, without the first; evaluations left out."""
    import time

    updates = 5 if training.device == "cpu" else 2_000  # a GPU's losses come in blocks
    config = training.model_copy(update={"epochs": updates + 1, "eval_every": updates + 2, "schedule": "at:0"})
    times = []
    with one_thread():
        for _ in train(family, config, family.split(), keep=[]):
            times.append(time.perf_counter())
    return (times[-1] - times[1]) / (len(times) - 2)


def configure_training(family: Family, training: Training | Mapping[str, Any] | None) -> Training:
    """The family's defaults, with overrides. Raises `UsageError` for a family without a model, or without the mode that is asked for."""
    from ..family import Family

    if family.weights_only:
        raise UsageError(
            f"family {type(family).__qualname__} has weights only: no model to train; of a module of yours, `strobe train ./mine.py:Mine`"
        )
    if not isinstance(training, Training):
        training = cast("Training", configured(Training, "training", {**family.training().model_dump(), **(training or {})}))
    if training.mode == "train" and type(family).training_forward is Family.training_forward:
        raise UsageError(f"family {type(family).__qualname__} has no train mode: its forward is the same in training; train it with mode=eval")
    return training


def describe(family_name: str, family: Family, training: Training, name: str, given: Mapping[str, Any], acting: Sequence[Named] = ()) -> RunRecord:
    """run.json of a new run. Its identity covers everything that moves the trajectory, and ends its readable name."""
    acts = [(a.name, a.code) for a in acting]
    identity = fingerprint(family_name, family.identity(), training.identity(), acts, versions()["torch"])
    said = [re.sub(r"[^\w.]+", "_", f"{key}{value}") for key, value in given.items() if key in type(family).model_fields]
    return RunRecord(
        name=name or "-".join([family_name, *said, identity[:4]]),
        family=family_name,
        parameters=family.model_dump(mode="json"),
        training=training.model_dump(mode="json"),
        identity=identity,
        state="training",
        interventions=[a.name for a in acting],
        versions=versions(),
    )


def refuse_family_name(workspace: Workspace, name: str) -> None:
    if name in {p.name for p in workspace.registry.all("family")}:
        raise UsageError(f"a run may not bear a family's name ({name}); choose another with --name")


@contextmanager
def held(run: Run) -> Iterator[None]:
    """One process at a time trains a run; a second one is told who holds it."""
    with (run.folder / ".training").open("a+") as f:
        try:
            fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            f.seek(0)
            raise StrobeError(f"run {run.name} is being trained by {f.read().strip() or 'another process'}; wait for it, or stop it first") from None
        f.truncate(0)
        f.write(f"process {os.getpid()} on {socket.gethostname()}")
        f.flush()
        yield


# --- events put on disk ------------------------------------------------------------------------------------------------------------------------


def _run_to_end(run: Run, training: Training, start: Saved | None, progress: OnEpoch | None, acting: Sequence[Named]) -> None:
    with one_thread():
        keeper = Keeper(run, training, progress)
        for event in train(run.family, training, run.split, resume=start, interventions=[a.call for a in acting]):
            keeper.take(event)
        keeper.finish()


def _share_prefix(run: Run, parent: Run, step: int) -> None:
    shared = [s for s in parent.steps if s <= step]
    for s in shared:
        data = parent.path(s).read_bytes()
        checkpoints.write_atomically(run.path(s), data)
    run.adopt_checkpoints({s: parent.digests[s] for s in shared})
    frame = parent.metrics
    write_metrics(run.folder / "metrics", runs.records(frame[frame["step"] <= step]), 0)


def _calls(workspace: Workspace, run: Run) -> list[Any]:
    return [a.call for a in named(workspace.registry, run.record.interventions)]


def _insert(run: Run, events: Iterable[Any], missing: set[int], until: int, progress: OnEpoch | None) -> None:
    """Add checkpoints as soon as the next stored one came out as it was."""
    pending: list[Saved] = []
    for event in events:
        if isinstance(event, Evaluated):
            if progress is not None:
                progress(event.step, until, event.row())
        elif event.step in missing:
            pending.append(event)
        else:
            _must_equal(run, event)
            if pending:
                decay = training_of(run).weight_decay
                rows = [{**saved.metrics.row(), "weight_decay": decay} for saved in pending if saved.metrics is not None]
                write_metrics(run.folder / "metrics", rows, max(run.steps) + 1)
                merge_metrics(run.folder / "metrics")
            for saved in pending:
                run.add_checkpoint(saved.step, saved.tensors)
            pending = []


def _must_equal(run: Run, saved: Saved) -> None:
    """That a checkpoint trained again is bitwise the stored one."""
    import torch

    stored = run.weights(saved.step)
    different = [name for name, tensor in saved.tensors.items() if not torch.equal(tensor, stored[name])]
    if different:
        made, here = run.record.versions, versions()
        raise StrobeError(
            f"run {run.name}: step {saved.step}, trained again, differs from the stored one in {', '.join(different)}; nothing was added after it. "
            f"It was made with torch {made.get('torch', '?')}, this is torch {here['torch']}: use the machine and the versions it was made with"
        )
