"""Work in the background."""

from __future__ import annotations

from typing import Annotated

import typer

from ..options import Folder, Job, Json, command, workspace_path

root = typer.Typer()
group = typer.Typer(name="jobs", help="Jobs in the background: list, show, cancel, retry, logs.", no_args_is_help=True, rich_markup_mode=None)
root.add_typer(group)


@group.command("list")
def jobs_list(
    workspace: Folder = "",
    state: Annotated[str, typer.Option(help="Only queued, running, done, failed or cancelled ones.")] = "",
    json: Json = False,
) -> None:
    """List jobs with state, progress, rate and time left."""
    command("jobs", "list_jobs")(workspace_path(workspace), state, json)


@group.command("show")
def jobs_show(job: Job, workspace: Folder = "", json: Json = False) -> None:
    """Show everything about a job."""
    command("jobs", "show")(workspace_path(workspace), job, json)


@group.command("cancel")
def jobs_cancel(job: Annotated[list[str], typer.Argument(metavar="JOB ...", help="Jobs to end.")], workspace: Folder = "") -> None:
    """End jobs. What they have stored stays."""
    command("jobs", "cancel")(workspace_path(workspace), job)


@group.command("retry")
def jobs_retry(job: Annotated[list[str], typer.Argument(metavar="JOB ...", help="Failed or cancelled jobs.")], workspace: Folder = "") -> None:
    """Queue failed or cancelled jobs again. They go on from what is stored."""
    command("jobs", "retry")(workspace_path(workspace), job)


@group.command("logs")
def jobs_logs(
    job: Job, workspace: Folder = "", follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the job has ended.")] = False
) -> None:
    """Print what a job has printed, in all its attempts."""
    command("jobs", "logs")(workspace_path(workspace), job, follow)


@root.command()
def worker(
    workspace: Folder = "",
    parallel: Annotated[int, typer.Option(help="Jobs at once, each in a process of one thread [default: one per core].", show_default=False)] = 0,
    idle: Annotated[float, typer.Option(help="End when the queue has been empty for this many seconds [default: never].", show_default=False)] = 0,
) -> None:
    """Do jobs until Ctrl-C. Those that still run then go back into the queue."""
    command("jobs", "work")(workspace_path(workspace), parallel, idle or None)


@root.command()
def reindex(workspace: Folder = "", json: Json = False) -> None:
    """Build the index in strobe.db from what is on disk. Of runs and results; jobs stay."""
    command("jobs", "reindex")(workspace_path(workspace), json)
