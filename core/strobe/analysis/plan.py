"""What must run. Pure functions over frozen dataclasses: a plan can be printed and tested without torch.

Analyzers run in three stages. *before*: what step analyzers consume (weights, trajectory, results of those; no forward). *steps*: every other
analyzer whose unit is one checkpoint, all on one forward. *after*: everything derived, in topological order.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from typing import Any

from ..errors import UsageError
from ..sites import Last, Positions, resolve, union, unmatched

PASS = ("activations", "attention", "outputs")
STEP = ("weights", *PASS, "landscape")
NEEDS_PROBE = (*PASS, "landscape")
NO_METRICS = "nothing of this run's training was recorded: import its losses with --metrics FILE.csv"
FOR_CLASSES = "made for answers that are classes; the targets of this run are values"
FOR_VALUES = "made for a regression; the targets of this run are classes"
NO_MODEL = "this run has weights only, no model to run: import its checkpoints with --family NAME, or with a ModuleFamily, --family ./mine.py:Mine"


def fingerprint(*parts: Any) -> str:
    """SHA-256 of the canonical JSON of its arguments, as hexadecimal."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


@dataclass(frozen=True)
class Bound:
    """An analyzer as requested: its code and settings, what it asks for, and what it reads."""

    name: str
    category: str
    code: str
    settings: str
    signature: str
    arguments: tuple[str, ...] = ()
    upstream: tuple[str, ...] = ()
    sites: tuple[tuple[str, Positions], ...] = ()
    families: tuple[str, ...] = ()
    scope: str = "run"
    where: tuple[tuple[str, tuple[Any, ...]], ...] = ()
    answers: str = "any"

    @property
    def is_step(self) -> bool:
        return self.category in STEP

    @property
    def needs_forward(self) -> bool:
        return self.category in PASS

    def requests(self, read_out: Positions) -> dict[str, Positions]:
        """Site patterns it needs captured, those its arguments imply included; `outputs` means the logits at the family's read-out position."""
        wanted = dict(self.sites)
        if "attention" in self.arguments and not any(p.endswith("attn.pattern") for p in wanted):
            wanted["blocks.*.attn.pattern"] = Positions()
        if "outputs" in self.arguments:
            wanted["logits"] = read_out
        return wanted


@dataclass(frozen=True)
class RunFacts:
    """What a plan must know of a run: everything that decides its keys, and nothing that needs torch."""

    name: str
    family: str
    identity: Mapping[str, Any]
    family_code: str
    checkpoints: Mapping[int, str]
    metrics: str
    probe: str
    probe_digest: str
    sites: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    read_out: Positions = field(default_factory=Last)
    weights_only: bool = False
    recorded: bool = True
    """Whether its training recorded anything."""
    regression: bool = False
    """Whether its targets are values, not classes."""


@dataclass(frozen=True)
class Cell:
    """One (analyzer, run, probe, step): the unit that is computed once. `key` changes with anything that moves its rows."""

    analyzer: str
    run: str | None
    probe: str | None
    step: int | None
    key: str


@dataclass(frozen=True)
class Stages:
    """Analyzer names in the order they run."""

    before: tuple[str, ...]
    steps: tuple[str, ...]
    after: tuple[str, ...]


def stages(bound: Mapping[str, Bound]) -> Stages:
    """Sort a request into stages. Raises `UsageError` for a cycle, or for a step analyzer that would need a second forward."""
    order = topological(bound)
    first: set[str] = set()
    for name in order:
        if bound[name].is_step:
            first |= _ancestors(bound, name)
    for name in order:
        if name in first and bound[name].category in NEEDS_PROBE:
            reader = next(n for n in order if bound[n].is_step and name in _ancestors(bound, n))
            raise UsageError(
                f"analyzer {reader!r} ({bound[reader].category}) consumes {name!r}, which needs a forward pass of its own; "
                f"make {reader!r} a results analyzer (analyze_results)"
            )
    rest = [n for n in order if n not in first]
    return Stages(tuple(n for n in order if n in first), tuple(n for n in rest if bound[n].is_step), tuple(n for n in rest if not bound[n].is_step))


def topological(bound: Mapping[str, Bound]) -> list[str]:
    """Names so that everything consumed comes before its reader."""
    try:
        return list(TopologicalSorter({n: b.upstream for n, b in sorted(bound.items())}).static_order())
    except CycleError as e:
        raise UsageError(f"analyzers consume each other in a circle: {' -> '.join(e.args[1])}; drop one `consumes`") from e


def _ancestors(bound: Mapping[str, Bound], name: str) -> set[str]:
    found: set[str] = set()
    queue = list(bound[name].upstream)
    while queue:
        upstream = queue.pop()
        if upstream not in found:
            found.add(upstream)
            queue += bound[upstream].upstream
    return found


def result_key(bound: Mapping[str, Bound], name: str, run: RunFacts | None) -> str:
    """Names the folder of a result: analyzer, code, settings, Row signature, what it consumes, family identity and, where it is looked at, probe."""
    b = bound[name]
    upstream = [result_key(bound, u, run) for u in b.upstream]
    about = None if run is None else _about(b, run)
    return fingerprint(b.name, b.code, b.settings, b.signature, upstream, about)


def _about(b: Bound, run: RunFacts) -> list[Any]:
    """A forward pass depends on the family's code and compute path; everything else only on its parameters."""
    if b.category in NEEDS_PROBE:
        return [run.family, run.identity, run.family_code, run.probe_digest]
    return [run.family, run.identity.get("parameters")]


def probe_of(b: Bound, run: RunFacts | None) -> str | None:
    return run.probe if run is not None and b.category in NEEDS_PROBE else None


def not_applicable(bound: Mapping[str, Bound], name: str, run: RunFacts) -> str:
    """Why an analyzer does not apply to a run, '' when it does. Known before anything runs."""
    b = bound[name]
    if b.families and run.family not in b.families:
        return f"made for {', '.join(b.families)}, this run is {run.family}"
    if run.weights_only and b.category in NEEDS_PROBE:
        return NO_MODEL
    if b.answers == ("classes" if run.regression else "values"):
        return FOR_CLASSES if run.regression else FOR_VALUES
    if (
        not run.recorded
        and b.category == "results"
        and "metrics" in b.arguments
        and not any(run.family in other.families for other in bound.values())
    ):
        return NO_METRICS  # what is made for a family says what it can without them
    parameters = run.identity.get("parameters", {})
    for parameter, values in b.where:
        if parameters.get(parameter, values[0]) not in values:
            return f"made for {parameter} {', '.join(map(str, values))}, this run has {parameter} {parameters[parameter]}"
    if missing := unmatched(b.requests(run.read_out), run.sites) if b.category in PASS else []:
        return f"{run.family} has no site {', '.join(missing)}"
    for upstream in b.upstream:
        if why := not_applicable(bound, upstream, run):
            return f"it reads {upstream}, which does not apply: {why}"
    if not run.checkpoints and b.category != "results":
        return "the run has no checkpoints"
    return ""


RowsDigest = Callable[[str, int], str]
"""(upstream analyzer, step) -> digest of the rows a step cell is given."""


def step_cells(bound: Mapping[str, Bound], names: Iterable[str], run: RunFacts, rows: RowsDigest) -> list[Cell]:
    """The cells of step analyzers, one per checkpoint."""
    cells = []
    for name in names:
        b, key = bound[name], result_key(bound, name, run)
        metrics = run.metrics if "metrics" in b.arguments else None
        for step, digest in sorted(run.checkpoints.items()):
            given = [rows(u, step) for u in b.upstream]
            cells.append(Cell(name, run.name, probe_of(b, run), step, fingerprint(key, digest, given, metrics)))
    return cells


def derived_cell(bound: Mapping[str, Bound], name: str, runs: Sequence[RunFacts], upstream_cells: Mapping[str, Sequence[str]]) -> Cell:
    """The one cell of a trajectory or results analyzer: its key covers every cell it reads."""
    b = bound[name]
    run = None if b.scope == "runs" else runs[0]
    read = [sorted(upstream_cells[u]) for u in b.upstream]
    checkpoints = [sorted(r.checkpoints.items()) for r in runs] if b.category == "trajectory" else None
    metrics = [(r.name, r.metrics) for r in runs] if "metrics" in b.arguments else None
    names = [r.name for r in runs] if b.scope == "runs" else None
    return Cell(name, None if run is None else run.name, None, None, fingerprint(result_key(bound, name, run), read, checkpoints, metrics, names))


@dataclass(frozen=True)
class Capture:
    """What one forward pass must keep: (site -> positions) over all analyzers, and what each analyzer takes of it."""

    wanted: Mapping[str, frozenset[Positions]]
    takes: Mapping[str, Mapping[str, Positions]]


def capture(bound: Mapping[str, Bound], names: Iterable[str], sites: Iterable[str], read_out: Positions) -> Capture:
    """The union of all requests of the pass analyzers among `names`."""
    known = list(sites)
    takes = {name: resolve(bound[name].requests(read_out), known) for name in names if bound[name].needs_forward}
    return Capture(union(takes.values()), takes)


def chunks(steps: Sequence[int], size: int) -> list[tuple[int, ...]]:
    """Steps in order, `size` at a time: one part per chunk."""
    return [tuple(steps[i : i + size]) for i in range(0, len(steps), size)]


@dataclass(frozen=True)
class Forecast:
    """What analyze would do for one run: `strobe plan` prints it."""

    run: str
    analyzer: str
    category: str
    state: str
    cells: int
    missing: int
    why: str = ""


@dataclass(frozen=True)
class Preview:
    """A whole plan: forecasts, forward passes, sites captured and their bytes per checkpoint."""

    forecasts: tuple[Forecast, ...]
    forwards: int
    checkpoints_read: int
    captured: Mapping[str, int]

    @property
    def bytes_per_forward(self) -> int:
        return sum(self.captured.values())


def site_bytes(shape: Sequence[Any], sizes: Mapping[str, int], where: Positions, *, query: bool) -> int:
    """Bytes (float32) of a captured site; named axes are looked up in `sizes`."""
    total, axis = 4, 2 if query else 1
    for i, dimension in enumerate(shape):
        length = dimension if isinstance(dimension, int) else sizes.get(dimension, 1)
        total *= min(len(where.indices), length) if i == axis and where.indices else length
    return total
