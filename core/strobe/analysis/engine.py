"""Runs a plan: stage by stage, cell by cell, each chunk of steps committed as soon as it is done."""

from __future__ import annotations

import functools
import hashlib
import json
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..storage import failures
from ..storage.failures import HARMLESS, SAID_ONCE, Failure
from ..storage.origins import said_of
from ..storage.store import Address, Store
from ..version import __version__
from .counters import NAMES
from .desk import Recipe, Task
from .drift import changed_rows
from .executors import run_tasks
from .plan import Bound, Cell, RunFacts, chunks, derived_cell, not_applicable, probe_of, result_key, stages, step_cells
from .work import RESCUE, Bench, Outcome, do_in_process

if TYPE_CHECKING:
    import pyarrow as pa

    from ..runs.run import Run

CHUNK = 8
"""Steps per part: what a crash can cost."""


@dataclass(frozen=True)
class TableReport:
    """What happened to one table: `computed`, `stored` already, `failed`, or `not applicable`, and why."""

    analyzer: str
    category: str
    run: str | None
    probe: str | None
    key: str
    state: str
    computed: int = 0
    stored: int = 0
    failed: int = 0
    why: str = ""


@dataclass(frozen=True)
class Progress:
    """How far an analysis is: cells done of all cells known so far."""

    done: int
    total: int
    what: str


@dataclass
class Report:
    """What an analysis did."""

    runs: list[str]
    tables: list[TableReport] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    counters: Counter[str] = field(default_factory=Counter)
    milliseconds: Counter[str] = field(default_factory=Counter)
    calls: Counter[str] = field(default_factory=Counter)
    """Analyzer -> how often it was called, and the milliseconds of CPU that took."""
    seconds: float = 0.0
    left_out: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What is no failure of a cell, and somebody should know."""

    @property
    def ok(self) -> bool:
        return all(f.kind in HARMLESS for f in self.failures)

    @property
    def warnings(self) -> list[str]:
        """What concerns more than a cell, each said once: what was left out, packages that were given up, what isolated analyzers did besides."""
        said = [f.message if f.kind == "quarantined" else f"{f.analyzer}: {f.message}" for f in self.failures if f.kind in SAID_ONCE]
        return list(dict.fromkeys([*self.left_out, *self.notes, *said]))

    def to_json(self) -> dict[str, Any]:
        """The shape of `strobe analyze --json`."""
        return {
            "run": self.runs,
            "tables": [vars(t) for t in self.tables],
            "failures": [{k: v for k, v in vars(f).items() if k not in ("traceback", "cell")} for f in self.failures],
            "warnings": self.warnings,
            "counters": {name: self.counters.get(name, 0) for name in NAMES},
            "seconds": round(self.seconds, 3),
        }


class Engine:
    """Runs analyzers over runs and commits what they give."""

    def __init__(
        self,
        store: Store,
        bench: Bench,
        recipes: Mapping[str, Recipe],
        executor: str = "local",
        workers: int | None = None,
        progress: Callable[[Progress], None] | None = None,
        steps: Collection[int] | None = None,
    ) -> None:
        self.steps, self.last = steps, leaves(recipes)
        self.store, self.bench, self.recipes = store, bench, recipes
        self.bound: dict[str, Bound] = {name: r.bound for name, r in recipes.items()}
        self.executor, self.workers = executor, workers
        self.progress = progress or (lambda _: None)
        self._expected: dict[tuple[str, str | None], str] = {}
        self._done = self._total = 0

    def run(self, runs: Sequence[tuple[Run, RunFacts]]) -> Report:
        """Everything missing, in the order of the stages; returns what was done."""
        start, report = time.perf_counter(), Report([run.name for run, _ in runs], notes=changed_rows(self.store, self.bound.values()))
        order = stages(self.bound)
        for run, facts in runs:
            applicable = [n for n in (*order.before, *order.steps, *order.after) if not not_applicable(self.bound, n, facts)]
            for name in order.before:
                if name in applicable:
                    self._stage(report, run, facts, [name])
            self._stage(report, run, facts, [n for n in order.steps if n in applicable])
            for name in order.after:
                if name in applicable and self.bound[name].scope == "run":
                    self._stage(report, run, facts, [name])
            self._report_not_applicable(report, facts, applicable)
        for name in order.after:
            if self.bound[name].scope == "runs":
                self._across(report, name, runs)
        report.failures = self._failures(report, [f for _, f in runs])
        report.seconds = time.perf_counter() - start
        return report

    # --- one stage of one run --------------------------------------------------------------------------------------------------------------

    def _stage(self, report: Report, run: Run, facts: RunFacts, names: Sequence[str]) -> None:
        steps = [n for n in names if self.bound[n].is_step]
        if steps:
            self._steps(report, run, facts, steps)
        for name in names:
            if name not in steps:
                cell = derived_cell(self.bound, name, [facts], {u: self._cell_keys(u, facts) for u in self.bound[name].upstream})
                self._derived(report, name, [(run, facts)], cell)

    def _steps(self, report: Report, run: Run, facts: RunFacts, names: Sequence[str]) -> None:
        given = _Given(self, facts)
        ready, blocked = self._unblocked(names, facts)
        cells = step_cells(self.bound, ready, facts, given.digest)
        done = {name: self.store.cells(self.address(name, facts)) for name in ready}
        starved = {c.key: why for c in cells if (why := self._starved(c, facts))}
        missing = [c for c in cells if c.key not in done[c.analyzer] and c.key not in starved and self._wanted(c)]
        failures.forget(self.store, facts.name, ready, {c.key for c in cells if c.key in done[c.analyzer]})
        failures.add(
            self.store, facts.name, [Failure(c.run, c.step, c.analyzer, "upstream", starved[c.key], cell=c.key) for c in cells if c.key in starved]
        )
        self._total += len(missing)
        outcomes = self._commit(run, facts, missing, given)
        self._account(report, outcomes)
        self._block(report, facts, blocked)
        for name in ready:
            if done[name] or missing:
                self.store.compact(self.address(name, facts), self._about(name), keep={c.key for c in cells if c.analyzer == name})
            self._table(report, name, facts, [c for c in cells if c.analyzer == name and self._wanted(c)], missing)

    def _wanted(self, cell: Cell) -> bool:
        """Whether a cell is at a step that was asked for. What others read is computed at every step: theirs would mean something else."""
        return self.steps is None or cell.step in self.steps or cell.analyzer not in self.last

    def _commit(self, run: Run, facts: RunFacts, missing: Sequence[Cell], given: _Given) -> Iterator[Outcome]:
        """Tasks out, parts in: one part per analyzer and chunk of steps."""
        by_step: dict[int, list[Cell]] = {}
        for c in missing:
            assert c.step is not None
            by_step.setdefault(c.step, []).append(c)
        tasks = [self._step_task(run, facts, step, by_step[step], given) for step in sorted(by_step)]
        work = self.bench.do if self.executor == "local" else functools.partial(do_in_process, self.bench.isolation)
        outcomes = run_tasks(self.executor, work, tasks, RESCUE, self.workers)
        for steps in chunks(sorted(by_step), CHUNK):
            chunk = []
            for _ in steps:
                outcome = next(outcomes)
                self._advance(len(outcome.task.cells), f"{run.name} step {outcome.task.step}")
                chunk.append(outcome)
                yield outcome
            self._write(facts, chunk)
        for _ in outcomes:  # let the executor close what it started
            pass

    def _step_task(self, run: Run, facts: RunFacts, step: int, cells: list[Cell], given: _Given) -> Task:
        results = {c.analyzer: given.rows(c.analyzer, step) for c in cells if self.bound[c.analyzer].upstream}
        recipes = {c.analyzer: self.recipes[c.analyzer] for c in cells}
        return Task((run.folder,), tuple(cells), recipes, step, facts.probe, results)

    def _write(self, facts: RunFacts, outcomes: Sequence[Outcome]) -> None:
        """Failures first: a cell that is stored is not run again, and one stored with nulls must keep its flag."""
        failures.add(self.store, facts.name, [f for o in outcomes for f in o.failures])
        names = dict.fromkeys(c.analyzer for o in outcomes for c in o.task.cells)
        for name in names:
            stored = [o.stored[c.key] for o in outcomes for c in o.task.cells if c.analyzer == name and c.key in o.stored]
            if stored:
                path = self.store.append(self.address(name, facts), stored, self._about(name))
                self._written(name, facts.name, sum(len(s.table) for s in stored), str(path))

    # --- derived ---------------------------------------------------------------------------------------------------------------------------

    def _across(self, report: Report, name: str, runs: Sequence[tuple[Run, RunFacts]]) -> None:
        usable = [(r, f) for r, f in runs if not not_applicable(self.bound, name, f)]
        if not usable:
            return
        facts = [f for _, f in usable]
        keys = {u: [k for f in self._sources(name, u, facts) for k in self._cell_keys(u, f)] for u in self.bound[name].upstream}
        self._derived(report, name, usable, derived_cell(self.bound, name, facts, keys))

    def _derived(self, report: Report, name: str, runs: Sequence[tuple[Run, RunFacts]], cell: Cell) -> None:
        facts = [f for _, f in runs]
        one = None if cell.run is None else facts[0]
        if blocked := [u for u in self.bound[name].upstream if any(self._failed(u, f) for f in self._sources(name, u, facts))]:
            return self._block(report, one, {name: blocked})
        address = self.address(name, one)
        self._expected[name, cell.run] = cell.key
        missing = [] if cell.key in self.store.cells(address) else [cell]
        failures.forget(self.store, cell.run, [name], () if missing else {cell.key})
        self._total += len(missing)
        if missing:
            results = {name: {u: self._tables(u, self._sources(name, u, facts)) for u in self.bound[name].upstream}}
            task = Task(tuple(run.folder for run, _ in runs), (cell,), {name: self.recipes[name]}, None, results=results)
            for outcome in run_tasks("local", self.bench.do, [task], RESCUE):
                self._advance(1, f"{cell.run or 'all runs'} {name}")
                failures.add(self.store, cell.run, outcome.failures)
                if stored := outcome.stored.get(cell.key):
                    path = self.store.replace(address, stored, self._about(name))
                    self._written(name, cell.run or "*", len(stored.table), str(path))
                self._account(report, [outcome])
        self._table(report, name, one, [cell], missing)

    def _sources(self, name: str, upstream: str, facts: Sequence[RunFacts]) -> Sequence[RunFacts | None]:
        """Whose tables an analyzer reads: those of each run, or the one that several runs share, which only an analyzer of several runs is given."""
        return [None] if self.bound[name].scope == self.bound[upstream].scope == "runs" else facts

    def _tables(self, upstream: str, facts: Sequence[RunFacts | None]) -> list[pa.Table]:
        return [t for f in facts if (t := self.store.read(self.address(upstream, f))) is not None]

    # --- what is where ---------------------------------------------------------------------------------------------------------------------

    def address(self, name: str, facts: RunFacts | None) -> Address:
        b = self.bound[name]
        return Address(name, None if facts is None else facts.name, probe_of(b, facts), result_key(self.bound, name, facts))

    def _cell_keys(self, name: str, facts: RunFacts | None) -> list[str]:
        """Keys of the stored cells an analyzer would read; for step tables only those of steps the run has."""
        entries = self.store.entries(self.address(name, facts))
        return [e.key for s, e in entries.items() if s is None or (facts is not None and s in facts.checkpoints)]

    def _failed(self, name: str, facts: RunFacts | None) -> bool:
        """Whether an upstream has nothing to give, or (derived) only rows of an earlier state."""
        stored = self.store.cells(self.address(name, facts))
        return not stored or self._expected.get((name, None if facts is None else facts.name), next(iter(stored))) not in stored

    def _starved(self, cell: Cell, facts: RunFacts) -> str:
        """Why a step cell cannot be computed: what it reads failed at this step. '' when it can."""
        for upstream in self.bound[cell.analyzer].upstream:
            if self.bound[upstream].is_step and cell.step not in self.store.entries(self.address(upstream, facts)):
                return f"it reads {upstream}, which gave no result at step {cell.step}; mend that first (see its own failure)"
        return ""

    def _unblocked(self, names: Sequence[str], facts: RunFacts) -> tuple[list[str], dict[str, list[str]]]:
        blocked = {n: [u for u in self.bound[n].upstream if self._failed(u, facts)] for n in names}
        return [n for n in names if not blocked[n]], {n: b for n, b in blocked.items() if b}

    def _block(self, report: Report, facts: RunFacts | None, blocked: Mapping[str, Sequence[str]]) -> None:
        run = None if facts is None else facts.name
        for name, upstream in blocked.items():
            message = f"it reads {', '.join(upstream)}, which gave no result; mend that first (see its own failure)"
            failures.forget(self.store, run, [name], ())
            failures.add(self.store, run, [Failure(run, None, name, "upstream", message)])
            key = result_key(self.bound, name, facts)
            report.tables.append(TableReport(name, self.bound[name].category, run, None, key, "failed", failed=1, why=message))

    def _about(self, name: str) -> dict[str, Any]:
        b = self.bound[name]
        settings = json.loads(b.settings)
        plugin = self.bench.registry.get("analyzer", name)
        said = said_of(plugin, plugin.load(), settings)
        row = json.loads(b.signature)
        return {"settings": settings, "code": b.code, "category": b.category, "strobe_version": __version__, "row": row, **said}

    # --- reporting -------------------------------------------------------------------------------------------------------------------------

    def _advance(self, cells: int, what: str) -> None:
        self._done += cells
        self.progress(Progress(self._done, self._total, what))

    def _written(self, name: str, run: str, rows: int, path: str) -> None:
        self.bench.hooks.table_written(analyzer=name, run=run, rows=rows, path=path)

    def _account(self, report: Report, outcomes: Iterable[Outcome]) -> None:
        for outcome in outcomes:
            report.counters.update(outcome.counters)
            report.notes += [w for w in outcome.warnings if w not in report.notes]
            report.calls.update(c.analyzer for c in outcome.task.cells)
            for name, ms in outcome.milliseconds.items():
                report.milliseconds[name] += ms  # type: ignore[assignment]
            if outcome.task.step is not None:
                run = outcome.task.cells[0].run or ""
                self.bench.hooks.checkpoint_done(run=run, step=outcome.task.step, seconds=outcome.seconds)

    def _table(self, report: Report, name: str, facts: RunFacts | None, cells: Sequence[Cell], missing: Sequence[Cell]) -> None:
        have = self.store.cells(self.address(name, facts))
        new = [c for c in missing if c.analyzer == name]
        failed = [c for c in cells if c.key not in have]
        computed = len([c for c in new if c.key in have])
        state = "failed" if failed and not computed else "computed" if computed else "stored"
        address = self.address(name, facts)
        report.tables.append(
            TableReport(name, self.bound[name].category, address.run, address.probe, address.key, state, computed, len(cells) - len(new), len(failed))
        )

    def _report_not_applicable(self, report: Report, facts: RunFacts, applicable: Sequence[str]) -> None:
        for name, b in self.bound.items():
            if name not in applicable:
                why = not_applicable(self.bound, name, facts)
                report.tables.append(TableReport(name, b.category, facts.name, None, "", "not applicable", why=why))

    def _failures(self, report: Report, facts: Sequence[RunFacts]) -> list[Failure]:
        """The failures that concern what was asked for, older ones that still stand included."""
        found = [f for run in [*(f.name for f in facts), None] for f in failures.read(self.store, run)]
        return [f for f in found if f.analyzer in self.bound]


def leaves(recipes: Mapping[str, Recipe]) -> set[str]:
    """Analyzers that no other one of a request reads."""
    read = {upstream for r in recipes.values() for upstream in r.bound.upstream}
    return {name for name in recipes if name not in read}


class _Given:
    """The rows of upstream analyzers that a step cell is given: those of its own step, and those of no step."""

    def __init__(self, engine: Engine, facts: RunFacts) -> None:
        self.engine, self.facts = engine, facts
        self._tables: dict[str, pa.Table] = {}
        self._digests: dict[tuple[str, int], str] = {}

    def _table(self, upstream: str) -> pa.Table:
        if upstream not in self._tables:
            self._tables[upstream] = self.engine.store.read(self.engine.address(upstream, self.facts))
        return self._tables[upstream]

    def _at(self, upstream: str, step: int) -> pa.Table:
        import pyarrow.compute as pc

        table = self._table(upstream)
        column = table.column("step")
        return table.filter(pc.or_kleene(pc.equal(column, step), pc.is_null(column)))

    def digest(self, upstream: str, step: int) -> str:
        if (upstream, step) not in self._digests:
            text = json.dumps(self._at(upstream, step).to_pydict(), default=lambda array: array.tolist(), sort_keys=True)
            self._digests[upstream, step] = hashlib.sha256(text.encode()).hexdigest()
        return self._digests[upstream, step]

    def rows(self, name: str, step: int) -> dict[str, list[pa.Table]]:
        """Upstream name -> its rows, for one analyzer at one step."""
        return {u: [self._at(u, step)] for u in self.engine.bound[name].upstream}
