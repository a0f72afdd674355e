"""label, delete: what people say about runs, and which of them go, or which of their results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import UsageError
from ..runs import labels
from ..workspace import Workspace
from .output import print_json, print_table


def label(
    root: Path,
    runs: Sequence[str],
    text: str | None,
    tags: Sequence[str],
    untag: Sequence[str],
    note: str | None,
    archived: bool | None,
    as_json: bool,
) -> None:
    workspace = Workspace(root)
    chosen = [workspace.run(name) for name in runs]
    given = {name: value for name, value in (("label", text), ("note", note), ("archived", archived)) if value is not None}
    if "label" in given and len(chosen) > 1:
        raise UsageError(f"--label: {len(chosen)} runs cannot share one label; give one run, or use --tag")
    said = []
    for run in chosen:
        before = labels.label_of(run)
        changes: dict[str, Any] = {**given, "tags": tuple((set(before.tags) | set(tags)) - set(untag))}
        said.append({"run": run.name, **labels.relabel(run, **changes).model_dump(exclude={"schema_version"})})
    if as_json:
        print_json(said)
    else:
        print_table([{**row, "tags": ", ".join(row["tags"])} for row in said], ["run", "label", "tags", "note", "archived"], "no runs")


def delete(root: Path, runs: Sequence[str], outdated: bool, frames: bool, yes: bool) -> None:
    workspace = Workspace(root)
    if not runs and not outdated and not frames:
        raise UsageError(
            "what shall go? name runs (`strobe runs` lists them), or write --outdated for results that nothing shows any more, "
            "or --frames for those of animations that were never finished"
        )
    if runs:
        _delete_runs(workspace, runs, yes)
    if outdated:
        _delete_outdated(workspace, yes)
    if frames:
        _delete_frames(workspace, yes)


def _delete_runs(workspace: Workspace, runs: Sequence[str], yes: bool) -> None:
    chosen = [workspace.run(name) for name in dict.fromkeys(runs)]
    for run in chosen:
        labels.refuse_busy(workspace, run)
    rows = [{"run": run.name, **vars(part)} for run in chosen for part in labels.footprint(workspace, run)]
    print_table([*rows, {"run": "in all", **{n: sum(r[n] for r in rows) for n in ("files", "bytes")}}], ["run", "what", "files", "bytes"], "")
    _confirm(f"Delete {', '.join(run.name for run in chosen)}?", yes)
    for run in chosen:
        labels.delete(workspace, run)
        print(f"{run.name} is deleted")


def _delete_outdated(workspace: Workspace, yes: bool) -> None:
    from ..storage.outdated import bytes_of, delete

    old = workspace.outdated()
    if not old:
        print("no result is outdated")
        return
    rows: list[dict[str, Any]] = [
        {"analyzer": a.analyzer, "run": a.run or "(all)", "probe": a.probe, "key": a.key[:16], "bytes": bytes_of(workspace, a)} for a in old
    ]
    total = sum(row["bytes"] for row in rows)
    print_table([*rows, {"analyzer": "in all", "bytes": total}], ["analyzer", "run", "probe", "key", "bytes"], "")
    _confirm(f"Delete {len(old)} outdated results?", yes)
    delete(workspace, old)
    print(f"{len(old)} outdated results are deleted, {total:,} bytes")


def _delete_frames(workspace: Workspace, yes: bool) -> None:
    """What lies ready for an animation that was stopped goes: asked for again, it begins at its first frame."""
    import shutil

    from ..animation.animate import FOLDER
    from ..animation.frames import left

    found = left(workspace.root / FOLDER)
    if not found:
        print("no frames are left of an animation that was stopped")
        return
    rows: list[dict[str, Any]] = []
    for folder in found:
        files = [f for f in folder.iterdir() if f.is_file()]
        drawn = sum(f.name.startswith("frame-") for f in files)
        rows.append({"folder": str(folder), "frames": drawn, "bytes": sum(f.stat().st_size for f in files)})
    print_table(rows, ["folder", "frames", "bytes"], "")
    _confirm(f"Delete the frames of {len(found)} unfinished animations?", yes)
    for folder in found:
        shutil.rmtree(folder)
    print(f"{sum(row['frames'] for row in rows):,} frames are deleted, {sum(row['bytes'] for row in rows):,} bytes")


def _confirm(question: str, yes: bool) -> None:
    import typer

    if not yes and not typer.confirm(question):
        raise UsageError("nothing was deleted; --yes deletes without asking")
