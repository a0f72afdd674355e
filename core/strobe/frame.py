"""`Frame`: what a renderer is given: the rows at the cursor, their schema, and arrays in their shape."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from .errors import StrobeError, did_you_mean
from .schema import Column, TableSchema

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from .family import Family

Cursor = Mapping[str, Any]
"""Where everyone is looking: run, step, probe, layer, head, neuron, frequency, input."""


@dataclass(frozen=True, eq=False)
class Frame:
    """The rows at the cursor.

    `data`: the rows, arrays as `np.ndarray` cells; `schema`: what each column is; `slots`: slot -> column for a generic renderer;
    `others`: further consumed tables by name, whole; `family`: the run's family; `cursor`: where the rows were taken (never write it into a chart).

    Of several runs (`compare` says how they are shown: overlay, grid, difference), `data` has the rows of all of them, with the columns `run` and
    `aligned` (the step, steps from the turn, or phases, as `align` says); `runs` are their names, `about` what is known of each: its parameters, its
    training, its row of `run_summary`. Of a difference the rows are those of `runs[0]` less those of `runs[1]`.
    """

    data: pd.DataFrame
    schema: TableSchema = field(default_factory=TableSchema)
    slots: Mapping[str, str] = field(default_factory=dict)
    others: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    family: Family | None = None
    cursor: Cursor = field(default_factory=dict)
    runs: tuple[str, ...] = ()
    align: Literal["step", "turn", "phase"] = "step"
    compare: str = ""
    about: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def array(self, name: str) -> np.ndarray:
        """An array column as one array [rows, *shape]; rows that hold null are left out. All rows must have the same shape."""
        import numpy as np

        if name not in self.data:
            raise StrobeError(f"no column {name!r}{did_you_mean(name, map(str, self.data.columns))}")
        blocks = [block for block in self.data[name] if block is not None]
        return np.stack(blocks) if blocks else np.zeros((0,))

    def column(self, slot: str) -> Column | None:
        """The column bound to a slot, None for an optional slot that found none."""
        name = self.slots.get(slot)
        return None if name is None else self.schema.columns[name]

    def scalars(self) -> pd.DataFrame:
        """The rows without array columns: small enough to travel with a chart."""
        return self.data.drop(columns=[c.name for c in self.schema.of_kind("array") if c.name in self.data])
