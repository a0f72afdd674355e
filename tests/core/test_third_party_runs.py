"""Packages from strangers at work on two real checkpoints: healthy ones give rows, broken ones give failures and harm nobody."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from typer.testing import CliRunner

from strobe import Workspace
from strobe.cli import app

STEPS = (0, 1000)


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    """A workspace with the run `real`, nothing analyzed."""
    source, workspace = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("imported")
    for name in ("run.json", "losses.safetensors", *(f"epoch_{step:05d}.safetensors" for step in STEPS)):
        shutil.copy(data / "modadd_p113_seed999" / name, source)
    Workspace(workspace).import_run(source, "modular_addition", name="real")
    return workspace


@pytest.fixture
def folder(imported: Path, tmp_path: Path) -> Path:
    """A copy of that workspace. Open it after packages are installed: a workspace looks for plugins once."""
    return shutil.copytree(imported, tmp_path / "workspace", copy_function=shutil.copy2)


def test_a_package_gives_rows(installed, folder: Path) -> None:
    installed("strobe-participation", "strobe-sparsity", "strobe-gradient-norm")
    ws = Workspace(folder)
    report = ws.analyze("real", ["participation_ratio", "sparsity", "gradient_norm"])
    assert report.failures == []
    assert report.counters["forwards"] == len(STEPS), "one for the activations; the landscape's are counted apart"
    assert ws.table("participation_ratio").query("parameter == 'unembed.W_U'")["step"].tolist() == list(STEPS)
    assert ws.table("sparsity")["silent"].between(0.1, 0.9).all()
    assert ws.table("gradient_norm").groupby("step")["norm"].max()[1000] > 0


def test_a_package_s_renderer_draws(installed, folder: Path) -> None:
    installed("strobe-sparsity")
    ws = Workspace(folder)
    ws.analyze("real", ["sparsity"])
    drawn = ws.view("sparsity_over_steps", "real").chart.to_dict()
    (rows,) = drawn["datasets"].values()
    assert [r["step"] for r in rows] == list(STEPS)


def test_runs_are_compared(installed, folder: Path) -> None:
    installed("strobe-final-norm")
    shutil.copytree(folder / "runs" / "real", folder / "runs" / "twin", copy_function=shutil.copy2)
    record = folder / "runs" / "twin" / "run.json"
    record.write_text(record.read_text("utf-8").replace('"real"', '"twin"'), "utf-8")
    ws = Workspace(folder)
    assert ws.analyze(None, ["final_norm"]).failures == []
    table = ws.table("final_norm")
    assert sorted(table["run"]) == ["real", "twin"]
    assert table["to_median"].tolist() == [1.0, 1.0]


def test_an_observer_hears_of_each_checkpoint_once(installed, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed("strobe-tally")
    monkeypatch.setenv("STROBE_TALLY", str(tmp_path / "tally"))
    ws = Workspace(folder)
    ws.analyze("real", ["weight_norms"])
    assert (tmp_path / "tally").read_text() == "real 0\nreal 1000\n"
    assert importlib.import_module("strobe_tally").Tally.done == [("real", 0), ("real", 1000)]
    ws.analyze("real", ["weight_norms"])
    assert (tmp_path / "tally").read_text() == "real 0\nreal 1000\n", "nothing was missing, so nothing was done"


FAILING = {
    "broken_rows": ("schema", "expected .*Sums.*, got dict"),
    "broken_none": ("schema", "got NoneType"),
    "broken_halfway": ("error", "half-way"),
    "broken_mutation": ("crash", r"segmentation fault.*zero_\(\).*read-only.*clone"),
}


@pytest.mark.parametrize("name", FAILING)
def test_a_failure_is_recorded_with_its_reason(installed, folder: Path, name: str) -> None:
    installed("strobe-broken")
    ws = Workspace(folder)
    report = ws.analyze("real", [name, "weight_norms"])
    kind, message = FAILING[name]
    failures = ws.table("_failures")
    assert failures["step"].tolist() == list(STEPS)
    assert set(failures["analyzer"]) == {name}
    assert set(failures["kind"]) == {kind}
    assert failures["message"].str.contains(message).all()
    assert len(report.failures) == len(STEPS)
    assert not [r for r in ws.stored() if r["analyzer"] == name and r["rows"]], "nothing of a failed cell is stored"
    assert sorted(set(ws.table("weight_norms")["step"])) == list(STEPS)


def test_a_write_to_the_input_harms_no_neighbour(installed, folder: Path, tmp_path: Path) -> None:
    """torch raises on an in-place write to a read-only tensor only after it has written."""
    installed("strobe-broken")
    untouched = Workspace(shutil.copytree(folder, tmp_path / "untouched", copy_function=shutil.copy2))
    untouched.analyze("real", ["weight_norms"])
    ws = Workspace(folder)
    ws.analyze("real", ["broken_mutation", "weight_norms"])
    assert ws.table("weight_norms").equals(untouched.table("weight_norms"))


def test_one_bad_step_leaves_the_others(installed, folder: Path) -> None:
    installed("strobe-broken")
    ws = Workspace(folder)
    ws.analyze("real", ["broken_at_step"])
    assert set(ws.table("broken_at_step")["step"]) == {0}
    (failure,) = ws.table("_failures").to_dict("records")
    assert (failure["step"], failure["kind"]) == (1000, "error")
    assert "no result at step 1000" in failure["message"]


def test_a_mended_setting_retries_only_what_it_must(installed, folder: Path) -> None:
    installed("strobe-broken")
    ws = Workspace(folder)
    ws.analyze("real", ["broken_at_step", "weight_norms"])
    again = ws.analyze("real", ["broken_at_step", "weight_norms"])
    assert [(f.analyzer, f.step) for f in again.failures] == [("broken_at_step", 1000)], "tried again, and it alone"
    assert again.counters["checkpoints_read"] == 1


def test_nan_is_stored_as_null(installed, folder: Path) -> None:
    installed("strobe-broken")
    ws = Workspace(folder)
    ws.analyze("real", ["broken_nan"])
    table = ws.table("broken_nan")
    assert len(table) > 0
    assert table["total"].isna().all()


def test_editing_an_editable_package_recomputes_it_and_nothing_else(installed, folder: Path) -> None:
    sources = installed("strobe-participation", editable=True)
    wanted = ["participation_ratio", "weight_norms"]
    Workspace(folder).analyze("real", wanted)
    written = {p: p.stat().st_mtime_ns for p in (folder / "results" / "weight_norms").rglob("*.parquet")}
    module = sources / "strobe_participation.py"
    module.write_text(module.read_text("utf-8").replace("s.sum() ** 2", "2 * s.sum() ** 2"), "utf-8")
    report = Workspace(folder).analyze("real", wanted)
    assert [t.analyzer for t in report.tables if t.computed] == ["participation_ratio"]
    assert {p: p.stat().st_mtime_ns for p in (folder / "results" / "weight_norms").rglob("*.parquet")} == written


@pytest.mark.slow
def test_an_installed_package_is_in_the_command_line(installed, folder: Path, tmp_path: Path) -> None:
    """Listed and run in processes that know of it by its metadata alone; its table is asked, and drawn by a generic renderer."""
    installed("strobe-participation")
    strobe = partial(run_strobe, folder)

    def here(*arguments: str) -> str:
        done = CliRunner(env={"STROBE_WORKSPACE": str(folder)}).invoke(app, arguments, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.stdout

    listed = {p["name"]: p for p in json.loads(strobe("plugins", "list", "--json"))}
    assert listed["participation_ratio"]["package"] == "strobe-participation"
    report = json.loads(strobe("analyze", "-a", "participation_ratio", "--json"))
    assert (report["failures"], report["counters"]["forwards"]) == ([], 0)
    rows = json.loads(here("sql", "select distinct step from participation_ratio order by step", "--json"))
    assert [r["step"] for r in rows] == list(STEPS)
    here("view", "line_over_steps", "real", "--table", "participation_ratio", "-o", str(tmp_path / "x.png"))
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")


def run_strobe(workspace: Path, *arguments: str) -> str:
    code = "from strobe.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=120, env={**os.environ, "STROBE_WORKSPACE": str(workspace)}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_packages_travel_to_worker_processes(installed, folder: Path) -> None:
    installed("strobe-participation")
    here, there = Workspace(folder), Workspace(shutil.copytree(folder, folder.parent / "there", copy_function=shutil.copy2))
    here.analyze("real", ["participation_ratio"])
    assert there.analyze("real", ["participation_ratio"], executor="processes", workers=1).failures == []
    assert here.table("participation_ratio").equals(there.table("participation_ratio"))
