"""A declared `Row` becomes an Arrow table with dimensions, units and descriptions, and comes back as it was."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import strobe
from strobe import array, dim, metric
from strobe.errors import SchemaError
from strobe.schema import declared, signature, table_schema, to_arrow, to_pandas


class Everything(strobe.Row):
    """One field of every kind."""

    name: str = dim("parameter")
    head: int | None = dim("attention head")
    dead: bool = dim("is it dead")
    value: float = metric("a number", unit="nats")
    count: int | None = metric("a count", unit="1")
    spectrum: np.ndarray | None = array("share per frequency", dims=["frequency"], dtype="float32", unit="1")
    grid: np.ndarray | None = array("a map", dims=["a", "b"], dtype="float16", unit="1")


def everything(**changes: object) -> Everything:
    one = {"name": "w", "head": 1, "dead": False, "value": 2.5, "count": 3, "spectrum": np.arange(3.0), "grid": np.eye(2)}
    return Everything(**{**one, **changes})  # type: ignore[arg-type]


def cells(rows: list[Everything]) -> list[dict[str, object]]:
    return to_pandas(to_arrow(Everything, rows).table).to_dict("records")  # type: ignore[return-value]


# --- the schema ----------------------------------------------------------------------------------------------------------------------------


def test_every_field_becomes_a_typed_column_with_its_unit_and_description() -> None:
    table = to_arrow(Everything, [everything()]).table
    types = {f.name: f.type for f in table.schema}
    assert types["name"] == pa.string()
    assert types["head"] == types["count"] == pa.int64()
    assert types["dead"] == pa.bool_()
    assert types["value"] == pa.float64()
    assert types["spectrum"] == pa.list_(pa.float32())
    assert isinstance(types["grid"], pa.FixedShapeTensorType)
    assert (types["grid"].shape, types["grid"].dim_names) == ([2, 2], ["a", "b"])
    back = table_schema(table.schema).columns
    assert back == declared(Everything) | {"value": back["value"]}  # a metric may turn out not finite, so it is nullable on disk
    assert (back["value"].unit, back["value"].description) == ("nats", "a number")
    assert back["grid"].dims == ("a", "b")
    assert [c.name for c in table_schema(table.schema).of_kind("array")] == ["spectrum", "grid"]


def test_the_schema_of_no_rows_is_the_same_but_for_the_shape_of_tensors() -> None:
    empty, full = to_arrow(Everything, []).table, to_arrow(Everything, [everything()]).table
    assert len(empty) == 0
    assert [f for f in empty.schema if f.name != "grid"] == [f for f in full.schema if f.name != "grid"]


def test_the_signature_changes_with_what_a_reader_would_see() -> None:
    def row(unit: str = "1", kind: type = float, dims: tuple[str, ...] = ("k",)) -> type[strobe.Row]:
        class R(strobe.Row):
            x: kind = metric("x", unit=unit)  # type: ignore[valid-type]
            y: np.ndarray = array("y", dims=dims, unit="1")

        R.__annotations__["x"] = kind
        R.model_rebuild(force=True)
        return R

    assert signature(row()) == signature(row())
    assert signature(row()) != signature(row(unit="nats"))
    assert signature(row()) != signature(row(dims=("layer",)))


# --- there and back ------------------------------------------------------------------------------------------------------------------------


def test_scalars_lists_and_tensors_come_back_in_their_shapes() -> None:
    (first, second) = cells([everything(), everything(name="v", spectrum=np.zeros(0), grid=np.full((2, 2), 7.0))])
    assert (first["name"], first["head"], first["dead"], first["value"], first["count"]) == ("w", 1, False, 2.5, 3)
    assert first["spectrum"].tolist() == [0.0, 1.0, 2.0]
    assert first["grid"].dtype == np.float16
    np.testing.assert_array_equal(first["grid"], np.eye(2))
    assert second["spectrum"].shape == (0,)  # lists may differ in length between rows
    assert second["grid"].tolist() == [[7.0, 7.0], [7.0, 7.0]]


def test_nulls_come_back_as_nulls() -> None:
    nothing = {"head": None, "count": None, "spectrum": None, "grid": None}
    table = to_arrow(Everything, [everything(), everything(**nothing), everything()]).table
    assert table.column("spectrum").null_count == table.column("grid").null_count == 1
    frame = to_pandas(table)
    assert frame["head"].isna().tolist() == [False, True, False]
    assert frame["spectrum"][1] is None
    assert frame["grid"][1] is None
    assert frame["grid"][2].tolist() == [[1.0, 0.0], [0.0, 1.0]]


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_a_metric_that_is_not_finite_is_stored_as_null_and_counted(bad: float) -> None:
    made = to_arrow(Everything, [everything(value=bad), everything(), everything(value=bad)])
    assert made.table.column("value").to_pylist() == [None, 2.5, None]
    assert made.not_finite == {"value": 2}


def test_zero_dimensional_tensors_and_numpy_numbers_are_numbers() -> None:
    made = to_arrow(
        Everything,
        Everything.columns(
            **{**vars(everything()), "name": ["w"], "value": [torch.tensor(1.5)], "count": [np.int32(4)]}
            | {"spectrum": [np.ones(2)], "grid": [torch.eye(2)]}
        ),
    )
    assert made.table.column("value").to_pylist() == [1.5]
    assert made.table.column("count").to_pylist() == [4]


def test_columns_are_rows_said_faster() -> None:
    rows = to_arrow(Everything, [everything(head=i, value=float(i), grid=np.full((2, 2), i)) for i in range(3)]).table
    columns = Everything.columns(
        name="w",  # a scalar stands for all rows
        head=torch.arange(3),
        dead=False,
        value=np.arange(3.0),
        count=3,
        spectrum=np.tile(np.arange(3.0), (3, 1)),
        grid=torch.arange(3.0)[:, None, None].expand(3, 2, 2),
    )
    assert to_arrow(Everything, columns).table.equals(rows, check_metadata=True)


def test_columns_of_scalars_alone_are_one_row() -> None:
    class One(strobe.Row):
        layer: int = dim("layer")
        value: float = metric("value", unit="1")

    assert to_arrow(One, One.columns(layer=0, value=1.0)).table.to_pylist() == [{"layer": 0, "value": 1.0}]


@given(
    st.lists(
        st.tuples(
            st.text(max_size=5),
            st.none() | st.integers(-(2**63), 2**63 - 1),
            st.booleans(),
            st.floats(),
            st.none() | hnp.arrays(np.float32, st.integers(0, 4), elements=st.floats(width=32)),
            st.none() | hnp.arrays(np.float16, (2, 3), elements=st.floats(width=16)),
        ),
        max_size=6,
    )
)
def test_whatever_goes_in_comes_back(rows: list[tuple[object, ...]]) -> None:
    made = to_arrow(
        Everything,
        [Everything(name=n, head=h, dead=d, value=v, count=h, spectrum=s, grid=g) for n, h, d, v, s, g in rows],  # type: ignore[arg-type]
    )
    frame = to_pandas(made.table)
    for i, (n, h, d, v, s, g) in enumerate(rows):
        row = frame.iloc[i]
        assert (row["name"], bool(row["dead"])) == (n, d)
        assert pd.isna(row["head"]) if h is None else int(made.table.column("head")[i].as_py()) == h
        assert row["value"] == v or (not np.isfinite(v) and np.isnan(row["value"]))  # type: ignore[call-overload]
        for found, given_ in ((row["spectrum"], s), (row["grid"], g)):
            assert found is None if given_ is None else np.array_equal(found, given_, equal_nan=True)  # type: ignore[arg-type]
    assert made.not_finite.get("value", 0) == sum(not np.isfinite(v) for _, _, _, v, _, _ in rows)  # type: ignore[call-overload]


def test_slices_of_a_table_keep_their_arrays() -> None:
    table = to_arrow(Everything, [everything(spectrum=np.full(i, i), grid=np.full((2, 2), i)) for i in range(5)]).table.slice(2, 2)
    frame = to_pandas(table)
    assert [s.tolist() for s in frame["spectrum"]] == [[2, 2], [3, 3, 3]]
    assert [g[0, 0] for g in frame["grid"]] == [2, 3]


# --- what is refused -----------------------------------------------------------------------------------------------------------------------


class Small(strobe.Row):
    layer: int = dim("layer")
    value: float = metric("value", unit="1")


class Arrays(strobe.Row):
    line: np.ndarray = array("line", dims=["k"], unit="1")
    grid: np.ndarray = array("grid", dims=["a", "b"], unit="1")


class Whole(strobe.Row):
    keys: np.ndarray = array("keys", dims=["key"], dtype="int64", unit="1")


REFUSED = {
    "a row of another type": (Small, lambda: [Small(layer=0, value=1.0), {"layer": 0, "value": 1.0}], "row 1: expected Small, got dict"),
    "None": (Small, lambda: None, r"iterator of Small or Small.columns\(\.\.\.\), got NoneType"),
    "a dictionary": (Small, lambda: {"layer": 0}, "got dict"),
    "columns of another row": (Small, lambda: Arrays.columns(line=[], grid=[]), r"expected Small.columns\(...\), got Arrays.columns"),
    "a missing column": (Small, lambda: Small.columns(layer=[0]), "value missing or unknown; it takes layer, value"),
    "an unknown column": (Small, lambda: Small.columns(layer=[0], value=[1.0], head=[0]), "head missing or unknown"),
    "lengths that differ": (Small, lambda: Small.columns(layer=[0, 1], value=[1.0]), "lengths differ: layer 2, value 1"),
    "floats where int is declared": (Small, lambda: Small.columns(layer=np.zeros(2), value=[1.0, 2.0]), "Small.layer: declared int, got float64"),
    "a string where int is declared": (Small, lambda: Small.columns(layer=["x"], value=[1.0]), "Small.layer: "),
    "a null where none is allowed": (Small, lambda: Small.columns(layer=[0, None], value=1.0), r"1 of 2 values are null; declare it `int \| None`"),
    "a null array where none is allowed": (
        Arrays,
        lambda: Arrays.columns(line=[None], grid=[np.eye(2)]),
        r"row 0 is null; declare it `np.ndarray \| None`",
    ),
    "an array of the wrong rank": (Arrays, lambda: Arrays.columns(line=[np.eye(2)], grid=[np.eye(2)]), r"row 0 has 2 axes for dims \['k'\]"),
    "tensors of two shapes": (
        Arrays,
        lambda: Arrays.columns(line=[[1], [2]], grid=[np.eye(2), np.eye(3)]),
        r"shapes differ between rows: \(2, 2\), \(3, 3\)",
    ),
    "an array that is no numbers": (Arrays, lambda: Arrays.columns(line=[["x"]], grid=[np.eye(2)]), "Arrays.line: row 0 cannot be stored as float32"),
    "fractions in an array of integers": (Whole, lambda: Whole.columns(keys=[[0.5]]), "Whole.keys: row 0 cannot be stored as int64"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refused_with_the_field_and_both_sides(what: str) -> None:
    row, result, message = REFUSED[what]
    with pytest.raises(SchemaError, match=message):
        to_arrow(row, result())  # type: ignore[arg-type]


def test_a_field_without_a_kind_is_refused_by_name() -> None:
    class Bare(strobe.Row):
        layer: int

    with pytest.raises(SchemaError, match=r"Bare.layer: declare it with dim\(...\), metric\(..., unit=...\) or array"):
        declared(Bare)


def test_a_type_that_is_no_column_is_refused() -> None:
    class Odd(strobe.Row):
        layer: dict[str, int] = dim("layer")

    with pytest.raises(SchemaError, match=r"Odd.layer: dict\[str, int\] is not str, int, float, bool"):
        declared(Odd)


def test_an_unknown_field_of_a_row_is_refused_when_it_is_made() -> None:
    with pytest.raises(ValueError, match=r"head"):
        Small(layer=0, value=1.0, head=2)  # type: ignore[call-arg]
