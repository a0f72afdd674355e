"""Cards: the panels of a report, ready to draw at a cursor. A panel that cannot be drawn is a sentence, and never breaks the others."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import count
from typing import TYPE_CHECKING, Any

from ..errors import StrobeError, UsageError
from ..plugin import with_values
from ..reports.model import Panel, Report
from ..reports.requirements import installed
from ..runs.run import Run, readable
from ..storage.sql import named_tables, parameters
from ..version import __version__
from .align import Shift, read_off
from .companions import Companions
from .compare import pair
from .layout import laid_out, words
from .multiples import axis_clocks, problem_of
from .sizes import fitted

if TYPE_CHECKING:
    import pandas as pd

    from ..registration.registry import Plugin
    from ..workspace import Workspace
    from .view import View

LIGHT = "strobe"
HASHED = re.compile(r"data-[0-9a-f]{32}")
"""How Altair names data that have no name: by their content, so at every step differently."""
MOST_VALID = 4096
_valid: dict[bytes, None] = {}
"""Digests of specifications that Altair has checked, oldest first."""
_altair = threading.Lock()  # Altair's theme is one per process, and an app draws for several people at once


@dataclass(frozen=True, eq=False)
class Drawing:
    """A chart at a cursor: its specification without rows, and the rows by dataset name; or the problem, in words.

    The specification is Vega-Lite, or `{"scene": ...}` of a `charts.Scene3D`.
    """

    spec: Mapping[str, Any]
    datasets: Mapping[str, list[dict[str, Any]]]
    problem: str = ""

    @cached_property
    def signature(self) -> str:
        """The specification as canonical text: equal ones can be shown by swapping rows."""
        return json.dumps(self.spec, sort_keys=True)

    @property
    def flat(self) -> Drawing:
        """The same as Vega-Lite, where a picture stands still: a scene as seen from its camera."""
        if "scene" not in self.spec:
            return self
        from .. import charts
        from ..charts.scene import flat

        with _altair, charts.use(self.spec["scene"]["theme"]):
            return parted(flat(self.spec["scene"], self.datasets).to_dict(validate=False))

    @property
    def whole(self) -> dict[str, Any]:
        """One self-contained Vega-Lite specification."""
        drawing = self.flat
        return {**drawing.spec, "datasets": dict(drawing.datasets)}


@dataclass(frozen=True, eq=False)
class Card:
    """A panel with its number, words, and view; without a view, `problem` says why and what to do."""

    number: int
    panel: Panel
    title: str
    how_to_read: str
    view: View | None
    problem: str = ""
    who: str = ""
    shift: Shift | None = None
    """From the page's steps to those of the run the card is pinned to, when they are aligned."""

    @property
    def of(self) -> str:
        """The run whose own step it shows, when that is another than the page's."""
        return str(self.panel.cursor["run"]) if self.shift is not None else ""

    @property
    def clocks(self) -> dict[str, list[tuple[float, float]]] | None:
        """How a place on its axes over steps is a step of the page's run; see `multiples.axis_clocks`."""
        return axis_clocks(self.view, self.shift) if self.view else {}

    def step_of(self, place: float) -> float | None:
        """The step of the page's run at a place on the axes over steps, None where there is no telling: each plot may have another."""
        clocks = self.clocks
        if clocks is None or (clocks and "" not in clocks):
            return None
        return read_off(place, clocks[""]) if clocks else place

    @property
    def at(self) -> tuple[str, ...]:
        """Coordinates the panel is cut at, besides run, step and probe, that the report does not pin."""
        asked = [name for name in parameters(self.panel.sql) if name not in ("run", "step")]
        follows = (*(() if self.panel.sql else self.view.renderer.at), *self.panel.follow, *asked) if self.view else ()
        return tuple(c for c in dict.fromkeys(follows) if c not in self.panel.cursor)

    @property
    def spans_steps(self) -> bool:
        """Whether it shows all steps, so that at another one only the cursor mark moves."""
        return self.view is not None and "step" in self.view.renderer.over and "step" not in parameters(self.panel.sql)

    @cached_property
    def tables(self) -> tuple[str, ...]:
        """The tables it reads, the drawn one first."""
        if self.panel.sql:
            return tuple(named_tables(self.view.workspace, self.panel.sql)) if self.view else ()
        if self.view is None:
            return (self.panel.table,) if self.panel.table else ()
        return tuple(dict.fromkeys(filter(None, (self.panel.table, *self.view.renderer.tables()))))

    @property
    def footnote(self) -> str:
        """Where the picture comes from."""
        pinned = ", ".join(f"{name} {value}" for name, value in self.panel.cursor.items())
        source = f"a query of {', '.join(self.tables)}" if self.panel.sql and self.tables else ", ".join(self.tables)
        said = f"{self.panel.renderer} of {source}{f', at {pinned}' if pinned else ''}" if source else self.panel.renderer
        return "; ".join([said, *_company(self.view)])

    def looking(self, cursor: Mapping[str, Any]) -> View:
        """The view at a cursor; pinned coordinates win. Raises `StrobeError` when the card has none."""
        if self.view is None:
            raise StrobeError(self.problem)
        known = {k: v for k, v in cursor.items() if v is not None}
        if self.shift is not None and "step" in known:
            known["step"] = self.shift.step(known["step"])
        return self.view.at(**{**known, **self.panel.cursor})

    def draw(self, cursor: Mapping[str, Any], theme: str = LIGHT, *, validate: bool = True) -> Drawing:
        """The chart at a cursor, in one of the themes. `validate=False` skips Altair's check; else each specification is checked once."""
        return drawn(self.who, theme, lambda: made(self.looking(cursor).chart, validate))

    def as_of(self, cursor: Mapping[str, Any]) -> int | None:
        """The earlier step whose rows are shown because there are none at the cursor's; None when there are, or when all steps are shown.

        Of a card that is pinned to another run, `of`, the step of that run which is shown.
        """
        if self.view is None or not self.tables or self.view.shown is not None or self.panel.sql or cursor.get("step") is None:
            return None
        if "step" in self.view.renderer.over:
            return None
        view = self.looking(cursor)
        try:
            shown = view.workspace.step_shown(self.tables[0], view.cursor)
        except StrobeError:
            return None
        return None if shown is None or (shown == view.cursor["step"] and self.shift is None) else shown

    def rows(self, cursor: Mapping[str, Any]) -> pd.DataFrame:
        """The rows that are drawn, arrays left out. Raises `StrobeError` when there are none to read."""
        return self.looking(cursor).frame.scalars()


@dataclass(frozen=True, eq=False)
class Group:
    """A section of a report with its cards; `level` 1 for a group within the section before it."""

    title: str
    description: str
    cards: tuple[Card, ...]
    level: int = 0
    markdown: str = ""


def resolve(workspace: Workspace, report: Report, run: str | Run, companions: Companions | None = None) -> list[Group]:
    """The report's sections as cards, numbered through, repeated ones written out. Never raises for a panel."""
    run = workspace.run(run)
    company, numbers = companions or Companions(workspace, report, run), count(1)
    return [
        Group(block.title, block.description, tuple(_card(company, next(numbers), panel) for panel in block.panels), block.level, block.markdown)
        for block in laid_out(report, company.values)
    ]


def cards_of(groups: Iterable[Group]) -> list[Card]:
    return [card for group in groups for card in group.cards]


def choices(workspace: Workspace, run: str | Run, cards: Iterable[Card]) -> dict[str, list[int]]:
    """Coordinate -> values one can look at, of every coordinate some card is cut at: layers, heads, neurons."""
    run, found = workspace.run(run), dict[str, set[int]]()
    for card in cards:
        for coordinate in card.at:
            try:
                values = workspace.table(card.tables[0], runs=run, steps=run.steps[-1:], columns=[coordinate])[coordinate]
            except StrobeError:
                continue
            found.setdefault(coordinate, set()).update(int(v) for v in values.dropna().unique())
    return {name: sorted(values) for name, values in found.items() if values}


def drawn(who: str, theme: str, draw: Callable[[], Drawing]) -> Drawing:
    """What `draw` makes under a theme; a problem in words when it cannot. `who` is the renderer, for what is its own mistake."""
    from altair.utils.schemapi import debug_mode

    from .. import charts

    try:
        with _altair, charts.use(theme), debug_mode(False):  # Altair would check every part as it is made, and the whole again
            return draw()
    except StrobeError as e:
        return Drawing({}, {}, str(e))
    except Exception as e:  # the plugin boundary: one renderer's mistake must not take the page
        return Drawing({}, {}, f"{who} failed: {type(e).__name__}: {e}")


def made(chart: Any, validate: bool = True) -> Drawing:
    """A chart as a drawing. Raises Altair's `SchemaValidationError` for a specification that is none; one that has passed is not checked again."""
    drawing = parted(chart.to_dict(validate=False))
    digest = hashlib.sha256(drawing.signature.encode()).digest()
    if validate and digest not in _valid:
        chart.to_dict()
        _valid[digest] = None
        if len(_valid) > MOST_VALID:
            del _valid[next(iter(_valid))]
    return drawing


def parted(spec: Mapping[str, Any]) -> Drawing:
    """A Vega-Lite specification and its datasets apart; datasets that Altair named by their content are named by their position."""
    datasets = dict(spec.get("datasets", {}))
    rest = {k: v for k, v in spec.items() if k != "datasets"}
    if not any(map(HASHED.fullmatch, datasets)):
        return Drawing(rest, datasets)
    text = json.dumps(rest)
    for i, name in enumerate(name for name in dict.fromkeys(HASHED.findall(text)) if name in datasets):
        text = text.replace(name, f"data {i}")
        datasets[f"data {i}"] = datasets.pop(name)
    return Drawing(json.loads(text), datasets)


def title_of(panel: Panel) -> str:
    """Its own title, or one made of the table or the renderer."""
    return panel.title or words(panel.table or (panel.sql and "query") or panel.renderer)


# --- one panel ---------------------------------------------------------------------------------------------------------------------------------


def _card(company: Companions, number: int, panel: Panel) -> Card:
    workspace, run = company.workspace, company.run
    card = Card(number, panel, title_of(panel), panel.how_to_read, None)
    try:
        plugin = installed(workspace, company.report, panel)
        renderer = fitted(workspace.renderer(plugin.name, panel.settings), panel)
        shift = company.shift(str(panel.cursor["run"])) if "run" in panel.cursor else None
        view = workspace.view(renderer, run, panel.table, slots=panel.slots, follow=panel.follow, sql=panel.sql).at(**panel.cursor)
        if panel.compare and (problem := problem_of(renderer, panel.compare)):
            raise UsageError(problem)
        view = replace(view, shown=company.together(panel.compare)) if panel.compare else view
    except StrobeError as e:
        return replace(card, problem=str(e))
    return replace(
        card,
        title=_titled(card.title, view),
        view=view,
        how_to_read=panel.how_to_read or with_values(renderer, _meaning(workspace, plugin, panel)),
        who=plugin.who,
        shift=shift,
    )


def _titled(title: str, view: View) -> str:
    """With the two runs of a difference."""
    if view.shown is None or view.shown.mode != "difference":
        return title
    return f"{title}: {' − '.join(pair(view.shown, view.cursor))}"


def card_of(view: View) -> Card:
    """A view as a card of its own, with the words its renderer has."""
    registry, cls = view.workspace.registry, type(view.renderer)
    where = f"{cls.__module__}:{cls.__qualname__}"
    plugin = next((p for p in registry.all("renderer") if (p.entry.value == where if p.entry else p.state == "ready" and p.load() is cls)), None)
    name = plugin.name if plugin is not None else cls.__name__
    panel = Panel(renderer=name, table=view.table, sql=view.sql, slots=dict(view.slots), follow=list(view.follow))
    title, who = words(view.table or (view.sql and "query") or name), plugin.who if plugin is not None else f"renderer {name}"
    how = with_values(view.renderer, _meaning(view.workspace, plugin, panel) if plugin is not None else cls.summary())
    return Card(1, panel, title, how, view, who=who)


def _company(view: View | None) -> list[str]:
    """Which runs a chart of several is of, and which could not be aligned."""
    if view is None or view.shown is None:
        return []
    by = {"step": "", "turn": ", aligned at the turn", "phase": ", aligned by their phases"}[view.shown.align]
    of = f"{len(view.shown.runs)} runs{by}" if view.shown.mode != "difference" else by.removeprefix(", ")
    return [of] * bool(of) + [f"{run} is left out: it {why}" for run, why in view.shown.left_out.items()]


def _meaning(workspace: Workspace, renderer: Plugin, panel: Panel) -> str:
    """What the chart shows: for a generic renderer, what its table holds."""
    try:
        if panel.table and panel.table != "metrics":
            return _summary(workspace, panel.table)
        if panel.sql:
            return "The rows of a query."
        return renderer.load().summary()  # type: ignore[no-any-return]
    except StrobeError:
        return ""


def _summary(workspace: Workspace, table: str) -> str:
    """What an analyzer computes; of one that is not installed, what its results say, and who made them."""
    try:
        return workspace.registry.analyzer(table).summary()
    except StrobeError:
        origin = workspace.origin(table)
        return f"{origin.summary} (Stored by {origin.made_by}, which is not in use here.)".strip() if origin else ""


def signed(workspace: Workspace, run: str | Run) -> str:
    """The last line of a page: the version, the run, its family and parameters."""
    run = workspace.run(run)
    parameters = ", ".join(f"{name}={value}" for name, value in readable(run.family.model_dump(mode="json")).items())
    family = f"{run.record.family} ({parameters})" if parameters else run.record.family
    return f"Strobe {__version__} · run {run.name} · {family} · {len(run.steps)} checkpoints"
