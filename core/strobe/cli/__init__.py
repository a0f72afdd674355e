"""The command line. A command imports what it needs when it runs: `strobe --help` and `plugins list` start without torch, pandas or pydantic."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import StrobeError

app = typer.Typer(
    name="strobe",
    help="What happened in there? Analyzers over checkpoints, typed results, reports.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
plugins = typer.Typer(help="Installed analyzers, renderers, families and hooks.", no_args_is_help=True, rich_markup_mode=None)
jobs = typer.Typer(help="Jobs in the background: list, show, cancel, retry, logs.", no_args_is_help=True, rich_markup_mode=None)
report = typer.Typer(help="Reports: list, check, render.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(plugins, name="plugins")
app.add_typer(report, name="report")
app.add_typer(jobs, name="jobs")

WORKSPACE = typer.Option("--workspace", "-w", metavar="DIR", help="Folder of runs and results [default: $STROBE_WORKSPACE, else ./strobe-workspace].")
Folder = Annotated[str, WORKSPACE]
Json = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]
Set = Annotated[list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A setting; lists are JSON. Repeatable.")]
Analyzers = Annotated[list[str] | None, typer.Option("-a", "--analyzer", help="Name, or ./file.py:Class. Repeatable; all when left out.")]
Probe = Annotated[str, typer.Option(help="Batch of inputs to look at [default: the family's first].")]
Detach = Annotated[bool, typer.Option("--detach", help="As a job in the background; `strobe jobs list` shows it.")]
Job = Annotated[str, typer.Argument(metavar="JOB", help="Id of a job, or the beginning of it.")]
Runs = Annotated[list[str] | None, typer.Argument(metavar="[RUN ...]", help="Runs, all when left out.")]


def workspace_path(given: str) -> Path:
    return Path(given or os.environ.get("STROBE_WORKSPACE") or "strobe-workspace")


def command(module: str, name: str) -> Callable[..., Any]:
    """The function that does a command's work, imported now."""
    return getattr(import_module(f"strobe.cli.{module}"), name)  # type: ignore[no-any-return]


def main() -> None:
    """Entry point: errors a user can mend are one line, without a traceback."""
    try:
        app(standalone_mode=True)
    except StrobeError as e:
        print(f"strobe: {e}", file=sys.stderr)
        raise SystemExit(e.status) from e
    except KeyboardInterrupt:
        print("strobe: interrupted; what is done is stored, the same command goes on from there", file=sys.stderr)
        raise SystemExit(130) from None
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None


def _version(wanted: bool) -> None:
    if wanted:
        from ..version import __version__

        print(f"strobe {__version__}")
        raise typer.Exit


@app.callback()
def _root(version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")] = False) -> None:
    pass


# --- runs ----------------------------------------------------------------------------------------------------------------------------------


@app.command()
def demo(
    workspace: Folder = "",
    family: Annotated[str, typer.Option(help="Family whose demo to run.")] = "modular_addition",
    no_app: Annotated[bool, typer.Option("--no-app", help="End after writing the HTML report.")] = False,
    executor: Annotated[str, typer.Option(help="local or processes.")] = "local",
) -> None:
    """Train a small model until it groks, analyze it, write its report and open the app."""
    command("demo", "demo")(workspace_path(workspace), family, no_app, executor)


@app.command()
def train(
    target: Annotated[str, typer.Argument(metavar="FAMILY|RUN|RUN@STEP", help="A family, a run to go on with, or where to branch off.")],
    workspace: Folder = "",
    set_: Set = None,
    sweep: Annotated[str, typer.Option(metavar="FILE", help="YAML: settings to lists of values, or a list of settings.")] = "",
    schedule: Annotated[str, typer.Option(help="Steps to keep: every:100, log:60, at:0,10, 0-1500:100, unions with +.")] = "",
    epochs: Annotated[int, typer.Option(help="Updates, each over the whole training split [default: the family's].")] = 0,
    name: Annotated[str, typer.Option(help="Name of the run [default: family, settings, identity].")] = "",
    add: Annotated[str, typer.Option(metavar="SCHEDULE", help="Add checkpoints to a run; around:turn:+-1000:50 uses its events.")] = "",
    intervene: Annotated[list[str] | None, typer.Option(metavar="NAME", help="A before_step hook that acts on this run. Repeatable.")] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda: the whole update as one CUDA graph; the same as --set device=...")] = "",
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run (more --epochs: with a complete one).")] = False,
    detach: Detach = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print steps, bytes and estimated time. Trains nothing.")] = False,
    json: Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")] = False,
) -> None:
    """Train. --set takes parameters of the family and of the training (@NAME: a set of the workspace); a comma makes a sweep."""
    root, settings = workspace_path(workspace), [*(set_ or []), *([f"device={device}"] if device else [])]
    if detach and not dry_run:
        command("jobs", "detach_train")(root, target, settings, sweep, schedule, add, epochs, name, intervene or [], resume)
        return
    command("train", "train")(root, target, settings, sweep, schedule, add, epochs, name, intervene or [], resume, dry_run, json, quiet)


@app.command("import")
def import_(
    path: Path,
    family: Annotated[str, typer.Option(help="Family the checkpoints belong to.")],
    workspace: Folder = "",
    set_: Set = None,
    name: Annotated[str, typer.Option(help="Name of the run [default: the folder's].")] = "",
    map_: Annotated[str, typer.Option("--map", metavar="FILE", help="YAML or JSON: canonical name -> foreign name and orientation.")] = "",
    metrics: Annotated[str, typer.Option(metavar="FILE", help="CSV with a column step.")] = "",
) -> None:
    """Make a run of a folder of checkpoints that someone else made."""
    command("runs", "import_run")(workspace_path(workspace), path, family, set_ or [], name, map_, metrics)


@app.command()
def runs(workspace: Folder = "", every: Annotated[bool, typer.Option("--all", help="Archived ones too.")] = False, json: Json = False) -> None:
    """List runs."""
    command("runs", "list_runs")(workspace_path(workspace), every, json)


@app.command()
def label(
    run: Annotated[list[str], typer.Argument(metavar="RUN ...", help="Runs to say something about.")],
    workspace: Folder = "",
    text: Annotated[str | None, typer.Option("--label", help="A name for people; '' takes it away.")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="A word to find runs by. Repeatable.")] = None,
    untag: Annotated[list[str] | None, typer.Option(metavar="TAG", help="A tag to take away. Repeatable.")] = None,
    note: Annotated[str | None, typer.Option(help="Whatever is worth remembering; '' takes it away.")] = None,
    archived: Annotated[bool | None, typer.Option("--archive/--unarchive", help="Leave the runs out of listings, or not any more.")] = None,
    json: Json = False,
) -> None:
    """Label, tag, annotate or archive runs, and show what is said about them. Moves nothing of what they are."""
    command("labels", "label")(workspace_path(workspace), run, text, tag or [], untag or [], note, archived, json)


@app.command()
def delete(
    run: Annotated[list[str], typer.Argument(metavar="RUN ...", help="Runs to delete, with their results.")],
    workspace: Folder = "",
    yes: Annotated[bool, typer.Option("--yes", help="Delete without asking.")] = False,
) -> None:
    """Delete runs and their results. What goes is listed first."""
    command("labels", "delete")(workspace_path(workspace), run, yes)


@app.command()
def sites(model: Annotated[str, typer.Argument(help="A run, or a family.")], workspace: Folder = "", set_: Set = None, json: Json = False) -> None:
    """What can be captured: sites with their shapes, parameters with theirs."""
    command("runs", "sites")(workspace_path(workspace), model, set_ or [], json)


# --- analysis ------------------------------------------------------------------------------------------------------------------------------


@app.command()
def analyze(
    runs: Runs = None,
    workspace: Folder = "",
    analyzer: Analyzers = None,
    probe: Probe = "",
    set_: Set = None,
    executor: Annotated[str, typer.Option(help="local or processes.")] = "local",
    workers: Annotated[int, typer.Option(help="Worker processes [default: one per core].")] = 0,
    detach: Detach = False,
    json: Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")] = False,
) -> None:
    """Compute what is missing, at most one forward pass per checkpoint."""
    if detach:
        command("jobs", "detach_analyze")(workspace_path(workspace), runs, analyzer, probe, set_ or [], executor, workers or None)
        return
    command("analyze", "analyze")(workspace_path(workspace), runs, analyzer, probe, set_ or [], executor, workers or None, json, quiet)


@app.command()
def plan(runs: Runs = None, workspace: Folder = "", analyzer: Analyzers = None, probe: Probe = "", set_: Set = None, json: Json = False) -> None:
    """What analyze would do: passes, tensors, bytes. Runs nothing."""
    command("analyze", "plan")(workspace_path(workspace), runs, analyzer, probe, set_ or [], json)


@app.command()
def results(workspace: Folder = "", json: Json = False) -> None:
    """List stored results."""
    command("analyze", "results")(workspace_path(workspace), json)


@app.command()
def sql(query: str, workspace: Folder = "", json: Json = False) -> None:
    """Query results: one view per analyzer, `metrics`, `_failures`, `runs`, `jobs` and `results`."""
    command("analyze", "sql")(workspace_path(workspace), query, json)


@app.command()
def view(
    renderer: str,
    run: str,
    output: Annotated[Path, typer.Option("-o", "--output", help="File to write: png, svg, pdf, html or json.")],
    workspace: Folder = "",
    at: Annotated[str, typer.Option(help="Cursor: step=5000,neuron=12.")] = "",
    table: Annotated[str, typer.Option(help="Table to draw, for a generic renderer.")] = "",
    set_: Set = None,
    theme: Annotated[str, typer.Option(help="light or dark.")] = "light",
) -> None:
    """Draw one panel into a file."""
    command("show", "view")(workspace_path(workspace), renderer, run, output, at, table, set_ or [], theme)


@app.command("app")
def app_(
    workspace: Folder = "",
    port: Annotated[int, typer.Option(help="Port [default: the first free one from 8501].")] = 0,
    headless: Annotated[bool, typer.Option("--headless", help="Do not open a browser.")] = False,
) -> None:
    """Open the report builder in the browser."""
    command("show", "app")(workspace_path(workspace), port or None, headless)


# --- reports -------------------------------------------------------------------------------------------------------------------------------


@report.command("list")
def report_list(workspace: Folder = "", json: Json = False) -> None:
    """List the reports of the workspace."""
    command("show", "report_list")(workspace_path(workspace), json)


@report.command("check")
def report_check(name: Annotated[str, typer.Argument(help="A report, or a YAML file.")], workspace: Folder = "") -> None:
    """Check a report: its fields, renderers and settings."""
    command("show", "report_check")(workspace_path(workspace), name)


@report.command("render")
def report_render(
    name: Annotated[str, typer.Argument(help="A report, a YAML file, or `default`.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="HTML file to write.")],
    workspace: Folder = "",
    run: Annotated[str, typer.Option(help="Run to show [default: the only one].")] = "",
    detach: Detach = False,
) -> None:
    """Write a report as one HTML file that opens offline."""
    if detach:
        command("jobs", "detach_render")(workspace_path(workspace), name, run, output)
        return
    command("show", "report_render")(workspace_path(workspace), name, run, output)


# --- jobs ----------------------------------------------------------------------------------------------------------------------------------


@jobs.command("list")
def jobs_list(
    workspace: Folder = "",
    state: Annotated[str, typer.Option(help="Only queued, running, done, failed or cancelled ones.")] = "",
    json: Json = False,
) -> None:
    """List jobs with state, progress, rate and time left."""
    command("jobs", "list_jobs")(workspace_path(workspace), state, json)


@jobs.command("show")
def jobs_show(job: Job, workspace: Folder = "", json: Json = False) -> None:
    """Show everything about a job."""
    command("jobs", "show")(workspace_path(workspace), job, json)


@jobs.command("cancel")
def jobs_cancel(job: Annotated[list[str], typer.Argument(metavar="JOB ...", help="Jobs to end.")], workspace: Folder = "") -> None:
    """End jobs. What they have stored stays."""
    command("jobs", "cancel")(workspace_path(workspace), job)


@jobs.command("retry")
def jobs_retry(job: Annotated[list[str], typer.Argument(metavar="JOB ...", help="Failed or cancelled jobs.")], workspace: Folder = "") -> None:
    """Queue failed or cancelled jobs again: they go on from what is stored."""
    command("jobs", "retry")(workspace_path(workspace), job)


@jobs.command("logs")
def jobs_logs(
    job: Job, workspace: Folder = "", follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the job has ended.")] = False
) -> None:
    """Print what a job has printed, in all its attempts."""
    command("jobs", "logs")(workspace_path(workspace), job, follow)


@app.command()
def worker(
    workspace: Folder = "",
    parallel: Annotated[int, typer.Option(help="Jobs at once, each in a process of one thread [default: one per core].")] = 0,
    idle: Annotated[float, typer.Option(help="End when the queue has been empty for this many seconds [default: never].")] = 0,
) -> None:
    """Do jobs until Ctrl-C; those that still run then go back into the queue."""
    command("jobs", "work")(workspace_path(workspace), parallel, idle or None)


@app.command()
def reindex(workspace: Folder = "", json: Json = False) -> None:
    """Build the index of runs and results in strobe.db from what is on disk. Jobs stay."""
    command("jobs", "reindex")(workspace_path(workspace), json)


# --- plugins -------------------------------------------------------------------------------------------------------------------------------


@plugins.command("list")
def plugins_list(
    json: Json = False,
    kind: Annotated[str, typer.Option(help="analyzer, renderer, family or hook.")] = "",
    check: Annotated[bool, typer.Option("--check", help="Import each one, and say which are broken.")] = False,
) -> None:
    """List every plugin by category, from package metadata alone."""
    command("plugins", "list_plugins")(json, kind, check)


@plugins.command("show")
def plugins_show(name: str, json: Json = False) -> None:
    """Show a plugin: what it computes or draws, settings, columns, sites."""
    command("plugins", "show")(name, json)


@plugins.command("disable")
def plugins_disable(name: Annotated[str, typer.Argument(help="NAME, or PACKAGE:NAME for one of two that clash.")]) -> None:
    """Leave a plugin out until it is enabled again."""
    command("plugins", "disable")(name)


@plugins.command("enable")
def plugins_enable(name: str) -> None:
    """Bring a disabled plugin back."""
    command("plugins", "enable")(name)
