"""Who writes the answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from pydantic import Field

import strobe
from strobe import Activations, Analyzer, Context, Last, Outputs, StrobeError, Weights, array, dim, hookimpl, metric


class Component(NamedTuple):
    """A part of the model that writes to the residual stream: its features [batch, n] and what one unit of each adds to each logit [n, classes]."""

    kind: str
    layer: int
    head: int | None
    features: torch.Tensor
    writes: torch.Tensor
    bias: torch.Tensor | None = None


class DirectLogitAttribution(Analyzer):
    """What each component adds directly to the target's logit, less what it adds to the mean class: averaged over the inputs of each split.

    The final residual stream is the sum of `embed` (the stream that enters the first block), every head and every MLP (its bias included), so the
    contributions of a split add up to mean(logit of the target - mean logit), which is `total`. For an MLP also its `top` neurons, by
    h_i (W_out W_U)[i, target] less that of the mean class, in order of their mean contribution to the split.
    Direct only: what a head does through the MLP is the MLP's. Applies to models with these sites and weights and without a final norm.
    Cost at p=113: 20 ms, from sums of the features over the inputs of each target. Source: Elhage et al. 2021, "A mathematical framework".
    """

    sites = {"blocks.*.attn.z": Last(), "blocks.*.mlp.post": Last(), "blocks.0.resid_pre": Last()}

    top: int = Field(10, ge=0)

    class Row(strobe.Row):
        component: str = dim("embed, head or mlp")
        layer: int = dim("layer")
        head: int | None = dim("head, for heads")
        split: str = dim("split of the probe: train, test, or all")
        contribution: float = metric("mean over inputs of what it adds to the target's logit less the mean class's", unit="logits")
        total: float = metric("sum over all components: mean of the target's logit less the mean logit", unit="logits")
        neurons: np.ndarray | None = array("mlp only: the neurons that contribute most, the largest first", dims=["rank"], dtype="int32", unit="1")
        neuron_contributions: np.ndarray | None = array("mlp only: their mean contributions", dims=["rank"], unit="logits")

    @hookimpl
    def analyze_outputs(self, outputs: Outputs, activations: Activations, weights: Weights, context: Context) -> Iterator[Row]:
        _check(outputs, context)
        unembed = weights["unembed.W_U"][:, : outputs.logits.shape[1]].double()
        unembed = unembed - unembed.mean(1, keepdim=True)  # what is added to all classes alike moves no answer
        sums = _ByTarget(outputs)
        found = [(c, sums.contributions(c)) for c in _components(activations, weights, unembed)]
        for i, split in enumerate(sums.splits):
            total = sum(float(each[i].sum()) for _, each in found)
            for component, each in found:
                yield self._row(component, split, each[i], total)

    def _row(self, component: Component, split: str, each: torch.Tensor, total: float) -> Row:
        neurons = each[: component.features.shape[1]] if component.kind == "mlp" else None
        order = None if neurons is None else neurons.nan_to_num(-torch.inf).argsort(descending=True, stable=True)[: self.top]
        return self.Row(
            component=component.kind,
            layer=component.layer,
            head=component.head,
            split=split,
            contribution=float(each.sum()),
            total=total,
            neurons=None if order is None else order.int().numpy(),
            neuron_contributions=None if order is None or neurons is None else neurons[order].float().numpy(),
        )


class _ByTarget:
    """Sums over the inputs of each split and target. `splits` are those with inputs."""

    def __init__(self, outputs: Outputs) -> None:
        masks = {name: outputs.split(name) for name in dict.fromkeys([*outputs.splits, "all"])}
        self.splits = [name for name, mask in masks.items() if mask.any()]
        members = torch.stack([masks[name] for name in self.splits])  # [split, batch]
        codes, kind = sum(mask.long() << i for i, mask in enumerate(members)).unique(return_inverse=True)
        self.kinds = torch.stack([(codes >> i) & 1 for i in range(len(members))])  # [split, kind]: inputs of one kind are in the same splits
        self.classes = outputs.logits.shape[1]
        self.index = kind * self.classes + outputs.targets
        self.sizes = members.sum(1)
        self.counts = torch.bincount(self.index, minlength=self.kinds.shape[1] * self.classes).double().unflatten(0, (-1, self.classes))

    def contributions(self, component: Component) -> torch.Tensor:
        """Mean contribution of each feature (and last, of the bias) per split: float64 [split, n + 1]."""
        n = self.kinds.shape[1] * self.classes
        h = component.features
        sums = h.new_zeros(n, h.shape[1]).index_add_(0, self.index, h).double().unflatten(0, (-1, self.classes))  # [kind, target, n]
        each = torch.einsum("ktn,nt->kn", sums, component.writes)
        bias = self.counts @ component.bias if component.bias is not None else torch.zeros(len(sums), dtype=torch.float64)
        per_kind = torch.cat([each, bias[:, None]], 1)
        return self.kinds.double() @ per_kind / self.sizes[:, None]


def _components(activations: Activations, weights: Weights, unembed: torch.Tensor) -> Iterator[Component]:
    yield Component("embed", 0, None, activations["blocks.0.resid_pre"], unembed)
    for site, features in ((s, x) for s, x in activations.items() if s.endswith((".attn.z", ".mlp.post"))):
        block, layer = site.rpartition(".attn.z")[0] or site.rpartition(".mlp.post")[0], int(site.split(".")[1])
        if site.endswith("attn.z"):
            outward = weights[f"{block}.attn.W_O"].double()  # [head, d_head, d_model]
            yield from (Component("head", layer, h, features[:, h], outward[h] @ unembed) for h in range(len(outward)))
        else:
            bias = weights[f"{block}.mlp.b_out"].double() @ unembed if f"{block}.mlp.b_out" in weights else None
            yield Component("mlp", layer, None, features, weights[f"{block}.mlp.W_out"].double() @ unembed, bias)


def _check(outputs: Outputs, context: Context) -> None:
    if outputs.logits.ndim != 2:
        raise StrobeError(f"direct_logit_attribution: needs one answer per input, logits [batch, classes]; got {list(outputs.logits.shape)}")
    if context.family is not None and "final_norm" in context.family.sites():
        raise StrobeError("direct_logit_attribution: the model has a final norm, after which contributions no longer add up to the logits")
