"""Cards: the panels of a report, ready to draw at a cursor. A panel that cannot be drawn is a sentence, and never breaks the others."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ..errors import PluginError, StrobeError
from ..runs.run import Run
from ..storage.sql import named_tables, parameters
from ..version import __version__
from .model import Panel, Report

if TYPE_CHECKING:
    import pandas as pd

    from ..registration.registry import Plugin
    from ..workspace import Workspace
    from .view import View

LIGHT = "strobe"
HASHED = re.compile(r"data-[0-9a-f]{32}")
"""How Altair names data that have no name: by their content, so at every step differently."""
_altair = threading.Lock()  # Altair's theme is one per process, and an app draws for several people at once


@dataclass(frozen=True, eq=False)
class Drawing:
    """A chart at a cursor: its Vega-Lite specification without rows, and the rows by dataset name; or the problem, in words."""

    spec: Mapping[str, Any]
    datasets: Mapping[str, list[dict[str, Any]]]
    problem: str = ""

    @property
    def signature(self) -> str:
        """The specification as canonical text: equal ones can be shown by swapping rows."""
        return json.dumps(self.spec, sort_keys=True)

    @property
    def whole(self) -> dict[str, Any]:
        """One self-contained Vega-Lite specification."""
        return {**self.spec, "datasets": dict(self.datasets)}


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
        return f"{self.panel.renderer} of {source}{f', at {pinned}' if pinned else ''}" if source else self.panel.renderer

    def looking(self, cursor: Mapping[str, Any]) -> View:
        """The view at a cursor; pinned coordinates win. Raises `StrobeError` when the card has none."""
        if self.view is None:
            raise StrobeError(self.problem)
        return self.view.at(**{**{k: v for k, v in cursor.items() if v is not None}, **self.panel.cursor})

    def draw(self, cursor: Mapping[str, Any], theme: str = LIGHT, *, validate: bool = True) -> Drawing:
        """The chart at a cursor, in one of the themes. `validate=False` skips Altair's check, once a chart of the same renderer has passed it."""
        from .. import charts

        try:
            view = self.looking(cursor)
            with _altair, charts.use(theme):
                return parted(view.chart.to_dict(validate=validate))
        except StrobeError as e:
            return Drawing({}, {}, str(e))
        except Exception as e:  # the plugin boundary: one renderer's mistake must not take the page
            return Drawing({}, {}, f"{self.who} failed: {type(e).__name__}: {e}")

    def as_of(self, cursor: Mapping[str, Any]) -> int | None:
        """The earlier step whose rows are shown because there are none at the cursor's; None when there are, or when all steps are shown."""
        if self.view is None or self.panel.sql or "step" in self.view.renderer.over or cursor.get("step") is None:
            return None
        view = self.looking(cursor)
        try:
            shown = self.view.workspace.step_shown(view.table, view.cursor)
        except StrobeError:
            return None
        return None if shown is None or shown == view.cursor["step"] else shown

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


def resolve(workspace: Workspace, report: Report, run: str | Run) -> list[Group]:
    """The report's sections as cards, numbered through. Never raises for a panel."""
    run = workspace.run(run)
    numbers = iter(range(1, len(report.panels) + 1))

    def cards(panels: Iterable[Panel]) -> tuple[Card, ...]:
        return tuple(_card(workspace, run, next(numbers), panel) for panel in panels)

    groups = []
    for section in report.sections:
        groups.append(Group(section.title, section.description, cards(section.panels)))
        groups += [Group(group.title, group.description, cards(group.panels), level=1) for group in section.groups]
    return groups


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


def parted(spec: Mapping[str, Any]) -> Drawing:
    """A Vega-Lite specification and its datasets apart; datasets that Altair named by their content are named by their position."""
    datasets = dict(spec.get("datasets", {}))
    text = json.dumps({k: v for k, v in spec.items() if k != "datasets"})
    hashed = [name for name in dict.fromkeys(HASHED.findall(text)) if name in datasets]
    for i, name in enumerate(hashed):
        text = text.replace(name, f"data {i}")
        datasets[f"data {i}"] = datasets.pop(name)
    return Drawing(json.loads(text), datasets)


# --- one panel ---------------------------------------------------------------------------------------------------------------------------------


def _card(workspace: Workspace, run: Run, number: int, panel: Panel) -> Card:
    card = Card(number, panel, panel.title or _words(panel.table or (panel.sql and "query") or panel.renderer), panel.how_to_read, None)
    try:
        plugin = workspace.registry.get("renderer", panel.renderer) if ".py:" not in panel.renderer else workspace.registry.add_file(panel.renderer)
        renderer = workspace.renderer(plugin.name, panel.settings)
        view = workspace.view(renderer, run, panel.table, slots=panel.slots, follow=panel.follow, sql=panel.sql)
    except PluginError as e:
        return replace(card, problem=str(e))
    except StrobeError as e:
        return replace(card, problem=f"{e}. {_remedy(panel)}")
    return replace(card, view=view, how_to_read=panel.how_to_read or _meaning(workspace, plugin, panel), who=plugin.who)


def _remedy(panel: Panel) -> str:
    return f"`strobe plugins show {panel.renderer}` tells what is installed; if {panel.renderer!r} comes with a package, `pip install` that package."


def _words(name: str) -> str:
    """`loss_curves` -> `Loss curves`."""
    words = name.rpartition(":")[2].replace("_", " ")
    return words[:1].upper() + words[1:]


def _meaning(workspace: Workspace, renderer: Plugin, panel: Panel) -> str:
    """What the chart shows: for a generic renderer, what its table holds."""
    try:
        if panel.table and panel.table != "metrics":
            return workspace.registry.analyzer(panel.table).summary()
        if panel.sql:
            return "The rows of a query."
        return renderer.load().summary()  # type: ignore[no-any-return]
    except StrobeError:
        return ""


def signed(workspace: Workspace, run: str | Run) -> str:
    """The last line of a page: the version, the run, its family and parameters."""
    run = workspace.run(run)
    parameters = ", ".join(f"{name}={value}" for name, value in run.family.model_dump(mode="json").items())
    return f"Strobe {__version__} · run {run.name} · {run.record.family} ({parameters}) · {len(run.steps)} checkpoints"
