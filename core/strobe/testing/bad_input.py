"""The checks of an analyzer on inputs nobody hopes for.

What is asked when it meets NaN: rows (null where a number is not finite), a `StrobeError`, or the refusal of a numeric library (`LinAlgError`,
`ValueError` and their like); the engine stores any of these as a failure that names the tensor. What is asked when there is nothing to look at (no
such parameter, no metrics, no rows of what it consumes, a split without inputs, one checkpoint): rows, no rows, or a `StrobeError` that says what is
missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..arguments import Probe
from ..errors import StrobeError
from .material import Change
from .state import unharmed
from .subject import Subject


def takes_nan(subject: Subject) -> None:
    """Weights, activations, results and metrics of a training that has diverged give rows or a refusal, not a crash."""
    subject.rows()
    given = subject.make(Change(tensors=_all_nan, metrics=_diverged, results=_numbers_to_nan))
    with unharmed():
        _, error = subject.caught(given)
    if error is not None and not isinstance(error, (StrobeError, ValueError, ArithmeticError)) and "LinAlgError" not in type(error).__name__:
        raise subject.unfit(
            error, "when everything is NaN", "skip what is not finite (`torch.isfinite`), or raise StrobeError saying what is missing"
        ) from error


def takes_nothing(subject: Subject) -> None:
    """No such parameters, no metrics, no rows to read, a split without inputs, one checkpoint: rows, none, or a `StrobeError`."""
    subject.rows()
    for what, names, change in _EMPTY:
        if set(names) & set(subject.contract.arguments) and not (what == NO_TENSOR and _has_its_tensors(subject)):
            with unharmed():
                _, error = subject.caught(subject.make(change))
            if error is not None and not isinstance(error, StrobeError):
                fix = "yield nothing, or raise StrobeError saying what is missing"
                raise subject.unfit(error, f"when there is {what}", fix) from error


def _all_nan(tensors: Mapping[str, Any]) -> Mapping[str, Any]:
    return {n: t.clone().fill_(float("nan")) if t.is_floating_point() else t for n, t in tensors.items()}


def _diverged(table: Any) -> Any:
    table = table.copy()
    losses = [c for c in table if c.endswith("_loss")]
    table.loc[table.index[len(table) // 2 :], losses] = float("nan")
    return table


def _numbers_to_nan(table: Any) -> Any:
    """As stored: a number that is not finite is null, an array holds NaN."""
    import numpy as np

    table = table.copy()
    for name in table:
        if table[name].dtype.kind == "f" and name != "step":
            table[name] = np.nan
        elif table[name].dtype == object:
            table[name] = [np.full_like(v, np.nan) if isinstance(v, np.ndarray) and v.dtype.kind == "f" else v for v in table[name]]
    return table


def _without_test(probe: Probe) -> Probe:
    return replace(probe, splits={n: mask if n == "train" else mask & False for n, mask in probe.splits.items()})


def _has_its_tensors(subject: Subject) -> bool:
    """Whether a checkpoint always has what it reads: of a family it names, or of one whose forward has run."""
    return bool(subject.cls.families) or subject.contract.category not in ("weights", "trajectory")


NO_TENSOR = "no tensor it knows"
_EMPTY: tuple[tuple[str, tuple[str, ...], Change], ...] = (
    (NO_TENSOR, ("weights", "checkpoints"), Change(tensors=lambda tensors: {})),
    ("no metrics", ("metrics",), Change(metrics=lambda table: table.iloc[:0])),
    ("no row of what it consumes", ("results",), Change(results=lambda table: table.iloc[:0])),
    ("no input in the test split", ("outputs", "probe"), Change(probe=_without_test)),
    ("one checkpoint", ("checkpoints",), Change(steps=lambda steps: steps[-1:])),
)
