"""`ResultTable`: a pandas data frame that remembers how to become Arrow or polars."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from ..schema import to_pandas

if TYPE_CHECKING:
    import pyarrow as pa


class ResultTable(pd.DataFrame):
    """Rows of a result. Arrays are `np.ndarray` cells in their shape; `.arrow()` and `.polars()` give the same rows elsewhere."""

    @property
    def _constructor(self) -> Callable[..., ResultTable]:
        return ResultTable

    @classmethod
    def of(cls, tables: Sequence[pa.Table]) -> ResultTable:
        """One data frame of several Arrow tables, whose arrays may differ in shape (runs of different sizes)."""
        frames = [to_pandas(t) for t in tables]
        return cls(pd.concat(frames, ignore_index=True) if len(frames) > 1 else frames[0])

    def arrow(self) -> pa.Table:
        """As a pyarrow table; arrays become (nested) lists."""
        import pyarrow as pa

        return pa.table({str(name): pa.array([_plain(v) for v in self[name]]) for name in self.columns})

    def polars(self) -> Any:
        """As a polars data frame (needs polars)."""
        import polars

        return polars.from_arrow(self.arrow())


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return value.tolist()
    return None if value is pd.NA or value != value else value
