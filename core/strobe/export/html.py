"""Export: a report as one HTML file that opens without a server and without a network."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UsageError
from ..reports.cards import LIGHT, Group, cards_of, choices, resolve, signed
from ..reports.film import Film, Reel, Shot, shoot
from ..reports.moments import events_of, nearest
from ..reports.report import Report
from ..reports.screen import colours, model
from ..runs.run import Run
from ..version import __version__

if TYPE_CHECKING:
    from ..workspace import Workspace

MOST_STEPS = 64
"""Steps of a file unless more are asked for: a p = 113 report of 43 steps takes about 10 MB, nearly all of it maps."""
Tick = Callable[[int, int], None]


def write_html(
    workspace: Workspace,
    report: Report,
    run: str | Run,
    path: str | Path,
    *,
    theme: str = LIGHT,
    cursor: Mapping[str, Any] | None = None,
    most_steps: int = MOST_STEPS,
    progress: Tick | None = None,
) -> Path:
    """Write a report as one HTML file: charts, a step slider that plays, events, and the data behind each chart. Returns the path.

    `cursor` says which layer, head, neuron, ... to show (the first of each by default) and the step to open at. A run of more than `most_steps`
    checkpoints is thinned, its first, last and those nearest to events kept; the page says so. Cost: up to one chart per panel and step.
    """
    run, path = workspace.run(run), Path(path)
    if not run.steps:
        raise UsageError(f"run {run.name} has no checkpoints yet; `strobe train {run.name} --resume` makes some")
    events = events_of(workspace, run)
    steps = chosen_steps(run.steps, events.values(), most_steps)
    groups = resolve(workspace, report, run)
    cards = cards_of(groups)
    looking = {**{name: values[0] for name, values in choices(workspace, run, cards).items()}, **(cursor or {})}
    reel, films = Reel(), []
    for i, card in enumerate(cards):
        films.append(shoot(card, steps, looking, reel, theme))
        if progress is not None:
            progress(i + 1, len(cards))
    page = model(workspace, run, groups, {name: value for name, value in looking.items() if isinstance(value, int)}, steps)
    page |= {"choices": {}, "bookmarks": [], "version": __version__}  # a file holds one layer, head, neuron, ...
    data = {"model": page, "steps": steps, "films": [_film(film) for film in films], "rows": reel.rows}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_page(report, run, groups, data, theme, _note(run, steps, looking), signed(workspace, run)), "utf-8")
    return path


# --- steps -------------------------------------------------------------------------------------------------------------------------------------


def chosen_steps(steps: Sequence[int], events: Any, most: int) -> list[int]:
    """At most `most` steps, evenly spread over the checkpoints; the first, the last and those nearest to events are kept."""
    if most < 2:
        raise UsageError(f"an export of {most} steps shows no change; ask for 2 or more")
    if len(steps) <= most:
        return list(steps)
    kept = {steps[0], steps[-1], *[steps[nearest(steps, e)] for e in list(events)[: most - 2]]}
    free = [s for s in steps if s not in kept]
    wanted = most - len(kept)
    kept |= {free[(2 * i + 1) * len(free) // (2 * wanted)] for i in range(wanted)}
    return sorted(kept)


# --- the page ----------------------------------------------------------------------------------------------------------------------------------


def _film(film: Film) -> dict[str, Any]:
    return {"specs": film.specs, "shots": [_shot(shot) for shot in film.shots]}


def _shot(shot: Shot) -> dict[str, Any]:
    if shot.problem:
        return {"problem": shot.problem}
    return {"spec": shot.spec, "datasets": shot.datasets, **({"asOf": shot.as_of} if shot.as_of is not None else {})}


def _page(report: Report, run: Run, groups: Sequence[Group], data: Mapping[str, Any], theme: str, note: str, footer: str) -> str:
    family = run.family.model_dump(mode="json")
    about = f"{len(run.steps)} checkpoints, {run.steps[0]:,} to {run.steps[-1]:,}. {run.record.family}, " + ", ".join(
        f"{k}={v}" for k, v in list(family.items())[:5]
    )
    parts = {
        "theme": theme,
        "version": __version__,
        "title": html.escape(report.title),
        "description": html.escape(report.description),
        "run": html.escape(run.name),
        "about": html.escape(about),
        "note": html.escape(note),
        "footer": html.escape(footer),
        "contents": "".join(f'<a href="#card-{c.number}"><span>{c.number}</span>{html.escape(c.title)}</a>' for c in cards_of(groups)),
        "style": _style(theme),
        "scene": f'<script type="module">\n{_script("scene.js")}\n</script>\n' if _has_scene(data) else "",
        "script": _script("board.js"),
        "data": json.dumps(data, separators=(",", ":"), default=str).replace("<", "\\u003c"),  # "</script>" would end the element
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda place: parts[place[1]], _resource("page.html"))  # in one pass: a title may contain {{data}}


def _note(run: Run, steps: Sequence[int], looking: Mapping[str, Any]) -> str:
    thinned = f"{len(steps)} of the run's {len(run.steps)} checkpoints are in this file. " if len(steps) < len(run.steps) else ""
    where = ", ".join(f"{name} {value}" for name, value in looking.items() if name != "step")
    return f"{thinned}Every chart follows the step on the left, unless its footnote says otherwise.{f' Shown: {where}.' if where else ''}"


def _style(theme: str) -> str:
    variables = " ".join(f"--{name}: {value};" for name, value in colours(theme).items())
    return f":root {{ {variables} }}\n{_resource('page.css')}\n{_resource('board.css')}"


def _has_scene(data: Mapping[str, Any]) -> bool:
    """Whether the script that draws scenes is needed: a quarter of a megabyte."""
    return any("scene" in spec for film in data["films"] for spec in film["specs"])


def _script(name: str) -> str:
    return _resource(name).replace("</script", "<\\/script")


def _resource(name: str) -> str:
    return files("strobe").joinpath("page", name).read_text("utf-8")
