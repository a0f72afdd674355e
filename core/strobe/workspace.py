"""`Workspace`: the front door. Runs, results and reports in one folder."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .analysis import request as analysis
from .analysis.desk import Recipe
from .analysis.engine import Engine, Progress, Report
from .analysis.plan import Preview
from .analysis.work import Bench
from .checkpoints import write_atomically
from .errors import PluginError, StrobeError, UsageError, did_you_mean
from .frame import Frame
from .isolation.limits import isolation, not_isolated
from .registration.registry import Registry
from .renderer import Renderer, bind, check_slots
from .reports.view import View
from .runs.run import Run
from .schema import TableSchema
from .storage import costs, failures, origins
from .storage.origins import Origin
from .storage.store import Store
from .storage.tables import ResultTable

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from .analysis.plan import RunFacts
    from .bundles import Placed
    from .jobs.handle import JobHandle
    from .registration.registry import Plugin
    from .reports.model import Align, Compare
    from .storage.store import Address
    from .training.loop import Training

METRICS = "metrics"
FILES = "files.json"
FAILURES = "_failures"


class Workspace:
    """A folder that holds runs, results and reports. Made on first use.

    `Workspace("my-workspace")`; a path that is a file, or that cannot be made, raises `UsageError`.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root).expanduser()
        if self.root.exists() and not self.root.is_dir():
            raise UsageError(f"workspace {self.root} is a file; give a folder with --workspace DIR or $STROBE_WORKSPACE")
        self.store = Store(self.root / "results")

    def __repr__(self) -> str:
        return f"Workspace({str(self.root)!r})"

    @cached_property
    def registry(self) -> Registry:
        """Every plugin that is installed, those from files that were used in this workspace before, and those added by hand."""
        registry = Registry.discover(self.root)
        for known in self._files():
            registry.recall(**known)
        return registry

    def _files(self) -> list[dict[str, Any]]:
        file = self.root / FILES
        return json.loads(file.read_text()) if file.is_file() else []

    def _remember(self, recipes: Mapping[str, Recipe]) -> None:
        """Note which analyzers came from files, so that another process can read and draw their results by name."""
        known = {(f["kind"], f["name"]): f for f in self._files()}
        new = dict(known)
        for name, recipe in recipes.items():
            if recipe.file:
                path, _, attribute = recipe.file.rpartition(":")
                entry = {"name": name, "kind": "analyzer", "category": recipe.bound.category, "file": f"{Path(path).resolve()}:{attribute}"}
                new["analyzer", name] = entry
        if new != known:
            write_atomically(self.root / FILES, json.dumps(list(new.values()), indent=1).encode())

    # --- runs ------------------------------------------------------------------------------------------------------------------------------

    def runs(self) -> list[Run]:
        """All runs, by name."""
        return [Run(f.parent, self.registry) for f in sorted(self.root.glob("runs/*/run.json"))]

    def run(self, name: str | Run) -> Run:
        """A run by name. Raises `UsageError` with the nearest name."""
        if isinstance(name, Run):
            return name
        folder = self.root / "runs" / name
        if not (folder / "run.json").is_file():
            known = [f.parent.name for f in self.root.glob("runs/*/run.json")]
            hint = did_you_mean(name, known) if known else "; the workspace has no runs: `strobe demo`, `strobe train` or `strobe import` makes one"
            raise UsageError(f"no run {name!r} in {self.root}{hint}")
        return Run(folder, self.registry)

    def train(
        self,
        target: str | Run,
        *,
        name: str = "",
        training: Training | Mapping[str, Any] | None = None,
        add: str = "",
        interventions: Sequence[str] = (),
        progress: Callable[[int, int, Mapping[str, Any]], None] | None = None,
        **parameters: Any,
    ) -> Run:
        """Train. `target` is a family (a new run with `parameters`), a run (go on to its end, or to more epochs), or `RUN@STEP` (a branch).

        `training` overrides the configuration; `add` is a schedule of checkpoints to add to a run; `interventions` are names of `before_step` hooks;
        `progress(step, last, metrics)` is called after each epoch. A run of the same identity that is complete is returned as it is.
        """
        from .training.trainer import train_target

        return train_target(self, target, name, training, add, interventions, progress, parameters)

    def import_run(
        self,
        path: str | Path,
        family: str,
        *,
        name: str = "",
        map: str | Path | None = None,
        metrics: str | Path | None = None,
        **parameters: Any,
    ) -> Run:
        """Make a run of a folder of checkpoints that someone else made; see `strobe.runs.importing`."""
        from .runs.importing import import_folder

        return import_folder(self, Path(path), family, name=name, mapping=map, metrics=metrics, parameters=parameters)

    # --- analysis --------------------------------------------------------------------------------------------------------------------------

    def analyze(
        self,
        runs: str | Run | Iterable[str | Run] | None = None,
        analyzers: analysis.Wanted | None = None,
        *,
        settings: analysis.Settings | None = None,
        probe: str = "",
        steps: Iterable[int] | None = None,
        executor: str = "local",
        workers: int | None = None,
        isolate: str = "third-party",
        deadline: float | None = None,
        memory: str | int | None = None,
        progress: Callable[[Progress], None] | None = None,
    ) -> Report:
        """Run what is missing, at most one forward per checkpoint and probe, and store it.

        `analyzers` are names, classes, instances or `./file.py:Class`; None means all that are not opt-in. Failures are rows of `_failures`, and in
        the report; everything else is stored.

        With `steps`, only these checkpoints (of every run) are looked at: a try. What is derived from all steps is computed whole all the same.

        `isolate` says whose analyzers run in processes of their own: "third-party" (other packages' and those from files), "all" or "none"; one that
        was defined in this session always runs here. One isolated call may take `deadline` seconds (600) and `memory` ("4GB"; half of the machine's).
        """
        limits = isolation(isolate, deadline, memory, self.root)
        recipes = analysis.recipes(self.registry, analyzers, settings)
        if executor != "local" and (odd := [n for n, r in recipes.items() if self.registry.get("analyzer", n).entry is None and not r.file]):
            raise UsageError(
                f"analyzer {odd[0]!r} was defined in this session and cannot travel to other processes; use executor='local', or save it to a file"
            )
        chosen = self._with_facts(runs, probe)
        at = analysis.checked_steps(steps, [about for _, about in chosen])
        self._remember(recipes)
        self.store.remove_temporaries()
        with Bench(self.registry, limits) as bench:
            report = Engine(self.store, bench, recipes, executor, workers, progress, at).run(chosen)
        costs.note(self.root, costs.measured(self.store, report, {n: _made_by(self.registry.get("analyzer", n)) for n in recipes}))
        others = analysis.left_out(self.registry) if analyzers is None else ()
        report.left_out = [*not_isolated(self.registry, recipes, limits), *others]
        report.notes += [said for said in bench.hooks.problems if said not in report.notes]
        return report

    def plan(
        self,
        runs: str | Run | Iterable[str | Run] | None = None,
        analyzers: analysis.Wanted | None = None,
        *,
        settings: analysis.Settings | None = None,
        probe: str = "",
    ) -> Preview:
        """What `analyze` would do: cells, passes, tensors, bytes. Runs nothing."""
        recipes = analysis.recipes(self.registry, analyzers, settings)
        return analysis.preview({n: r.bound for n, r in recipes.items()}, self._with_facts(runs, probe), self.store)

    def _with_facts(self, runs: str | Run | Iterable[str | Run] | None, probe: str) -> list[tuple[Run, RunFacts]]:
        return [(run, analysis.facts(run, probe)) for run in self._chosen(runs)]

    def _chosen(self, runs: str | Run | Iterable[str | Run] | None) -> list[Run]:
        if runs is None:
            found = self.runs()
            if not found:
                raise UsageError(f"{self.root} has no runs: `strobe demo`, `strobe train` or `strobe import` makes one")
            return found
        return [self.run(r) for r in ([runs] if isinstance(runs, (str, Run)) else runs)]

    # --- sharing ---------------------------------------------------------------------------------------------------------------------------

    def bundle(
        self,
        runs: str | Run | Iterable[str | Run],
        output: str | Path,
        *,
        without: Collection[str] = (),
        progress: Callable[[int, int], None] | None = None,
    ) -> Path:
        """Write runs, their results and this workspace's reports into one file, `NAME.strobe.zip`; returns its path.

        Results in it are Parquet that pandas and DuckDB read, and a README says how. `without`: "checkpoints", "results", "reports".
        """
        from .bundles import pack

        return pack(self, self._chosen(runs), output, without, progress)

    def unbundle(self, file: str | Path, progress: Callable[[int, int], None] | None = None) -> Placed:
        """Place a bundle here: every digest is verified first, nothing is overwritten, what is here already is skipped.

        Raises `StrobeError` that names the file which was changed, or the run that is here with other content; then nothing was placed.
        """
        from .bundles import unpack

        return unpack(self, file, progress)

    # --- jobs ------------------------------------------------------------------------------------------------------------------------------

    def submit(self, kind: str, *, start: bool = True, **request: Any) -> JobHandle:
        """Queue a job: "train" and "analyze" take what the methods of these names take, "export" takes `report`, `run` and `output`.

        The same request twice is one job. A background worker is started when none lives, unless `start` is False.
        """
        from .jobs.handle import submit
        from .jobs.worker import ensure_worker

        handle = submit(self, kind, request)
        if start:
            ensure_worker(self.root)
        return handle

    def jobs(self) -> list[JobHandle]:
        """Every job, in the order in which they were submitted."""
        from .jobs.handle import JobHandle
        from .jobs.queue import JobStore

        store = JobStore(self.root)
        return [JobHandle(store, job.id) for job in store.all()]

    # --- results ---------------------------------------------------------------------------------------------------------------------------

    def table(
        self,
        name: str,
        *,
        runs: str | Run | Iterable[str | Run] | None = None,
        steps: int | Iterable[int] | None = None,
        probe: str = "",
        settings: Mapping[str, Any] | None = None,
        columns: Sequence[str] | None = None,
    ) -> ResultTable:
        """The rows of an analyzer (default settings unless `settings` selects others), of `metrics`, or of `_failures`; rows of no step always stay.

        A pandas data frame with `.arrow()` and `.polars()`. Raises `StrobeError` naming the command when nothing is stored.
        """
        chosen = self._chosen(runs)
        at = None if steps is None else [steps] if isinstance(steps, int) else list(steps)
        if name == FAILURES:
            return ResultTable(failures.frame(self.store, [*(r.name for r in chosen), None]))
        if name == METRICS:
            return ResultTable(_metrics(chosen, at))
        tables = [t for _, t in self._read(name, chosen, at, probe, settings, columns) if t is not None]
        if not tables:
            names = " ".join(r.name for r in chosen)
            raise StrobeError(f"no results of {name!r} for {names}; compute them with `strobe analyze {names} -a {name}`")
        return ResultTable.of(tables)

    def _read(
        self,
        name: str,
        runs: Sequence[Run],
        steps: Sequence[int] | None,
        probe: str,
        settings: Mapping[str, Any] | None,
        columns: Sequence[str] | None,
    ) -> list[tuple[Address, pa.Table | None]]:
        addresses = self.addresses(name, runs, probe, settings)
        return [(a, self.store.read(a, steps, columns)) for a in addresses]

    def addresses(self, name: str, runs: Sequence[Run], probe: str = "", settings: Mapping[str, Any] | None = None) -> list[Address]:
        """Where the current results of an analyzer lie, one per run (one in all for `scope = "runs"`).

        Of an analyzer that is not installed, or cannot be used, those that were stored last.
        """
        try:
            bound = self._bound(name, settings)
        except (UsageError, PluginError):
            found = [] if settings and self._usable(name) else origins.latest(self.store, name, [run.name for run in runs], probe, settings)
            if not found:
                raise
            return found
        if bound[name].scope == "runs":
            return [analysis.address(bound, name, None)]
        return [analysis.address(bound, name, analysis.facts(run, probe, metrics=False)) for run in runs]

    def _usable(self, name: str) -> bool:
        """Whether an analyzer is installed and can be loaded."""
        try:
            self.registry.analyzer(name)
        except (UsageError, PluginError):
            return False
        return True

    def origin(self, name: str) -> Origin | None:
        """Who made the stored results of a table, None when there are none."""
        return origins.stored_origin(self.store, name)

    def spans_runs(self, table: str) -> bool:
        """Whether a table is of several runs together. Raises `UsageError` for one that is neither installed nor stored."""
        if table == METRICS:
            return False
        try:
            return self.registry.analyzer(table).scope == "runs"
        except (UsageError, PluginError):
            if (origin := self.origin(table)) is None:
                raise
            return origin.scope == "runs"

    def _bound(self, name: str, settings: Mapping[str, Any] | None) -> dict[str, Any]:
        found: dict[str, Recipe] = analysis.recipes(self.registry, [name], {name: settings} if settings else None)
        return {n: r.bound for n, r in found.items()}

    def schema(self, name: str, run: str | Run | None = None) -> TableSchema:
        """The columns of a table, with kinds, units and descriptions: from the analyzer's declaration, stored or not.

        Of an analyzer that is not installed, or cannot be used, as its stored results declare them.
        """
        from .schema import ENGINE_SCHEMA, Column, declared

        if name == METRICS:
            names = [str(n) for n in _metrics(self._chosen(run), None)]
            columns = [Column(n, "metric", n.replace("_", " "), "float64", unit=_metric_unit(n)) for n in names if n not in ENGINE_SCHEMA]
            return TableSchema({"run": ENGINE_SCHEMA["run"], "step": ENGINE_SCHEMA["step"], **{c.name: c for c in columns}})
        try:
            cls = self.registry.analyzer(name)
        except (UsageError, PluginError):
            if (stored := origins.stored_schema(self.store, name)) is None:
                raise
            return stored
        return TableSchema({**{n: ENGINE_SCHEMA[n] for n in cls.engine_columns()}, **declared(cls.Row)})

    def stored(self) -> list[dict[str, Any]]:
        """What lies on disk: analyzer, key, run, probe, steps, rows and bytes of every result, and the package that made it; stale ones included."""
        listing = []
        for a in self.store.addresses():
            if a.analyzer != FAILURES:
                entries = self.store.entries(a)
                size = sum(f.stat().st_size for f in a.folder(self.store.root).glob("*.parquet"))
                steps = sorted(s for s in entries if s is not None)
                rows = sum(e.rows for e in entries.values())
                listing.append(
                    {"analyzer": a.analyzer, "key": a.key[:16], "run": a.run, "probe": a.probe, "steps": len(steps), "rows": rows, "bytes": size}
                    | {"package": origins.origin_of(self.store, a).made_by}
                )
        return listing

    def sql(self, query: str) -> pd.DataFrame:
        """Run SQL over views named after the analyzers (default settings, all runs), and `metrics`, `_failures`, `runs`, `jobs`,
        `results`."""
        from .storage.sql import query as run_query

        return run_query(self, query)

    # --- looking ---------------------------------------------------------------------------------------------------------------------------

    def frame(
        self,
        renderer: Renderer,
        table: str = "",
        cursor: Mapping[str, Any] | None = None,
        slots: Mapping[str, str] | None = None,
        follow: Sequence[str] = (),
        sql: str = "",
        *,
        runs: Sequence[str | Run] = (),
        align: Align = "step",
        compare: Compare = "overlay",
    ) -> Frame:
        """The rows a renderer draws at a cursor (`{"run": ..., "step": ..., "neuron": ...}`).

        The drawn table is cut at run, probe and step (unless the step is in `over`), and at the coordinates in `at` and `follow`; a step without
        rows gives the latest one not after it. Further consumed tables come whole, and are left out where they are not computed.
        The rows of a query (`sql`) come as it gives them: `$run` and `$step` in it are the cursor's.
        With `runs`, the rows of all of them, with the column `aligned`, or of one less another (`compare="difference"`); see `Frame`.
        """
        if runs:
            from .reports.compare import frame_of, together

            shown = together(self, self._chosen(runs), compare, align)
            return frame_of(self, renderer, table, cursor or {}, slots or {}, follow, shown, sql)
        cursor = dict(cursor or {})
        if sql:
            return self._asked(renderer, sql, cursor, slots, follow)
        name = table or next(iter(renderer.tables()), "")
        if not name:
            raise UsageError(f"{type(renderer).__name__} draws any table: say which, table='<analyzer>'")
        run = self.run(cursor["run"]) if cursor.get("run") else self._chosen(None)[0]
        schema = self.schema(name, run)
        data = self._cut(renderer, name, run, cursor, follow)
        others = {
            other: t
            for other in renderer.tables()[1:]
            if (t := self._beside(other, run, cursor, (*renderer.at, *follow)) if other in renderer.cut else self._optional(other, run)) is not None
        }
        check_slots(type(renderer), schema, slots or {})
        bound = bind(renderer.slots, schema, slots) if renderer.slots else {}
        if bound is None:
            raise UsageError(f"{type(renderer).__name__} cannot draw {name!r}: none of its columns fits {', '.join(renderer.slots)}")
        return Frame(data, schema, bound, others, run.family, {**cursor, "run": run.name})

    def _asked(self, renderer: Renderer, sql: str, cursor: Mapping[str, Any], slots: Mapping[str, str] | None, follow: Sequence[str]) -> Frame:
        from .storage.sql import MOST_ROWS, SECONDS, ask

        who = type(renderer).__name__
        if not renderer.slots:
            raise UsageError(f"{who} draws {', '.join(renderer.tables())}, no query; a generic renderer does, such as line_over_steps")
        answer = ask(self, sql, cursor, most=MOST_ROWS, seconds=SECONDS)
        if answer.more:
            raise UsageError(
                f"the query gives more than {MOST_ROWS:,} rows, the most that is drawn: aggregate them, or end it with `limit {MOST_ROWS}`"
            )
        bound = bind(renderer.slots, answer.schema, slots)
        if bound is None:
            columns = ", ".join(answer.schema.columns)
            raise UsageError(f"{who} cannot draw this query: none of its columns ({columns}) fits {', '.join(renderer.slots)}")
        run = self.run(cursor["run"]) if cursor.get("run") else None
        return Frame(self._at(answer.frame, follow, cursor), answer.schema, bound, {}, run.family if run else None, cursor)

    def _cut(self, renderer: Renderer, name: str, run: Run, cursor: Mapping[str, Any], follow: Sequence[str]) -> pd.DataFrame:
        step = None if "step" in renderer.over or name == METRICS else cursor.get("step")
        if step is not None:
            step = self._step_at(name, run, int(step), str(cursor.get("probe") or ""))
        data: pd.DataFrame = self.table(name, runs=run, steps=step, probe=str(cursor.get("probe") or ""))
        return self._at(data, (*renderer.at, *follow), cursor)

    @staticmethod
    def _at(data: pd.DataFrame, coordinates: Iterable[str], cursor: Mapping[str, Any]) -> pd.DataFrame:
        for coordinate in coordinates:
            if coordinate in data and cursor.get(coordinate) is not None:
                data = data[data[coordinate] == cursor[coordinate]]
        return data.reset_index(drop=True)

    def _beside(self, name: str, run: Run, cursor: Mapping[str, Any], coordinates: Sequence[str]) -> pd.DataFrame | None:
        """The rows of another table at the cursor, of every settings it was computed with: some analyzers are told which neurons to look at."""
        step, found = cursor.get("step"), []
        for settings in self.stored_settings(name, run):
            table = self.table(name, runs=run, steps=None if step is None else int(step), probe=str(cursor.get("probe") or ""), settings=settings)
            found.append(self._at(table, coordinates, cursor))
        return next((rows for rows in found if len(rows)), found[0] if found else None)

    def stored_settings(self, name: str, run: str | Run, probe: str = "") -> list[dict[str, Any]]:
        """The settings with which current results of an analyzer are stored for a run, newest first."""
        run = self.run(run)
        default = self.addresses(name, [run], probe)[0]
        folder = default.folder(self.store.root).parent
        found: list[dict[str, Any]] = []
        for file in sorted(folder.glob("*/*.parquet"), key=lambda f: -f.stat().st_mtime):
            address = self.store.address_at(file.parent)
            settings = self.store.about(address).get("settings", {}) if address else None
            if settings is not None and settings not in found and self._is_current(name, run, probe, settings, address):
                found.append(settings)
        return found

    def _is_current(self, name: str, run: Run, probe: str, settings: Mapping[str, Any], address: Address | None) -> bool:
        try:
            return self.addresses(name, [run], probe, settings)[0] == address
        except StrobeError:  # settings that this version does not have
            return False

    def step_shown(self, table: str, cursor: Mapping[str, Any]) -> int | None:
        """The step whose rows `frame` gives at a cursor's step; None for a table without steps."""
        if table == METRICS or cursor.get("step") is None:
            return None
        run = self.run(cursor["run"]) if cursor.get("run") else self._chosen(None)[0]
        return self._step_at(table, run, int(cursor["step"]), str(cursor.get("probe") or ""))

    def _step_at(self, name: str, run: Run, step: int, probe: str) -> int | None:
        """The latest stored step not after `step` (the first one when all are after it), None for a table without steps."""
        steps = sorted(s for a in self.addresses(name, [run], probe) for s in self.store.entries(a) if s is not None)
        return max((s for s in steps if s <= step), default=steps[0] if steps else None)

    def _optional(self, name: str, run: Run) -> pd.DataFrame | None:
        try:
            return self.table(name, runs=run)
        except StrobeError:
            return None

    def view(
        self,
        renderer: str | Renderer | type[Renderer],
        run: str | Run,
        table: str = "",
        *,
        slots: Mapping[str, str] | None = None,
        follow: Sequence[str] = (),
        sql: str = "",
        runs: Sequence[str | Run] = (),
        align: Align = "step",
        compare: Compare = "overlay",
        **cursor: Any,
    ) -> View:
        """A renderer bound to a run and a cursor: `.chart` is an Altair chart, `.frame` its rows. A generic renderer also draws a query, `sql`.

        `ws.view("dimensionality_over_steps", run).chart`; settings go to the renderer's constructor: `ws.view(NeuronMap(size=3), run, step=5000)`.
        With `runs`, a chart of all of them, aligned by step, turn or phase: `compare` is "overlay", "grid" or "difference".
        """
        from .reports.compare import together

        drawn = self.renderer(renderer)
        shown = together(self, self._chosen(runs), compare, align) if runs else None
        return View(self, drawn, table, {"run": self.run(run).name, **cursor}, slots or {}, tuple(follow), sql, shown)

    def renderer(self, renderer: str | Renderer | type[Renderer], settings: Mapping[str, Any] | None = None) -> Renderer:
        """A renderer instance from a name, a class, `./file.py:Class` or an instance."""
        if isinstance(renderer, Renderer):
            return renderer
        if isinstance(renderer, str) and ".py:" in renderer:
            plugin = self.registry.add_file(renderer)
        elif isinstance(renderer, str):
            plugin = self.registry.get("renderer", renderer)
        else:
            plugin = self.registry.add(renderer)
        return analysis.configured(plugin.load(), plugin.who, settings or {})  # type: ignore[no-any-return]


def _made_by(plugin: Plugin) -> tuple[str, str]:
    return plugin.package, plugin.version


def _metrics(runs: Sequence[Run], steps: Sequence[int] | None) -> pd.DataFrame:
    import pandas as pd

    frames = []
    for run in runs:
        frame = run.metrics
        frame.insert(0, "run", run.name)
        frames.append(frame if steps is None else frame[frame["step"].isin(list(steps))])
    return pd.concat(frames, ignore_index=True)


def _metric_unit(name: str) -> str:
    return "nats" if name.endswith("loss") else "1"
