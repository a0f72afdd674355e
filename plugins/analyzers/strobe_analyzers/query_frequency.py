from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

import strobe
from strobe import Analyzer, Context, StrobeError, Weights, array, dim, hookimpl, maths, metric


class QueryFrequency(Analyzer):
    """Which frequency each head looks for, read off its weights: the attention score of every residue as seen from "=", and its spectrum.

    score_j[a] = (W_E["="] + W_pos[last]) W_Q W_K^T (W_E[a] + W_pos[j])^T / sqrt(d_head): what softmax turns into attention, for residue a at key
    position j. The model only ever asks from "=" (number tokens as queries mean nothing), so this vector is all of the head's QK circuit in use.
    A position adds the same to every residue: spectra and shapes of the keys of one head agree, and `mean` alone tells the positions apart.
    Power per frequency is that of its cosine and sine row; shares are over all frequencies but DC. 1: the head looks for one frequency alone.
    The first layer, where keys are embeddings. Null where the scores do not vary or are not finite. Compare `head_frequency`, the same after softmax.
    Cost: no forward: 3 ms at p=113, 4 heads. Source: Nanda et al. 2301.05217, section 4.2 and appendix.
    """

    families = ("modular_addition",)

    class Row(strobe.Row):
        layer: int = dim("layer: the first")
        head: int = dim("attention head")
        key: int = dim("position attended to: 0 is a, 1 is b")
        frequency: int | None = dim("frequency with the largest share; null when scores do not vary")
        share: float | None = metric("its share of the variance of the scores over residues, 0..1", unit="1")
        mean: float | None = metric("mean score over the residues, less that of '=' itself: above 0, '=' attends to the position", unit="nats")
        deviation: float | None = metric("standard deviation of the scores over residues: from 1 up attention depends on the token", unit="nats")
        scores: np.ndarray | None = array("score of each residue less their mean", dims=["token"], unit="nats")
        shares: np.ndarray | None = array("share of the variance per frequency, from frequency 1 on", dims=["frequency"], unit="1")

    @hookimpl
    def analyze_weights(self, weights: Weights, context: Context) -> Iterator[Row]:
        p = context.family.p
        embed, position = weights["embed.W_E"].double(), weights["pos_embed.W_pos"].double()
        if len(embed) <= p:
            raise StrobeError(f"query_frequency: embed.W_E has {len(embed)} rows, so there is no '=' after the {p} residues that the family names")
        asking = embed[p] + position[-1]  # [d_model]
        for head, (query, key) in enumerate(zip(weights["blocks.0.attn.W_Q"].double(), weights["blocks.0.attn.W_K"].double(), strict=True)):
            direction = key @ (asking @ query) / query.shape[1] ** 0.5  # [d_model]
            scores = (embed[:p] + position[:-1, None]) @ direction - asking @ direction  # [key, p]
            yield from (self._row(head, j, row) for j, row in enumerate(scores))

    def _row(self, head: int, key: int, scores: torch.Tensor) -> Row:
        mean = float(scores.mean())
        varying = scores - mean
        powers = maths.frequency_powers(varying[:, None])
        shares = powers / powers.sum()
        known = bool(shares.isfinite().all()) and bool(powers.sum() > maths.CONSTANT * (scores**2).sum())
        k = int(shares.argmax()) if known else None
        return self.Row(
            layer=0,
            head=head,
            key=key,
            frequency=None if k is None else k + 1,
            share=None if k is None else float(shares[k]),
            mean=mean,
            deviation=float(varying.std(correction=0)),
            scores=varying.float().numpy() if known else None,
            shares=shares.float().numpy() if known else None,
        )
