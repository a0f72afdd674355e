"""Training into a workspace: what a kill leaves, going on, branches, added checkpoints."""

from __future__ import annotations

import contextlib
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

import strobe
from strobe.errors import StrobeError, UsageError
from strobe.runs.run import Run
from strobe.training.trainer import held

SMALL: dict[str, Any] = {"p": 11, "d_model": 16, "n_heads": 2, "d_mlp": 32, "fraction": 0.5, "seed": 1}
SHORT: dict[str, Any] = {"epochs": 60, "lr": 1e-2, "schedule": "every:20", "eval_every": 10}
LONGER: dict[str, Any] = {"epochs": 600, "lr": 1e-2, "schedule": "every:50"}


def trained(folder: Path, training: dict[str, Any] = SHORT, **parameters: Any) -> Run:
    return strobe.Workspace(folder).train("modular_addition", training=training, **{**SMALL, **parameters})


def same_run(a: Run, b: Run) -> bool:
    return a.digests == b.digests and a.metrics.equals(b.metrics)


def test_a_run_has_its_checkpoints_metrics_split_and_versions(tmp_path: Path) -> None:
    run = trained(tmp_path)
    assert run.steps == (0, 20, 40, 60)
    assert run.record.state == "complete"
    assert run.record.strobe_version == strobe.__version__
    assert run.record.versions["torch"] == torch.__version__.partition("+")[0] or run.record.versions["torch"] == torch.__version__
    assert list(run.metrics["step"]) == list(range(61))
    assert run.metrics["train_loss"].notna().all()
    assert list(run.metrics.loc[run.metrics["test_loss"].notna(), "step"]) == [0, 10, 20, 30, 40, 50, 60]
    assert {name: len(v) for name, v in run.split.items()} == {"train": 60, "test": 61}


def test_step_zero_is_the_untrained_model(tmp_path: Path) -> None:
    run = trained(tmp_path)
    assert all(torch.equal(run.weights(0)[name], tensor) for name, tensor in run.family.initial().items())


def test_training_again_gives_the_same_bytes(tmp_path: Path) -> None:
    assert same_run(trained(tmp_path / "a"), trained(tmp_path / "b"))


def test_the_same_request_is_the_same_run(tmp_path: Path) -> None:
    first = trained(tmp_path)
    assert trained(tmp_path).folder == first.folder
    assert len(strobe.Workspace(tmp_path).runs()) == 1


def test_whatever_moves_the_trajectory_makes_another_run(tmp_path: Path) -> None:
    for training in ({**SHORT, "lr": 2e-2}, {**SHORT, "clip": 1.0}, {**SHORT, "batch_size": 8}, SHORT):
        trained(tmp_path, training)
    trained(tmp_path, seed=2)
    assert len(strobe.Workspace(tmp_path).runs()) == 5


def test_a_name_taken_by_another_configuration_is_refused(tmp_path: Path) -> None:
    workspace = strobe.Workspace(tmp_path)
    workspace.train("modular_addition", name="mine", training=SHORT, **SMALL)
    with pytest.raises(UsageError, match="'mine' already, with another configuration"):
        workspace.train("modular_addition", name="mine", training={**SHORT, "lr": 1.0}, **SMALL)


def test_a_run_may_not_bear_a_familys_name(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="may not bear a family's name"):
        strobe.Workspace(tmp_path).train("modular_addition", name="modular_addition", training=SHORT, **SMALL)


def test_more_epochs_are_as_if_trained_at_once(tmp_path: Path) -> None:
    once = trained(tmp_path / "once", {**SHORT, "epochs": 100})
    workspace = strobe.Workspace(tmp_path / "twice")
    extended = workspace.train(trained(tmp_path / "twice"), training={"epochs": 100})
    assert same_run(once, extended)


@pytest.mark.parametrize("training", [{"batch_size": 16}, {"optimizer": "sgd"}, {"optimizer": "muon"}, {"lr_schedule": "cosine:over=80"}])
def test_more_epochs_of_every_kind_of_training(tmp_path: Path, training: dict[str, Any]) -> None:
    once = trained(tmp_path / "once", {**SHORT, **training, "epochs": 80})
    extended = strobe.Workspace(tmp_path / "twice").train(trained(tmp_path / "twice", {**SHORT, **training}), training={"epochs": 80})
    assert same_run(once, extended)


def interrupted_at(folder: Path, step: int) -> Run:
    """A run whose training stopped right after the checkpoint at `step`."""

    class Stopped(Exception):
        pass

    def stop(at: int, last: int, row: Any) -> None:
        if at == step + 1:
            raise Stopped

    workspace = strobe.Workspace(folder)
    with pytest.raises(Stopped):
        workspace.train("modular_addition", training=SHORT, progress=stop, **SMALL)
    return workspace.runs()[0]


@pytest.mark.parametrize("step", [0, 20, 40])
def test_resuming_continues_bitwise(tmp_path: Path, step: int) -> None:
    stopped = interrupted_at(tmp_path / "stopped", step)
    assert stopped.record.state == "training"
    assert stopped.steps[-1] == step
    resumed = strobe.Workspace(tmp_path / "stopped").train(stopped)
    assert same_run(resumed, trained(tmp_path / "whole"))
    assert resumed.record.state == "complete"


def test_only_the_last_state_is_kept_unless_a_stride_is_asked_for(tmp_path: Path) -> None:
    last, strided = trained(tmp_path / "last"), trained(tmp_path / "strided", {**SHORT, "state_every": 2})
    assert [f.name for f in (last.folder / "states").iterdir()] == ["step_00000060.safetensors"]
    assert sorted(f.name for f in (strided.folder / "states").iterdir()) == [f"step_{s:08d}.safetensors" for s in (40, 60)], "at step 0 there is none"


def test_added_checkpoints_are_those_of_a_denser_run(tmp_path: Path) -> None:
    dense = trained(tmp_path / "dense", {**SHORT, "schedule": "every:10"})
    run = strobe.Workspace(tmp_path / "sparse").train(trained(tmp_path / "sparse"), add="0-40:10")
    assert run.steps == (0, 10, 20, 30, 40, 60)
    assert {s: dense.digests[s] for s in run.steps} == run.digests


def test_adding_stops_where_a_checkpoint_does_not_come_out_the_same(tmp_path: Path) -> None:
    run = trained(tmp_path)
    changed = {name: run.weights(40)[name].clone() for name in run.weights(40)}
    changed["embed.W_E"][0, 0] += 1
    run.add_checkpoint(40, changed)
    with pytest.raises(StrobeError, match=r"step 40, trained again, differs from the stored one in embed\.W_E; nothing was added after it"):
        strobe.Workspace(tmp_path).train(run, add="at:10,30")
    assert run.steps == (0, 10, 20, 40, 60), "what was verified by step 20 stays"


def test_a_branch_shares_the_prefix_and_goes_its_own_way(tmp_path: Path) -> None:
    parent = trained(tmp_path)
    workspace = strobe.Workspace(tmp_path)
    branch = workspace.train(f"{parent.name}@20", training={"lr": 1e-3})
    assert branch.record.parent == {"run": parent.name, "step": 20}
    assert [branch.digests[s] == parent.digests[s] for s in (0, 20, 40, 60)] == [True, True, False, False]
    assert branch.metrics["step"].tolist() == list(range(61))


def test_a_branch_without_changes_repeats_its_parent(tmp_path: Path) -> None:
    parent = trained(tmp_path)
    assert strobe.Workspace(tmp_path).train(f"{parent.name}@20").digests == parent.digests


def test_frozen_parameters_stay(tmp_path: Path) -> None:
    run = trained(tmp_path, {**SHORT, "freeze": ["embed.*", "blocks.*.mlp.b_*"]})
    frozen = [name for name in run.family.parameters() if torch.equal(run.weights(0)[name], run.weights(60)[name])]
    assert frozen == ["embed.W_E", "blocks.0.mlp.b_in", "blocks.0.mlp.b_out"]


@pytest.mark.parametrize(
    ("target", "training", "message"),
    [
        ("RUN", {"lr": 1.0}, "the training of .* is fixed; branch off with"),
        ("RUN@7", {}, "has no checkpoint at step 7"),
        ("RUN@x", {}, "write RUN@STEP"),
        ("nobody", {}, "neither a family nor a run"),
    ],
)
def test_what_cannot_be_trained_says_what_to_type(tmp_path: Path, target: str, training: dict[str, Any], message: str) -> None:
    run = trained(tmp_path)
    with pytest.raises(UsageError, match=message):
        strobe.Workspace(tmp_path).train(target.replace("RUN", run.name), training=training)


def test_an_imported_run_cannot_be_trained_further(tmp_path: Path, workspace_with_import: strobe.Workspace) -> None:
    with pytest.raises(UsageError, match="was imported: how it was trained is not known"):
        workspace_with_import.train(workspace_with_import.runs()[0])


@pytest.fixture
def workspace_with_import(tmp_path: Path) -> strobe.Workspace:
    workspace = strobe.Workspace(tmp_path / "imported")
    workspace.import_run(Path(__file__).parents[1] / "data" / "progress_measures_wd01", "modular_addition")
    return workspace


def test_a_second_process_is_told_who_trains_the_run(tmp_path: Path) -> None:
    run = interrupted_at(tmp_path, 20)
    with held(run), pytest.raises(StrobeError, match=r"is being trained by process \d+ on "):
        strobe.Workspace(tmp_path).train(run)


def test_a_checkpoint_edited_by_hand_is_named(tmp_path: Path) -> None:
    run = interrupted_at(tmp_path, 20)
    data = bytearray(run.path(20).read_bytes())
    data[-1] ^= 1
    run.path(20).write_bytes(bytes(data))
    with pytest.raises(StrobeError, match=r"step_00000020\.safetensors is not the file that was recorded"):
        strobe.Workspace(tmp_path).train(run)


KILLED = """
import strobe
strobe.Workspace({folder!r}).train("modular_addition", training={training!r}, **{small!r})
"""


@pytest.mark.slow
def test_kill_at_any_moment_and_go_on(tmp_path: Path, kills: int) -> None:
    whole = trained(tmp_path / "whole", LONGER)
    rng, killed, folder = random.Random(0), 0, tmp_path / "killed"
    command = [sys.executable, "-c", KILLED.format(folder=str(folder), training=LONGER, small=SMALL)]
    while killed < kills:
        with subprocess.Popen(command) as process:
            wait_for_training(folder, process)
            time.sleep(rng.random() * 0.4)
            if process.poll() is not None:
                forget(folder)
            process.send_signal(signal.SIGKILL)
            killed += process.wait() == -signal.SIGKILL
    run = trained(folder, LONGER)
    assert same_run(run, whole)
    assert not list(run.folder.rglob("*.tmp"))


def wait_for_training(folder: Path, process: subprocess.Popen[bytes]) -> None:
    """Until this process holds the run: what comes before is Python starting."""
    held_by_it = f"process {process.pid} "
    while process.poll() is None:
        with contextlib.suppress(FileNotFoundError):  # it has just ended
            if any(f.read_text().startswith(held_by_it) for f in folder.glob("runs/*/.training")):
                return
        time.sleep(0.01)


def forget(folder: Path) -> None:
    """Start over: this one ended before it was killed."""
    import shutil

    shutil.rmtree(folder, ignore_errors=True)
