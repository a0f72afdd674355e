from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd

import strobe
from strobe import Analyzer, Results, dim, hookimpl, metric


class SpectralGap(Analyzer):
    """Where each weight matrix's spectrum breaks off: the largest ratio sigma_k / sigma_(k+1), and how the leading values grow against the rest.

    k counts dimensions, two per Fourier circle: k = 10 is five circles. The maximum is taken over k <= rank/2 with sigma_k > `floor` sigma_1, because
    the smallest singular values have the largest ratios between them and mean nothing. A gap of 1 is a flat spectrum; a random matrix has about 1.05.
    It opens late, after generalising: a follower of the turn. Null where a matrix has fewer than two singular values, is zero or not finite; the gap
    alone is null where sigma_(k+1) is 0, an exact rank k.
    The sums are of the `top` largest singular values and of all others; their growth is per step since the checkpoint before.
    Cost: reads the stored spectra of `effective_dimensionality`, no weights: 4 ms per checkpoint.
    """

    consumes = "effective_dimensionality"
    floor: float = 0.01
    top: int = 10

    class Row(strobe.Row):
        step: int = dim("training step of the checkpoint")
        parameter: str = dim("canonical parameter name")
        head: int | None = dim("attention head; null for the whole matrix, all heads side by side")
        k: int | None = metric("dimensions before the largest gap", unit="1")
        gap: float | None = metric("sigma_k / sigma_(k+1) there, 1 (flat) and up; null for an exact rank k", unit="1")
        top_over_rest: float | None = metric(
            "sum of the `top` largest singular values over the sum of the rest; null when there is no rest", unit="1"
        )
        top_growth: float | None = metric("growth of the top's sum per step since the checkpoint before; null at the first", unit="1/step")
        rest_growth: float | None = metric("growth of the rest's sum per step since the checkpoint before; null at the first", unit="1/step")

    @hookimpl
    def analyze_results(self, results: Results) -> Iterator[Row]:
        spectra = results["effective_dimensionality"].sort_values("step", kind="stable")
        for (parameter, head), rows in spectra.groupby(["parameter", "head"], dropna=False, sort=False):
            yield from self._rows(str(parameter), None if pd.isna(head) else int(head), rows)

    def _rows(self, parameter: str, head: int | None, rows: pd.DataFrame) -> Iterator[Row]:
        before: Sums | None = None
        for step, s in zip(rows["step"].astype(int), rows["singular_values"], strict=True):
            now = _sums(step, s, self.top)
            k, gap = largest_gap(s, self.floor)
            yield self.Row(
                step=step,
                parameter=parameter,
                head=head,
                k=k,
                gap=gap,
                top_over_rest=now.top / now.rest if now is not None and now.rest > 0 else None,
                top_growth=None if now is None or before is None else (now.top - before.top) / (now.step - before.step),
                rest_growth=None if now is None or before is None else (now.rest - before.rest) / (now.step - before.step),
            )
            before = now


class Sums(NamedTuple):
    """Sums over one spectrum: of its top and of the rest."""

    step: int
    top: float
    rest: float


def _sums(step: int, s: np.ndarray, top: int) -> Sums | None:
    """None for a spectrum that is not known."""
    return Sums(step, float(s[:top].sum()), float(s[top:].sum())) if len(s) else None


def largest_gap(s: np.ndarray, floor: float) -> tuple[int | None, float | None]:
    """(k, sigma_k / sigma_(k+1)) at its maximum over k <= len/2 with sigma_k > floor sigma_1; the ratio is None where it is infinite."""
    half = len(s) // 2
    k = np.flatnonzero(s[:half] > floor * s[:1]) + 1 if half else np.zeros(0, int)
    if not len(k):
        return None, None
    with np.errstate(divide="ignore"):
        ratios = s[k - 1] / s[k]
    best = int(ratios.argmax())
    return int(k[best]), float(ratios[best]) if np.isfinite(ratios[best]) else None
