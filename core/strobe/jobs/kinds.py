"""The kinds of jobs: how each request is checked before it is queued, when two are the same, and how one is done."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import StrobeError, UsageError, did_you_mean
from ..storage.failures import HARMLESS
from .job import Prepared

if TYPE_CHECKING:
    from ..runs.run import Run
    from ..workspace import Workspace

SAID_EVERY = 0.2
"""Seconds between two notes of progress, besides those at checkpoints."""


class Reporter(Protocol):
    """Takes progress of a job, in epochs, cells or charts. Raises `LostJob` when the job is another's by now: then nothing may be written."""

    def begin(self, done: int, total: int) -> None:
        """Where this attempt starts: not at 0 when it goes on from an earlier one."""

    def __call__(self, done: int, total: int, note: str = "") -> None: ...


@dataclass(frozen=True)
class Kind:
    """What can be a job. `prepare` checks and completes a request (`UsageError` where it is wrong), `run` does it."""

    prepare: Callable[[Workspace, Mapping[str, Any]], Prepared]
    run: Callable[[Workspace, Mapping[str, Any], Reporter], None]


def kind_of(name: str) -> Kind:
    if name not in KINDS:
        raise UsageError(f"no job of kind {name!r}{did_you_mean(name, KINDS)}")
    return KINDS[name]


def _only(kind: str, request: Mapping[str, Any], known: tuple[str, ...]) -> None:
    for name in request:
        if name not in known:
            raise UsageError(f"a job of kind {kind!r} takes no {name!r}{did_you_mean(name, known)}")


# --- train ---------------------------------------------------------------------------------------------------------------------------------


def _prepare_train(workspace: Workspace, request: Mapping[str, Any]) -> Prepared:
    """What `Workspace.train` takes: `target`, `name`, `training`, `add`, `interventions`, and the family's parameters."""
    if not request.get("target"):
        raise UsageError("a job of kind 'train' needs a target: ws.submit('train', target='modular_addition', p=113)")
    given = {"name": "", "training": None, "add": "", "interventions": (), **request}
    target, training = workspace.named_target(given["target"]), given["training"]
    whole = {
        "target": target if isinstance(target, str) else target.name,
        "name": given["name"],
        "training": dict(training or {}) if isinstance(training, Mapping | None) else training.model_dump(mode="json", exclude_unset=True),
        "add": given["add"],
        "interventions": list(given["interventions"]),
        "parameters": {k: v for k, v in given.items() if k not in ("target", "name", "training", "add", "interventions")},
    }
    new = any(p.name == whole["target"] for p in workspace.registry.all("family"))
    return (_prepare_new if new else _prepare_more)(workspace, whole)


def _prepare_new(workspace: Workspace, whole: dict[str, Any]) -> Prepared:
    """A new run of a family. Its name is fixed now."""
    from ..analysis.plan import fingerprint
    from ..analysis.request import configured
    from ..runs.run import NAME
    from ..training.interventions import named
    from ..training.trainer import configure_training, describe, refuse_family_name

    plugin = workspace.registry.get("family", whole["target"])
    family = configured(plugin.load(), plugin.who, whole["parameters"])
    config = configure_training(family, whole["training"])
    record = describe(whole["target"], family, config, whole["name"], whole["parameters"], named(workspace.registry, whole["interventions"]))
    refuse_family_name(workspace, record.name)
    if not NAME.fullmatch(record.name):
        raise UsageError(f"run name {record.name!r}: letters, digits, '.', '_' and '-' only, starting with a letter or digit")
    whole = {**whole, "name": record.name, "training": config.model_dump(mode="json")}
    key = fingerprint(record.name, record.identity, config.epochs, record.parameters)
    return Prepared(whole, f"train {record.name}", record.name, key, _trained(workspace, record.name, record.identity, config.epochs))


def _trained(workspace: Workspace, name: str, identity: str, epochs: int) -> bool:
    from ..runs.run import Run

    folder = workspace.root / "runs" / name
    if not (folder / "run.json").is_file():
        return False
    run = Run(folder, workspace.registry)
    if run.record.identity != identity:
        raise UsageError(f"there is a run {name!r} already, with another configuration; choose another name")
    return run.record.state == "complete" and max(run.steps, default=-1) >= epochs


def _prepare_more(workspace: Workspace, whole: dict[str, Any]) -> Prepared:
    """More of a run: its rest, more epochs, more checkpoints, or a branch."""
    from ..analysis.plan import fingerprint

    base, at, step = whole["target"].partition("@")
    run = workspace.run(base)
    if at and (not step.isdigit() or int(step) not in run.steps):
        raise UsageError(f"{whole['target']!r}: write RUN@STEP with a step of a checkpoint; {run.name} has {', '.join(map(str, run.steps))}")
    steps = _kept(workspace, whole, lambda event: 0)
    finished = not at and not whole["add"] and run.record.state == "complete" and steps <= set(run.steps)
    what = f"add {whole['add']} to" if whole["add"] else "branch" if at else "go on with"
    return Prepared(whole, f"{what} {whole['target']}", run.name, fingerprint(whole, run.record.identity, run.digests), finished)


def _kept(workspace: Workspace, request: Mapping[str, Any], event: Callable[[str], int]) -> set[int]:
    """The steps at which a training is going to store something."""
    from ..analysis.request import configured
    from ..training import schedules
    from ..training.loop import Training
    from ..training.trainer import training_of

    if any(p.name == request["target"] for p in workspace.registry.all("family")):
        return set(Training(**request["training"]).steps())
    run = workspace.run(request["target"].partition("@")[0])
    if request["add"]:
        return {*run.steps, *schedules.steps(request["add"], max(run.steps, default=0), event)}
    return set(configured(Training, "training", {**training_of(run).model_dump(), **request["training"]}).steps())


def _train(workspace: Workspace, request: Mapping[str, Any], report: Reporter) -> None:
    from ..training.trainer import event_step

    kept = _kept(workspace, request, lambda event: event_step(workspace, workspace.run(request["target"]), event))
    given = {k: request[k] for k in ("name", "training", "add", "interventions")}
    workspace.train(request["target"], progress=_epochs(report, kept), **given, **request["parameters"])


def _epochs(report: Reporter, kept: set[int]) -> Callable[[int, int, Mapping[str, Any]], None]:
    """Progress of a training: at every step that is about to be kept, and now and then. A resumed one begins where its first epoch is."""
    said: float | None = None

    def moved(step: int, last: int, metrics: Mapping[str, Any]) -> None:
        nonlocal said
        if said is None:
            report.begin(max(step - 1, 0), last)
        if said is None or step in kept or time.monotonic() - said > SAID_EVERY:
            said = time.monotonic()
            loss = metrics.get("train_loss")
            report(step, last, "" if loss is None else f"train loss {loss:.3g}")

    return moved


# --- analyze -------------------------------------------------------------------------------------------------------------------------------


HOW: Mapping[str, Any] = {"executor": "local", "workers": None, "isolate": "third-party", "deadline": None, "memory": None}
"""How an analysis may be run, and how it is unless told otherwise."""


def _prepare_analyze(workspace: Workspace, request: Mapping[str, Any]) -> Prepared:
    """What `Workspace.analyze` takes: `runs`, `analyzers` (names or files), `settings`, `probe`, `steps`, and how to run it (`HOW`)."""
    from ..analysis import request as analysis
    from ..analysis.plan import fingerprint
    from ..isolation.limits import isolation

    _only("analyze", request, ("runs", "analyzers", "settings", "probe", "steps", *HOW))
    runs = [run.name for run in _runs(workspace, request.get("runs"))]
    analyzers = None if request.get("analyzers") is None else [_portable(a) for a in _listed(request["analyzers"]) or ()]
    whole = {
        "runs": runs,
        "analyzers": analyzers,
        "settings": request.get("settings") or None,
        "probe": request.get("probe", ""),
        "steps": None if request.get("steps") is None else sorted(request["steps"]),
        **{name: request.get(name) or default for name, default in HOW.items()},
    }
    isolation(whole["isolate"], whole["deadline"], whole["memory"], workspace.root)
    bound = {n: r.bound for n, r in analysis.recipes(workspace.registry, analyzers, whole["settings"]).items()}
    chosen = [(run, analysis.facts(run, whole["probe"])) for run in map(workspace.run, runs)]
    analysis.checked_steps(whole["steps"], [facts for _, facts in chosen])
    missing = sum(f.missing for f in analysis.preview(bound, chosen, workspace.store).forecasts)
    what = "all analyzers" if analyzers is None else ", ".join(analyzers)
    where = runs[0] if len(runs) == 1 else f"{len(runs)} runs"
    inputs = [(facts.name, facts.identity, facts.probe_digest, facts.checkpoints, facts.metrics) for _, facts in chosen]
    key = fingerprint(inputs, [(b.name, b.code, b.settings, b.signature) for b in bound.values()], *([whole["steps"]] if whole["steps"] else []))
    where += f" at step {whole['steps'][0]:,}" if whole["steps"] and len(whole["steps"]) == 1 else ""
    return Prepared(whole, f"analyze {where}: {what}", runs[0] if len(runs) == 1 else "", key, missing == 0)


def _listed(given: Any) -> list[Any] | None:
    return None if given is None else [given] if isinstance(given, str) or not isinstance(given, (list, tuple)) else list(given)


def _runs(workspace: Workspace, given: Any) -> list[Run]:
    wanted = _listed(given)
    found = workspace.runs() if wanted is None else [workspace.run(r) for r in wanted]
    if not found:
        raise UsageError(f"{workspace.root} has no runs: `strobe demo`, `strobe train` or `strobe import` makes one")
    return found


def _portable(analyzer: Any) -> str:
    """An analyzer that another process can find: a name, or a file by its absolute path."""
    if not isinstance(analyzer, str):
        raise UsageError(f"analyzer {analyzer!r} was defined in this session and cannot travel to a job: give its name, or save it to a file")
    path, marker, cls = analyzer.rpartition(".py:")
    return f"{Path(path + '.py').expanduser().resolve()}:{cls}" if marker else analyzer


def _analyze(workspace: Workspace, request: Mapping[str, Any], report: Reporter) -> None:
    preview = workspace.plan(request["runs"], request["analyzers"], settings=request["settings"], probe=request["probe"])
    steps = request.get("steps")
    expected = 1 if steps else sum(f.missing for f in preview.forecasts)  # the engine learns of later stages only when it comes to them
    report.begin(0, expected)
    found = workspace.analyze(
        request["runs"],
        request["analyzers"],
        settings=request["settings"],
        probe=request["probe"],
        steps=steps,
        **{name: request.get(name) or default for name, default in HOW.items()},
        progress=lambda p: report(p.done, max(p.total, expected), p.what),
    )
    for warning in found.warnings:
        print(f"warning: {warning}")
    if not found.ok:
        first = next(f for f in found.failures if f.kind not in HARMLESS)
        where = f"{first.analyzer}, run {first.run}{'' if first.step is None else f', step {first.step}'}"
        raise StrobeError(f"{len(found.failures)} of its cells failed, the rest is stored; the first: {where}: {first.message}")


# --- export --------------------------------------------------------------------------------------------------------------------------------


def _prepare_export(workspace: Workspace, request: Mapping[str, Any]) -> Prepared:
    """What `strobe.export.write_report` takes: `report` (a name, a YAML file, or `default`), or one `panel` as a report has it; `run`, `output` (the
    suffix says the format), `cursor`, `theme`, and `options` of the format."""
    from ..analysis.plan import fingerprint
    from ..export import checked_request

    _only("export", request, ("report", "panel", "run", "output", "cursor", "theme", "options"))
    if not request.get("output"):
        raise UsageError("a job of kind 'export' needs an output, the file to write")
    runs = _runs(workspace, request.get("run") or None)
    if len(runs) != 1:
        raise UsageError(f"which run? one of {', '.join(r.name for r in runs)}")
    name, output = str(request.get("report") or "default"), Path(request["output"]).expanduser().resolve()
    if name.endswith((".yaml", ".yml")):
        name = str(Path(name).expanduser().resolve())
    whole = {
        "report": name,
        "panel": request.get("panel") or None,
        "run": runs[0].name,
        "output": str(output),
        "cursor": dict(request.get("cursor") or {}),
        "theme": request.get("theme") or "light",
        "options": dict(request.get("options") or {}),
    }
    shown = checked_request(workspace, whole)
    only = dict(request.get("options") or {}).get("only") or ()
    some = ", ".join(map(str, [only] if isinstance(only, str | int) else only))
    what = shown.title if whole["panel"] else f"{name} ({some})" if some else name
    results = [(str(f), f.stat().st_mtime_ns) for f in sorted((workspace.root / "results").glob(f"*/{runs[0].name}/*/*/*.parquet"))]
    key = fingerprint(whole, shown.model_dump(mode="json"), results, runs[0].digests)
    return Prepared(whole, f"render {what} of {runs[0].name} as {output.suffix[1:]}", runs[0].name, key, output.is_file())


def _export(workspace: Workspace, request: Mapping[str, Any], report: Reporter) -> None:
    from ..export import write_request

    print(write_request(workspace, request, progress=report))


KINDS: Mapping[str, Kind] = {
    "train": Kind(_prepare_train, _train),
    "analyze": Kind(_prepare_analyze, _analyze),
    "export": Kind(_prepare_export, _export),
}
