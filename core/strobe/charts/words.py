"""Words in and around a chart: numbers as people write them, notes, alt text, and tables of text."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from .compose import layers
from .data import Dataset, dataset
from .theme import WIDTH, colour


def number(value: Any) -> str:
    """A number as people write it: 5,500; 0.156; 1.7e-7 below 0.001; a true minus; an en dash for missing."""
    if value is None or (not isinstance(value, str) and pd.isna(value)):
        return "–"
    if isinstance(value, (bool, np.bool_, str)):
        return str(value)
    if isinstance(value, (int, np.integer)) or (float(value).is_integer() and 1 <= abs(value) < 1e6):
        return f"{int(value):,}".replace("-", "−")
    return _real(float(value))


def _real(value: float) -> str:
    if not math.isfinite(value):
        return str(value)
    if value == 0:
        return "0"
    if abs(value) < 0.001 or abs(value) >= 1e6:
        mantissa, exponent = f"{value:.1e}".split("e")
        return f"{mantissa.replace('-', '−')}e{int(exponent)}"
    return f"{value:,.3g}".replace("-", "−") if abs(value) < 1000 else f"{value:,.0f}".replace("-", "−")


def note(text: str, *, width: int = WIDTH, height: int = 60) -> alt.Chart:
    """A chart that says why there is nothing to see."""
    base = alt.Chart(dataset("note", [{"text": text}]), width=width, height=height, description=text)
    words = base.mark_text(style="annotation", align="left", color=colour("muted"), limit=width)
    return words.encode(x=alt.XValue(0), y=alt.YValue(height / 2), text=alt.Text("text:N"))


def described(chart: Any, text: str) -> Any:
    """The chart, given its one-line description (alt text). No numbers that depend on the cursor."""
    chart.description = text
    return chart


def text_grid(rows: pd.DataFrame, *, titles: Mapping[str, str] | None = None, width: int = WIDTH, row_height: int = 20) -> alt.LayerChart:
    """A table as a chart: one text per cell, numbers right-aligned, a rule under the head.

    Places are pixels in the data, not scales in the specification, which is therefore the same for every table; the picture grows with its content.
    """
    shown = [str(c) for c in rows.columns]
    cells = {c: [number(v) for v in rows[c]] for c in shown}
    head = {c: (titles or {}).get(c, c) for c in shown}
    place, total = column_places(head, cells, {c: numeric(rows[c]) for c in shown}, width)
    heads = [{**place[c], "y": 0.5 * row_height, "text": head[c]} for c in shown]
    picks = picks_of(rows)
    body = [{**place[c], "y": (i + 1.5) * row_height, "text": text, **picks[i]} for c in shown for i, text in enumerate(cells[c])]
    line = alt.Chart(dataset("head rule", [{"y": row_height, "x": 0, "x2": total}])).mark_rule()
    rule = line.encode(x=alt.X("x:Q", scale=None, axis=None), x2=alt.X2("x2:Q"), y=alt.Y("y:Q", scale=None, axis=None))
    return layers(*_texts(dataset("cells", body), "ink"), *_texts(dataset("head", heads), "muted"), rule, width=width, height=row_height)


def numeric(values: pd.Series) -> bool:
    """Whether a column holds numbers, which are written right-aligned."""
    return pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)


def column_places(
    head: Mapping[str, str], cells: Mapping[str, Sequence[str]], right: Mapping[str, bool], width: int
) -> tuple[dict[str, dict[str, Any]], int]:
    """Where each column is written, `{"x": px, "side": "left" or "right"}`, and the width of all: 6.2 px a character, over at least `width`."""
    needed = {c: max(map(len, [head[c], *cells[c]])) * 6.2 + 18 for c in head}
    stretch = max(0.0, width - sum(needed.values())) / max(len(needed), 1)
    place: dict[str, dict[str, Any]] = {}
    at = 0.0
    for c, n in needed.items():
        place[c] = {"x": at + n + stretch - 18, "side": "right"} if right[c] else {"x": at, "side": "left"}
        at += n + stretch
    return place, int(max(at, width))


def picks_of(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Of each row its coordinates, and its run: they travel with each of its cells, so that a click on one can move the cursor."""
    picks: list[dict[str, Any]] = [{"run": str(run)} for run in rows["run"]] if "run" in rows else [{} for _ in range(len(rows))]
    for name in ("step", "layer", "head", "neuron", "frequency"):
        for pick, value in zip(picks, rows.get(name, ()), strict=False):
            if not pd.isna(value):
                pick[name] = int(value)
    return picks


def _texts(rows: Dataset, tint: str) -> list[alt.Chart]:
    return [
        alt.Chart(rows)
        .transform_filter(f"datum.side == '{side}'")
        .mark_text(align=side, baseline="middle", color=colour(tint))
        .encode(x=alt.X("x:Q", scale=None, axis=None), y=alt.Y("y:Q", scale=None, axis=None), text=alt.Text("text:N"))
        for side in ("left", "right")
    ]
