"""What training recorded, read from what lies beside checkpoints: arrays, a description, a trainer's history, a CSV file."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import UsageError, did_you_mean
from .folders import Found, read_json

TRAINER = "trainer_state.json"
LOGGED = {"loss": "train_loss", "eval_loss": "test_loss", "eval_accuracy": "test_accuracy", "learning_rate": "lr", "grad_norm": "grad_norm"}
"""What the Hugging Face Trainer logs -> the metric it is here; other `eval_` numbers keep their names."""
TIMING = re.compile(r"_(runtime|per_second|time)$")


def metric_rows(found: Found, csv: Path | None) -> list[dict[str, Any]]:
    """Step -> losses, from arrays, the description, a trainer's history and a CSV file; of two that speak of one value, the later counts."""
    rows: dict[int, dict[str, Any]] = {}
    for name in ("train_loss", "test_loss"):
        _add_array(rows, name, found)
    for name, series in found.description.items():
        if name.endswith(("_loss", "_accuracy")) and isinstance(series, dict):
            for step, value in series.items():
                rows.setdefault(int(step), {})[name] = float(value)
    for row in [*trainer_rows(found), *(_csv_rows(csv) if csv else [])]:
        rows.setdefault(int(row.pop("step")), {}).update(row)
    decay = dict(leaves(found.description)).get("weight_decay")
    if decay is not None:
        for values in rows.values():
            values.setdefault("weight_decay", float(decay))
    return [{"step": step, **rows[step]} for step in sorted(rows)]


def _add_array(rows: dict[int, dict[str, Any]], name: str, found: Found) -> None:
    values = found.arrays.get(name)
    if values is None:
        return
    longest = max(len(found.arrays[n]) for n in ("train_loss", "test_loss") if n in found.arrays)
    stride = math.ceil(longest / len(values))
    for i, value in enumerate(values.double().tolist()):
        rows.setdefault(i * stride, {})[name] = value


def trainer_rows(found: Found) -> list[dict[str, Any]]:
    """What the Hugging Face Trainer recorded, from the `trainer_state.json` of the last checkpoint that has one and of the folder itself, which is
    the whole training's. The train loss at a step is its mean since the record before. Raises `UsageError` for a file that is none."""
    last = next((f for files in reversed(list(found.files.values())) if (f := files[0].with_name(TRAINER)).is_file()), found.folder / TRAINER)
    return [row for file in dict.fromkeys((last, found.folder / TRAINER)) if file.is_file() for row in _history(file)]


def _history(file: Path) -> list[dict[str, Any]]:
    entries = read_json(file).get("log_history")
    if not isinstance(entries, list) or not all(isinstance(e, dict) and isinstance(e.get("step"), int) for e in entries):
        raise UsageError(f"{file} has no list `log_history` of entries with a step, as the Hugging Face Trainer writes it; move it out of the folder")
    return [{"step": entry["step"], **_logged(entry)} for entry in entries]


def _logged(entry: Mapping[str, Any]) -> dict[str, float]:
    """An entry's numbers under our names; without timings, and without the means over all of training that the last entry has."""
    named = {LOGGED.get(key, key): value for key, value in entry.items() if key in LOGGED or (key.startswith("eval_") and not TIMING.search(key))}
    return {name: float(value) for name, value in named.items() if isinstance(value, (int, float)) and value == value}


def _csv_rows(file: Path) -> list[dict[str, Any]]:
    import pandas as pd

    try:
        frame = pd.read_csv(file)
    except (OSError, ValueError) as e:
        raise UsageError(f"metrics {file} cannot be read: {e}") from e
    if "step" not in frame:
        raise UsageError(
            f"metrics {file} has no column 'step'{did_you_mean('step', map(str, frame.columns))}; columns are step, train_loss, test_loss, ..."
        )
    rows = [{str(k): v for k, v in row.items() if v == v} for row in frame.to_dict("records")]
    return [_csv_row(file, row) for row in rows]


def _csv_row(file: Path, row: dict[str, Any]) -> dict[str, Any]:
    step = row.get("step")
    if not isinstance(step, (int, float)) or step != int(step):
        raise UsageError(f"metrics {file}: step {step!r} is no whole number")
    for name, value in row.items():
        if not isinstance(value, (int, float)):
            raise UsageError(f"metrics {file}: {name} {value!r} at step {step} is no number")
    return row


def leaves(tree: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """The leaves of a description with their own names."""
    return [leaf for k, v in tree.items() for leaf in (leaves(v) if isinstance(v, dict) else [(k, v)])]
