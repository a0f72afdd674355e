"""Export: a report as one HTML file that opens without a server and without a network."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .cards import LIGHT, Card, Group, cards_of, choices, resolve, signed
from .errors import StrobeError, UsageError
from .film import Film, Reel, shoot
from .report import Report
from .runs import Run
from .version import __version__

if TYPE_CHECKING:
    from .workspace import Workspace

MOST_STEPS = 64
"""Steps of a file unless more are asked for: a p = 113 report of 43 steps takes about 10 MB, nearly all of it maps."""
METRICS = {"train_loss": "train loss, nats", "test_loss": "test loss, nats", "train_accuracy": "train accuracy", "test_accuracy": "test accuracy"}
BUNDLE = "window.vegaEmbed = vegaEmbed;"
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
    data = {
        "steps": steps,
        "start": nearest(steps, looking.get("step", opening_step(steps, events))),
        "events": [{"event": name, "step": step} for name, step in events.items()],
        "metrics": metrics_at(run, steps),
        "films": [_film(film) for film in films],
        "rows": reel.rows,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_page(report, run, groups, data, theme, _note(run, steps, looking), signed(workspace, run)), "utf-8")
    return path


# --- steps -------------------------------------------------------------------------------------------------------------------------------------


def events_of(workspace: Workspace, run: Run) -> dict[str, float]:
    """Event -> step of what `phases` found, in order; {} where it was not computed."""
    from .charts import event_steps

    try:
        found = event_steps(workspace.table("phases", runs=run))
    except StrobeError:
        return {}
    return dict(sorted(found.items(), key=lambda item: item[1]))


def opening_step(steps: Sequence[int], events: Mapping[str, float]) -> int:
    """Where a page opens: at the checkpoint nearest to generalisation, where there is most to see; else at the last one."""
    return steps[nearest(steps, events["generalised"])] if "generalised" in events else steps[-1]


def nearest(steps: Sequence[int], step: float) -> int:
    """The position of the step nearest to `step`."""
    return min(range(len(steps)), key=lambda i: abs(steps[i] - step))


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


def metrics_at(run: Run, steps: Sequence[int]) -> list[dict[str, str]]:
    """What training recorded at each step, in words: the values of the latest step not after it."""
    import pandas as pd

    from .charts import number

    recorded = run.metrics
    known = {label: recorded[["step", name]].dropna() for name, label in METRICS.items() if name in recorded and recorded[name].notna().any()}

    def at(rows: pd.DataFrame, step: int) -> str:
        before = rows[rows["step"] <= step]
        if before.empty:
            return "–"
        name = str(rows.columns[1])
        value = float(before[name].to_numpy()[-1])
        return f"{value:.1%}" if name.endswith("accuracy") else number(value)

    return [{label: at(rows, step) for label, rows in known.items()} for step in steps]


# --- the page ----------------------------------------------------------------------------------------------------------------------------------


def _film(film: Film) -> dict[str, Any]:
    shots = [{"problem": s.problem} if s.problem else {"spec": s.spec, "datasets": s.datasets} for s in film.shots]
    return {"specs": film.specs, "shots": shots}


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
        "sections": "\n".join(_section(group) for group in groups),
        "style": _style(theme),
        "library": _library(),
        "script": _resource("page.js"),
        "data": json.dumps(data, separators=(",", ":"), default=str).replace("<", "\\u003c"),  # "</script>" would end the element
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda place: parts[place[1]], _resource("page.html"))  # in one pass: a title may contain {{data}}


def _section(group: Group) -> str:
    description = f"<p>{html.escape(group.description)}</p>" if group.description else ""
    return f'<section><h2>{html.escape(group.title)}</h2>{description}<div class="cards">{"".join(map(_card, group.cards))}</div></section>'


def _card(card: Card) -> str:
    how = f'<p class="how">{html.escape(card.how_to_read)}</p>' if card.how_to_read else ""
    data = f'data-card="{card.number - 1}" data-renderer="{html.escape(card.panel.renderer)}"'
    return (
        f'<article class="card {card.panel.width}" id="card-{card.number}" {data}>'
        f'<h3><span>{card.number}</span>{html.escape(card.title)}</h3>{how}<div class="chart"></div>'
        f'<p class="footnote">{html.escape(card.footnote)}</p><details><summary>data</summary><div class="rows"></div></details></article>'
    )


def _note(run: Run, steps: Sequence[int], looking: Mapping[str, Any]) -> str:
    thinned = f"{len(steps)} of the run's {len(run.steps)} checkpoints are in this file. " if len(steps) < len(run.steps) else ""
    where = ", ".join(f"{name} {value}" for name, value in looking.items() if name != "step")
    return f"{thinned}Every chart follows the step on the left, unless its footnote says otherwise.{f' Shown: {where}.' if where else ''}"


def _style(theme: str) -> str:
    from . import charts

    loaded = charts.theme(theme)
    palette, dark = dict(loaded["usermeta"]["strobe"]["palette"]), theme == charts.DARK
    colours = {
        **{name: palette[name] for name in ("ink", "text", "muted", "card", "page")},
        "border": loaded["usermeta"]["strobe"]["card"]["border"],
        "sidebar": palette["card"],
        "problem": "#3A2E14" if dark else "#FFF4DC",
        "focus": "#56B4E9" if dark else "#0072B2",
    }
    variables = " ".join(f"--{name}: {value};" for name, value in colours.items()) + f" color-scheme: {'dark' if dark else 'light'};"
    return _resource("page.css").replace("{{palette}}", variables).replace("{{font}}", str(loaded["config"]["font"]))


def _library() -> str:
    """Vega, Vega-Lite and vega-embed as one script that needs no network (about 900 kB), as Altair bundles them."""
    import vl_convert

    bundle: str = vl_convert.javascript_bundle(BUNDLE)
    return bundle.replace("</script", "<\\/script")


def _resource(name: str) -> str:
    return files("strobe").joinpath("page", name).read_text("utf-8")
