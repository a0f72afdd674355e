"""jobs, worker, reindex, and what --detach does."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UsageError, did_you_mean
from ..jobs.job import STATES, Job, Prepared
from ..jobs.kinds import kind_of
from ..jobs.queue import JobStore
from ..jobs.worker import ensure_worker
from ..storage.database import set_aside
from ..workspace import Workspace
from .output import analyzer_settings, print_json, print_table
from .report import parse_cursor

if TYPE_CHECKING:
    from .train import Asked

NONE = "{} has no jobs; --detach on train, analyze and report render makes one"


def list_jobs(root: Path, state: str, as_json: bool) -> None:
    if state and state not in STATES:
        raise UsageError(f"--state {state!r}{did_you_mean(state, STATES)}")
    store = JobStore(root)
    found = store.all((state,) if state else STATES)
    if as_json:
        print_json([job.to_json() for job in found])
        return
    print_table([_row(job) for job in found], ["id", "job", "state", "progress", "rate", "left", "attempt", "note"], NONE.format(root))
    if any(not job.ended for job in found) and not store.workers():
        print(f"no worker lives; start one: strobe worker --workspace {root}")


def _row(job: Job) -> dict[str, Any]:
    said = job.error.partition("\n")[0] if job.error else job.note if job.state == "running" else ""
    return {
        "id": job.id,
        "job": job.title,
        "state": state_text(job),
        "progress": percent(job.progress),
        "rate": "" if job.rate is None else f"{job.rate:,.3g}/s",
        "left": "" if job.seconds_left is None else duration(job.seconds_left),
        "attempt": job.attempt,
        "note": said if len(said) <= 80 else said[:79] + "…",
    }


def state_text(job: Job) -> str:
    if job.cancel and not job.ended:
        return "cancelling"
    return "waits for a worker" if job.abandoned else job.state


def percent(progress: float) -> str:
    """100 % means done: what is not done yet is rounded down."""
    return f"{int(progress * 100)} %"


def duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def show(root: Path, name: str, as_json: bool) -> None:
    store = JobStore(root)
    job = store.get(name)
    if as_json:
        print_json({**job.to_json(), "log": str(store.log(job.id))})
        return
    print(f"{job.id}  {job.title}  {state_text(job)}, {percent(job.progress)}")
    for what, value in _facts(job, store).items():
        if value not in (None, ""):
            print(f"  {what}: {value}")
    if job.state in ("failed", "cancelled"):
        print(f"  again: strobe jobs retry {job.id}")


def _facts(job: Job, store: JobStore) -> Mapping[str, Any]:
    return {
        "error": job.error,
        "note": job.note,
        "done": None if job.done is None else f"{job.done:,} of {job.total:,}",
        "rate": None if job.rate is None else f"{job.rate:,.3g} per second",
        "time left": None if job.seconds_left is None else duration(job.seconds_left),
        "attempt": job.attempt,
        "worker": job.owner if job.state == "running" else None,
        "submitted": _time(job.created),
        "started": _time(job.started),
        "ended": _time(job.finished),
        "request": job.request,
        "log": store.log(job.id) if store.log(job.id).is_file() else None,
    }


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def cancel(root: Path, names: Sequence[str]) -> None:
    store = JobStore(root)
    for job in [store.get(name) for name in names]:
        if job.ended:
            print(f"{job.id} is {job.state} already")
        else:
            now = store.cancel(job.id)
            print(f"{job.id} {'is cancelled' if now.ended else 'is being cancelled'}; again: strobe jobs retry {job.id}")


def retry(root: Path, names: Sequence[str]) -> None:
    store = JobStore(root)
    for name in names:
        print(f"{store.retry(name).id} is queued")
    ensure_worker(root)


def logs(root: Path, name: str, follow: bool) -> None:
    store = JobStore(root)
    job, shown = store.get(name), 0
    while True:
        ended = store.get(job.id).ended
        if store.log(job.id).is_file():
            with store.log(job.id).open("rb") as f:
                f.seek(shown)
                text = f.read()
            shown += len(text)
            sys.stdout.write(text.decode("utf-8", errors="replace"))
            sys.stdout.flush()
        if ended or not follow:
            return
        time.sleep(0.3)


def work(root: Path, parallel: int, idle: float | None) -> None:
    from ..jobs import worker

    if parallel < 0:
        raise UsageError(f"--parallel {parallel}: at least 1")
    print(f"working on {root} with {parallel or worker.cores()} at a time; Ctrl-C ends it", flush=True)
    worker.work(root, parallel, idle=idle)


def reindex(root: Path, as_json: bool) -> None:
    from ..storage.index import Index

    if (aside := set_aside(root)) is not None:
        print(f"strobe.db was damaged: it is {aside} now, and its jobs are forgotten", file=sys.stderr)
    found = Index(Workspace(root)).rebuild()
    if as_json:
        print_json(vars(found))
        return
    print(f"{found.runs} runs, {found.results} results")
    for problem in found.problems:
        print(f"cannot be read: {problem}")


# --- detach --------------------------------------------------------------------------------------------------------------------------------


def detach_train(root: Path, asked: Asked) -> None:
    from .train import requests

    workspace = Workspace(root)
    found = requests(workspace, asked)
    _detach(workspace, "train", [{"target": request.target, **request.arguments()} for request in found])


def detach_analyze(
    root: Path, runs: Sequence[str] | None, analyzers: Sequence[str] | None, probe: str, given: Sequence[str], how: Mapping[str, Any]
) -> None:
    request = {
        "runs": list(runs) if runs else None,
        "analyzers": list(analyzers) if analyzers else None,
        "settings": analyzer_settings(given),
        "probe": probe,
        **how,
    }
    _detach(Workspace(root), "analyze", [request])


def detach_render(root: Path, name: str, runs: Sequence[str], output: Path, at: str, theme: str, options: Mapping[str, Any]) -> None:
    if len(runs) > 1:
        raise UsageError("a job renders one run: name the others in the report (`runs:`), or leave out --detach")
    run = runs[0] if runs else ""
    _detach(
        Workspace(root),
        "export",
        [{"report": name, "run": run, "output": str(output), "cursor": parse_cursor(at), "theme": theme, "options": options}],
    )


def _detach(workspace: Workspace, kind: str, requests: Sequence[Mapping[str, Any]]) -> None:
    """Submit what is not done already, see that a worker lives, and say what to type next. All requests are checked before the first is queued."""
    prepared = [kind_of(kind).prepare(workspace, request) for request in requests]
    store = JobStore(workspace.root)
    queued = [store.submit(kind, p) for p in prepared if _worth_doing(kind, p)]
    for job in queued:
        print(f"job {job.id}: {job.title}{'' if job.state == 'queued' else f' ({job.state} already)'}")
    if queued:
        ensure_worker(workspace.root)
        where = "" if workspace.root == Path("strobe-workspace") else f" --workspace {workspace.root}"
        print(f"next: strobe jobs list{where}, strobe jobs logs {queued[0].id} -f{where}, strobe jobs cancel {queued[0].id}{where}")


def _worth_doing(kind: str, prepared: Prepared) -> bool:
    """An export is made again whenever it is asked for; what is trained or stored already is not."""
    if kind != "export" and prepared.finished:
        print(f"{prepared.title}: complete already, skipped")
        return False
    return True
