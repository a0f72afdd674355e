"""Killing an analysis anywhere and running it again gives the same bytes as one that was left in peace."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from strobe import Workspace

READY, HELD = "analyzing", "held"
ANALYZE = f"""
import os, sys, time, torch
torch.set_num_threads(1)
from strobe import Workspace
import strobe.analysis.engine
strobe.analysis.engine.CHUNK = 1  # more parts, more moments to be killed at
ws = Workspace(sys.argv[1])
for name in ("weight_norms", "neuron_frequency", "key_frequencies"):
    ws.registry.analyzer(name)
replace = os.replace
def and_wait(*places):
    replace(*places)
    if "part-" in str(places[1]):
        print("{HELD}", flush=True)
        time.sleep(3600)
if sys.argv[3] == "{HELD}":
    os.replace = and_wait
print("{READY}", flush=True)
ws.analyze("toy", sys.argv[4:], executor=sys.argv[2], workers=2)
"""


def files(root: Path) -> dict[str, bytes]:
    return {str(f.relative_to(root)): f.read_bytes() for f in sorted((root / "results").rglob("*")) if f.is_file() and f.name != ".lock"}


def analyze(root: Path, analyzers: list[str], executor: str = "local", hold: str = "") -> subprocess.Popen[str]:
    """A process that analyzes everything, at the moment when it begins; with a process group of its own, so that its workers die with it.

    `hold=HELD`: it says so when it has written its first part, and waits to be killed.
    """
    call = [sys.executable, "-c", ANALYZE, str(root), executor, hold, *analyzers]
    process = subprocess.Popen(call, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdout is not None
    assert process.stdout.readline().strip() == READY
    return process


def kill(process: subprocess.Popen[str]) -> bool:
    """SIGKILL; whether it still ran."""
    running = process.poll() is None
    os.killpg(process.pid, signal.SIGKILL) if running else None
    process.wait()
    assert process.stdout is not None
    process.stdout.close()
    return running


@pytest.fixture(scope="module")
def undisturbed(trained: Path, analyzers: list[str], tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, bytes], float]:
    """Every result file of an analysis that was left in peace, and how long it took."""
    root = shutil.copytree(trained, tmp_path_factory.mktemp("undisturbed") / "ws", copy_function=shutil.copy2)
    process, start = analyze(root, analyzers), time.perf_counter()
    assert process.wait() == 0
    assert process.stdout is not None
    process.stdout.close()
    return files(root), time.perf_counter() - start


def intact(root: Path) -> None:
    """Whatever is stored can be read, and there is no half row group: complete cells only."""
    ws = Workspace(root)
    for address in ws.store.addresses():
        table = ws.store.read(address)
        entries = ws.store.entries(address)
        assert table is not None
        assert len(table) == sum(e.rows for e in entries.values())


@pytest.mark.slow
def test_killed_at_random_moments_again_and_again(toy: Path, analyzers: list[str], undisturbed: tuple[dict[str, bytes], float]) -> None:
    expected, seconds = undisturbed
    moments = random.Random(0)
    for _ in range(3):
        process = analyze(toy, analyzers)
        time.sleep(moments.uniform(0, seconds))
        kill(process)
        intact(toy)
    assert Workspace(toy).analyze("toy", analyzers).ok
    assert files(toy) == expected


@pytest.mark.slow
def test_killed_with_its_worker_processes(toy: Path, analyzers: list[str], undisturbed: tuple[dict[str, bytes], float]) -> None:
    process = analyze(toy, analyzers, "processes", HELD)
    assert process.stdout is not None
    assert process.stdout.readline().strip() == HELD
    assert kill(process)
    assert len(list((toy / "results").rglob("part-*.parquet"))) == 1
    intact(toy)
    assert Workspace(toy).analyze("toy", analyzers).ok
    assert files(toy) == undisturbed[0]


class Killed(BaseException):
    """Nothing after this point happens."""


@pytest.mark.parametrize("nth", [0, 1, 2, 5, 11, 17, 29])
@pytest.mark.parametrize("function", ["replace", "unlink"])
def test_killed_before_the_nth_change_of_the_disk(
    toy: Path, analyzers: list[str], undisturbed: tuple[dict[str, bytes], float], monkeypatch: pytest.MonkeyPatch, function: str, nth: int
) -> None:
    """The same without chance: a result is replaced or a merged part unlinked, and that is the last thing that would have happened."""
    original, calls = getattr(os, function), iter(range(10**6))

    def last(*args: object, **kwargs: object) -> None:
        if next(calls) >= nth:
            raise Killed
        original(*args, **kwargs)

    monkeypatch.setattr(os, function, last)
    with pytest.raises(Killed):
        Workspace(toy).analyze("toy", analyzers)
        raise Killed  # fewer changes than nth
    monkeypatch.undo()
    intact(toy)
    left = [f.rename(f.with_name(f.name.replace(f".{os.getpid()}.", ".999999999."))) for f in toy.rglob("*.tmp")]  # that process is gone
    assert len(left) <= 1
    assert Workspace(toy).analyze("toy", analyzers).ok
    assert files(toy) == undisturbed[0]


def test_the_flag_of_rows_with_nulls_survives_a_crash(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such a cell is stored, hence never computed again: its failure row must be on disk before it."""
    from safetensors.torch import load_file

    ws = Workspace(toy)
    run = ws.run("toy")
    bad = load_file(run.path(10))
    bad["embed.W_E"][0, 0] = float("inf")
    run.add_checkpoint(10, bad)
    original, changes = os.replace, []
    for nth in range(8):
        copy = shutil.copytree(toy, toy.parent / f"copy{nth}", copy_function=shutil.copy2)

        def last(*args: object, nth: int = nth) -> None:
            changes.append(args)
            if len(changes) > nth:
                raise Killed
            original(*args)  # type: ignore[arg-type]

        changes.clear()
        monkeypatch.setattr(os, "replace", last)
        with contextlib.suppress(Killed):
            Workspace(copy).analyze("toy", ["weight_norms"])
        monkeypatch.setattr(os, "replace", original)
        again = Workspace(copy).analyze("toy", ["weight_norms"])
        assert [(f.step, f.kind) for f in again.failures] == [(10, "not_finite")], f"killed at change {nth}"
