"""train, import, runs, sites."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..analysis import configured
from ..errors import UsageError, did_you_mean
from ..workspace import Workspace
from .output import parse_settings, parse_value, print_json, print_table, progress_bar

if TYPE_CHECKING:
    from ..runs import Run


def train(root: Path, family: str, given: Sequence[str], schedule: str, epochs: int, name: str, quiet: bool) -> None:
    workspace = Workspace(root)
    variants = list(sweep(given))
    if name and len(variants) > 1:
        raise UsageError(f"--name {name}: a sweep of {len(variants)} runs cannot share one name; leave --name out")
    overrides = {**({"schedule": schedule} if schedule else {}), **({"epochs": epochs} if epochs else {})}
    for settings in variants:
        parameters, training = divide(workspace, family, settings)
        run = train_one(workspace, family, name, {**training, **overrides}, parameters, quiet)
        print(f"{run.name}: {len(run.steps)} checkpoints, {last_metrics_text(run)}")


def train_one(workspace: Workspace, family: str, name: str, training: Any, parameters: Mapping[str, Any], quiet: bool) -> Run:
    with progress_bar(quiet, "training") as bar:

        def moved(step: int, last: int, metrics: Mapping[str, Any]) -> None:
            if step % 10 == 0 or step == last:
                bar(step, last, f"train loss {metrics['train_loss']:.3g}")

        return workspace.train(family, name=name, training=training or None, progress=moved, **parameters)


def sweep(given: Sequence[str]) -> list[dict[str, Any]]:
    """Every combination of the values that commas separate: `p=97,113` and `seed=0,1` make four."""
    axes = []
    for item in given:
        name, equals, text = item.partition("=")
        if not equals or not name:
            raise UsageError(f"--set {item!r}: write NAME=VALUE, for example --set p=113")
        values = [text] if text.startswith(("[", "{", '"')) else text.split(",")
        axes.append([(name, parse_value(v)) for v in values])
    return [dict(combination) for combination in itertools.product(*axes)]


def divide(workspace: Workspace, family: str, settings: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Settings of the family, and of the training."""
    from ..training import Training

    of_family, of_training = set(workspace.registry.family(family).model_fields), set(Training.model_fields)
    for setting in settings:
        if setting not in of_family | of_training:
            raise UsageError(f"neither {family} nor its training has a setting {setting!r}{did_you_mean(setting, of_family | of_training)}")
    return {k: v for k, v in settings.items() if k in of_family}, {k: v for k, v in settings.items() if k not in of_family}


def import_run(root: Path, path: Path, family: str, given: Sequence[str], name: str, mapping: str, metrics: str) -> None:
    run = Workspace(root).import_run(path, family, name=name, map=mapping or None, metrics=metrics or None, **parse_settings(given))
    print(f"{run.name}: {len(run.steps)} checkpoints (steps {run.steps[0]:,} to {run.steps[-1]:,}), {len(run.metrics):,} rows of metrics")
    print(f"next: strobe analyze {run.name}")


def list_runs(root: Path, as_json: bool) -> None:
    runs = [described(run) for run in Workspace(root).runs()]
    if as_json:
        print_json(runs)
        return
    rows = [{**r, "steps": len(r["steps"]), "last": r["steps"][-1] if r["steps"] else None, **r["last_metrics"]} for r in runs]
    columns = ["name", "family", "steps", "last", "train_loss", "test_loss", "test_accuracy"]
    print_table(rows, columns, f"{root} has no runs: `strobe demo`, `strobe train` or `strobe import` makes one")


def described(run: Run) -> dict[str, Any]:
    """A run as `strobe runs --json` lists it."""
    return {
        "name": run.name,
        "family": run.record.family,
        "parameters": run.record.parameters,
        "steps": list(run.steps),
        "last_metrics": last_metrics(run),
    }


def last_metrics(run: Run) -> dict[str, Any]:
    """The latest recorded value of each metric."""
    frame = run.metrics
    return {str(n): (None if (v := frame[n].dropna()).empty else v.iloc[-1].item()) for n in frame.columns}


def last_metrics_text(run: Run) -> str:
    last = last_metrics(run)
    losses = [f"{n.replace('_', ' ')} {last[n]:.3g}" for n in ("train_loss", "test_loss") if last.get(n) is not None]
    return ", ".join(losses) or "no metrics"


def sites(root: Path, model: str, given: Sequence[str], as_json: bool) -> None:
    workspace = Workspace(root)
    if any(p.name == model for p in workspace.registry.all("family")):
        plugin = workspace.registry.get("family", model)
        family = configured(plugin.load(), plugin.who, parse_settings(given))
    else:
        family = workspace.run(model).family
    rows = [{"what": "site", "name": n, "shape": list(s)} for n, s in family.sites().items()]
    rows += [{"what": "parameter", "name": n, "shape": list(s)} for n, s in family.parameters().items()]
    if as_json:
        print_json(rows)
    else:
        print_table([{**r, "shape": " x ".join(map(str, r["shape"]))} for r in rows], ["what", "name", "shape"], "no sites")
