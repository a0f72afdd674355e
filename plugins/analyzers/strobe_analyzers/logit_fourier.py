"""How much of the logits is the clock: cosines of a + b - c."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch

import strobe
from strobe import Analyzer, Outputs, Probe, Results, StrobeError, array, dim, hookimpl, maths, metric


class Totals(NamedTuple):
    """Sums of squares of the p^3 logits about four means."""

    grand: float
    class_removed: float
    input_removed: float
    both: float


class LogitFourier(Analyzer):
    """Fourier coefficients of the logits on cos(w_k (a + b - c)), and the share of their variance that these explain.

    c_k = <cos(w_k (a + b - c)) / norm, L> over the p^3 cube of inputs (a, b) and classes c, w_k = 2 pi k / p, k = 1 .. p // 2; unit vectors, so
    sum over k of c_k^2 / sum of L^2 is the fraction of variance explained (FVE), 0 to 1; 1 for exact clock logits, and about (number of k) / p^3 for
    noise. Four denominators, because published numbers differ in it: L less its grand mean, less each class's mean over inputs, less each input's
    mean over classes (which no loss can see), less both. One row for all frequencies and one for each set of key_frequencies (own, last, union).
    From the sums over a + b - c alone. Cost at p=113: 15 ms. Source: Nanda et al. 2301.05217, 4.2.
    """

    consumes = "key_frequencies"
    families = ("modular_addition", "modular_mlp")
    where = {"operation": ("a+b",)}

    class Row(strobe.Row):
        keys: str = dim("which frequencies: all, or the key frequencies own, last, union")
        fve: float | None = metric("share of the variance of L less its grand mean; null when L is constant", unit="1")
        fve_class_mean_removed: float | None = metric("the same with each class's mean over inputs removed from L", unit="1")
        fve_input_mean_removed: float | None = metric("the same with each input's mean over classes removed from L", unit="1")
        fve_both_removed: float | None = metric("the same with both removed from L", unit="1")
        n_keys: int = metric("how many frequencies", unit="1")
        frequencies: np.ndarray = array("the frequencies, ascending", dims=["frequency"], dtype="int64", unit="1")
        coefficients: np.ndarray | None = array(
            "c_k of each frequency; null when a logit is not finite", dims=["frequency"], dtype="float64", unit="logits"
        )

    @hookimpl
    def analyze_outputs(self, outputs: Outputs, probe: Probe, results: Results) -> Iterator[Row]:
        p = maths.grid_modulus(probe.inputs)
        if outputs.logits.shape != (p * p, p):
            raise StrobeError(f"logit_fourier: needs logits [{p * p}, {p}], got {list(outputs.logits.shape)}")
        logits = outputs.logits.double()
        coefficients, totals = clock_coefficients(logits, p), _totals(logits)
        for name, keys in {"all": list(range(1, p // 2 + 1)), **_sets(results, p)}.items():
            yield self._row(name, keys, coefficients, totals)

    def _row(self, name: str, keys: list[int], coefficients: torch.Tensor, totals: Totals) -> Row:
        chosen = coefficients[[k - 1 for k in keys]]
        power, finite = float((chosen**2).sum()), bool(coefficients.isfinite().all())
        shares = [power / total if finite and total > 0 else None for total in totals]
        return self.Row(
            keys=name,
            fve=shares[0],
            fve_class_mean_removed=shares[1],
            fve_input_mean_removed=shares[2],
            fve_both_removed=shares[3],
            n_keys=len(keys),
            frequencies=np.array(keys, np.int64),
            coefficients=chosen.numpy() if finite else None,
        )


def clock_coefficients(logits: torch.Tensor, p: int) -> torch.Tensor:
    """c_k for k = 1 .. p // 2, float64 [p // 2], from logits [p*p, p]: the sums over each m = a + b - c are all it takes."""
    totals = maths.class_sums(logits, p)  # [r = a + b, c]
    m, c = torch.arange(p)[:, None], torch.arange(p)
    sums = totals[(m + c) % p, c].sum(1)  # [m]: sum over all (a, b, c) with a + b - c = m
    cosines = [i for i, row in enumerate(maths.fourier_rows(p)) if row.component == "cos"]
    return maths.fourier_basis(p)[cosines] @ sums / p  # the cube's norm of each cosine is p times its norm over m


def _totals(logits: torch.Tensor) -> Totals:
    """Sums of squares about the means; 0 where what is left is rounding of the logits."""
    n, classes = logits.shape
    centred = logits - logits.mean()
    total = float(torch.linalg.vector_norm(centred)) ** 2
    by_class = n * float((centred.mean(0) ** 2).sum())
    by_input = classes * float((centred.mean(1) ** 2).sum())
    rounding = 1e-12 * float(torch.linalg.vector_norm(logits)) ** 2
    found = (total, total - by_class, total - by_input, total - by_class - by_input)
    return Totals(*(x if x > rounding else 0.0 for x in found))


def _sets(results: Results, p: int) -> dict[str, list[int]]:
    """Set name -> key frequencies, for the sets that are known here; a set is null when weights are not finite."""
    table = results["key_frequencies"]
    known = [(s, keys) for s, keys in zip(table["set"], table["frequencies"], strict=True) if keys is not None]
    return {str(s): sorted(int(k) for k in keys) for s, keys in known if all(1 <= k <= p // 2 for k in keys)}
