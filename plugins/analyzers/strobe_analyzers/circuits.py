from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch

import strobe
from strobe import Analyzer, Context, Weights, array, dim, hookimpl, metric

OV, QK = "OV", "QK"


class Circuits(Analyzer):
    """What each head does to tokens, read off its weights, with all singular values and eigenvalues of its two circuits.

    OV: W_E W_V W_O W_U, what attending to a token writes to the logits. QK: W_E W_Q W_K^T W_E^T, which token looks for which. Both are square
    (token x token), of rank d_head at most, so their spectra are those of d_head x d_head products: eig(A B) = eig(B A), and the singular values of
    A B are those of R_A R_B^T from two QR. Further eigenvalues are 0.
    Score = sum(eig) / sum|eig|, from -1 to 1. OV: 1 copies (attending to a token raises its own logit), -1 suppresses, 0 does neither, as a rotation
    through residues has it. QK: 1 when tokens look for themselves. Null for a zero circuit.
    Tokens: those that are both embedded and predicted, the first of each (so "=" drops out where only the embedding has it). The QK circuit takes any
    token as a query, but a model of modular addition asks from "=" alone: see `query_frequency`. Deeper layers are taken by their direct path from
    the embedding. Positions, biases, layer norms and the 1/sqrt(d_head) of scores are left out. A model without these parameters has one row of
    nulls with the `reason`.
    Cost: no forward, products of tokens x d_head and small eigenproblems: 8 ms at p=113, 4 heads.
    Source: Elhage et al. 2021, "A Mathematical Framework for Transformer Circuits" (copying: eigenvalues of the OV circuit).
    """

    class Row(strobe.Row):
        circuit: str | None = dim("OV or QK")
        layer: int | None = dim("layer")
        head: int | None = dim("attention head")
        score: float | None = metric("sum of eigenvalues over the sum of their absolute values, -1 to 1; of OV the copying score", unit="1")
        singular_values: np.ndarray | None = array("singular values, largest first, at most d_head", dims=["rank"], dtype="float64", unit="1")
        eigenvalues_real: np.ndarray | None = array("real parts of the eigenvalues, largest |eigenvalue| first", dims=["rank"], unit="1")
        eigenvalues_imag: np.ndarray | None = array("imaginary parts of the eigenvalues, in the same order", dims=["rank"], unit="1")
        reason: str | None = dim("why there is no spectrum; null when there is one")

    @hookimpl
    def analyze_weights(self, weights: Weights, context: Context) -> Iterator[Row]:
        lacking = [name for name in ("embed.W_E", "unembed.W_U") if name not in weights]
        layers = [name.removesuffix(".W_Q") for name in weights.named("blocks.*.attn.W_Q")]
        if lacking or not layers:
            yield self._none(None, None, None, f"the model has no {', '.join(lacking or ['blocks.*.attn.W_Q'])}")
            return
        embed, unembed = _tokens(weights, context)
        for at in layers:
            for circuit, head, factors in _factors(weights, at, embed, unembed):
                yield self._row(circuit, int(at.split(".")[1]), head, factors)

    def _row(self, circuit: str, layer: int, head: int, factors: Factors) -> Row:
        if not (factors.left.isfinite().all() and factors.right.isfinite().all()):
            return self._none(circuit, layer, head, "weights are not finite")
        eigenvalues = _eigenvalues(factors)
        total = float(eigenvalues.abs().sum())
        return self.Row(
            circuit=circuit,
            layer=layer,
            head=head,
            score=float(eigenvalues.real.sum()) / total if total > 0 else None,
            singular_values=_singular_values(factors).numpy(),
            eigenvalues_real=eigenvalues.real.float().numpy(),
            eigenvalues_imag=eigenvalues.imag.float().numpy(),
            reason=None,
        )

    def _none(self, circuit: str | None, layer: int | None, head: int | None, reason: str) -> Row:
        return self.Row(
            circuit=circuit,
            layer=layer,
            head=head,
            score=None,
            singular_values=None,
            eigenvalues_real=None,
            eigenvalues_imag=None,
            reason=reason,
        )


class Factors(NamedTuple):
    """A circuit as a product `left @ right` [token, token] of two thin matrices."""

    left: torch.Tensor  # [token, d_head], float64
    right: torch.Tensor  # [d_head, token], float64


def _tokens(weights: Weights, context: Context) -> tuple[torch.Tensor, torch.Tensor]:
    """Embedding [token, d_model] and unembedding [d_model, token] of the tokens that have both; of a family with residues, of the residues."""
    embed, unembed = weights["embed.W_E"], weights["unembed.W_U"]
    n = min(len(embed), unembed.shape[1], getattr(context.family, "p", len(embed)))
    return embed[:n].double(), unembed[:, :n].double()


def _factors(weights: Weights, at: str, embed: torch.Tensor, unembed: torch.Tensor) -> Iterator[tuple[str, int, Factors]]:
    """(circuit, head, factors) of one layer. Fewer key and value heads than queries are shared in order, as in grouped-query attention."""
    query, key, value, outward = (weights[f"{at}.W_{letter}"].double() for letter in "QKVO")
    group = len(query) // len(key)
    for head in range(len(query)):
        yield OV, head, Factors(embed @ value[head // group], outward[head] @ unembed)
        yield QK, head, Factors(embed @ query[head], (embed @ key[head // group]).T)


def _eigenvalues(factors: Factors) -> torch.Tensor:
    """The eigenvalues of left @ right that can differ from 0, largest first: complex128 [min(token, d_head)]."""
    left, right = factors
    found = torch.linalg.eigvals(right @ left if len(right) <= len(left) else left @ right)
    return found[found.abs().argsort(descending=True, stable=True)]


def _singular_values(factors: Factors) -> torch.Tensor:
    """The singular values of left @ right that can differ from 0, largest first: float64 [min(token, d_head)]."""
    left, right = torch.linalg.qr(factors.left, mode="r").R, torch.linalg.qr(factors.right.T, mode="r").R
    return torch.linalg.svdvals(left @ right.T)
