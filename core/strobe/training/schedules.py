"""Checkpoint schedules: which steps of a training are kept, written in one line.

    every:100                        0, 100, 200, ...
    log:60                           60 steps spaced evenly in log(step), from 1 to the last
    at:10,100,250                    those steps
    0-1500:100,1500-9000:500         ranges, both ends included, with their stride
    around:turn:+-1000:50            around a phase event of the run, for adding checkpoints
    at:10,30+0-9000:500              a union

Step 0 and the last step are always kept; steps after the last are left out, so that one schedule serves shorter trainings too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import NoReturn

from ..errors import UsageError

NUMBER = re.compile(r"\d{1,12}")


EventStep = Callable[[str], int]
"""Phase event -> its step in the run that checkpoints are added to."""


def steps(schedule: str, last: int, event: EventStep | None = None) -> tuple[int, ...]:
    """The steps a schedule keeps in a training of `last` steps: sorted, with 0 and `last`. Raises `UsageError` at the first wrong character."""
    kept = {0, last}
    for start, term in terms(schedule):
        kept.update(step for step in parse(schedule, start, term, last, event) if 0 <= step <= last)
    return tuple(sorted(kept))


def terms(schedule: str) -> Iterator[tuple[int, str]]:
    """The terms of a union, each with the character it begins at. The '+' of '+-' joins nothing."""
    start = 0
    for match in re.finditer(r"\+(?!-)", schedule):
        yield start, schedule[start : match.start()]
        start = match.end()
    yield start, schedule[start:]


def parse(schedule: str, start: int, term: str, last: int, event: EventStep | None = None) -> Iterable[int]:
    """The steps of one term of a union, which begins at character `start` of the schedule."""
    kind, colon, body = term.partition(":")
    at = start + len(kind) + 1
    if kind == "around" and colon:
        return around(schedule, at, body, event)
    if kind == "every" and colon:
        return range(0, last + 1, number(schedule, at, body, least=1))
    if kind == "log" and colon:
        return logarithmic(number(schedule, at, body, least=2), last)
    if kind == "at" and colon:
        return [number(schedule, begin, step) for begin, step in split(schedule, at, ",", body)]
    if not term[:1].isdigit():
        wrong(schedule, start, "every:N, log:N, at:N,N,..., around:EVENT:+-N:N or a range like 0-1500:100")
    return [step for begin, part in split(schedule, start, ",", term) for step in spaced(schedule, begin, part, last)]


def spaced(schedule: str, start: int, part: str, last: int) -> range:
    """`first-end:stride`, both ends included where the stride meets them."""
    first, dash, rest = part.partition("-")
    low = number(schedule, start, first)
    if not dash:
        wrong(schedule, start + len(first), "'-' and the end of a range, as in 0-1500:100")
    end, colon, stride = rest.partition(":")
    after = start + len(first) + 1
    high = number(schedule, after, end)
    if high < low:
        wrong(schedule, after, f"an end of at least {low}")
    if not colon:
        wrong(schedule, after + len(end), "':' and a stride, as in 0-1500:100")
    return range(low, min(high, last) + 1, number(schedule, after + len(end) + 1, stride, least=1))


def around(schedule: str, start: int, body: str, event: EventStep | None) -> range:
    """`EVENT:+-WIDTH:STRIDE`, centred on the event."""
    name, colon, rest = body.partition(":")
    at = start + len(name) + 1
    if not name.isidentifier() or not colon:
        wrong(schedule, start, "a phase event and a width, as in around:turn:+-1000:50")
    if not rest.startswith("+-"):
        wrong(schedule, at, "'+-' and a width, as in around:turn:+-1000:50")
    width, colon, stride = rest[2:].partition(":")
    reach = number(schedule, at + 2, width, least=1)
    if not colon:
        wrong(schedule, at + 2 + len(width), "':' and a stride, as in around:turn:+-1000:50")
    every = number(schedule, at + 3 + len(width), stride, least=1)
    if event is None:
        raise UsageError(f"schedule {schedule!r}: around:{name} needs a run that has been trained; add it later with `strobe train RUN --add`")
    centre = event(name)
    return range(centre - reach, centre + reach + 1, every)


def logarithmic(count: int, last: int) -> set[int]:
    """`count` steps from 1 to `last`, evenly spaced in their logarithm and rounded; fewer where rounding makes two the same."""
    return {round(last ** (i / (count - 1))) for i in range(count)} if last else set()


def split(schedule: str, start: int, separator: str, text: str | None = None) -> Iterator[tuple[int, str]]:
    """The parts of `text`, which begins at character `start` of the schedule, each with the character it begins at."""
    for part in (schedule if text is None else text).split(separator):
        yield start, part
        start += len(part) + len(separator)


def number(schedule: str, start: int, text: str, least: int = 0) -> int:
    """A whole number that fills `text`."""
    match = NUMBER.match(text)
    if match is None:
        wrong(schedule, start, "a whole number")
    if match.end() < len(text):
        wrong(schedule, start + match.end(), "no more after the number" if match.end() < 12 else "a number of at most 12 digits")
    if int(text) < least:
        wrong(schedule, start, f"a whole number of at least {least}")
    return int(text)


def wrong(schedule: str, at: int, expected: str) -> NoReturn:
    """Point at the character: its place counted from 1, and what stands there."""
    found = repr(schedule[at]) if at < len(schedule) else "the end"
    raise UsageError(f"schedule {schedule!r}: expected {expected} at character {at + 1}, found {found}")
