"""From names and settings to a bound request: which analyzers, with what settings, on which runs, and what that would cost."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from ..analyzer import Analyzer
from ..errors import StrobeError, UsageError, did_you_mean
from ..registration.registry import Plugin, Registry
from ..runs.run import Run, metrics_digest
from ..storage.store import Address, Store
from .desk import Recipe
from .plan import Bound, Forecast, Preview, RunFacts, capture, not_applicable, result_key, site_bytes, stages

if TYPE_CHECKING:
    from pydantic import BaseModel

Settings = Mapping[str, Mapping[str, Any]]
"""Analyzer -> its settings."""
Wanted = Iterable["str | Analyzer | type[Analyzer]"]
"""Names, classes or instances of analyzers, or files as `./mine.py:Mine`."""


def configured(cls: type[BaseModel], who: str, settings: Mapping[str, Any]) -> Any:
    """An instance with settings; `UsageError` naming the setting, with the nearest known one."""
    for name in settings:
        if name not in cls.model_fields:
            raise UsageError(f"{who} has no setting {name!r}{did_you_mean(name, cls.model_fields)}")
    try:
        return cls(**settings)
    except ValidationError as e:
        problem = e.errors()[0]
        where = ".".join(map(str, problem["loc"])) or "settings"
        raise UsageError(f"{who}: {where} = {problem.get('input')!r}: {problem['msg']}") from e


def recipes(registry: Registry, wanted: Wanted | None, settings: Settings | None = None) -> dict[str, Recipe]:
    """Everything asked for and everything that consumes pulls in, bound to its settings. `None` wants every analyzer that is not opt-in."""
    given = dict(settings or {})
    if unknown := [n for n in given if n not in {p.name for p in registry.all("analyzer")}]:
        raise UsageError(f"no analyzer {unknown[0]!r} to set{did_you_mean(unknown[0], [p.name for p in registry.all('analyzer')])}")
    queue = _default_names(registry) if wanted is None else [_register(registry, w, given) for w in wanted]
    found: dict[str, Recipe] = {}
    while queue:
        name = queue.pop(0)
        if name not in found:
            found[name] = Recipe(_bind(registry.get("analyzer", name), given.get(name, {})), registry.get("analyzer", name).file)
            queue += found[name].bound.upstream
    stages({n: r.bound for n, r in found.items()})
    return found


def _default_names(registry: Registry) -> list[str]:
    """Usable analyzers that are not opt-in. A broken package is left out here: it raises when someone asks for *it*."""
    from ..errors import PluginError

    names = []
    for plugin in registry.all("analyzer"):
        with contextlib.suppress(PluginError):
            if not plugin.load().opt_in and not unreadable(registry, plugin):
                names.append(plugin.name)
    return names


def left_out(registry: Registry) -> list[str]:
    """Why analyzers that nobody asked for by name take no part: those that are broken, not those that somebody disabled."""
    from ..errors import PluginError

    found = []
    for plugin in registry.all("analyzer"):
        try:
            if plugin.state != "disabled" and (why := unreadable(registry, plugin)):
                found.append(f"left out: {why}")
        except PluginError as e:
            found.append(f"left out: {e}")
    return found


def unreadable(registry: Registry, plugin: Plugin) -> str:
    """Why a stranger's analyzer cannot have what it consumes (nobody gives it, or it reads itself in a circle), '' when it can."""
    if not plugin.load().upstream() or plugin.package == "strobe":
        return ""
    try:
        recipes(registry, [plugin.name])
    except StrobeError as e:
        return f"{plugin.who}: {e}"
    return ""


def _register(registry: Registry, wanted: Any, settings: dict[str, Mapping[str, Any]]) -> str:
    """The name under which something wanted can be found from now on."""
    if isinstance(wanted, str):
        if ".py:" not in wanted:
            return registry.get("analyzer", wanted).name
        return registry.add_file(wanted).name
    if isinstance(wanted, Analyzer):
        known = [
            p.name
            for p in registry.all("analyzer")
            if p.state == "ready" and p.entry is not None and p.entry.attr == type(wanted).__qualname__ and p.load() is type(wanted)
        ]
        name = known[0] if known else registry.add(type(wanted)).name
        settings[name] = {**wanted.model_dump(mode="json", exclude_unset=True), **settings.get(name, {})}
        return name
    return registry.add(wanted).name


def _bind(plugin: Plugin, settings: Mapping[str, Any]) -> Bound:
    return _bound(plugin, plugin.load(), settings) if settings else _as_it_is(plugin, plugin.load())


@lru_cache(maxsize=512)
def _as_it_is(plugin: Plugin, cls: type[Analyzer]) -> Bound:
    """With its default settings: kept, as every chart asks where its tables lie."""
    return _bound(plugin, cls, {})


def _bound(plugin: Plugin, cls: type[Analyzer], settings: Mapping[str, Any]) -> Bound:
    from ..schema import signature

    analyzer = configured(cls, plugin.who, settings)
    canonical_settings = json.dumps(json.loads(analyzer.model_dump_json()), sort_keys=True)
    return Bound(
        plugin.name,
        plugin.contract.category,
        plugin.code,
        canonical_settings,
        signature(cls.Row),
        plugin.contract.arguments,
        cls.upstream(),
        tuple(cls.sites.items()),
        tuple(cls.families),
        cls.scope,
        tuple((name, tuple(values)) for name, values in cls.where.items()),
        cls.answers or ("classes" if plugin.contract.category == "outputs" else "any"),
    )


def facts(run: Run, probe: str = "", *, metrics: bool = True) -> RunFacts:
    """What a plan must know of a run."""
    family, plugin = run.family, run.registry.get("family", run.record.family)
    identity = family.identity()
    probed = _probed(run, probe, plugin.code, identity) if probe or not family.weights_only else ("", "")
    recorded = run.metrics if metrics else None  # every chart asks, and needs none of it
    return RunFacts(
        run.name,
        run.record.family,
        identity,
        plugin.code,
        run.digests,
        metrics_digest(recorded) if recorded is not None else "",
        *probed,
        family.sites(),
        family.read_out,
        family.weights_only,
        recorded is None or len(recorded) > 0,
        family.regression,
    )


def _probed(run: Run, probe: str, code: str, identity: Mapping[str, Any]) -> tuple[str, str]:
    """Name and digest of a probe. Kept for the same code, parameters and split: it takes a batch of inputs to know, and every chart asks."""
    split = run.folder / "split.safetensors"
    about = (s.st_ino, s.st_size, s.st_mtime_ns) if (s := split.stat() if split.is_file() else None) else ()
    known = (str(run.folder), probe, code, json.dumps(identity, sort_keys=True, default=str), about)
    if (found := _probes.get(known)) is None:
        given = run.probe(probe)
        found = _probes[known] = (given.name, given.digest)
        if len(_probes) > MOST_PROBES:
            _probes.clear()
            _probes[known] = found
    return found


MOST_PROBES = 1024
_probes: dict[tuple[Any, ...], tuple[str, str]] = {}


def checked_steps(steps: Iterable[int] | None, runs: Sequence[RunFacts]) -> frozenset[int] | None:
    """The steps that were asked for, None for all. Raises `UsageError` for one at which no run has a checkpoint."""
    if steps is None:
        return None
    wanted, known = frozenset(steps), {step for about in runs for step in about.checkpoints}
    if odd := sorted(wanted - known):
        near = ", ".join(f"{step:,}" for step in sorted(sorted(known), key=lambda step: abs(step - odd[0]))[:3])
        raise UsageError(f"no checkpoint at step {odd[0]:,}; the nearest are at {near}")
    return wanted


def address(bound: Mapping[str, Bound], name: str, about: RunFacts | None) -> Address:
    from .plan import probe_of

    b = bound[name]
    return Address(name, None if about is None else about.name, probe_of(b, about), result_key(bound, name, about))


def preview(bound: Mapping[str, Bound], runs: Sequence[tuple[Run, RunFacts]], store: Store) -> Preview:
    """What analyze would do, from digests and footers alone. Cells whose upstream rows are not there yet count as missing."""
    forecasts: list[Forecast] = []
    captured: dict[str, int] = {}
    forwards: set[tuple[str, int]] = set()
    read: set[tuple[str, int]] = set()
    for run, about in runs:
        applicable = [n for n in bound if not not_applicable(bound, n, about)]
        passes = len(forwards)
        for name, b in bound.items():
            if name not in applicable:
                forecasts.append(Forecast(about.name, name, b.category, "not applicable", 0, 0, not_applicable(bound, name, about)))
                continue
            missing = _missing_steps(bound, name, about, store)
            state = "computed" if missing else "stored"
            forecasts.append(Forecast(about.name, name, b.category, state, len(about.checkpoints) if b.is_step else 1, len(missing)))
            if b.is_step:
                read |= {(about.name, s) for s in missing if s is not None}
                forwards |= {(about.name, s) for s in missing if s is not None and b.needs_forward}
        if len(forwards) > passes:
            captured |= _captured(bound, applicable, run, about)
    return Preview(tuple(forecasts), len(forwards), len(read), captured)


def _missing_steps(bound: Mapping[str, Bound], name: str, about: RunFacts, store: Store) -> list[int | None]:
    entries = store.entries(address(bound, name, about if bound[name].scope == "run" else None))
    if bound[name].is_step:
        return [s for s in sorted(about.checkpoints) if s not in entries]
    return [] if entries else [None]


def _captured(bound: Mapping[str, Bound], names: Iterable[str], run: Run, about: RunFacts) -> dict[str, int]:
    probe = run.probe(about.probe)
    batch, positions, *_ = *probe.inputs.shape, 1
    sizes = {"batch": batch, **dict.fromkeys(("pos", "query", "key"), positions)}
    plan = capture(bound, names, about.sites, about.read_out)
    sizes_of = {
        site: sum(site_bytes(about.sites[site], sizes, where, query=site.endswith(("pattern", "scores"))) for where in positions)
        for site, positions in plan.wanted.items()
    }
    return {f"{about.name}:{site}": n for site, n in sizes_of.items()}
