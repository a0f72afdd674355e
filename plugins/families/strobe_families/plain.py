"""The plain forward: every site at every position, from weights under canonical names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from .activation import activation

if TYPE_CHECKING:
    import torch

    from strobe import Tap

    from .modular_addition import ModularAddition

Weights = Mapping[str, "torch.Tensor"]


def forward(family: ModularAddition, weights: Weights, inputs: torch.Tensor, tap: Tap) -> torch.Tensor:
    """Logits [batch, pos, p], calling `tap` at each site. Cost at p=113, one layer: about six times the structured path (benchmarks/training.py)."""
    positions = weights["pos_embed.W_pos"][: inputs.shape[1]]  # [pos, d_model]
    embed = tap("embed", weights["embed.W_E"][inputs])  # [batch, pos, d_model]
    stream = embed + tap("pos_embed", positions.expand_as(embed))
    for layer in range(family.n_layers):
        stream = block(family, weights, layer, stream, tap)
    return tap("logits", stream @ weights["unembed.W_U"][:, : family.p])


def block(family: ModularAddition, weights: Weights, layer: int, stream: torch.Tensor, tap: Tap) -> torch.Tensor:
    """The residual stream after one block, [batch, pos, d_model]."""
    at = f"blocks.{layer}"
    stream = tap(f"{at}.resid_pre", stream)
    stream = tap(f"{at}.resid_mid", stream + attention(weights, f"{at}.attn", stream, tap))
    pre = tap(f"{at}.mlp.pre", stream @ weights[f"{at}.mlp.W_in"] + weights[f"{at}.mlp.b_in"])  # [batch, pos, d_mlp]
    post = tap(f"{at}.mlp.post", activation(family.activation)(pre))
    out = tap(f"{at}.mlp.out", post @ weights[f"{at}.mlp.W_out"] + weights[f"{at}.mlp.b_out"])
    return tap(f"{at}.resid_post", stream + out)


def attention(weights: Weights, at: str, stream: torch.Tensor, tap: Tap) -> torch.Tensor:
    """What the heads of a layer write to the stream, [batch, pos, d_model]."""
    import torch

    q, k, v = (
        tap(f"{at}.{name}", torch.einsum("bpd,hde->bphe", stream, weights[f"{at}.W_{name.upper()}"])) for name in "qkv"
    )  # [batch, pos, head, d_head]
    future = torch.ones(stream.shape[1], stream.shape[1], dtype=torch.bool, device=stream.device).triu(1)
    scores = torch.einsum("bqhe,bkhe->bhqk", q, k) / q.shape[-1] ** 0.5
    scores = tap(f"{at}.scores", scores.masked_fill(future, -torch.inf))  # [batch, head, query, key]
    pattern = tap(f"{at}.pattern", scores.softmax(-1))
    z = tap(f"{at}.z", torch.einsum("bhqk,bkhe->bqhe", pattern, v))
    return tap(f"{at}.out", torch.einsum("bqhe,hed->bqd", z, weights[f"{at}.W_O"]))
