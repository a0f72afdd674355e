"""A brush: the neurons or frequencies that a reader marked in one panel, and what is left of the rows of another.

As text it is what an address and a request carry: `neuron:3-17,20;frequency:24`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from ..errors import UsageError
from ..frame import Frame

ONLY = "only"
"""The cursor's coordinate that holds a brush."""
Selection = Mapping[str, tuple[int, ...]]
_PART = re.compile(r"(\w+):((?:\d+(?:-\d+)?,?)+)")
MOST = 1_000_000
"""Values of a brush; more is a mistake, not a wish."""


def selection(text: str) -> Selection:
    """Coordinate -> its values. Raises `UsageError` for text that is no brush."""
    found = {}
    for part in filter(None, text.split(";")):
        match = _PART.fullmatch(part)
        if match is None:
            raise UsageError(f"{part!r} is no selection: write coordinate:values, such as neuron:3-17,20")
        found[match[1]] = tuple(value for span in match[2].strip(",").split(",") for value in _span(span))
    return found


def _span(text: str) -> range:
    first, _, last = text.partition("-")
    low, high = int(first), int(last or first)
    if high - low > MOST:
        raise UsageError(f"a selection from {low} to {high}: at most {MOST:,} values")
    return range(low, high + 1)


def narrowed(frame: Frame, text: str) -> Frame:
    """The rows of a frame that a brush leaves. The first coordinate of the brush that is a column decides: neurons, where a table has them, else
    frequencies; a table with neither stays as it is.
    """
    for name, values in selection(text).items():
        if name in frame.data:
            return replace(frame, data=frame.data[frame.data[name].isin(values)].reset_index(drop=True))
    return frame
