"""SQL over results: it reads and nothing else, says what is wrong, and knows what the columns of its answers are."""

from __future__ import annotations

from pathlib import Path

import pytest

from strobe import Workspace
from strobe.errors import UsageError
from strobe.storage.sql import ask, filled, limited, parameters

WRITING = {
    "COPY": "copy (select 1) to '{}/out.csv'",
    "ATTACH": "attach '{}/other.db'",
    "INSTALL": "install httpfs",
    "LOAD": "load httpfs",
    "SET": "set enable_external_access = true",
    "PRAGMA": "pragma database_list",
    "CREATE": "/* a table */ create table t as select 1",
    "INSERT": "insert into runs values (1)",
    "UPDATE": "update runs set run = 'x'",
    "DELETE": "delete from runs",
    "DROP": "drop view runs",
    "EXPORT": "export database '{}/out'",
    "CALL": "call pragma_version()",
    "BEGIN": "begin",
}


@pytest.fixture(scope="module")
def workspace(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    import shutil

    ws = Workspace(shutil.copytree(trained, tmp_path_factory.mktemp("sql") / "workspace"))
    ws.analyze("toy", ["weight_norms", "loss_and_accuracy"])
    return ws


@pytest.mark.parametrize("word", WRITING)
def test_a_statement_that_would_change_something_is_refused_by_name(workspace: Workspace, tmp_path: Path, word: str) -> None:
    with pytest.raises(UsageError, match=f"^{word} is refused"):
        ask(workspace, WRITING[word].format(tmp_path))
    with pytest.raises(UsageError, match=f"^{word} is refused"):
        workspace.sql(WRITING[word].format(tmp_path))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "source",
    ["read_csv('{}')", "read_text('{}')", "'{}'", "glob('{}')", "read_parquet('{}')", "read_csv('https://example.org/x.csv')"],
)
def test_files_and_the_network_are_out_of_reach(workspace: Workspace, tmp_path: Path, source: str) -> None:
    (tmp_path / "secret.csv").write_text("a\n1\n")
    with pytest.raises(UsageError, match=r"reads the tables of this workspace, no files"):
        ask(workspace, f"select * from {source.format(tmp_path / 'secret.csv')}")


def test_a_variable_of_python_is_no_table(workspace: Workspace) -> None:
    with pytest.raises(UsageError, match=r"no table .WRITING.; there are: _failures, .*metrics"):
        ask(workspace, "select * from WRITING")


def test_a_table_that_is_not_there_is_computed_or_spelt_otherwise(workspace: Workspace) -> None:
    with pytest.raises(UsageError, match="no results of 'parameter_pca' yet; compute them with `strobe analyze -a parameter_pca`"):
        ask(workspace, "select * from parameter_pca")
    with pytest.raises(UsageError, match=r"^no table 'metricks'; did you mean 'metrics'\?$"):
        ask(workspace, "select * from metricks")


def test_what_duckdb_says_is_shown_with_the_tables_there_are(workspace: Workspace) -> None:
    with pytest.raises(UsageError, match=r"(?s)frobeniu.*weight_norms"):
        ask(workspace, "select frobeniu from weight_norms")
    with pytest.raises(UsageError, match="syntax error"):
        ask(workspace, "selec 1")
    with pytest.raises(UsageError, match="2 statements"):
        ask(workspace, "select 1; select 2")
    with pytest.raises(UsageError, match="the query is empty"):
        ask(workspace, " -- nothing\n")


def test_more_rows_than_wanted_are_left_out_and_it_is_said(workspace: Workspace) -> None:
    big = "select 9999999 - range as i from range(10000000)"
    answer = ask(workspace, big, most=100)
    assert (answer.table.num_rows, answer.more) == (100, True)
    assert answer.frame["i"][0] == 9_999_999
    assert not ask(workspace, limited(big + ";", 100), most=100).more


def test_a_query_that_takes_too_long_is_interrupted(workspace: Workspace) -> None:
    with pytest.raises(UsageError, match=r"took more than 0.2 s"):
        ask(workspace, "select sum(a.range * b.range) from range(1000000) a, range(1000000) b", seconds=0.2)


def test_columns_of_the_tables_keep_what_they_are_and_others_are_what_they_hold(workspace: Workspace) -> None:
    text = """select step, parameter, frobenius, max(frobenius) over () * 2 as twice, count(*) over () as n, 7 as layer, step % 10 = 0 as even,
              1e308 * 10 as huge, 2::decimal(9, 2) as two, [1, 2] as list, {'a': 1} as made, current_date as today from weight_norms"""
    answer = ask(workspace, text)
    kinds = {c.name: (c.kind, c.type) for c in answer.schema.columns.values()}
    declared = workspace.schema("weight_norms").columns["frobenius"]
    assert (answer.schema.columns["frobenius"].unit, answer.schema.columns["frobenius"].description) == (declared.unit, declared.description)
    assert kinds["step"] == ("dim", "int64")
    assert kinds["parameter"] == ("dim", "string")
    assert {kinds[n] for n in ("frobenius", "twice", "huge", "two")} == {("metric", "float64")}
    assert (kinds["n"], kinds["layer"], kinds["even"]) == (("metric", "int64"), ("dim", "int64"), ("dim", "bool"))
    assert (kinds["list"][0], kinds["made"], kinds["today"]) == ("array", ("dim", "string"), ("dim", "string"))
    assert answer.frame["huge"].isna().all()


def test_one_name_twice_is_two_columns(workspace: Workspace) -> None:
    answer = ask(workspace, "select a.step, b.step from metrics a join metrics b using (step)")
    assert answer.table.column_names == ["step", "step_2"] or answer.table.column_names == ["step", "step_1"]


def test_the_cursor_is_written_with_a_dollar(workspace: Workspace) -> None:
    text = "select distinct step from weight_norms where run = $run and step <= $step and parameter <> '$layer'"
    assert parameters(text) == ["run", "step"]
    cursor = {"run": "toy", "step": 10}
    assert sorted(ask(workspace, text, cursor).frame["step"]) == [0, 5, 10]
    assert sorted(workspace.sql(filled(text, cursor))["step"]) == [0, 5, 10]
    with pytest.raises(UsageError, match=r"asks for \$step, and the cursor has no step \(it has \$run\)"):
        ask(workspace, text, {"run": "toy"})


def test_a_pivot_is_a_query(workspace: Workspace) -> None:
    assert len(ask(workspace, "pivot weight_norms on parameter using max(frobenius) group by step").frame) == 5
