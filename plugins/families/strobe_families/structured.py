"""The structured forward: the exact last-position logits of one layer over inputs (a, b, '='), without repeating what inputs share.

'=' is the same token at the same position in every input, so there is one query vector; and a key or value depends only on (token, position), so
there are 2p + 1 of them instead of 3 per input. What is left per input is a softmax over three scores, a weighted sum, and the MLP at '='.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from strobe import Last

from .activation import activation

if TYPE_CHECKING:
    import torch

    from strobe import Tap

    from .modular_addition import ModularAddition

Weights = Mapping[str, "torch.Tensor"]


def applies(inputs: torch.Tensor, p: int) -> bool:
    """Whether every input is (a, b, '=') with residues a and b."""
    return bool((inputs[:, 2] == p).all() and (inputs[:, :2] < p).all())


def enough(tap: Tap) -> bool:
    """Whether this path gives all that is wanted: the last position of every site, and of the attention pattern every query."""
    return tap.last_only or all(
        where == Last() for site, positions in tap.wanted.items() if not site.endswith(".attn.pattern") for where in positions
    )


def forward(family: ModularAddition, weights: Weights, inputs: torch.Tensor, tap: Tap) -> torch.Tensor:
    """Logits [batch, p], calling `tap.last` at each site that is wanted. Sums are never fused with a site's tensor, so that what one asks for
    does not move another's last bit."""
    batch, at = len(inputs), "blocks.0"
    table = rows(family, weights, tap, batch)  # [2p + 1, d_model]
    stream = last(tap, f"{at}.resid_pre", table[-1], batch)  # one vector for all: [d_model]
    z = attend(family, weights, table, inputs, tap)  # [batch, head * d_head]
    out = tap.last(f"{at}.attn.out", z @ weights[f"{at}.attn.W_O"].flatten(0, 1))
    stream = tap.last(f"{at}.resid_mid", stream + out)  # [batch, d_model]
    pre = tap.last(f"{at}.mlp.pre", weights[f"{at}.mlp.b_in"].addmm(stream, weights[f"{at}.mlp.W_in"]))  # [batch, d_mlp]
    post = tap.last(f"{at}.mlp.post", activation(family.activation, inplace=True)(pre))  # the tap copied pre: 12 % of an epoch
    out = tap.last(f"{at}.mlp.out", weights[f"{at}.mlp.b_out"].addmm(post, weights[f"{at}.mlp.W_out"]))
    stream = tap.last(f"{at}.resid_post", stream + out)
    return tap.last("logits", stream @ weights["unembed.W_U"][:, : family.p])


def rows(family: ModularAddition, weights: Weights, tap: Tap, batch: int) -> torch.Tensor:
    """Everything that enters the first block, [2p + 1, d_model]: each residue at position 0, each at position 1, then '=' at position 2."""
    import torch

    W_E, W_pos, p = weights["embed.W_E"], weights["pos_embed.W_pos"], family.p
    equals = last(tap, "embed", W_E[p], batch) + last(tap, "pos_embed", W_pos[2], batch)
    return torch.cat([W_E[:p] + W_pos[0], W_E[:p] + W_pos[1], equals[None]])


def attend(family: ModularAddition, weights: Weights, table: torch.Tensor, inputs: torch.Tensor, tap: Tap) -> torch.Tensor:
    """What each head gathers at '=', [batch, head * d_head]: values weighted by the softmax of the scores of a, b and '='."""
    import torch
    from torch.nn import functional as F

    at, batch, width = "blocks.0.attn", len(inputs), (family.n_heads, family.d_head)
    keys, values = (torch.einsum("td,hde->the", table, weights[f"{at}.W_{name}"]) for name in "KV")  # [2p + 1, head, d_head]
    query = last(tap, f"{at}.q", torch.einsum("d,hde->he", table[-1], weights[f"{at}.W_Q"]), batch)  # [head, d_head]
    last(tap, f"{at}.k", keys[-1], batch)
    last(tap, f"{at}.v", values[-1], batch)
    a, b = inputs[:, 0], inputs[:, 1] + family.p  # their rows of the table
    score = (keys * query).sum(-1) / family.d_head**0.5  # [2p + 1, head]
    scores = torch.stack([F.embedding(a, score), F.embedding(b, score), score[-1].expand(batch, -1)])  # [key, batch, head]
    query_axis(tap, f"{at}.scores", scores)
    pattern = scores.softmax(0)
    if tap.last_only:
        query_axis(tap, f"{at}.pattern", pattern)
    elif tap.wants(f"{at}.pattern"):
        tap(f"{at}.pattern", every_query(pattern, keys, torch.einsum("td,hde->the", table[family.p : -1], weights[f"{at}.W_Q"]), inputs))
    at_a, at_b = (F.embedding(index, values.flatten(1)).view(batch, *width) for index in (a, b))  # gradients are summed in input order: deterministic
    weight = pattern.unsqueeze(-1)  # [key, batch, head, 1]
    return tap.last(f"{at}.z", weight[0] * at_a + weight[1] * at_b + weight[2] * values[-1]).flatten(1)


def every_query(last_row: torch.Tensor, keys: torch.Tensor, queries: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
    """The whole pattern [batch, head, query, key] from that of '=' [key, batch, head]: a sees itself, and b (its `queries` [p, head, d_head]) a and
    itself, which takes p x p scores however many inputs there are."""
    import torch

    p, batch, heads = len(queries), *last_row.shape[1:]
    a, b = inputs[:, 0], inputs[:, 1]
    to_a = torch.einsum("bhe,ahe->abh", queries, keys[:p])[a, b]  # [batch, head]
    to_b = (queries * keys[p:-1]).sum(-1)[b]
    whole = last_row.new_zeros(batch, heads, 3, 3)
    whole[:, :, 0, 0] = 1
    whole[:, :, 1, :2] = (torch.stack([to_a, to_b], -1) / queries.shape[-1] ** 0.5).softmax(-1)
    whole[:, :, 2] = last_row.permute(1, 2, 0)
    return whole


def last(tap: Tap, site: str, shared: torch.Tensor, batch: int) -> torch.Tensor:
    """Tap a tensor that is the same for every input as [batch, ...]; it is passed on once."""
    if tap.wants(site):
        tap.last(site, shared.expand(batch, *shared.shape))
    return shared


def query_axis(tap: Tap, site: str, x: torch.Tensor) -> None:
    """Tap [key, batch, head] as [batch, head, 1, key]."""
    if tap.wants(site):
        tap.last(site, x.permute(1, 2, 0).unsqueeze(2))
