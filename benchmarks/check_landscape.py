"""The landscape of a real run against independent values: `python benchmarks/check_landscape.py FOLDER`.

FOLDER holds the checkpoints of `modadd_p113_seed999`. Steps 1,000, 5,000 and 25,000 are imported into a temporary workspace and analyzed with
`flatness` (two displacements), `hessian` and `sharpness`; the values they are compared with were computed in float64 by separate code (Lanczos of
40 steps, 20 Hutchinson vectors, 16 antithetic pairs). Exact quantities agree to a relative tolerance, estimates within 3 standard errors of their
difference. Prints the CPU seconds too. Exits with 1 when a number is off.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch

import strobe
from strobe_analyzers.flatness import Flatness
from strobe_analyzers.hessian import Hessian
from strobe_analyzers.sharpness import Sharpness


class Reference(NamedTuple):
    """Of one step. Pairs are a value and its standard error; flatness by displacement: train, then test."""

    lambda_max: float
    trace: tuple[float, float]
    sam: float
    gradient_norm: float
    flatness: dict[float, tuple[tuple[float, float], tuple[float, float]]]


REFERENCE = {
    1_000: Reference(
        0.00273654254,
        (0.214598, 0.00226),
        9.69679938e-07,
        7.30246769e-06,
        {0.01: ((0.00535474, 4.39e-05), (118.794, 1.66)), 0.03: ((0.00569811, 6.85e-05), (118.801, 1.55))},
    ),
    5_000: Reference(
        0.000236527747,
        (0.00816191, 0.000205),
        1.21181907e-07,
        5.60497329e-07,
        {0.01: ((0.000136545, 1.91e-06), (43.4156, 0.919)), 0.03: ((0.000140544, 2.32e-06), (43.6525, 0.954))},
    ),
    25_000: Reference(
        7.0622736e-05,
        (0.00200825, 5.33e-05),
        2.07090336e-08,
        3.40522102e-07,
        {0.01: ((2.37436e-05, 3.24e-07), (8.1287e-05, 4.78e-06)), 0.03: ((1.94308e-05, 3.12e-07), (8.71038e-05, 4.64e-06))},
    ),
}
EXACT = {"lambda_max": 1e-3, "sam": 1e-3, "gradient_norm": 1e-5}
"""Relative tolerances: lambda_max of 10 Lanczos steps, the others behind a float32 forward."""
STANDARD_ERRORS = 3.0


def main(folder: str) -> int:
    torch.set_num_threads(1)
    failed = 0
    with tempfile.TemporaryDirectory() as root:
        workspace = strobe.Workspace(Path(root) / "workspace")
        run = workspace.import_run(_selected(Path(folder), Path(root) / "selected"), "modular_addition", p=113, seed=999)
        for alpha in (0.01, 0.03):
            failed += _report(_flatness(workspace, run, alpha))
        for analyzer, checks in ((Hessian(), _hessian), (Sharpness(), _sharpness)):
            failed += _report(checks(_analyzed(workspace, run, analyzer)))
    return 1 if failed else 0


def _selected(folder: Path, copy: Path) -> Path:
    """A folder with the checkpoints of these steps alone, and what is known of the run."""
    copy.mkdir()
    for name in [*(f"epoch_{step:05d}.safetensors" for step in REFERENCE), "losses.safetensors", "run.json"]:
        shutil.copy(folder / name, copy)
    return copy


def _analyzed(workspace: strobe.Workspace, run: Any, analyzer: strobe.Analyzer) -> Any:
    name, start = type(analyzer).__name__.lower(), time.process_time()
    done = workspace.analyze(run, [analyzer])
    print(f"{name}: {(time.process_time() - start) / len(REFERENCE):.2f} CPU s per checkpoint")
    assert not done.failures, done.failures
    return workspace.table(name, runs=[run], settings=analyzer.model_dump(exclude_unset=True)).set_index("step")


def _flatness(workspace: strobe.Workspace, run: Any, alpha: float) -> Iterator[tuple[str, float, float, float]]:
    table = _analyzed(workspace, run, Flatness(alpha=alpha))
    for step, reference in REFERENCE.items():
        for split, (value, error) in zip(("train", "test"), reference.flatness[alpha], strict=True):
            row = table.loc[step].set_index("split").loc[split]
            yield f"{step} curvature {split} at {alpha}", row["curvature"], value, STANDARD_ERRORS * (row["curvature_se"] ** 2 + error**2) ** 0.5


def _hessian(table: Any) -> Iterator[tuple[str, float, float, float]]:
    for step, reference in REFERENCE.items():
        row = table.loc[step]
        yield f"{step} lambda_max", row["lambda_max"], reference.lambda_max, EXACT["lambda_max"] * reference.lambda_max
        value, error = reference.trace
        yield f"{step} trace", row["trace"], value, STANDARD_ERRORS * (row["trace_se"] ** 2 + error**2) ** 0.5


def _sharpness(table: Any) -> Iterator[tuple[str, float, float, float]]:
    for step, reference in REFERENCE.items():
        row = table.loc[step].set_index("measure").loc["sam"]
        yield f"{step} SAM", row["rise"], reference.sam, EXACT["sam"] * reference.sam
        yield f"{step} gradient norm", row["gradient_norm"], reference.gradient_norm, EXACT["gradient_norm"] * reference.gradient_norm


def _report(checks: Iterator[tuple[str, float, float, float]]) -> int:
    """Print what was found, what was expected, and how far off it may be; how many are off."""
    off = 0
    for what, found, expected, tolerance in checks:
        agrees = abs(found - expected) <= tolerance
        off += not agrees
        print(f"{'ok ' if agrees else 'OFF'} {what:32} {found:.6g}  expected {expected:.6g} +- {tolerance:.2g}")
    return off


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
