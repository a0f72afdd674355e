"""Results that nothing shows any more: which they are, that they go when asked, and that bundles leave them behind."""

from __future__ import annotations

import os
import shutil
import zipfile
from pathlib import Path

import pytest
from small import small_workspace
from typer.testing import CliRunner

from strobe import Workspace
from strobe.cli import app

ANALYZER = """
import strobe
from strobe import Analyzer, hookimpl, metric


class Largest(Analyzer):
    \"\"\"The largest weight.\"\"\"

    scale: float = 1.0

    class Row(strobe.Row):
        value: float = metric("the largest weight", unit="1")

    @hookimpl
    def analyze_weights(self, weights):
        yield self.Row(value={scale} * self.scale * max(float(m.abs().max()) for _, m in weights.matrices()))
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A workspace in which an analyzer of a file was run, changed, and run again with two settings."""
    folder = tmp_path_factory.mktemp("outdated")
    workspace, run = small_workspace(folder / "workspace", ["weight_norms"])
    file = folder / "mine.py"
    file.write_text(ANALYZER.replace("{scale}", "1.0"))
    workspace.analyze(run, [f"{file}:Largest"])
    file.write_text(ANALYZER.replace("{scale}", "2.0"))
    later = Workspace(workspace.root)
    later.analyze(run, [f"{file}:Largest"])
    later.analyze(run, ["largest"], settings={"largest": {"scale": 3.0}})
    return workspace.root, file


@pytest.fixture
def root(made: tuple[Path, Path], tmp_path: Path) -> Path:
    shutil.copytree(made[0], tmp_path / "workspace")
    return tmp_path / "workspace"


def test_what_older_code_made_is_outdated_and_other_settings_are_not(root: Path) -> None:
    workspace = Workspace(root)
    assert len([a for a in workspace.store.addresses() if a.analyzer == "largest"]) == 3
    (old,) = workspace.outdated()
    assert old.analyzer == "largest"
    assert old not in workspace.addresses("largest", workspace.runs())


def test_results_of_a_run_that_is_gone_are_outdated(root: Path) -> None:
    shutil.rmtree(root / "runs" / "small")
    assert {a.analyzer for a in Workspace(root).outdated()} == {"weight_norms", "largest"}


def test_results_of_an_analyzer_that_cannot_be_used_are_kept(root: Path, made: tuple[Path, Path]) -> None:
    made[1].rename(made[1].with_suffix(".away"))
    try:
        assert Workspace(root).outdated() == []
    finally:
        made[1].with_suffix(".away").rename(made[1])


def test_they_go_when_asked_and_nothing_has_to_be_computed_again(root: Path) -> None:
    before = Workspace(root).table("largest")
    refused = CliRunner().invoke(app, ["delete", "--outdated", "-w", str(root)], input="n\n")
    assert refused.exit_code != 0
    assert len(Workspace(root).outdated()) == 1
    done = CliRunner().invoke(app, ["delete", "--outdated", "--yes", "-w", str(root)])
    assert done.exit_code == 0, done.output
    assert "1 outdated results are deleted" in done.output
    after = Workspace(root)
    assert after.outdated() == []
    assert after.table("largest").equals(before)
    assert "no result is outdated" in CliRunner().invoke(app, ["delete", "--outdated", "-w", str(root)]).output


def test_delete_says_what_can_go(root: Path) -> None:
    said = CliRunner().invoke(app, ["delete", "-w", str(root)])
    assert said.exit_code != 0
    assert "--outdated" in said.output + str(said.exception)


def test_a_bundle_leaves_them_behind(root: Path, tmp_path: Path) -> None:
    workspace = Workspace(root)
    (old,) = workspace.outdated()
    with zipfile.ZipFile(workspace.bundle("small", tmp_path / "small.strobe.zip")) as archive:
        names = archive.namelist()
    assert not any(old.key[:16] in name for name in names)
    assert sum(name.startswith("results/largest/") for name in names) == 2


def test_frames_of_a_stopped_animation_go_and_those_in_work_stay(tmp_path: Path) -> None:
    old, new, file = (tmp_path / "exports" / name for name in ("a" * 24, "b" * 24, "film.gif"))
    for folder in (old, new):
        folder.mkdir(parents=True)
        (folder / "frame-00000.png").write_bytes(b"12345")
    file.write_bytes(b"1")
    os.utime(old / "frame-00000.png", (1e9, 1e9))
    refused = CliRunner().invoke(app, ["delete", "--frames", "-w", str(tmp_path)], input="n\n")
    assert refused.exit_code != 0
    assert old.is_dir()
    done = CliRunner().invoke(app, ["delete", "--frames", "--yes", "-w", str(tmp_path)])
    assert "1 frames are deleted, 5 bytes" in done.output
    assert [f.name for f in sorted((tmp_path / "exports").iterdir())] == ["b" * 24, "film.gif"]
    assert "no frames are left" in CliRunner().invoke(app, ["delete", "--frames", "-w", str(tmp_path)]).output
