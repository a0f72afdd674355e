"""demo: train until it groks, analyze, write the report, open the app."""

from __future__ import annotations

from pathlib import Path

from ..errors import UsageError
from ..workspace import Workspace
from .analyze import print_report
from .output import progress_bar
from .runs import last_metrics_text
from .train import Request, train_one


def demo(root: Path, family: str, no_app: bool, executor: str) -> None:
    workspace = Workspace(root)
    setting = workspace.registry.family(family).demo()
    if setting is None:
        raise UsageError(f"family {family!r} has no demo; families that do: {', '.join(families_with_demo(workspace)) or 'none'}")
    parameters, training = setting
    print(f"training {family} ({', '.join(f'{k}={v}' for k, v in parameters.items())}) for {training.epochs:,} epochs")
    run = train_one(workspace, Request(family, "", training.model_dump(), parameters), quiet=False)
    print(f"{run.name}: {len(run.steps)} checkpoints, {last_metrics_text(run)}")
    with progress_bar(False, "analyzing") as bar:
        report = workspace.analyze(run, executor=executor, progress=lambda p: bar(p.done, p.total, p.what))
    print_report(report)
    output = write_report(workspace, run.name)
    print(f"report: {output}")
    if not no_app:
        from .show import app

        app(root, None, False)
    if not report.ok:
        raise SystemExit(1)


def write_report(workspace: Workspace, run: str) -> Path:
    """The family's report as one file; what it does not show is in the app."""
    from ..export.html import write_html
    from ..reports.default import default_report

    chosen = workspace.run(run)
    output = workspace.root / f"{run}.html"
    with progress_bar(False, "drawing") as bar:
        report = default_report(workspace, chosen, more=False)
        write_html(workspace, report, chosen, output, progress=lambda done, total: bar(done, total, "panels"))
    return output


def families_with_demo(workspace: Workspace) -> list[str]:
    return [p.name for p in workspace.registry.all("family") if p.state == "ready" and p.load().demo() is not None]
