"""Named datasets, so that a step change swaps data and never the specification.

Altair names a dataset by a hash of its content: two datasets that happen to be equal (two empty ones) collapse into one, and then datasets can
no longer be matched by position. A dataset with a name of its own keeps its place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

Records = list[dict[str, Any]]


class Rows:
    """A holder that Altair passes on by reference, where it would copy a list with every layer."""

    def __init__(self, records: Records) -> None:
        self.records = records


class Dataset(alt.InlineData):  # type: ignore[misc]  # Altair is untyped here
    """Rows under a name, written to the top-level `datasets` of whatever chart they end up in."""

    _class_is_valid_at_instantiation = False  # the rows are records already; validating each against the schema costs more than drawing them

    def to_dict(self, validate: bool = True, *, ignore: list[str] | None = None, context: dict[str, Any] | None = None) -> dict[str, Any]:
        name, values = str(self._kwds["name"]), self._kwds["values"].records
        if context is None or "datasets" not in context:
            return {"name": name, "values": values}
        while context["datasets"].get(name, values) != values:  # two panels side by side, both with a dataset of this name
            name += "_"
        context["datasets"][name] = values
        return {"name": name}


def dataset(name: str, rows: pd.DataFrame | Sequence[Mapping[str, Any]]) -> Dataset:
    """Rows for `alt.Chart(...)` under a stable name. Say the type of every field (`"step:Q"`): Altair does not look into named data."""
    return Dataset(name=name, values=Rows(records(rows) if isinstance(rows, pd.DataFrame) else [dict(row) for row in rows]))


def records(rows: pd.DataFrame) -> Records:
    """Rows as JSON-ready dicts: null for missing and non-finite numbers, plain Python scalars."""
    columns = {str(name): _plain(rows[name]) for name in rows.columns}
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _plain(column: pd.Series) -> list[Any]:
    if column.dtype.kind == "f" and isinstance(column.dtype, np.dtype):
        values = column.to_numpy()
        return [v if ok else None for v, ok in zip(values.tolist(), np.isfinite(values).tolist(), strict=True)]
    return [None if missing else v for v, missing in zip(column.tolist(), column.isna().tolist(), strict=True)]
