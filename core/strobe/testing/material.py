"""What a hook is handed, made of a tiny run: as the engine would, without a workspace. Upstream rows come from the upstream analyzers themselves."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ..analyzer import Analyzer
from ..arguments import Activations, Attention, Checkpoints, Context, Outputs, Probe, Results
from ..errors import PluginError
from ..hookspecs import STEP
from ..loss import Loss, Split
from ..registration.registry import Plugin, Registry
from ..sites import Positions, Tap
from ..weights import Weights
from .findings import NotMeant
from .tiny import TinyRun, families, read_only, smallest, tiny_run

if TYPE_CHECKING:
    import pandas as pd
    import torch

    from ..analysis.plan import Bound
    from ..family import Family

STEP_OF_CHECKS = 20
Wrap = Callable[[str, Any], Any]


@dataclass(frozen=True, eq=False)
class Given:
    """The arguments of one call, and everything in them that must not change, by the name an author would use."""

    arguments: Mapping[str, Any]
    watched: Mapping[str, Any] = field(default_factory=dict)


class Material:
    """Makes the arguments of one analyzer, anew for each call."""

    def __init__(self, cls: type[Analyzer], family: Family | None = None, registry: Registry | None = None, name: str = "") -> None:
        self.registry = registry or Registry.discover()
        plugin = next((p for p in self.registry.all("analyzer") if p.name == name), None) if name else None
        self.plugin = plugin or _registered(self.registry, cls)
        self.cls = cls
        self.family = family or suited(self.registry, self.plugin)

    @functools.cached_property
    def runs(self) -> list[TinyRun]:
        """One run, or with `scope = "runs"` three that differ in their seed."""
        if self.cls.scope == "run":
            return [tiny_run(self.family)]
        return [tiny_run(_seeded(self.family, seed), name=f"tiny-{seed}") for seed in range(3)]

    def given(self, names: Sequence[str], step: int | None = None, change: Change | None = None) -> Given:
        """The arguments of those names. A `change` is what a check does to the run before anything is made of it."""
        change, category = change or Change(), self.plugin.contract.category
        at = (STEP_OF_CHECKS if step is None else step) if category in STEP else None
        return _Maker(self, category, at, change).given(names)

    def upstream(self, name: str, step: int | None, change: Change) -> pd.DataFrame:
        """Rows of an analyzer it consumes, of all runs; of one step (and of none) when a step is given."""
        rows: pd.DataFrame = change.results(_rows_of(self, name))
        if step is None or "step" not in rows:
            return rows.copy(deep=True)
        return rows[(rows["step"] == step) | rows["step"].isna()].reset_index(drop=True)


@dataclass(frozen=True, eq=False)
class Change:
    """How a check spoils what a run holds. The defaults spoil nothing."""

    tensors: Callable[[Mapping[str, Any]], Mapping[str, Any]] = lambda tensors: tensors
    metrics: Callable[[Any], Any] = lambda table: table
    results: Callable[[Any], Any] = lambda table: table
    probe: Callable[[Probe], Probe] = lambda probe: probe
    steps: Callable[[tuple[int, ...]], tuple[int, ...]] = lambda steps: steps


class _Maker:
    """The arguments of one call."""

    def __init__(self, material: Material, category: str, step: int | None, change: Change) -> None:
        self.material, self.category, self.step, self.change = material, category, step, change
        self.run = material.runs[0]
        self.probe = _copied(change.probe(self.run.probe))
        self.watched: dict[str, Any] = {}

    def given(self, names: Sequence[str]) -> Given:
        arguments = {name: getattr(self, f"_{name}")() for name in names}
        return Given(arguments, self.watched)

    @functools.cached_property
    def tensors(self) -> dict[str, torch.Tensor]:
        assert self.step is not None
        return read_only(self.change.tensors(self.run.checkpoints[self.step]))

    @functools.cached_property
    def captured(self) -> dict[tuple[str, Positions], torch.Tensor]:
        from .tiny import forward

        family = self.run.family
        takes = _takes(self.material.registry, self.material.plugin, family)
        return forward(family, self.tensors, self.probe.inputs, takes) if takes else {}

    def _weights(self) -> Weights:
        self.watched |= {f"weights[{n!r}]": t for n, t in self.tensors.items()}
        return Weights(self.tensors, source=f"run {self.run.name} step {self.step}", buffers=self.run.family.buffers())

    def _activations(self) -> Activations:
        found = Activations({site: tensor for (site, _), tensor in self.captured.items()})
        self.watched |= {f"activations[{site!r}]": tensor for site, tensor in found.items()}
        return found

    def _attention(self) -> Attention:
        patterns = {int(site.split(".")[1]): t for (site, _), t in self.captured.items() if site.endswith("attn.pattern")}
        self.watched |= {f"attention[{layer}]": tensor for layer, tensor in patterns.items()}
        return Attention(patterns)

    def _outputs(self) -> Outputs:
        logits = next(t for (site, _), t in self.captured.items() if site == "logits")
        self.watched |= {"outputs.logits": logits, "outputs.targets": self.probe.targets}
        return Outputs(logits, self.probe.targets, self.probe.splits)

    def _probe(self) -> Probe:
        self.watched |= {"probe.inputs": self.probe.inputs, "probe.targets": self.probe.targets}
        self.watched |= {f"probe.splits[{name!r}]": mask for name, mask in self.probe.splits.items()}
        return self.probe

    def _loss(self) -> Loss:
        fixed = {n: self.tensors[n] for n in self.run.family.buffers()}
        loss = Loss(objective(self.run.family, self.probe, fixed), {n: self.tensors[n] for n in self.run.family.parameters()})
        self.watched |= {f"loss.weights[{n!r}]": t for n, t in loss.weights.items()}
        return loss

    def _checkpoints(self) -> Any:
        made = {run.name: self._of_run(run) for run in self.material.runs}
        return made if self.material.cls.scope == "runs" else made[self.run.name]

    def _of_run(self, run: TinyRun) -> Checkpoints:
        tensors = {step: read_only(self.change.tensors(run.checkpoints[step])) for step in self.change.steps(run.steps)}
        self.watched |= {f"checkpoints[{s}][{n!r}]": t for s, named in tensors.items() for n, t in named.items()}
        buffers = run.family.buffers()
        return Checkpoints(tuple(tensors), lambda step: Weights(tensors[step], source=f"run {run.name} step {step}", buffers=buffers))

    def _metrics(self) -> pd.DataFrame:
        import pandas as pd

        table: pd.DataFrame
        if self.material.cls.scope == "runs":
            table = pd.concat([self.change.metrics(run.metrics).assign(run=run.name) for run in self.material.runs], ignore_index=True)
        else:
            table = self.change.metrics(self.run.metrics).copy(deep=True)
        self.watched["metrics"] = table
        return table

    def _results(self) -> Results:
        results = Results({name: self.material.upstream(name, self.step, self.change) for name in self.material.cls.upstream()})
        self.watched |= {f"results[{name!r}]": table for name, table in results.items()}
        return results

    def _context(self) -> Context:
        if self.material.cls.scope == "runs":
            parameters = {r.name: {**r.record, **r.family.model_dump(mode="json"), "family": r.family_name} for r in self.material.runs}
            return Context("*", None, None, parameters=parameters)
        return Context(self.run.name, self.step, self.run.family)


def objective(family: Family, probe: Probe, buffers: Mapping[str, Any] | None = None) -> Callable[[Mapping[str, Any], Split], Any]:
    """(weights, split or indices of inputs) -> mean loss over that part of the probe, differentiable; `buffers` stay as they are."""

    def mean_loss(weights: Mapping[str, Any], split: Split) -> Any:
        rows = split if not isinstance(split, str) else slice(None) if split == "all" and "all" not in probe.splits else probe.splits[split]
        logits = family.forward({**(buffers or {}), **weights}, probe.inputs[rows], Tap())
        return family.loss(logits.double(), probe.targets[rows]).mean()

    return mean_loss


def suited(registry: Registry, plugin: Plugin) -> Family:
    """The smallest member of the first installed family that an analyzer applies to; raises `NotMeant` saying why none does."""
    from ..analysis.plan import not_applicable

    bound, reasons = _closure(registry, plugin), []
    for candidate in families(registry):
        try:
            family = smallest(candidate.load())
        except PluginError as e:
            reasons.append(str(e))
            continue
        if not (why := not_applicable(bound, plugin.name, _facts(candidate.name, family))):
            return family
        reasons.append(f"{candidate.name}: {why}")
    raise NotMeant(f"it applies to no installed family ({'; '.join(reasons)}); set `family = YourFamily(...)` in the test, or install the family")


def _closure(registry: Registry, plugin: Plugin) -> dict[str, Bound]:
    """An analyzer and everything it reads, bound to default settings. Raises `StrobeError` for one that is missing, or a circle."""
    from ..analysis.request import recipes

    return {name: recipe.bound for name, recipe in recipes(registry, [plugin.name]).items()}


def _facts(name: str, family: Family) -> Any:
    from ..analysis.plan import RunFacts

    return RunFacts("tiny", name, family.identity(), "", {0: ""}, "", "", "", family.sites(), family.read_out, family.weights_only)


def _takes(registry: Registry, plugin: Plugin, family: Family) -> dict[str, Positions]:
    from ..analysis.plan import capture

    bound = {plugin.name: _closure(registry, plugin)[plugin.name]}
    return dict(capture(bound, [plugin.name], family.sites(), family.read_out).takes.get(plugin.name, {}))


def _registered(registry: Registry, cls: type[Analyzer]) -> Plugin:
    """The installed plugin that a class is, else the class registered by hand."""
    value = f"{cls.__module__}:{cls.__qualname__}"
    found = next(
        (p for p in registry.all("analyzer") if p.given is cls or (p.entry is not None and p.entry.value == value and p.state == "ready")), None
    )
    return found or registry.add(cls)


def _seeded(family: Family, seed: int) -> Family:
    """The same member from another seed, where its family has one."""
    return type(family)(**{**family.model_dump(), "seed": seed}) if "seed" in type(family).model_fields else family


def _copied(probe: Probe) -> Probe:
    splits = read_only(probe.splits)
    named = read_only({"inputs": probe.inputs, "targets": probe.targets})
    return replace(probe, inputs=named["inputs"], targets=named["targets"], splits=splits, table=None if probe.table is None else probe.table.copy())


def _rows_of(material: Material, name: str) -> pd.DataFrame:
    """All rows of an analyzer over the runs of a material, as they would be stored."""
    import pandas as pd

    tables = [t for run in material.runs if (t := stored_rows(material.registry, name, run)) is not None]
    return tables[0] if len(tables) == 1 else pd.concat(tables, ignore_index=True)


_tables: dict[tuple[Any, ...], Any] = {}


def stored_rows(registry: Registry, name: str, run: TinyRun) -> pd.DataFrame | None:
    """Rows of an installed analyzer on a tiny run, run, step and probe in front. Computed once per process."""
    from ..schema import to_pandas

    key = (name, registry.get("analyzer", name).code, type(run.family), run.family.model_dump_json(), run.name, run.steps)
    if key not in _tables:
        _tables[key] = _computed(registry, name, run)
    return to_pandas(_tables[key])


def _computed(registry: Registry, name: str, run: TinyRun) -> Any:
    import pyarrow as pa

    from ..analysis.plan import NEEDS_PROBE
    from ..storage.parts import stamp
    from .running import made

    plugin = registry.get("analyzer", name)
    cls = plugin.load()
    material = Material(cls, run.family, registry, name)
    material.__dict__["runs"] = [run]
    category = plugin.contract.category
    probe = run.probe.name if category in NEEDS_PROBE else None
    steps: Sequence[int | None] = run.steps if category in STEP else [None]
    tables = [stamp(made(cls(), plugin.contract, material.given(plugin.contract.arguments, step)).table, run.name, step, probe) for step in steps]
    return pa.concat_tables(tables) if len({str(t.schema) for t in tables}) == 1 else pa.concat_tables([t for t in tables if len(t)] or tables[:1])
