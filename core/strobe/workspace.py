"""`Workspace`: the front door. Runs, results and reports in one folder."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .analysis import request as analysis
from .analysis.engine import Engine, Progress, Report
from .analysis.plan import Preview
from .analysis.work import Bench
from .errors import UsageError, did_you_mean
from .frame import Frame
from .isolation.limits import isolation, not_isolated
from .panels import frames
from .panels.view import View
from .registration.registry import Registry, remember_files
from .renderer import Renderer
from .runs.run import Run
from .schema import TableSchema
from .storage import costs, reading
from .storage.origins import Origin
from .storage.store import Store
from .storage.tables import ResultTable

if TYPE_CHECKING:
    import pandas as pd

    from .analysis.plan import RunFacts
    from .bundles import Placed
    from .export.board import ReportView
    from .family import Family
    from .jobs.handle import JobHandle
    from .registration.registry import Plugin
    from .reports.model import Align, Compare
    from .storage.store import Address
    from .training.loop import Training


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
        return Registry.discover(self.root)

    def family_plugin(self, family: str | type[Family]) -> Plugin:
        """A family by name, as `./mine.py:Mine` (remembered: from then on it is found here by its name), or by its class."""
        if not isinstance(family, str):
            return self.registry.add(family)
        if ".py:" not in family:
            return self.registry.get("family", family)
        plugin = self.registry.add_file(family)
        if plugin.kind != "family":
            raise UsageError(f"{plugin.who} is no family; derive it from strobe.ModuleFamily (any torch module) or strobe.Family")
        remember_files(self.root, [plugin])
        return plugin

    def named_target(self, target: str | Run | type[Family]) -> str | Run:
        """What can be trained, by name: a family from a file or a class is registered first."""
        if isinstance(target, type) or (isinstance(target, str) and ".py:" in target):
            return self.family_plugin(target).name
        return target

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
            raise UsageError(f"no run {name!r} in {self.root}{did_you_mean(name, known) if known else _without_runs()}")
        return Run(folder, self.registry)

    def train(
        self,
        target: str | Run | type[Family],
        *,
        name: str = "",
        training: Training | Mapping[str, Any] | None = None,
        add: str = "",
        interventions: Sequence[str] = (),
        progress: Callable[[int, int, Mapping[str, Any]], None] | None = None,
        **parameters: Any,
    ) -> Run:
        """Train. `target` is a family by name, class or `./mine.py:Mine` (a new run with `parameters`), a run (go on to its end, or to more epochs),
        or `RUN@STEP` (a branch).

        `training` overrides the configuration; `add` is a schedule of checkpoints to add to a run; `interventions` are names of `before_step` hooks;
        `progress(step, last, metrics)` is called after each epoch. A run of the same identity that is complete is returned as it is.
        """
        from .training.trainer import train_target

        target = self.named_target(target)
        return train_target(self, target, name, training, add, interventions, progress, parameters)

    def import_run(
        self,
        path: str | Path,
        family: str | type[Family] = "",
        *,
        name: str = "",
        map: str | Path | None = None,
        metrics: str | Path | None = None,
        **parameters: Any,
    ) -> Run:
        """Make a run of a folder of checkpoints that someone else made; see `strobe.runs.importing`.

        `family` is a name, a class or `./mine.py:Mine`; without one the run has weights only, and everything that looks at weights alone applies.
        """
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
        remember_files(self.root, [self.registry.get("analyzer", name) for name in recipes])
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
        return [(run, analysis.facts(run, probe)) for run in self.chosen(runs)]

    def chosen(self, runs: str | Run | Iterable[str | Run] | None) -> list[Run]:
        """Runs by name or as they are, all of the workspace for None. Raises `UsageError` where there are none."""
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

        return pack(self, self.chosen(runs), output, without, progress)

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
        return reading.table(self, name, runs=runs, steps=steps, probe=probe, settings=settings, columns=columns)

    def addresses(self, name: str, runs: Sequence[Run], probe: str = "", settings: Mapping[str, Any] | None = None) -> list[Address]:
        """Where the current results of an analyzer lie, one per run (one in all for `scope = "runs"`).

        Of an analyzer that is not installed, or cannot be used, those that were stored last.
        """
        return reading.addresses(self, name, runs, probe, settings)

    def origin(self, name: str) -> Origin | None:
        """Who made the stored results of a table, None when there are none."""
        return reading.origin(self, name)

    def spans_runs(self, table: str) -> bool:
        """Whether a table is of several runs together. Raises `UsageError` for one that is neither installed nor stored."""
        return reading.spans_runs(self, table)

    def schema(self, name: str, run: str | Run | None = None) -> TableSchema:
        """The columns of a table, with kinds, units and descriptions: from the analyzer's declaration, stored or not.

        Of an analyzer that is not installed, or cannot be used, as its stored results declare them.
        """
        return reading.schema(self, name, run)

    def stored(self) -> list[dict[str, Any]]:
        """What lies on disk: analyzer, key, run, probe, steps, rows and bytes of every result, and the package that made it; stale ones included."""
        return reading.stored(self)

    def outdated(self) -> list[Address]:
        """Results that nothing shows any more, because their code, settings or inputs have changed, or their run is gone; never those of an analyzer
        that cannot be used here. `strobe delete --outdated` takes them away; bundles leave them out. Cost: some ms per result."""
        from .storage.outdated import outdated

        return outdated(self)

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
        return frames.frame(self, renderer, table, cursor, slots, follow, sql, runs=runs, align=align, compare=compare)

    def stored_settings(self, name: str, run: str | Run, probe: str = "") -> list[dict[str, Any]]:
        """The settings with which current results of an analyzer are stored for a run, newest first."""
        return frames.stored_settings(self, name, run, probe)

    def step_shown(self, table: str, cursor: Mapping[str, Any]) -> int | None:
        """The step whose rows `frame` gives at a cursor's step; None for a table without steps."""
        return frames.step_shown(self, table, cursor)

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
        from .panels.compare import together

        drawn = self.renderer(renderer)
        shown = together(self, self.chosen(runs), compare, align) if runs else None
        return View(self, drawn, table, {"run": self.run(run).name, **cursor}, slots or {}, tuple(follow), sql, shown)

    def report(self, run: str | Run, name: str = "default", **cursor: Any) -> ReportView:
        """A report of a run: shows itself in a notebook, `.to_html()`, `.save("x.pdf")`. `name` as in `strobe report list`, or a YAML file."""
        from .export.board import ReportView
        from .reports.library import find

        chosen = self.run(run)
        return ReportView(self, find(self, name, chosen), chosen, cursor)

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


def _without_runs() -> str:
    """What to do where there is no run."""
    if any(Path("runs").glob("*/run.json")):
        return "; the folder you are in is a workspace: add `--workspace .`"
    return "; the workspace has no runs: `strobe demo`, `strobe train` or `strobe import` makes one"
