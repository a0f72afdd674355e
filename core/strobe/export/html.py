"""Export: a report as one HTML file that opens without a server and without a network."""

from __future__ import annotations

import base64
import hashlib
import html
import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..checkpoints import write_atomically
from ..errors import UsageError
from ..panels.cards import LIGHT, Group, cards_of, choices, resolve, signed
from ..panels.film import Reel
from ..panels.moments import events_of, nearest
from ..panels.screen import colours, model
from ..reports.model import Report
from ..runs.run import Run, readable
from ..version import __version__
from .inline import MOST_CHARTS, Take, inlined, packed, take
from .labels import Label, label_of

if TYPE_CHECKING:
    from ..workspace import Workspace

MOST_STEPS = 64
"""Steps of a file unless more are asked for: a p = 113 report of 18 panels and 43 steps takes about 3 MB."""
POLICY = "default-src 'none'; script-src {scripts} blob:; style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; form-action 'none'"
"""A file runs the one script it was written with, told by its digest, and what that unpacks; it asks nothing of any network."""
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
    most_charts: int = MOST_CHARTS,
    progress: Tick | None = None,
) -> Path:
    """Write a report as one HTML file: charts, a step slider that plays, clicks, events, and the data behind each chart. Returns the path.

    `cursor` says where to open. A run of more than `most_steps` checkpoints is thinned, its first, last and those nearest to events kept. Layers,
    heads, ... move in the file where a card needs at most `most_charts` charts for it; elsewhere they stand where `cursor` says (at the first of each
    by default). The page says both. Numbers are kept to 3 digits or more; see `strobe.export.columns`.
    """
    path = Path(path)
    page = to_html(workspace, report, run, theme=theme, cursor=cursor, most_steps=most_steps, most_charts=most_charts, progress=progress)
    write_atomically(path, page.encode())
    return path


def to_html(
    workspace: Workspace,
    report: Report,
    run: str | Run,
    *,
    theme: str = LIGHT,
    cursor: Mapping[str, Any] | None = None,
    most_steps: int = MOST_STEPS,
    most_charts: int = MOST_CHARTS,
    progress: Tick | None = None,
) -> str:
    """The same as text."""
    run = workspace.run(run)
    if not run.steps:
        raise UsageError(f"run {run.name} has no checkpoints yet; `strobe train {run.name} --resume` makes some")
    events = events_of(workspace, run)
    steps = chosen_steps(run.steps, events.values(), most_steps)
    groups = resolve(workspace, report, run)
    cards = cards_of(groups)
    values = choices(workspace, run, cards)
    looking = {**{name: known[0] for name, known in values.items()}, **(cursor or {})}
    at = [inlined(card, values, len(steps), most_charts) for card in cards]
    reel, takes = Reel(), []
    for i, card in enumerate(cards):
        takes.append(take(card, at[i], values, steps, looking, reel, theme))
        if progress is not None:
            progress(i + 1, len(cards))
    page = model(workspace, run, groups, {name: value for name, value in looking.items() if isinstance(value, int)}, steps)
    page = _standing(page, takes, values, looking)
    label = label_of(report.title, run, cards, {"step": page["cursor"]["step"], **looking}, events)
    has_scene = any("scene" in spec for each in takes for film in each.films.values() for spec in film.specs)
    note = _note(run, steps, looking, takes)
    return _page(report, run, groups, packed(page, steps, takes, reel), theme, note, signed(workspace, run), label, has_scene)


def _standing(page: dict[str, Any], takes: Sequence[Take], values: Mapping[str, Sequence[int]], looking: Mapping[str, Any]) -> dict[str, Any]:
    """The page's model, in which only what the file holds can be chosen or clicked, and each card says what of it stands still."""
    moving = {name for each in takes for name in each.at}
    cards = iter(takes)
    sections = [{**s, "cards": [_still(card, next(cards), moving, looking) for card in s["cards"]]} for s in page["sections"]]
    chosen = {name: list(known) for name, known in values.items() if name in moving}
    return {**page, "sections": sections, "choices": chosen, "bookmarks": [], "version": __version__}


def _still(card: dict[str, Any], each: Take, moving: set[str], looking: Mapping[str, Any]) -> dict[str, Any]:
    picks = [[field, to] for field, to in card["picks"] if to == "step" or to in moving]
    fixed = [f"{name} {looking[name]} of {count:,}" for name, count in each.fixed.items()]
    said = f"; in this file at {', '.join(fixed)}: the app shows the others" if fixed else ""
    return {**card, "at": list(each.at), "picks": picks, "footnote": card["footnote"] + said}


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


def _page(report: Report, run: Run, groups: Sequence[Group], data: str, theme: str, note: str, footer: str, label: Label, has_scene: bool) -> str:
    parameters = [f"{k}={v}" for k, v in list(readable(run.family.model_dump(mode="json")).items())[:5]]
    about = f"{len(run.steps)} checkpoints, {run.steps[0]:,} to {run.steps[-1]:,}. {', '.join([run.record.family, *parameters])}"
    scripts = {name: _deflated(_resource(name)) for name in (["scene.js"] if has_scene else []) + ["board.js"]}
    loader = _resource("loader.js")
    parts = {
        "theme": theme,
        "version": __version__,
        "policy": POLICY.format(scripts=_digest(loader)),
        "title": html.escape(report.title),
        "description": html.escape(report.description),
        "run": html.escape(run.name),
        "about": html.escape(about),
        "note": html.escape(note),
        "footer": html.escape(footer),
        "said": html.escape(label.description, quote=True),
        "facts": label.json.replace("<", "\\u003c"),  # "</script>" would end the element
        "contents": "".join(f'<a href="#card-{c.number}"><span>{c.number}</span>{html.escape(c.title)}</a>' for c in cards_of(groups)),
        "style": _style(theme),
        "scripts": "\n".join(f'<script class="code" type="application/octet-stream">{text}</script>' for text in scripts.values()),
        "loader": loader,
        "data": data,
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda place: parts[place[1]], _resource("page.html"))  # in one pass: a title may contain {{data}}


def _digest(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def _note(run: Run, steps: Sequence[int], looking: Mapping[str, Any], takes: Sequence[Take]) -> str:
    thinned = f"{len(steps)} of the run's {len(run.steps)} checkpoints are in this file. " if len(steps) < len(run.steps) else ""
    still = {name: count for each in takes for name, count in each.fixed.items()}
    where = f" Shown: {', '.join(f'{name} {looking[name]} of {count:,}' for name, count in still.items())}." if still else ""
    kept = "Measured numbers are kept to 3 digits or more, maps in 85 shades."
    return f"{thinned}Every chart follows the step on the left, unless its footnote says otherwise.{where} {kept}"


def _style(theme: str) -> str:
    variables = " ".join(f"--{name}: {value};" for name, value in colours(theme).items())
    return f":root {{ {variables} }}\n{_resource('page.css')}\n{_resource('board.css')}"


def _deflated(text: str) -> str:
    """Two thirds less: a browser inflates it faster than it would read it."""
    return base64.b64encode(zlib.compress(text.encode(), 9)).decode()


def _resource(name: str) -> str:
    return files("strobe").joinpath("page", name).read_text("utf-8")
