"""Sweeps on a GPU: several runs in one program, each stored as if trained alone. Here the program takes its steps on the CPU."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from strobe import Workspace
from strobe.errors import UsageError
from strobe.runs.run import Run
from strobe.training import cuda as cuda_training
from strobe.training import stacks
from strobe.training.loop import Event

SMALL = {"p": 7, "d_model": 8, "n_heads": 2, "d_mlp": 12, "fraction": 0.5}
SHORT = {"epochs": 12, "schedule": "at:5", "lr": 1e-2, "device": "cuda"}
VARIANTS = [{**SMALL, "seed": seed} for seed in range(3)]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """As if there were a GPU; collects how many runs each program held."""
    sizes: list[int] = []

    def on_the_cpu(families: Sequence[Any], training: Any, splits: Any, *, resume: Any = None, keep: Any = None) -> Iterator[tuple[int, Event]]:
        sizes.append(len(families))
        return cuda_training.events(families, training, splits, torch.device("cpu"), resume, keep)

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(cuda_training, "train_stack", on_the_cpu)
    return sizes


def tensors(run: Run) -> dict[int, str]:
    return dict(run.digests)


def test_runs_of_a_sweep_go_together_and_are_stored_as_alone(tmp_path: Path, started: list[int]) -> None:
    ws, other = Workspace(tmp_path / "together"), Workspace(tmp_path / "alone")
    runs = stacks.train_runs(ws, "modular_addition", VARIANTS, training=SHORT)
    assert started == [3]
    alone = [other.train("modular_addition", training=SHORT, **variant) for variant in VARIANTS]
    assert started == [3, 1, 1, 1]
    assert [run.name for run in runs] == [run.name for run in alone]
    assert [tensors(run) for run in runs] == [tensors(run) for run in alone], "bitwise the same files"
    assert all(run.record.state == "complete" for run in runs)
    for run, one in zip(runs, alone, strict=True):
        assert run.metrics.equals(one.metrics)


def test_what_is_there_is_not_trained_again(tmp_path: Path, started: list[int]) -> None:
    ws = Workspace(tmp_path)
    ws.train("modular_addition", training=SHORT, **VARIANTS[1])
    first = stacks.train_runs(ws, "modular_addition", VARIANTS, training=SHORT)
    assert started == [1, 2]
    again = stacks.train_runs(ws, "modular_addition", VARIANTS, training=SHORT)
    assert started == [1, 2]
    assert [run.name for run in again] == [run.name for run in first]


def test_a_long_sweep_is_several_stacks_and_one_variant_twice_is_one_run(tmp_path: Path, started: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stacks, "AT_ONCE", 2)
    runs = stacks.train_runs(Workspace(tmp_path), "modular_addition", [*VARIANTS, VARIANTS[0]], training=SHORT)
    assert started == [2, 1]
    assert runs[0].name == runs[3].name


def test_an_interrupted_run_of_a_stack_is_resumed(tmp_path: Path, started: list[int]) -> None:
    whole = stacks.train_runs(Workspace(tmp_path / "whole"), "modular_addition", VARIANTS, training=SHORT)

    def stop(step: int, last: int, metrics: object) -> None:
        if step == 8:
            raise KeyboardInterrupt

    ws = Workspace(tmp_path / "stopped")
    with pytest.raises(KeyboardInterrupt):
        stacks.train_runs(ws, "modular_addition", VARIANTS, training=SHORT, progress=stop)
    assert [run.steps for run in ws.runs()] == [(0, 5)] * 3
    resumed = stacks.train_runs(ws, "modular_addition", VARIANTS, training=SHORT)
    assert [tensors(run) for run in resumed] == [tensors(run) for run in whole]


def test_without_a_gpu_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    ws = Workspace(tmp_path)
    with pytest.raises(UsageError, match="device=cuda"):
        stacks.train_runs(ws, "modular_addition", VARIANTS, training=SHORT)
    with pytest.raises(UsageError, match="device=cuda"):
        ws.train("modular_addition", training=SHORT, **SMALL)
    assert ws.runs() == []
