"""The analyzer `weightwatcher`."""

from __future__ import annotations

import contextlib
import io
import logging
import math
import os
import random
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import torch

import strobe
from strobe import Analyzer, Weights, dim, hookimpl, metric

NUMBERS = {
    "alpha": "alpha",
    "alpha_weighted": "alpha_weighted",
    "log_alpha_norm": "log_alpha_norm",
    "log_norm": "log_norm",
    "log_spectral_norm": "log_spectral_norm",
    "stable_rank": "stable_rank",
    "entropy": "entropy",
    "distance": "D",
    "x_min": "xmin",
}
"""Our columns, and what weightwatcher calls them."""
FITTED = ("alpha", "alpha_weighted", "log_alpha_norm", "distance", "x_min")
"""Those that a fit gives."""


class WeightWatcher(Analyzer):
    """What the package weightwatcher says of each weight matrix: the exponent of its spectrum's tail, its norms, its stable rank.

    `alpha` from 2 to 6 is called well trained, above 6 under-trained, below 2 over-trained; `verdict` is weightwatcher's own word. Matrices with
    fewer than `min_evals` eigenvalues, and those that are not finite, have nulls and a `reason`. Strobe's own `powerlaw_alpha` fits the same law.
    Cost: one singular value decomposition and one fit per matrix, about 0.1 s for 128 x 512; the first call imports weightwatcher (several seconds).
    Source: Martin, Peng, Mahoney 2021 (2002.06716); weightwatcher 0.7.7.
    """

    parameters: str = "*"
    min_evals: int = 20
    """Eigenvalues that a matrix must have to be fitted."""

    class Row(strobe.Row):
        parameter: str = dim("canonical parameter name")
        verdict: str | None = dim("weightwatcher's word: over-trained or under-trained; null when neither, or without a fit")
        reason: str | None = dim("why there is no fit; null when there is one")
        alpha: float | None = metric("exponent of the power law fitted to the tail of the eigenvalues of W W^T, 1 and up", unit="1")
        alpha_weighted: float | None = metric("alpha times log10 of the largest eigenvalue", unit="1")
        log_alpha_norm: float | None = metric("log10 of the sum of all eigenvalues to the power of alpha", unit="1")
        log_norm: float | None = metric("log10 of the squared Frobenius norm", unit="1")
        log_spectral_norm: float | None = metric("log10 of the largest eigenvalue", unit="1")
        stable_rank: float | None = metric("squared Frobenius norm over the largest eigenvalue, from 1 to the rank", unit="1")
        entropy: float | None = metric("entropy of the normalised singular values over that of equal ones, 0 to 1", unit="1")
        distance: float | None = metric("Kolmogorov-Smirnov distance of the tail from its power law, 0 (exact) to 1", unit="1")
        x_min: float | None = metric("smallest eigenvalue of the tail", unit="1")
        tail: int | None = metric("eigenvalues in the tail", unit="1")

    @hookimpl
    def analyze_weights(self, weights: Weights) -> Iterator[Row]:
        matrices = dict(weights.matrices(self.parameters))
        reasons = {name: self._unfit(matrix) for name, matrix in matrices.items()}
        found = watched({name: matrix for name, matrix in matrices.items() if not reasons[name]})
        for name, reason in reasons.items():
            row = found.get(name)
            if row is None:
                empty = dict.fromkeys({*NUMBERS, "tail", "verdict"})
                yield self.Row(parameter=name, reason=reason or "weightwatcher gives no row for it", **empty)  # type: ignore[arg-type]
            else:
                yield self._row(name, row)

    def _row(self, name: str, row: Mapping[str, Any]) -> Row:
        """Of a fit that has failed, weightwatcher says alpha = -1 and over-trained: the norms alone are kept."""
        failed = row.get("status") != "success"
        numbers = {ours: None if failed and ours in FITTED else _number(row[theirs]) for ours, theirs in NUMBERS.items()}
        return self.Row(
            parameter=name,
            verdict=None if failed else row.get("warning") or None,
            reason=f"weightwatcher says its fit is {row.get('status')!r}" if failed else None,
            tail=None if failed else int(row["num_pl_spikes"]),
            **numbers,
        )

    def _unfit(self, matrix: torch.Tensor) -> str:
        if min(matrix.shape) < self.min_evals:
            return f"{min(matrix.shape)} eigenvalues, fewer than min_evals={self.min_evals}"
        if not matrix.isfinite().all():
            return "weights are not finite"
        return "" if matrix.any() else "all weights are zero"


def watched(matrices: Mapping[str, torch.Tensor]) -> dict[str, Mapping[str, Any]]:
    """weightwatcher's row of each matrix, by its name. It prints and warns a good deal, which is kept away from the caller."""
    if not matrices:
        return {}
    with _quiet():
        from weightwatcher import WeightWatcher as Watcher

        names = list(matrices)
        model = torch.nn.Sequential(*(_linear(matrices[name]) for name in names))
        table = Watcher(model=model, log_level=logging.ERROR).analyze(min_evals=2, plot=False)
    return {names[int(row["name"])]: row for row in table.to_dict("records")}


def _linear(matrix: torch.Tensor) -> torch.nn.Linear:
    """A layer with this matrix. Strobe's are oriented x @ W, torch's the other way round; the eigenvalues do not mind."""
    layer = torch.nn.utils.skip_init(torch.nn.Linear, *matrix.shape, bias=False)  # draws no random numbers
    layer.weight = torch.nn.Parameter(matrix.detach().float().t().contiguous(), requires_grad=False)
    return layer


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without its output and its warnings; and what the import of weightwatcher (and of matplotlib) changes for everybody is put back."""
    root = logging.getLogger()
    level, state, environment = root.level, random.getstate(), dict(os.environ)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            root.setLevel(level)
            random.setstate(state)
            for name in os.environ.keys() - environment.keys():
                del os.environ[name]
            os.environ.update(environment)


def _number(value: Any) -> float | None:
    """Null where it is not finite."""
    return None if value is None or not math.isfinite(float(value)) else float(value)
