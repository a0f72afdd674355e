"""The command line: JSON shapes that stay, exit statuses, and errors of one line that say what to type."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import strobe
from strobe.cli import main

DATA = Path(__file__).parents[1] / "data"
FAST = ["-a", "dominant_frequencies", "-a", "loss_and_accuracy"]


@dataclass
class Ended:
    """How a command ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Command = Callable[..., Ended]


@pytest.fixture
def type_(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], toy: Path) -> Command:
    """Type a command, in a workspace that holds the run `toy`."""
    monkeypatch.setenv("STROBE_WORKSPACE", str(toy))

    def run(*words: str) -> Ended:
        monkeypatch.setattr("sys.argv", ["strobe", *words])
        status = 0
        try:
            main()
        except SystemExit as e:
            status = int(e.code or 0)
        captured = capsys.readouterr()
        return Ended(status, captured.out, captured.err)

    return run


def test_version(type_: Command) -> None:
    assert type_("--version").out == f"strobe {strobe.__version__}\n"


def test_analyze_json(type_: Command) -> None:
    first = type_("analyze", "toy", *FAST, "--json").json
    assert set(first) == {"run", "tables", "failures", "warnings", "counters", "seconds"}
    assert set(first["counters"]) >= {"forwards", "backwards", "models_built", "checkpoints_read", "bytes_captured"}
    assert first["run"] == ["toy"]
    assert [first["counters"][n] for n in ("forwards", "backwards", "models_built", "checkpoints_read")] == [5, 0, 0, 5]
    again = type_("analyze", "toy", *FAST, "--json")
    assert again.status == 0
    assert again.json["counters"]["forwards"] == 0
    assert {t["state"] for t in again.json["tables"]} == {"stored"}


def test_weight_only_analyzers_run_no_forward_and_build_no_model(type_: Command) -> None:
    counters = type_("analyze", "-a", "dominant_frequencies", "-a", "effective_dimensionality", "--json").json["counters"]
    assert (counters["forwards"], counters["models_built"], counters["checkpoints_read"]) == (0, 0, 5)


def test_plugins_list_json(type_: Command) -> None:
    listed = type_("plugins", "list", "--json").json
    assert all(set(entry) == {"name", "kind", "category", "package", "version", "state", "why", "needs", "produces"} for entry in listed)
    assert {"analyzer", "renderer", "family"} <= {entry["kind"] for entry in listed}
    mine = next(entry for entry in listed if entry["name"] == "dominant_frequencies")
    assert mine == {
        "name": "dominant_frequencies",
        "kind": "analyzer",
        "category": "weights",
        "package": "strobe",
        "version": strobe.__version__,
        "state": "ready",
        "why": "",
        "needs": "weights of a checkpoint",
        "produces": "table dominant_frequencies",
    }


def test_runs_json(type_: Command) -> None:
    (run,) = type_("runs", "--json").json
    assert set(run) >= {"name", "family", "parameters", "steps", "last_metrics"}
    assert run["steps"] == [0, 5, 10, 15, 20]
    assert run["last_metrics"]["step"] == 20


def test_results_json(type_: Command) -> None:
    type_("analyze", *FAST, "--quiet")
    listed = type_("results", "--json").json
    assert all(set(entry) == {"analyzer", "key", "run", "probe", "steps", "rows", "bytes", "package"} for entry in listed)
    assert {(entry["analyzer"], entry["probe"]) for entry in listed} == {("dominant_frequencies", None), ("loss_and_accuracy", "grid")}


def test_plan_counts_passes_and_bytes_and_runs_nothing(type_: Command) -> None:
    planned = type_("plan", *FAST, "--json").json
    assert (planned["forwards"], planned["checkpoints_read"]) == (5, 5)
    assert planned["captured_bytes"] == {"toy:logits": 49 * 7 * 4}
    assert type_("results", "--json").json == []


def test_sql_sees_tables_by_name(type_: Command) -> None:
    type_("analyze", *FAST, "--quiet")
    rows = json.loads(type_("sql", "select count(*) as n from loss_and_accuracy where split = 'all'", "--json").out)
    assert rows == [{"n": 5}]


def test_sites_and_parameters_of_a_family(type_: Command) -> None:
    listed = type_("sites", "modular_addition", "--set", "p=11", "--json").json
    shapes = {entry["name"]: entry["shape"] for entry in listed}
    assert shapes["blocks.0.mlp.post"] == ["batch", "pos", 512]
    assert shapes["embed.W_E"] == [12, 128]


def test_an_analyzer_from_a_file(type_: Command, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(MINE)
    ended = type_("analyze", "-a", f"{file}:Largest", "--json")
    assert [(t["analyzer"], t["state"]) for t in ended.json["tables"]] == [("largest", "computed")]


MINE = """
from __future__ import annotations
from collections.abc import Iterator
import strobe
from strobe import Analyzer, Weights, dim, hookimpl, metric

class Largest(Analyzer):
    '''The largest weight of each parameter.'''

    class Row(strobe.Row):
        parameter: str = dim("canonical parameter name")
        largest: float = metric("largest absolute value", unit="1")

    @hookimpl
    def analyze_weights(self, weights: Weights) -> Iterator[Row]:
        for name in weights:
            yield self.Row(parameter=name, largest=weights[name].abs().max().item())
"""


def test_view_draws_a_panel(type_: Command, tmp_path: Path) -> None:
    type_("analyze", "-a", "weight_norms", "--quiet")
    ended = type_("view", "line_over_steps", "toy", "--table", "weight_norms", "-o", str(tmp_path / "norms.svg"))
    assert ended.status == 0
    assert (tmp_path / "norms.svg").read_text().startswith("<svg")


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        ("analyze -a dominant_frequency", 2, r"no analyzer 'dominant_frequency'; did you mean 'dominant_frequencies'\?"),
        ("analyze --set loss_and_accuracy.splitt=x", 2, "has no setting 'splitt'"),
        ("analyze --set loss_and_acuracy.split=x", 2, r"no analyzer 'loss_and_acuracy' to set; did you mean 'loss_and_accuracy'\?"),
        ("analyze --set threshold=0.5", 2, "write ANALYZER.SETTING=VALUE"),
        ("analyze toys", 2, r"no run 'toys' .*; did you mean 'toy'\?"),
        ("analyze --probe gird", 2, r"has no probe 'gird'; did you mean 'grid'\?"),
        ("analyze --executor cloud", 2, "no executor 'cloud'; there are local, processes"),
        ("analyze -a ./nothing.py:Mine", 2, "no such file; write PATH.py:ClassName"),
        ("train modular_additon", 2, r"neither a family nor a run; did you mean 'modular_addition'\?"),
        ("train modular_addition --set p=two", 2, "p = 'two'"),
        ("train modular_addition --set optimizer=adan", 2, "optimizer = 'adan'"),
        ("train modular_addition --set fraction=1.5", 2, "fraction = 1.5"),
        ("train modular_addition --schedule every", 2, "at character 1"),
        ("train toy --set lr=1", 2, "the training of toy is fixed; branch off with"),
        ("plugins show phase", 2, r"no plugin 'phase'; did you mean 'phases'\?"),
        ("plugins list --kind painter", 2, "no kind 'painter'"),
        ("sql", 2, "Missing argument"),
        ("view line_over_step toy -o x.png", 2, "did you mean 'line_over_steps'"),
        ("import /nowhere --family modular_addition", 2, "is not a folder of checkpoints"),
        ("report render nobody -o x.html", 2, r"no report 'nobody' in .*; there are: any_model, compare_runs, default, geometry,"),
        ("sites toys", 2, r"'toys' is neither a run nor a family; did you mean 'toy'\?"),
        ("plugins show zzz", 2, r"no plugin 'zzz'; `strobe plugins list` names all \d+"),
    ],
)
def test_wrong_usage_is_one_line_that_says_what_to_type(type_: Command, words: str, status: int, message: str) -> None:
    ended = type_(*words.split())
    assert ended.status == status
    assert re.search(message, ended.err)
    assert "Traceback" not in ended.err


def test_a_workspace_that_is_a_file(type_: Command, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    ended = type_("runs", "--workspace", str(file))
    assert (ended.status, ended.err) == (2, f"strobe: workspace {file} is a file; give a folder with --workspace DIR or $STROBE_WORKSPACE\n")


def test_a_truncated_checkpoint_fails_its_cells_and_no_others(type_: Command, toy: Path) -> None:
    file = toy / "runs" / "toy" / "checkpoints" / "step_00000010.safetensors"
    file.write_bytes(file.read_bytes()[:1000])
    ended = type_("analyze", *FAST)
    assert ended.status == 1
    assert "truncated or corrupted" in ended.out
    steps = json.loads(type_("sql", "select distinct step from dominant_frequencies order by step", "--json").out)
    assert [row["step"] for row in steps] == [0, 5, 15, 20]
    assert all("step_00000010" in row["message"] for row in type_("sql", "select message from _failures", "--json").json)


def test_import_analyze_and_read_a_published_model(type_: Command) -> None:
    assert type_("import", str(DATA / "progress_measures_wd01"), "--family", "modular_addition").status == 0
    ended = type_("analyze", "progress_measures_wd01", "-a", "key_frequencies")
    assert ended.status == 0
    found = type_("sql", "select frequencies from key_frequencies where \"set\" = 'last' and run like 'progress%'").out
    assert "6, 23, 37, 39, 41" in found


def test_a_sweep_is_every_combination(type_: Command) -> None:
    small = [
        "--set",
        "d_model=8",
        "--set",
        "n_heads=2",
        "--set",
        "d_mlp=8",
        "--set",
        "fraction=0.5",
        "--epochs",
        "3",
        "--schedule",
        "at:0",
        "--quiet",
    ]
    assert type_("train", "modular_addition", "--set", "p=5,7", "--set", "seed=0,1", *small).status == 0
    trained = [run["parameters"] for run in type_("runs", "--json").json if run["name"] != "toy"]
    assert sorted((p["p"], p["seed"]) for p in trained) == [(5, 0), (5, 1), (7, 0), (7, 1)]


def test_a_dry_run_lists_steps_bytes_and_time(type_: Command) -> None:
    (forecast,) = type_("train", "modular_addition", "--set", "p=7", "--epochs", "30", "--schedule", "every:10", "--dry-run", "--json").json
    assert forecast["steps"] == [0, 10, 20, 30]
    assert forecast["bytes"] > 0
    assert forecast["seconds"] >= 0
    assert len(type_("runs", "--json").json) == 1, "nothing was trained"


def test_what_a_file_computed_is_read_by_name_afterwards(type_: Command, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(MINE)
    type_("analyze", "-a", f"{file}:Largest", "--quiet")
    rows = type_("sql", "select count(*) as n from largest", "--json")
    assert json.loads(rows.out)[0]["n"] > 0
    file.unlink()
    gone = type_("analyze", "-a", "largest")
    assert gone.status == 2
    assert "no such file" in gone.err
