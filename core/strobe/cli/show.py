"""view, app, report."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import entry_points
from pathlib import Path

from ..errors import StrobeError, UsageError
from ..workspace import Workspace
from .output import parse_settings, parse_value, print_json, print_table

THEMES = {"light": "strobe", "dark": "strobe_dark"}


def view(root: Path, renderer: str, run: str, output: Path, at: str, table: str, given: Sequence[str], theme: str) -> None:
    from .. import charts

    workspace = Workspace(root)
    cursor = {}
    for item in filter(None, at.split(",")):
        name, equals, text = item.partition("=")
        if not equals:
            raise UsageError(f"--at {at!r}: write NAME=VALUE pairs, for example --at step=5000,neuron=12")
        cursor[name.strip()] = parse_value(text)
    if theme not in THEMES:
        raise UsageError(f"no theme {theme!r}; there are {', '.join(THEMES)}")
    drawn = workspace.renderer(renderer, parse_settings(given))
    with charts.use(THEMES[theme]):
        print(workspace.view(drawn, run, table, **cursor).save(output))


def app(root: Path, port: int | None, headless: bool) -> None:
    """Start the app, which core knows by its entry point alone."""
    try:
        (entry,) = entry_points(group="strobe.apps", name="streamlit")
        main = entry.load()
    except (ImportError, ValueError) as e:
        raise StrobeError(f"the app cannot start: {e}; reinstall strobe") from e
    Workspace(root)
    raise SystemExit(main(str(root), port, headless))


def report_list(root: Path, as_json: bool) -> None:
    from ..reports.report import named_reports

    rows = named_reports(Workspace(root))
    if as_json:
        print_json(rows)
    else:
        print_table(
            rows, ["name", "title", "file"], f"{root}/reports has no reports; `strobe report render default -o report.html` renders a run's own"
        )


def report_check(root: Path, name: str) -> None:
    from ..reports.report import check

    problems = check(Workspace(root), name)
    for problem in problems:
        print(problem)
    if problems:
        raise SystemExit(1)
    print(f"{name}: good")


def report_render(root: Path, name: str, run: str, output: Path) -> None:
    from ..export import write_report

    workspace = Workspace(root)
    names = [r.name for r in workspace.runs()]
    if not run and len(names) != 1:
        raise UsageError(f"which run? --run NAME, one of {', '.join(names)}" if names else f"{root} has no runs; `strobe demo` makes one")
    print(write_report(workspace, name, run or names[0], output))
