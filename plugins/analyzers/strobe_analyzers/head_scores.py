from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch

import strobe
from strobe import Analyzer, Attention, Positions, Probe, dim, hookimpl, metric

Mask = Callable[[torch.Tensor], torch.Tensor]


def previous_token(inputs: torch.Tensor) -> torch.Tensor:
    """The key before the query: bool [batch, query, key]."""
    length = inputs.shape[1]
    return torch.ones(length, length, dtype=torch.bool).tril(-1).triu(-1).expand(len(inputs), -1, -1)


def duplicate_token(inputs: torch.Tensor) -> torch.Tensor:
    """Earlier keys that hold the query's token: bool [batch, query, key]."""
    return (inputs[:, :, None] == inputs[:, None, :]).tril(-1)


def induction(inputs: torch.Tensor) -> torch.Tensor:
    """Earlier keys that follow an earlier occurrence of the query's token: bool [batch, query, key]."""
    after = torch.zeros_like(duplicate_token(inputs))
    after[:, :, 1:] = duplicate_token(inputs)[:, :, :-1]  # shifted right by one key
    return after.tril(-1)


SCORES: dict[str, tuple[Mask, str]] = {
    "previous_token": (previous_token, "the probe's inputs have one token"),
    "duplicate_token": (duplicate_token, "no token of the probe occurs twice in an input"),
    "induction": (induction, "no input of the probe repeats a token after which another one came"),
}


class HeadScores(Analyzer):
    """How far each head follows a known pattern: to the previous token, to an earlier copy of its token, or to what came after that (induction).

    `attention` is the mean weight on the keys of the pattern, over all (input, query) that have such keys: k = q - 1; k < q with token_k = token_q;
    k < q with token_(k-1) = token_q. `baseline` is what uniform attention over the keys allowed to the query would give there, and `score` their
    difference: 0, as good as uniform; 1 - baseline at best; below 0, the pattern is avoided. On BOS + r + r with no token twice in r, induction is
    the prefix-matching score, the mean of A[q, q - T + 1] over the second copy.
    Where no query has such keys the score is null with the `reason`: in modular addition induction does not apply, and a duplicate is b = a.
    Cost: one pass over the patterns and masks of their size: 6 ms at p=113, 4 heads. Any model with attention.
    Source: Olsson et al. 2022 (2209.11895), head activation evaluators; Elhage et al. 2021.
    """

    sites = {"blocks.*.attn.pattern": Positions()}

    class Row(strobe.Row):
        layer: int = dim("layer")
        head: int = dim("attention head")
        pattern: str = dim("previous_token, duplicate_token or induction")
        score: float | None = metric("attention less baseline: 0 as good as uniform, up to 1 - baseline", unit="1")
        attention: float | None = metric("mean weight on the keys of the pattern, 0..1", unit="1")
        baseline: float | None = metric("what uniform attention over the allowed keys gives, 0..1", unit="1")
        reason: str | None = dim("why the pattern does not apply; null when it does")

    @hookimpl
    def analyze_attention(self, attention: Attention, probe: Probe) -> Iterator[Row]:
        masks = {name: mask(probe.inputs) for name, (mask, _) in SCORES.items()}
        for layer, pattern in attention.items():
            causal = not bool(pattern.triu(1).any())
            for name, mask in masks.items():
                for head, (weight, baseline) in enumerate(_weights(pattern, mask, causal=causal)):
                    yield self._row(layer, head, name, weight, baseline)

    def _row(self, layer: int, head: int, name: str, weight: float | None, baseline: float | None) -> Row:
        if weight is None or baseline is None:
            reason = SCORES[name][1]
            return self.Row(layer=layer, head=head, pattern=name, score=None, attention=None, baseline=None, reason=reason)
        if not math.isfinite(weight):
            return self.Row(layer=layer, head=head, pattern=name, score=None, attention=None, baseline=baseline, reason="attention is not finite")
        return self.Row(layer=layer, head=head, pattern=name, score=weight - baseline, attention=weight, baseline=baseline, reason=None)


def _weights(pattern: torch.Tensor, mask: torch.Tensor, *, causal: bool) -> Iterator[tuple[float | None, float | None]]:
    """(mean weight on the masked keys, the same for uniform attention) per head of a pattern [batch, head, query, key]; None without such keys."""
    count = mask.sum(2)  # [batch, query]
    n, n_keys = int((count > 0).sum()), mask.shape[2]
    allowed = torch.arange(1, n_keys + 1) if causal else torch.full((n_keys,), n_keys)
    baseline = float((count.double() / allowed).sum()) / n if n else None
    for head in range(pattern.shape[1]):
        yield float((pattern[:, head].double() * mask).sum()) / n if n else None, baseline
