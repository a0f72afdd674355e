"""What a brush leaves, and what two places differ in: known answers on frames made by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strobe import Frame, StrobeError
from strobe.panels.brush import narrowed, selection
from strobe.panels.difference import compared, subtracted
from strobe.schema import Column, TableSchema

SCHEMA = TableSchema(
    {
        "step": Column("step", "dim", "step", "int64"),
        "neuron": Column("neuron", "dim", "neuron", "int64"),
        "frequency": Column("frequency", "dim", "what leads", "int64"),
        "fraction": Column("fraction", "metric", "share", "float64", unit="1"),
        "scale": Column("scale", "metric", "of the map", "float64", unit="1"),
        "map": Column("map", "array", "map", "float64", unit="1"),
    }
)


def frame(step: int, neurons: list[int], value: float, frequency: int = 3, scale: float = 1.0) -> Frame:
    rows = [
        {"step": step, "neuron": n, "frequency": frequency, "fraction": value + n, "scale": scale, "map": np.full((2, 2), value)} for n in neurons
    ]
    return Frame(pd.DataFrame(rows), SCHEMA)


def test_rows_match_by_the_dimensions_that_identify_them() -> None:
    """Neuron 2 is in A alone; the frequency is a finding, and may differ."""
    less = subtracted(frame(5, [0, 1, 2], 0.75), frame(9, [1, 0], 0.5, frequency=8)).data
    assert less["neuron"].tolist() == [0, 1]
    assert less["fraction"].tolist() == [0.25, 0.25]
    assert [m.tolist() for m in less["map"]] == [[[0.25, 0.25]] * 2] * 2


def test_maps_are_subtracted_in_their_own_unit() -> None:
    less = subtracted(frame(5, [0], 2.0, scale=10.0), frame(5, [0], 3.0, scale=1.0)).data
    assert less["map"].iloc[0].tolist() == [[17.0, 17.0]] * 2
    assert less["scale"].tolist() == [1.0]


def test_two_neurons_are_two_places_of_one_row() -> None:
    assert subtracted(frame(5, [4], 0.75), frame(5, [7], 0.5)).data["fraction"].tolist() == [-2.75]


def test_a_table_has_both_values_and_b_less_a() -> None:
    table = compared(frame(5, [0, 1], 0.5), frame(9, [0, 1], 0.75))
    fractions = table[table["measure"] == "fraction"]
    assert fractions[["neuron", "A", "B", "B − A"]].to_numpy().tolist() == [[0, 0.5, 0.75, 0.25], [1, 1.5, 1.75, 0.25]]


def test_places_without_a_common_row_say_so() -> None:
    with pytest.raises(StrobeError, match="A has 2 rows and B has 2, and none of them match in neuron"):
        subtracted(frame(5, [0, 1], 1.0), frame(5, [2, 3], 1.0))


@given(st.sets(st.integers(0, 600), min_size=1))
def test_a_brush_leaves_exactly_its_rows(values: set[int]) -> None:
    text = "neuron:" + ",".join(map(str, sorted(values))) + ";frequency:9"
    left = narrowed(frame(5, list(range(0, 601, 3)), 1.0), text).data["neuron"]
    assert set(left) == {v for v in values if v % 3 == 0}


def test_a_brush_is_read_and_what_is_none_is_refused() -> None:
    assert selection("neuron:3-5,9;frequency:24") == {"neuron": (3, 4, 5, 9), "frequency": (24,)}
    assert len(narrowed(frame(5, [0, 1], 1.0), "head:1").data) == 2
    with pytest.raises(StrobeError, match="'neuron=3' is no selection: write coordinate:values"):
        selection("neuron=3")
