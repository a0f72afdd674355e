"""How commands print: plain aligned tables, JSON, progress bars; and how they read settings."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from ..errors import UsageError


def print_json(data: Any) -> None:
    print(json.dumps(data, indent=1, default=str))


def print_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], empty: str) -> None:
    """Rows as aligned columns, numbers to the right; `empty` when there are none."""
    if not rows:
        print(empty)
        return
    cells = [[_text(row.get(c)) for c in columns] for row in rows]
    numeric = [all(isinstance(row.get(c), (int, float)) or row.get(c) is None for row in rows) for c in columns]
    widths = [max(len(c), *(len(line[i]) for line in cells)) for i, c in enumerate(columns)]
    for line in [list(columns), *cells]:
        print("  ".join(t.rjust(w) if n else t.ljust(w) for t, w, n in zip(line, widths, numeric, strict=True)).rstrip())


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def parse_settings(given: Sequence[str]) -> dict[str, Any]:
    """`["p=113", "x=[1,2]"]` -> name -> value: JSON where it parses, else text."""
    settings = {}
    for item in given:
        name, equals, text = item.partition("=")
        if not equals or not name:
            raise UsageError(f"--set {item!r}: write NAME=VALUE, for example --set p=113")
        settings[name] = parse_value(text)
    return settings


def parse_value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def analyzer_settings(given: Sequence[str]) -> dict[str, dict[str, Any]]:
    """`["key_frequencies.threshold=0.2"]` -> analyzer -> setting -> value."""
    settings: dict[str, dict[str, Any]] = {}
    for name, value in parse_settings(given).items():
        analyzer, dot, setting = name.partition(".")
        if not dot:
            raise UsageError(f"--set {name}: write ANALYZER.SETTING=VALUE, for example --set progress_measures.keys=own")
        settings.setdefault(analyzer, {})[setting] = value
    return settings


class Bar(Protocol):
    """Moves a progress bar."""

    def __call__(self, done: float, total: float, what: str) -> None: ...


@contextmanager
def progress_bar(quiet: bool, label: str) -> Iterator[Bar]:
    """A progress bar with rate and time left on standard error; silent when quiet or when that is no terminal."""
    if quiet or not sys.stderr.isatty():
        yield lambda done, total, what: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.fields[what]}"))
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(label, total=None, what="")
        yield lambda done, total, what: bar.update(task, completed=done, total=total, what=what)
