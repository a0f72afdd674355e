"""summary, bundle, unbundle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from ..workspace import Workspace
from .output import print_json, progress_bar


def summary(root: Path, runs: Sequence[str], output: Path, theme: str, quiet: bool) -> None:
    from ..summaries import write_summary

    with progress_bar(quiet, output.name) as bar:
        print(write_summary(Workspace(root), runs, output, theme=theme, progress=lambda done, total: bar(done, total, "")))


def bundle(root: Path, runs: Sequence[str], output: Path, without: Sequence[str], quiet: bool) -> None:
    with progress_bar(quiet, output.name) as bar:
        path = Workspace(root).bundle(runs, output, without=without, progress=lambda done, total: bar(done, total, ""))
    print(f"{path}  {path.stat().st_size:,} bytes")


def unbundle(root: Path, file: Path, as_json: bool, quiet: bool) -> None:
    with progress_bar(quiet, file.name) as bar:
        placed = Workspace(root).unbundle(file, progress=lambda done, total: bar(done, total, ""))
    if as_json:
        print_json(asdict(placed))
        return
    print(f"{', '.join(placed.runs)}: {len(placed.placed)} placed, {len(placed.skipped)} were there already")
    for unit in placed.kept:
        print(f"kept yours: {unit} (it is about several runs; `strobe analyze` makes it again, with these)")
    print(f"next: strobe app --workspace {root}")
