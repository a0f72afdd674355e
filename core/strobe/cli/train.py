"""train: new runs, sweeps, more of a run, branches; and what that would cost."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..analysis.request import configured
from ..errors import UsageError, did_you_mean
from ..workspace import Workspace
from .output import Bar, parse_value, print_json, progress_bar
from .runs import last_metrics_text

if TYPE_CHECKING:
    from ..runs.run import Run


@dataclass(frozen=True)
class Asked:
    """What is typed after `strobe train`."""

    target: str
    settings: tuple[str, ...] = ()
    sweep_file: str = ""
    schedule: str = ""
    epochs: int = 0
    name: str = ""
    add: str = ""
    interventions: tuple[str, ...] = ()
    resume: bool = False

    def overrides(self) -> dict[str, Any]:
        """Settings of the training that have an option of their own."""
        return {**({"schedule": self.schedule} if self.schedule else {}), **({"epochs": self.epochs} if self.epochs else {})}


@dataclass(frozen=True)
class Request:
    """One training, as `Workspace.train` takes it."""

    target: str
    name: str
    training: Mapping[str, Any]
    parameters: Mapping[str, Any]
    add: str = ""
    interventions: tuple[str, ...] = ()

    def arguments(self) -> dict[str, Any]:
        """Keyword arguments besides the target."""
        given = {"name": self.name, "training": dict(self.training), "add": self.add, "interventions": list(self.interventions)}
        return {**{k: v for k, v in given.items() if v}, **self.parameters}


def train(root: Path, asked: Asked, dry_run: bool, as_json: bool, quiet: bool) -> None:
    workspace = Workspace(root)
    found = requests(workspace, asked)
    if dry_run:
        forecasts = [forecast(workspace, request) for request in found]
        if as_json:
            print_json(forecasts)
        else:
            print_forecasts(forecasts)
        return
    for run in train_at_once(workspace, found, quiet) if stackable(found) else (train_one(workspace, request, quiet) for request in found):
        print(f"{run.name}: {len(run.steps)} checkpoints, {last_metrics_text(run)}")


def requests(workspace: Workspace, asked: Asked) -> list[Request]:
    """What a command line asks for: one training, or every combination of a sweep."""
    asked = replace(asked, target=str(workspace.named_target(asked.target)))
    new = any(p.name == asked.target for p in workspace.registry.all("family"))
    if new and (asked.add or asked.resume):
        option = "--add" if asked.add else "--resume"
        raise UsageError(f"{option} is for a run that exists, and {asked.target!r} is a family; `strobe runs` lists runs")
    variants = [{**a, **b} for a in sweep(named_sets(workspace, asked.settings)) for b in sweep_of_file(asked.sweep_file)]
    if asked.name and len(variants) > 1:
        raise UsageError(f"--name {asked.name}: a sweep of {len(variants)} runs cannot share one name; leave --name out")
    found = []
    for settings in variants:
        parameters, training = divide(workspace, asked.target, settings) if new else ({}, settings)
        found.append(Request(asked.target, asked.name, {**training, **asked.overrides()}, parameters, asked.add, asked.interventions))
    return found


def stackable(found: Sequence[Request]) -> bool:
    """Whether a sweep goes through the GPU at once: new runs of a family that differ in its parameters only."""
    first = found[0]
    return len(found) > 1 and first.training.get("device") == "cuda" and all(r.training == first.training and not r.interventions for r in found)


def train_at_once(workspace: Workspace, found: Sequence[Request], quiet: bool) -> list[Run]:
    from ..training.stacks import train_runs

    with progress_bar(quiet, f"training {len(found)} runs") as bar:
        variants = [request.parameters for request in found]
        return train_runs(workspace, found[0].target, variants, training=found[0].training, progress=reported(bar))


def train_one(workspace: Workspace, request: Request, quiet: bool) -> Run:
    with progress_bar(quiet, "training") as bar:
        return workspace.train(request.target, progress=reported(bar), **request.arguments())


def reported(bar: Bar) -> Callable[[int, int, Mapping[str, Any]], None]:
    """Progress of a training, on a bar."""

    def moved(step: int, last: int, metrics: Mapping[str, Any]) -> None:
        if step % 10 == 0 or step == last:
            loss = metrics["train_loss"]
            bar(step, last, "" if loss is None else f"train loss {loss:.3g}")

    return moved


def sweep(given: Sequence[str]) -> list[dict[str, Any]]:
    """Every combination of the values that commas separate: `p=97,113` and `seed=0,1` make four."""
    axes = []
    for item in given:
        name, equals, text = item.partition("=")
        if not equals or not name:
            raise UsageError(f"--set {item!r}: write NAME=VALUE, for example --set p=113")
        whole = text.startswith(("[", "{", '"')) or ":" in text
        axes.append([(name, parse_value(v)) for v in ([text] if whole else text.split(","))])
    return [dict(combination) for combination in itertools.product(*axes)]


def sweep_of_file(file: str) -> list[dict[str, Any]]:
    """A sweep from YAML: a mapping of lists is every combination, a list of mappings is taken as it is."""
    if not file:
        return [{}]
    data = _yaml(Path(file))
    if isinstance(data, list) and all(isinstance(entry, dict) for entry in data):
        return data
    if not isinstance(data, dict):
        raise UsageError(f"sweep {file}: write a mapping of settings to lists of values, or a list of mappings")
    axes = [[(name, v) for v in (values if isinstance(values, list) else [values])] for name, values in data.items()]
    return [dict(combination) for combination in itertools.product(*axes)]


def named_sets(workspace: Workspace, given: Sequence[str]) -> list[str]:
    """`--set @NAME` stands for the settings of that name in the workspace's sets.yaml."""
    found: list[str] = []
    for item in given:
        if not item.startswith("@"):
            found.append(item)
            continue
        file = workspace.root / "sets.yaml"
        sets = _yaml(file) if file.is_file() else {}
        if item[1:] not in sets:
            raise UsageError(
                f"--set {item}: {file} has no set {item[1:]!r}{did_you_mean(item[1:], sets)}; write `{item[1:]}: {{p: 97, seed: 1}}` there"
            )
        found += [f"{name}={_text(value)}" for name, value in sets[item[1:]].items()]
    return found


def _text(value: Any) -> str:
    import json

    return value if isinstance(value, str) else json.dumps(value)


def _yaml(file: Path) -> Any:
    import yaml

    try:
        return yaml.safe_load(file.read_text()) or {}
    except FileNotFoundError:
        raise UsageError(f"{file} does not exist") from None
    except yaml.YAMLError as e:
        problem = str(e).replace(chr(10), " ")
        raise UsageError(f"{file} is not valid YAML: {problem}") from e


def divide(workspace: Workspace, family: str, settings: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Settings of the family, and of the training."""
    from ..training.loop import Training

    of_family, of_training = set(workspace.registry.family(family).model_fields), set(Training.model_fields)
    for setting in settings:
        if setting not in of_family | of_training:
            raise UsageError(f"neither {family} nor its training has a setting {setting!r}{did_you_mean(setting, of_family | of_training)}")
    return {k: v for k, v in settings.items() if k in of_family}, {k: v for k, v in settings.items() if k not in of_family}


def forecast(workspace: Workspace, request: Request) -> dict[str, Any]:
    """Steps, bytes of checkpoints and estimated seconds of a training, from a few updates of the real thing."""
    from ..training import trainer

    plugin = workspace.registry.find(request.target)[0] if "@" not in request.target else None
    if plugin is None or plugin.kind != "family":
        raise UsageError("--dry-run shows new runs of a family; for a run, `strobe runs` shows what it has")
    family = configured(plugin.load(), plugin.who, request.parameters)
    config = trainer.configure_training(family, request.training)
    record = trainer.describe(request.target, family, config, request.name, request.parameters)
    size = sum(4 * _product(shape) for shape in family.parameters().values())
    per_epoch = trainer.seconds_per_epoch(family, config)
    steps = list(config.steps())
    return {"run": record.name, "epochs": config.epochs, "steps": steps, "bytes": size * len(steps), "seconds": round(per_epoch * config.epochs, 1)}


def _product(shape: Sequence[int]) -> int:
    product = 1
    for n in shape:
        product *= n
    return product


def print_forecasts(forecasts: Sequence[Mapping[str, Any]]) -> None:
    for f in forecasts:
        print(f"{f['run']}: {f['epochs']:,} epochs, {len(f['steps'])} checkpoints, {f['bytes'] / 1e6:.1f} MB, about {f['seconds']:,.0f} s")
        print(f"  steps {', '.join(map(str, f['steps']))}")
