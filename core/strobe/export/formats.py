"""Which formats there are, and who writes each: one table, from a file's suffix to the functions that write reports and single panels."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from ..panels.view import View
    from ..reports.model import Report
    from ..runs.run import Run
    from ..workspace import Workspace

Tick = Callable[[int, int], None]
"""Takes progress: done, total."""

THEMES: Mapping[str, str] = {"light": "strobe", "dark": "strobe_dark", "paper": "strobe_paper"}
"""Names people type -> names Altair knows."""


@dataclass(frozen=True)
class Format:
    """What a suffix means. `report` and `view` are the writers, `module:function`, '' where there is none:
    `report(workspace, report, run, path, *, theme, cursor, progress, ...)` and `view(view, path, *, theme, progress, ...)`."""

    about: str
    report: str = ""
    view: str = ""


_PICTURES = ("strobe.export.pictures:write_report_picture", "strobe.export.pictures:write_view_picture")
_MOVIES = ("strobe.animation.animate:write_report_animation", "strobe.animation.animate:write_view_animation")
FORMATS: Mapping[str, Format] = {
    "html": Format("one page that opens offline", "strobe.export.html:write_html", "strobe.export.single:write_chart"),
    "png": Format("a picture", *_PICTURES),
    "svg": Format("a picture of lines and text, for a browser or an editor", *_PICTURES),
    "pdf": Format("lines and text, for print; a report on pages needs the extra pdf", "strobe.export.pages:write_report_pdf", _PICTURES[1]),
    "gif": Format("an animation that opens everywhere", *_MOVIES),
    "webp": Format("an animation, lossless and smaller", *_MOVIES),
    "mp4": Format("a film; needs the extra video", *_MOVIES),
    "md": Format("what happened, and each panel, as Markdown with figures beside it", "strobe.summaries.write:write_report_markdown"),
    "json": Format("the Vega-Lite specification with its data", "", "strobe.export.single:write_chart"),
}


def write_report(
    workspace: Workspace,
    report: Report | str,
    run: str | Run,
    output: str | Path,
    *,
    cursor: Mapping[str, Any] | None = None,
    theme: str = "light",
    progress: Tick | None = None,
    **options: Any,
) -> Path:
    """Write a report, by the suffix of `output`; returns the path. `report` is one, or the name of one; `options` are those of the format.

    Raises `UsageError` for a format, theme or option that is not there (naming those that are), a folder, and a cursor outside the data.
    """
    run = workspace.run(run)
    write, chosen, looking = _sound(workspace, report, run, output, cursor, theme, options)
    return _call(write, output, (workspace, chosen, run), {"theme": altair_theme(theme), "cursor": looking, "progress": progress}, options)


def write_view(view: View, output: str | Path, *, theme: str = "light", progress: Tick | None = None, **options: Any) -> Path:
    """Write one panel at its cursor, by the suffix of `output`; returns the path. Raises as `write_report` does."""
    from ..panels.cards import card_of
    from .places import checked

    write = writer(output, "view")
    _check_options(write, output, options)
    check_place(output)
    checked(view.workspace, view.workspace.run(view.cursor["run"]), [card_of(view)], view.cursor)
    return _call(write, output, (view,), {"theme": altair_theme(theme), "progress": progress}, options)


# --- as jobs -----------------------------------------------------------------------------------------------------------------------------------


def checked_request(workspace: Workspace, request: Mapping[str, Any]) -> Report:
    """The report that the request of a job asks for. Raises what `write_report` would raise before it draws."""
    shown = _shown(workspace, request)
    _sound(workspace, shown, workspace.run(request["run"]), request["output"], request["cursor"], request["theme"], request["options"])
    return shown


def write_request(workspace: Workspace, request: Mapping[str, Any], progress: Tick | None = None) -> Path:
    """Do what a job asks for."""
    given = {"cursor": request["cursor"], "theme": request["theme"], **request["options"]}
    return write_report(workspace, _shown(workspace, request), request["run"], request["output"], progress=progress, **given)


def _shown(workspace: Workspace, request: Mapping[str, Any]) -> Report:
    from ..reports.library import find
    from ..reports.model import Panel, Report, Section

    if not request["panel"]:
        return find(workspace, request["report"], request["run"])
    panel = Panel(**request["panel"])
    return Report(title=panel.title or panel.renderer, sections=[Section(title=panel.title or panel.renderer, panels=[panel])])


# --- checks ------------------------------------------------------------------------------------------------------------------------------------


def _sound(
    workspace: Workspace,
    report: Report | str,
    run: Run,
    output: str | Path,
    cursor: Mapping[str, Any] | None,
    theme: str,
    options: Mapping[str, Any],
) -> tuple[Callable[..., Path], Report, dict[str, Any]]:
    """Who writes it, the report, and the cursor: everything that can be refused before something is drawn."""
    from ..panels.cards import cards_of, resolve
    from ..reports.library import find
    from .places import checked

    altair_theme(theme)
    write = writer(output, "report")
    _check_options(write, output, options)
    check_place(output)
    chosen = find(workspace, report, run) if isinstance(report, str) else report
    if not chosen.panels:
        raise UsageError(f"report {chosen.title!r} has no panels: there is nothing to show; `strobe analyze {run.name}` computes results")
    return write, chosen, checked(workspace, run, cards_of(resolve(workspace, chosen, run)), cursor)


def altair_theme(name: str) -> str:
    """`light` -> `strobe`; the names that Altair knows stay as they are."""
    if name not in THEMES and name not in THEMES.values():
        raise UsageError(f"no theme {name!r}{did_you_mean(name, THEMES)}")
    return THEMES.get(name, name)


def writer(output: str | Path, what: str) -> Callable[..., Path]:
    """The function that writes a file of this name; `what` is `report` or `view`. Looks at nothing but the name, and whether it is a folder."""
    path = Path(output)
    suffix = path.suffix.removeprefix(".").lower()
    known = {name: getattr(format_, what) for name, format_ in FORMATS.items() if getattr(format_, what)}
    if path.is_dir():
        raise UsageError(f"{path} is a folder; name a file in it, for example {path / f'{what}.{next(iter(known))}'}")
    if suffix not in known:
        told = f"a file {path.suffix}" if suffix else "a file without suffix"
        raise UsageError(f"{path.name}: cannot write a {what} as {told}; use one of {', '.join(known)}")
    module, _, function = known[suffix].partition(":")
    return getattr(import_module(module), function)  # type: ignore[no-any-return]


def check_place(output: str | Path) -> None:
    """Refuse, before anything is drawn, a file for which there can be no folder, or whose folder may not be written to."""
    path = Path(output).expanduser()
    there = next(folder for folder in path.absolute().parents if folder.exists())
    if not there.is_dir():
        raise UsageError(f"{path} cannot be written: {there} is a file, not a folder")
    if not os.access(there, os.W_OK):
        raise UsageError(f"{path} cannot be written: the folder {there} is read-only")


COMMON = ("theme", "cursor", "progress")
"""What every writer takes: no option of a format."""


def _check_options(write: Callable[..., Path], output: str | Path, options: Mapping[str, Any]) -> None:
    known = [name for name, p in inspect.signature(write).parameters.items() if p.kind is p.KEYWORD_ONLY and name not in COMMON]
    for name in options:
        if name not in known:
            raise UsageError(f"{Path(output).suffix} takes no option {name!r}{did_you_mean(name, known)}")


def _call(write: Callable[..., Path], output: str | Path, given: tuple[Any, ...], common: Mapping[str, Any], options: Mapping[str, Any]) -> Path:
    _check_options(write, output, options)
    path = Path(output).expanduser()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return write(*given, path, **common, **options)
    except OSError as e:
        raise UsageError(f"{path} cannot be written: {e.strerror or e}") from e
