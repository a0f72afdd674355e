"""Results on disk: a reader sees all of a part or nothing of it, whatever happens to the writer; plain pandas and DuckDB read them too."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import strobe
from strobe import array, dim, metric
from strobe.errors import StoreError
from strobe.schema import to_arrow, to_pandas
from strobe.storage import kept
from strobe.storage.parts import StoredCell, stamp
from strobe.storage.store import WHOLE, Address, Store

ADDRESS = Address("norms", "run", "grid", "k" * 64)
ABOUT = {"settings": {}, "strobe_version": "test"}


class Row(strobe.Row):
    neuron: int = dim("neuron")
    value: float = metric("value", unit="1")
    spectrum: np.ndarray = array("spectrum", dims=["frequency"], unit="1")
    grid: np.ndarray | None = array("map", dims=["a", "b"], dtype="float16", unit="1")


def cell(step: int | None, version: str = "", rows: int = 3, grid: bool = True) -> StoredCell:
    values = [
        Row(neuron=i, value=(step or 0) + i + len(version) / 10, spectrum=np.full(i, step or 0), grid=np.full((2, 2), i) if grid else None)
        for i in range(rows)
    ]
    return StoredCell(step, f"key {step} {version}", stamp(to_arrow(Row, values).table, "run", step, "grid"))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "results")


def steps(store: Store) -> list[int | None]:
    table = store.read(ADDRESS)
    return [] if table is None else list(dict.fromkeys(table.column("step").to_pylist()))


def keys(*cells: StoredCell) -> set[str]:
    return {c.key for c in cells}


# --- parts ---------------------------------------------------------------------------------------------------------------------------------


def test_nothing_is_stored_at_first(store: Store) -> None:
    assert store.read(ADDRESS) is None
    assert store.cells(ADDRESS) == set()
    assert store.about(ADDRESS) == {}
    assert list(store.addresses()) == []


def test_parts_are_read_together_in_order_of_step(store: Store) -> None:
    store.append(ADDRESS, [cell(20), cell(30)], ABOUT)
    store.append(ADDRESS, [cell(0), cell(10)], ABOUT)
    assert steps(store) == [0, 10, 20, 30]
    assert store.cells(ADDRESS) == keys(cell(0), cell(10), cell(20), cell(30))
    assert list(store.addresses()) == [ADDRESS]
    assert store.about(ADDRESS)["settings"] == {}


def test_what_is_read_is_what_was_written(store: Store) -> None:
    store.append(ADDRESS, [cell(0)], ABOUT)
    frame = to_pandas(store.read(ADDRESS))
    assert list(frame.columns) == ["run", "step", "probe", "neuron", "value", "spectrum", "grid"]
    assert frame["run"].tolist() == ["run"] * 3
    assert frame["grid"][2].dtype == np.float16
    assert frame["spectrum"][2].tolist() == [0.0, 0.0]


def test_a_later_part_wins_step_by_step(store: Store) -> None:
    store.append(ADDRESS, [cell(0), cell(10)], ABOUT)
    store.append(ADDRESS, [cell(10, "new", rows=1)], ABOUT)
    assert len(store.read(ADDRESS, [10])) == 1
    assert len(store.read(ADDRESS)) == 4
    store.compact(ADDRESS, ABOUT, keep=keys(cell(0), cell(10, "new")))
    store.append(ADDRESS, [cell(10, "newer", rows=2)], ABOUT)
    assert store.cells(ADDRESS) == {"key 0 ", "key 10 newer"}


def test_a_table_that_is_kept_is_read_anew_when_its_files_are_others(store: Store) -> None:
    store.append(ADDRESS, [cell(0), cell(10)], ABOUT)
    first = store.read(ADDRESS)
    assert store.read(ADDRESS) is first
    store.append(ADDRESS, [cell(10, "later"), cell(20)], ABOUT)
    assert steps(store) == [0, 10, 20]
    store.compact(ADDRESS, ABOUT, keys(cell(10, "later")))
    assert store.read(ADDRESS).equals(cell(10, "later").table.cast(store.read(ADDRESS).schema))
    store.replace(ADDRESS, cell(10, "last"), ABOUT)
    assert store.read(ADDRESS).column("value").to_pylist() == cell(10, "last").table.column("value").to_pylist()
    shutil.rmtree(ADDRESS.folder(store.root))
    assert store.read(ADDRESS) is None


def test_tables_are_kept_up_to_a_number_of_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = cell(0).table
    monkeypatch.setattr(kept, "MOST_BYTES", 2 * table.nbytes)
    files, tables, read = [tmp_path / name for name in "abc"], kept.Kept(), []
    for file in files:
        file.touch()
    for file in [*files[:2], files[0], files[2], *files[:2]]:
        tables.get([file], None, lambda file=file: read.append(file.name) or table)
    assert read == ["a", "b", "c", "b"], "b was not asked for longest when c came"


def test_compaction_leaves_one_file_and_changes_nothing_that_is_read(store: Store) -> None:
    for step in (30, 0, 20, 10):
        store.append(ADDRESS, [cell(step)], ABOUT)
    before = store.read(ADDRESS)
    store.compact(ADDRESS, ABOUT, keep=store.cells(ADDRESS))
    assert [f.name for f in ADDRESS.folder(store.root).glob("*.parquet")] == [WHOLE]
    assert store.read(ADDRESS).equals(before)


def test_compaction_drops_what_is_no_longer_current(store: Store) -> None:
    store.append(ADDRESS, [cell(0), cell(10), cell(20)], ABOUT)
    store.compact(ADDRESS, ABOUT, keep=keys(cell(0), cell(20)))
    assert steps(store) == [0, 20]
    store.compact(ADDRESS, ABOUT, keep=set())
    assert store.read(ADDRESS) is None


def test_compacting_a_compact_result_writes_nothing(store: Store) -> None:
    store.append(ADDRESS, [cell(0)], ABOUT)
    store.compact(ADDRESS, ABOUT, keep=keys(cell(0)))
    file = ADDRESS.folder(store.root) / WHOLE
    before = file.stat().st_mtime_ns
    store.compact(ADDRESS, ABOUT, keep=keys(cell(0)))
    assert file.stat().st_mtime_ns == before


@settings(max_examples=20)
@given(order=st.permutations(range(5)), cuts=st.lists(st.booleans(), min_size=5, max_size=5), again=st.sets(st.integers(0, 4)), mid=st.booleans())
def test_the_final_file_depends_on_the_rows_alone(
    tmp_path_factory: pytest.TempPathFactory, order: list[int], cuts: list[bool], again: set[int], mid: bool
) -> None:
    """Whatever the parts were, in whatever order, some of them twice, compacted in between or not: the same bytes."""
    root = tmp_path_factory.mktemp("store")
    cells = [cell(step, rows=step) for step in range(5)]
    plain, other = Store(root / "plain"), Store(root / "other")
    plain.append(ADDRESS, cells, ABOUT)
    plain.compact(ADDRESS, ABOUT, keep=keys(*cells))
    part: list[StoredCell] = []
    for step, cut in zip(order, cuts, strict=True):
        part.append(cells[step])
        if cut:
            other.append(ADDRESS, part, ABOUT)
            part = []
            if mid:
                other.compact(ADDRESS, ABOUT, keep=keys(*cells))
    for rest in (part, [cells[step] for step in again]):
        if rest:
            other.append(ADDRESS, rest, ABOUT)
    other.compact(ADDRESS, ABOUT, keep=keys(*cells))
    files = [(ADDRESS.folder(s.root) / WHOLE).read_bytes() for s in (plain, other)]
    assert files[0] == files[1]
    shutil.rmtree(root)


# --- results without rows, and nulls -------------------------------------------------------------------------------------------------------


def test_a_result_without_rows_is_a_result(store: Store) -> None:
    store.append(ADDRESS, [cell(0, rows=0)], ABOUT)
    assert store.cells(ADDRESS) == keys(cell(0))
    assert len(store.read(ADDRESS)) == 0
    assert "spectrum" in store.read(ADDRESS).column_names
    store.append(ADDRESS, [cell(10), cell(20, rows=0)], ABOUT)
    store.compact(ADDRESS, ABOUT, keep=keys(cell(0), cell(10), cell(20)))
    assert store.cells(ADDRESS) == keys(cell(0), cell(10), cell(20))
    assert steps(store) == [10]


@pytest.mark.parametrize("parts", [[[0, 10]], [[0], [10]], [[10], [0]]])
def test_a_step_whose_arrays_are_all_null_fits_the_others(store: Store, parts: list[list[int]]) -> None:
    """Such a step does not know the shape of its arrays."""
    cells = {0: cell(0, grid=False), 10: cell(10)}
    for part in parts:
        store.append(ADDRESS, [cells[s] for s in part], ABOUT)
    for _ in range(2):
        frame = to_pandas(store.read(ADDRESS))
        assert [None if g is None else g.shape for g in frame["grid"]] == [None] * 3 + [(2, 2)] * 3
        assert to_pandas(store.read(ADDRESS, [0]))["grid"].tolist() == [None] * 3
        store.compact(ADDRESS, ABOUT, keep=keys(*cells.values()))


# --- readers -------------------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def filled(store: Store) -> Path:
    store.append(ADDRESS, [cell(step) for step in range(0, 50, 10)], ABOUT)
    store.append(ADDRESS, [cell(50)], ABOUT)
    return ADDRESS.folder(store.root)


def test_plain_pandas_reads_a_result_folder(filled: Path) -> None:
    frame = pd.read_parquet(filled, columns=["run", "step", "probe", "neuron", "value", "spectrum"])
    assert frame.groupby("step").size().to_dict() == dict.fromkeys(range(0, 60, 10), 3)
    assert frame["spectrum"][2].tolist() == [0.0, 0.0]


def test_plain_duckdb_reads_a_result_folder(filled: Path) -> None:
    with duckdb.connect() as connection:
        query = f"select step, sum(value), max(len(spectrum)), max(grid[4]) from '{filled}/*.parquet' group by step order by step"
        assert connection.execute(query).fetchall()[:2] == [(0, 3.0, 2, 2.0), (10, 33.0, 2, 2.0)]


def test_one_step_costs_one_row_group(filled: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[list[int]] = []
    original = pq.ParquetFile.read_row_groups
    monkeypatch.setattr(pq.ParquetFile, "read_row_groups", lambda self, groups, **more: read.append(groups) or original(self, groups, **more))
    table = store.read(ADDRESS, [30], columns=["neuron", "value"])
    assert read == [[3]]
    assert (table.column_names, len(table)) == (["neuron", "value"], 3)


def test_a_footer_says_what_a_file_holds(filled: Path) -> None:
    import json

    about = json.loads(pq.read_metadata(next(filled.glob("*.parquet"))).metadata[b"strobe"])
    assert (about["analyzer"], about["run"], about["probe"], about["key"]) == ("norms", "run", "grid", "k" * 64)
    assert about["cells"][0] == [0, "key 0 ", 3]


def test_a_column_keeps_its_meaning_on_disk(filled: Path) -> None:
    field = pq.read_schema(next(filled.glob("*.parquet"))).field("grid")
    assert field.metadata[b"description"] == b"map"
    assert field.type.dim_names == ["a", "b"]


# --- damage --------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", ["truncated", "empty", "foreign", "flipped"])
def test_a_damaged_file_is_named_with_what_to_do(filled: Path, store: Store, damage: str) -> None:
    file = sorted(filled.glob("*.parquet"))[0]
    data = bytearray(file.read_bytes())
    if damage == "truncated":
        file.write_bytes(data[: len(data) // 2])
    elif damage == "empty":
        file.write_bytes(b"")
    elif damage == "foreign":
        pd.DataFrame({"x": [1]}).to_parquet(file)
    else:  # one bit in a page: only its checksum knows
        data[200] ^= 1
        file.write_bytes(data)
    with pytest.raises(StoreError, match=rf"{file.name} is damaged \(.*\); delete it, and `strobe analyze` computes its cells again"):
        store.read(ADDRESS)


# --- a writer that dies --------------------------------------------------------------------------------------------------------------------


class Killed(BaseException):
    """What a killed process looks like to the code that runs in it: nothing after this point happens."""


def dying(monkeypatch: pytest.MonkeyPatch, function: str, nth: int, *, after: bool = False) -> None:
    """The n-th call of `os.<function>` is the last thing that happens (or does not happen any more)."""
    original: Callable[..., Any] = getattr(os, function)
    calls = iter(range(10**6))

    def last(*args: Any, **kwargs: Any) -> Any:
        if next(calls) < nth:
            return original(*args, **kwargs)
        if after:
            original(*args, **kwargs)
        raise Killed

    monkeypatch.setattr(os, function, last)


def write(store: Store) -> None:
    """Everything a writer does: parts, one replaced, compaction, one more part, compaction."""
    cells = [cell(step) for step in range(4)]
    store.append(ADDRESS, cells[:2], ABOUT)
    store.append(ADDRESS, cells[2:3], ABOUT)
    store.compact(ADDRESS, ABOUT, keep=keys(*cells))
    store.append(ADDRESS, cells[3:], ABOUT)
    store.append(ADDRESS, cells[:1], ABOUT)
    store.compact(ADDRESS, ABOUT, keep=keys(*cells))


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("nth", range(7))
@pytest.mark.parametrize("function", ["replace", "unlink", "fsync", "open"])
def test_a_crash_anywhere_is_invisible_to_readers_and_mended_by_the_next_run(tmp_path: Path, function: str, nth: int, after: bool) -> None:
    store, whole = Store(tmp_path / "results"), Store(tmp_path / "undisturbed")
    write(whole)
    expected = [whole.read(ADDRESS, [step]) for step in range(4)]
    with pytest.MonkeyPatch.context() as patch:
        dying(patch, function, nth, after=after)
        with contextlib.suppress(Killed):
            write(store)
    for step, table in enumerate(expected):  # a reader sees a step whole, or not at all
        found = store.read(ADDRESS, [step])
        assert found is None or len(found) == 0 or found.equals(table)
    write(store)
    assert (ADDRESS.folder(store.root) / WHOLE).read_bytes() == (ADDRESS.folder(whole.root) / WHOLE).read_bytes()
    for leftover in store.root.rglob("*.tmp"):  # as if written by a process that is gone
        leftover.rename(leftover.with_name(leftover.name.replace(f".{os.getpid()}.", ".999999999.")))
    store.remove_temporaries()
    assert [f.name for f in ADDRESS.folder(store.root).iterdir() if f.name != ".lock"] == [WHOLE]


def test_the_temporaries_of_living_writers_are_left_alone(store: Store) -> None:
    folder = ADDRESS.folder(store.root)
    folder.mkdir(parents=True)
    (folder / f".part-000001.parquet.{os.getpid()}.tmp").write_bytes(b"being written")
    (folder / ".part-000001.parquet.999999999.tmp").write_bytes(b"left behind")
    assert store.remove_temporaries() == 1
    assert [f.name for f in folder.iterdir()] == [f".part-000001.parquet.{os.getpid()}.tmp"]


def test_a_part_that_is_merged_away_while_it_is_read_is_read_where_it_went(filled: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    everything = store.read(ADDRESS)
    from strobe.storage import store as module

    original, merged = module._files, []

    def listed(folder: Path) -> list[Path]:
        files = original(folder)
        if not merged:
            merged.append(True)
            Store(store.root).compact(ADDRESS, ABOUT, keep=store.cells(ADDRESS))
        return files

    monkeypatch.setattr(module, "_files", listed)
    assert store.read(ADDRESS).equals(everything)


def test_a_part_that_is_merged_away_between_listing_and_reading(filled: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    everything = store.read(ADDRESS)
    from strobe.storage import store as module

    original, merged = module.read_groups, []

    def read(*args: Any) -> Any:
        if not merged:
            merged.append(True)
            Store(store.root).compact(ADDRESS, ABOUT, keep=store.cells(ADDRESS))
        return original(*args)

    monkeypatch.setattr(module, "read_groups", read)
    assert store.read(ADDRESS).equals(everything)


# --- a full disk ---------------------------------------------------------------------------------------------------------------------------


def test_a_full_disk_says_so_and_leaves_what_is_stored(filled: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    before = store.read(ADDRESS)

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(
        StoreError, match=r"cannot write .*: No space left on device; free some space and run the same command again, nothing stored is lost"
    ):
        store.append(ADDRESS, [cell(60)], ABOUT)
    with pytest.raises(StoreError, match=r"No space left"):
        store.compact(ADDRESS, ABOUT, keep=store.cells(ADDRESS))
    monkeypatch.undo()
    assert store.read(ADDRESS).equals(before)
    assert not list(store.root.rglob("*.tmp"))


def test_a_write_that_the_system_cuts_short(filled: Path, store: Store, tmp_path: Path) -> None:
    """For real: a process that may not write files larger than 2 kB."""
    code = f"""
        import resource, numpy as np
        from pathlib import Path
        from strobe import Row, array
        from strobe.errors import StoreError
        from strobe.schema import to_arrow
        from strobe.storage.parts import StoredCell, stamp
        from strobe.storage.store import Address, Store
        class R(Row):
            noise: np.ndarray = array("noise", dims=["k"], unit="1")
        table = stamp(to_arrow(R, [R(noise=np.random.default_rng(0).random(100_000))]).table, "run", 60, "grid")
        resource.setrlimit(resource.RLIMIT_FSIZE, (2048, 2048))
        store, address = Store(Path({str(store.root)!r})), Address("norms", "run", "grid", "k" * 64)
        try:
            store.append(address, [StoredCell(60, "key", table)], {{}})
        except StoreError as e:
            print(e)
    """
    before = store.read(ADDRESS)
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True)
    assert "File too large; free some space and run the same command again, nothing stored is lost" in done.stdout, done.stderr
    assert store.read(ADDRESS).equals(before)
    assert not list(store.root.rglob("*.tmp"))
