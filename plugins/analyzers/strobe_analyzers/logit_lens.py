"""What the model would answer from half-way."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch

import strobe
from strobe import Activations, Analyzer, Context, Last, Outputs, StrobeError, Weights, dim, hookimpl, maths, metric


class Reading(NamedTuple):
    """Per input [batch], of one site's logits."""

    loss: torch.Tensor
    divergence: torch.Tensor
    agrees: torch.Tensor
    rank: torch.Tensor


class LogitLens(Analyzer):
    """Logits read off the residual stream at every site as if it were the last: resid W_U (+ b_U), at the read-out position.

    Per site and split: cross-entropy, KL(final || site) in nats, share of inputs with the same first choice as the model, mean rank of the target.
    The last site must give the model's own logits: KL 0 (to 1e-5, rounding of float32) and agreement 1. A site that is the same for every input
    (modular addition's first resid_pre at '=': it has seen neither a nor b) has constant logits; `constant` says so.
    Applies to models with residual sites, `unembed.W_U` and no final norm; where a final norm stands between, applying W_U alone would be another
    lens, so it is refused. Cost at p=113: 45 ms for three sites. Source: nostalgebraist 2020, "interpreting GPT: the logit lens".
    """

    sites = {"blocks.*.resid_*": Last()}

    class Row(strobe.Row):
        site: str = dim("residual site, in the order of the forward")
        layer: int = dim("layer of the site")
        split: str = dim("split of the probe: train, test, or all")
        loss: float = metric("mean cross-entropy of the site's logits; ln(classes) for a uniform guess", unit="nats")
        divergence: float = metric("mean KL(final || site): 0 where the answer is already final", unit="nats")
        agreement: float = metric("share of inputs whose largest logit is the model's, 0..1", unit="1")
        target_rank: float = metric("mean number of classes with a larger logit than the target, 0..classes-1", unit="1")
        constant: bool = dim("whether the site is the same for every input")

    @hookimpl
    def analyze_outputs(self, outputs: Outputs, activations: Activations, weights: Weights, context: Context) -> Iterator[Row]:
        _check(outputs, weights, context)
        final = _Final(outputs)
        unembed = weights["unembed.W_U"][:, : outputs.logits.shape[1]]
        bias = weights["unembed.b_U"][: outputs.logits.shape[1]] if "unembed.b_U" in weights else 0.0
        for site, stream in ((s, x) for s, x in activations.items() if ".resid_" in s):
            constant = torch.equal(stream[0], stream[-1]) and bool((stream == stream[:1]).all())
            logits = (stream[:1] if constant else stream) @ unembed + bias
            reading = final.compare_constant(logits) if constant else final.compare(logits)
            yield from self._rows(site, constant, reading, outputs)

    def _rows(self, site: str, constant: bool, reading: Reading, outputs: Outputs) -> Iterator[Row]:
        for split in dict.fromkeys([*outputs.splits, "all"]):
            mask = outputs.split(split)
            if mask.any():
                loss, divergence, agreement, rank = (x[mask].double().mean().item() for x in reading)
                yield self.Row(
                    site=site,
                    layer=int(site.split(".")[1]),
                    split=split,
                    loss=loss,
                    divergence=divergence,
                    agreement=agreement,
                    target_rank=rank,
                    constant=constant,
                )


class _Final:
    """The model's own answer, and how far from it others are."""

    def __init__(self, outputs: Outputs) -> None:
        self.logits, self.targets = outputs.logits, outputs.targets
        self.first = self.logits.argmax(-1)
        self.probabilities = self.logits.softmax(-1)  # [batch, classes]
        normaliser = self._normaliser(self.logits, maths.target_losses(self.logits, self.targets), self.targets)
        self.negative_entropy = self._expected(self.logits) - normaliser  # sum of p log p, [batch]

    def compare(self, logits: torch.Tensor) -> Reading:
        """Of logits [batch, classes]. KL = sum p log p - (sum p logit - log sum exp logit)."""
        loss = maths.target_losses(logits, self.targets)
        cross = self._normaliser(logits, loss, self.targets) - self._expected(logits)
        return self._reading(loss, cross, logits.argmax(-1), maths.target_ranks(logits, self.targets))

    def compare_constant(self, logits: torch.Tensor) -> Reading:
        """Of logits [1, classes] that are the same for every input."""
        classes = torch.arange(logits.shape[1])
        every = logits.expand(len(classes), -1)
        loss, rank = maths.target_losses(every, classes), maths.target_ranks(every, classes)
        cross = logits[0].double().logsumexp(0) - (self.probabilities @ logits[0]).double()
        return self._reading(loss[self.targets], cross, logits.argmax(-1), rank[self.targets])

    def _reading(self, loss: torch.Tensor, cross: torch.Tensor, first: torch.Tensor, rank: torch.Tensor) -> Reading:
        unknown = loss.isnan()
        agrees, rank = ((x.double().expand_as(loss)).masked_fill(unknown, torch.nan) for x in (first == self.first, rank))
        return Reading(loss, (self.negative_entropy + cross).clamp(min=0), agrees, rank)

    def _expected(self, logits: torch.Tensor) -> torch.Tensor:
        """Mean logit under the final probabilities, float64 [batch]."""
        return torch.bmm(self.probabilities[:, None], logits[:, :, None]).flatten().double()

    def _normaliser(self, logits: torch.Tensor, loss: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """log sum exp, float64 [batch]: the target's logit plus its loss."""
        return logits.gather(1, targets[:, None])[:, 0].double() + loss


def _check(outputs: Outputs, weights: Weights, context: Context) -> None:
    if outputs.logits.ndim != 2:
        raise StrobeError(f"logit_lens: needs one answer per input, logits [batch, classes]; got {list(outputs.logits.shape)}")
    if context.family is not None and "final_norm" in context.family.sites():
        raise StrobeError("logit_lens: this model has a final norm between the residual stream and the unembedding, which the lens does not apply")
    if "unembed.W_U" not in weights:
        raise StrobeError("logit_lens: needs the unembedding under its canonical name unembed.W_U")
