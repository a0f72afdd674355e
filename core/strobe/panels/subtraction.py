"""Matched rows less matched rows: the arithmetic of every difference, of two runs as of two places."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import StrobeError
from ..schema import TableSchema

if TYPE_CHECKING:
    import pandas as pd

SCALE = "scale"
"""A metric of this name is what the arrays of its row are to be multiplied with."""


def less(a: pd.DataFrame, b: pd.DataFrame, schema: TableSchema) -> pd.DataFrame:
    """The rows of `a`, their numeric metrics and arrays less those of `b` in the same place; texts and dimensions are those of `a`.

    Arrays are multiplied with the column `scale` of their row first, where there is one, which then is 1. Missing on either side is missing.
    Raises `StrobeError` when arrays differ in shape.
    """
    made = a.copy()
    both = [c for c in schema.of_kind("metric", "array") if c.name in a and c.name in b]
    arrays = [c.name for c in both if c.kind == "array"]
    for name in arrays:
        made[name] = _objects([_array(x, y, name) for x, y in zip(_scaled(a, name), _scaled(b, name), strict=True)])
    for column in both:
        if column.kind == "metric" and column.numeric:
            made[column.name] = 1.0 if column.name == SCALE and arrays else floats(a[column.name]) - floats(b[column.name])
    return made


def floats(values: pd.Series[Any]) -> np.ndarray:
    return values.to_numpy(dtype=float, na_value=np.nan)


def _scaled(rows: pd.DataFrame, name: str) -> list[Any]:
    factors = floats(rows[SCALE]) if SCALE in rows else np.ones(len(rows))
    return [None if v is None else np.asarray(v, dtype=float) * factor for v, factor in zip(rows[name], factors, strict=True)]


def _array(x: Any, y: Any, name: str) -> Any:
    if x is None or y is None:
        return None
    if x.shape != y.shape:
        raise StrobeError(f"{name} of {_size(x)} less {_size(y)}: arrays of two sizes have no difference")
    return x - y


def _size(array: np.ndarray) -> str:
    return " x ".join(map(str, array.shape))


def _objects(blocks: Sequence[Any]) -> Any:
    made = np.empty(len(blocks), dtype=object)
    for i, block in enumerate(blocks):
        made[i] = block
    return made
