"""Rows of charts as columns of bytes: what a standalone file holds. `frames.js` of the front end reads them.

A table is one dataset of one chart, at every step: its columns are kept once where they do not change, and as numbers of 8, 16 or 32 bits else.
A measured number is kept in 16 bits, spread evenly over asinh(x / s), s the smallest magnitude of its column that is not nought: its error is at
most `ERROR` of the number itself, less than half a pixel on an axis of 1,000 px, linear or logarithmic. Whole numbers, text and columns of few
different values are exact, and so is nought. Pictures are PNG; maps have fewer shades (`shades`).
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..panels.film import Rows
from .shades import coarser

LEVELS = 65534
"""Steps of a quantised number; 65535 says that it is missing."""
WIDEST = 1e-12
"""Share of the largest magnitude below which a magnitude counts as nought."""
ERROR = 4.4e-4
"""Twice asinh(1 / WIDEST), the widest range that a column of both signs can have, over 2 LEVELS; usual columns have a tenth of it."""
FEW = 255
PNG = "data:image/png;base64,"


def table(items: Sequence[Rows], blob: bytearray) -> dict[str, Any]:
    """The header of a table of these lists of rows; what is long goes to `blob`. Rows of different fields are kept as JSON."""
    rows = [row for item in items for row in item]
    names = list(rows[0]) if rows else []
    if any(list(row) != names for row in rows):
        return {"json": [list(item) for item in items]}
    counts = [len(item) for item in items]
    return {"rows": counts, "columns": [_column(name, [[row[name] for row in item] for item in items], counts, blob) for name in names]}


def _column(name: str, items: Sequence[list[Any]], counts: Sequence[int], blob: bytearray) -> dict[str, Any]:
    fixed = len(items) > 1 and all(item == items[0] and _types(item) == _types(items[0]) for item in items[1:])
    values = items[0] if fixed else [value for item in items for value in item]
    stride = counts[0] if len(set(counts)) == 1 and not fixed else 0
    return {"name": name, **({"fixed": True} if fixed else {}), **_values(values, stride, blob)}


def _types(values: Sequence[Any]) -> list[bool]:
    return [isinstance(value, bool) for value in values]  # True equals 1


def _values(values: Sequence[Any], stride: int, blob: bytearray) -> dict[str, Any]:
    distinct: dict[str, int] = {}
    codes = [distinct.setdefault(json.dumps(value, default=str), len(distinct)) for value in values]
    if len(distinct) == 1:
        return {"kind": "same", "value": json.loads(next(iter(distinct)))}
    numbers = all(value is None or (isinstance(value, (int, float)) and not isinstance(value, bool)) for value in values)
    if numbers and len(distinct) > FEW:
        return _numbers(np.array([np.nan if v is None else v for v in values], dtype=float), stride, blob)
    known = [json.loads(text) for text in distinct]
    if all(isinstance(value, str) and value.startswith(PNG) for value in known):
        return {
            "kind": "pictures",
            "at": [_put(coarser(base64.b64decode(v.removeprefix(PNG))), blob) for v in known],
            **_codes(codes, len(known), stride, blob),
        }
    return {"kind": "one of", "values": known, **_codes(codes, len(known), stride, blob)}


def _numbers(values: np.ndarray, stride: int, blob: bytearray) -> dict[str, Any]:
    seen = values[np.isfinite(values)]
    low, high = float(seen.min()), float(seen.max())
    if (seen == np.rint(seen)).all() and high - low < 2**32 - 1:
        codes = np.where(np.isfinite(values), values - low, high - low + 1)
        return {"kind": "whole", "low": int(low), "missing": int(high - low + 1), **_codes(codes, int(high - low) + 2, stride, blob)}
    codes, how = quantised(values)
    return {"kind": "measured", **how, **_codes(codes, 2**16, stride, blob)}


def quantised(values: np.ndarray) -> tuple[np.ndarray, dict[str, float]]:
    """Codes 0..65534 (65535 where missing), and `unit`, `low`, `high`: a code means unit * sinh(low + code / 65534 * (high - low))."""
    magnitudes = np.abs(values[np.isfinite(values)])
    unit = float(max(magnitudes[magnitudes > 0].min(), WIDEST * magnitudes.max()))
    spread = np.arcsinh(values / unit)
    low, high = float(np.nanmin(spread)), float(np.nanmax(spread))
    if low < 0 < high:  # nought in the middle, so that it stays what it is
        low, high = -max(-low, high), max(-low, high)
    codes = np.where(np.isfinite(values), np.rint((spread - low) / (high - low) * LEVELS), LEVELS + 1)
    return codes.astype(np.uint16), {"unit": unit, "low": low, "high": high}


# --- bytes -------------------------------------------------------------------------------------------------------------------------------------


def _codes(codes: Any, count: int, stride: int, blob: bytearray) -> dict[str, Any]:
    """Codes below `count`, as the differences (to the code before, or to the same row of the step before) that deflate best, byte by byte."""
    width = 1 if count <= 2**8 else 2 if count <= 2**16 else 4
    whole = np.asarray(codes).astype(f"<u{width}")
    options = [(len(zlib.compress(data, 1)), back, data) for back in dict.fromkeys((0, 1, stride)) if (data := _differences(whole, back))]
    _, back, data = min(options)
    return {"width": width, "back": back, "size": len(whole), "from": _put(data, blob)[0]}


def _differences(codes: np.ndarray, back: int) -> bytes:
    changed = codes.copy()
    if back:
        changed[back:] -= codes[:-back]
    return changed.view(np.uint8).reshape(-1, codes.dtype.itemsize).T.tobytes()


def _put(data: bytes, blob: bytearray) -> tuple[int, int]:
    """Where these bytes lie: from, to."""
    start = len(blob)
    blob += data
    return start, len(blob)
