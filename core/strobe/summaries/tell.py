"""A story filled from tables. Nothing is said that no table says: what was not computed is named with the command that computes it."""

from __future__ import annotations

import string
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import StrobeError
from ..export.labels import place
from ..export.pictures import tile_of
from ..export.places import completed
from ..panels.cards import LIGHT, Card, cards_of, resolve, signed
from ..panels.moments import events_of
from ..reports.model import Panel, Report, Section
from ..runs.run import readable
from ..version import __version__
from .define import definitions
from .document import Block, Document, Figure, Grid, Heading, Words
from .story import Comparison, Fact, Part, read_story

if TYPE_CHECKING:
    from ..runs.run import Run
    from ..workspace import Workspace

MOST_ROWS = 60
Tick = Callable[[int, int], None]


def summary(workspace: Workspace, runs: Sequence[Run], theme: str = LIGHT, progress: Tick | None = None) -> Document:
    """What happened in these runs; of several, first how they differ. Cost: a query per fact, a chart per figure."""
    stories = {run.name: read_story(run.family.story()) for run in runs}
    blocks: list[Block] = []
    if len(runs) > 1:
        blocks += _compared(workspace, runs, stories[runs[0].name].compare)
    total, done, said = sum(len(s.sections) for s in stories.values()), 0, set[str]()
    for run in runs:
        if len(runs) > 1:
            blocks.append(Heading(run.name))
        level = 3 if len(runs) > 1 else 2
        blocks += _trained(workspace, run, level)
        for part in stories[run.name].sections:
            blocks += _told(workspace, run, part, level, theme, said)
            done += 1
            if progress is not None:
                progress(done, total)
        blocks += _stored(workspace, run, level)
    names = ", ".join(run.name for run in runs)
    facts = {"strobe": __version__, "runs": [run.name for run in runs], "events": {run.name: events_of(workspace, run) for run in runs}}
    return Document(f"What happened in {names}", blocks, " · ".join(signed(workspace, run) for run in runs), facts)


# --- what every run has ------------------------------------------------------------------------------------------------------------------------


def _trained(workspace: Workspace, run: Run, level: int) -> Iterator[Block]:
    """How it was trained, and what was recorded."""
    yield Heading("Training", level)
    family = ", ".join(f"{name} {value}" for name, value in readable(run.family.model_dump(mode="json")).items())
    steps = f"{len(run.steps)} checkpoints, steps {run.steps[0]:,} to {run.steps[-1]:,}" if run.steps else "no checkpoints"
    yield Words(f"{run.record.family}{f' ({family})' if family else ''}; {steps}.")
    metrics = run.metrics
    columns = [str(c) for c in metrics if c != "step" and metrics[c].notna().any()]
    if not columns:
        yield Words("Training recorded no metrics.")
        return
    schema = workspace.schema("metrics", run).columns
    rows = []
    for name in columns:
        known = metrics[["step", name]].dropna()
        lowest = known.iloc[int(known[name].to_numpy(float).argmin())]
        unit = schema[name].unit if name in schema else ""
        cells = (known[name].iloc[0], known[name].iloc[-1], lowest[name])
        rows.append((f"{name.replace('_', ' ')}{f', {unit}' if unit not in ('', '1') else ''}", *map(_written, cells), f"{int(lowest['step']):,}"))
    yield Grid(("metric", "first", "last", "lowest", "at step"), tuple(rows))


def _stored(workspace: Workspace, run: Run, level: int) -> Iterator[Block]:
    """What else one can ask about."""
    names = sorted({row["analyzer"] for row in workspace.stored() if row["run"] == run.name})
    yield Heading("Tables of this run", level)
    if not names:
        yield Words(f"Nothing has been computed: `strobe analyze {run.name}`.")
        return
    yield Words(", ".join(names) + ".", small=True)


# --- a story -----------------------------------------------------------------------------------------------------------------------------------


def _told(workspace: Workspace, run: Run, part: Part, level: int, theme: str, said: set[str]) -> Iterator[Block]:
    """A section; what was defined already (`said`) is not defined again."""
    yield Heading(part.title, level)
    if missing := [name for name in part.needs if not _has(workspace, name, run)]:
        yield Words(f"Not computed: `strobe analyze {run.name} -a {' -a '.join(missing)}`.")
        return
    for fact in part.facts:
        yield from _fact(workspace, run, fact)
    if part.figure is not None:
        yield _figure(workspace, run, part.figure, theme)
    yield from definitions(workspace, [name for name in part.define if name not in said])
    said.update(part.define)


def _fact(workspace: Workspace, run: Run, fact: Fact) -> Iterator[Block]:
    columns, rows = _asked(workspace, run, fact.query)
    if not rows:
        if fact.none:
            yield Words(fact.none)
        return
    if not fact.say:
        yield Grid(tuple(columns), tuple(tuple(_written(row[c]) for c in columns) for row in rows))
        return
    said = [line for row in rows if (line := _filled(fact.say, row))]
    items = tuple(line.removeprefix("- ") for line in said if line.startswith("- "))
    for line in said:
        if not line.startswith("- "):
            yield Words(line)
    if items:
        yield Words(items=items)


def _asked(workspace: Workspace, run: Run, query: str) -> tuple[list[str], list[dict[str, Any]]]:
    from ..storage.sql import ask

    frame = ask(workspace, query, {"run": run.name}, most=MOST_ROWS).frame
    return [str(c) for c in frame], [{str(c): _known(v) for c, v in row.items()} for row in frame.to_dict("records")]


def _known(value: Any) -> Any:
    """None for what is missing."""
    import pandas as pd

    return None if not isinstance(value, (list, tuple)) and pd.api.types.is_scalar(value) and pd.isna(value) else value


class _Plain(string.Formatter):
    """Names and formats, no attributes or indices: a sentence asks for columns and for nothing else."""

    def get_field(self, field_name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        return kwargs[field_name], field_name


def _filled(sentence: str, row: Mapping[str, Any]) -> str:
    """The sentence for a row, '' when something it needs is missing there."""
    asked = [name for _, name, _, _ in string.Formatter().parse(sentence) if name]
    if any(row.get(name) is None for name in asked):
        return ""
    return _Plain().vformat(sentence, (), dict(row))


def _has(workspace: Workspace, table: str, run: Run) -> bool:
    try:
        return any(workspace.store.entries(address) for address in workspace.addresses(table, [run]))
    except StrobeError:
        return False


def _figure(workspace: Workspace, run: Run, panel: Panel, theme: str) -> Block:
    cards = cards_of(resolve(workspace, Report(title="x", sections=[Section(title="x", panels=[panel])]), run))
    return shown(cards[0], completed(workspace, run, cards, None), theme)


def shown(card: Card, looking: Mapping[str, Any], theme: str) -> Block:
    """A card as a figure with its words, or why there is none."""
    tile = tile_of(card, looking, theme)
    if tile.picture is None:
        return Words(f"{tile.title}: no figure. {tile.problem}")
    where = f" at step {looking['step']:,}" if "step" in looking else ""
    return Figure(tile.picture, f"{tile.title}{where}. {tile.how} ({card.footnote})")


def report_blocks(workspace: Workspace, report: Report, run: Run, cursor: Mapping[str, Any] | None, theme: str) -> Iterator[Block]:
    """The panels of a report, one after the other."""
    groups = resolve(workspace, report, run)
    looking = completed(workspace, run, cards_of(groups), cursor)
    yield Heading(report.title)
    yield Words(f"{report.description} {place(run, looking, events_of(workspace, run))}.".strip())
    for group in groups:
        yield Heading(group.title, 3)
        for words in filter(None, (group.description, group.markdown)):
            yield Words(words)
        for card in group.cards:
            yield shown(card, looking, theme)


# --- several runs ------------------------------------------------------------------------------------------------------------------------------


def _compared(workspace: Workspace, runs: Sequence[Run], comparisons: Sequence[Comparison]) -> Iterator[Block]:
    """Tables with a column per run; of two runs also the difference."""
    yield Heading("The runs beside each other")
    if not comparisons:
        yield Words(f"Family {runs[0].record.family} tells nothing about several runs; each is told below.")
    for comparison in comparisons:
        yield Heading(comparison.title, 3)
        lacking = [(run.name, name) for run in runs for name in comparison.needs if not _has(workspace, name, run)]
        if lacking:
            run, name = lacking[0]
            yield Words(f"Not computed: `strobe analyze {run} -a {name}`.")
            continue
        yield _beside(workspace, runs, comparison)
        yield from definitions(workspace, comparison.define)


def _beside(workspace: Workspace, runs: Sequence[Run], comparison: Comparison) -> Grid:
    found = [_asked(workspace, run, comparison.query) for run in runs]
    names = next((columns for columns, rows in found if rows), [])
    values = {name: [rows[0].get(name) if rows else None for _, rows in found] for name in names}
    pair = len(runs) == 2
    rows = [(name.replace("_", " "), *map(_written, known), *([_difference(*known)] if pair else [])) for name, known in values.items()]
    return Grid(("", *(run.name for run in runs), *(["difference"] if pair else [])), tuple(rows))


def _difference(first: Any, second: Any) -> str:
    numbers = all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in (first, second))
    return _written(second - first) if numbers else ""


def _written(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{int(value):,}" if value.is_integer() and abs(value) < 1e12 else f"{value:,.4g}" if 1e-3 <= abs(value) < 1e5 else f"{value:.3g}"
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
