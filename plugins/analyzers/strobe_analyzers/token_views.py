"""Every weight matrix expressed over the p residues: as the tokens it reads, or the classes it writes to.

Shared by the analyzers that look at weights through Fourier rows. A matrix between two inner spaces says nothing about residues by itself; read
from the token embedding, or written to the unembedding, it does.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch

from strobe import StrobeError, Weights

NOT_TOKEN_INDEXED = ("pos_embed.W_pos",)
"""Matrices without a view: W_pos is indexed by position, and no product with it is indexed by tokens."""


class View(NamedTuple):
    """A weight matrix over the p residues: rows are tokens or classes."""

    name: str
    head: int | None
    table: torch.Tensor  # [p, d], float64
    of: str  # the parameter it expresses


def token_views(weights: Weights, p: int) -> Iterator[View]:
    """The views of all weight matrices: at least one of each, `W_pos` excepted; biases have none.

    As stored, "=" dropped: `W_E`, `W_U`^T. Reading from tokens: `W_E.W_in`, per head `W_E.W_Q`, `W_E.W_K`, `W_E.W_V`, and `W_E.W_V.W_O` through the
    whole head. Writing to classes: `W_L` = (W_out W_U)^T, per head `W_O.W_U` = (W_O W_U)^T. With several layers a view bears its own: `blocks.1.W_L`.
    Raises `StrobeError` when embedding or unembedding cover fewer than p tokens. Cost at p=113: 3 ms of products in float64.
    """
    embed = _residues("embed.W_E", weights["embed.W_E"], p)  # [p, d_model]
    unembed = _residues("unembed.W_U", weights["unembed.W_U"].T, p)  # [p, d_model]
    yield View("W_E", None, embed, "embed.W_E")
    yield View("W_U", None, unembed, "unembed.W_U")
    for block, prefix in _blocks(weights, ".mlp.W_in"):
        yield View(f"{prefix}W_E.W_in", None, embed @ weights[f"{block}.mlp.W_in"].double(), f"{block}.mlp.W_in")
        yield View(f"{prefix}W_L", None, unembed @ weights[f"{block}.mlp.W_out"].double().T, f"{block}.mlp.W_out")
    for block, prefix in _blocks(weights, ".attn.W_V"):
        yield from _heads(weights, embed, unembed, f"{block}.attn", prefix)


def _heads(weights: Weights, embed: torch.Tensor, unembed: torch.Tensor, at: str, prefix: str) -> Iterator[View]:
    """Per head: what it reads as query, key and value, what it writes, and from token to stream."""
    outward = weights[f"{at}.W_O"].double()  # [head, d_head, d_model]
    for letter in (letter for letter in "QKV" if f"{at}.W_{letter}" in weights):
        read = embed @ weights[f"{at}.W_{letter}"].double()  # [head, p, d_head]
        yield from (View(f"{prefix}W_E.W_{letter}", head, table, f"{at}.W_{letter}") for head, table in enumerate(read))
        if letter == "V":
            yield from (View(f"{prefix}W_E.W_V.W_O", head, table, f"{at}.W_O") for head, table in enumerate(read @ outward))
    yield from (View(f"{prefix}W_O.W_U", head, unembed @ matrix.T, f"{at}.W_O") for head, matrix in enumerate(outward))


def _blocks(weights: Weights, ending: str) -> list[tuple[str, str]]:
    """(block, prefix of its views) for the blocks that have a parameter of this ending."""
    blocks = [name.removesuffix(ending) for name in weights.named(f"blocks.*{ending}")]
    return [(block, f"{block}." if len(blocks) > 1 else "") for block in blocks]


def _residues(name: str, table: torch.Tensor, p: int) -> torch.Tensor:
    """The rows of the p residues, in float64: further ones are special tokens such as "="."""
    if len(table) < p:
        raise StrobeError(f"{name} covers {len(table)} tokens, but the family says p={p}: give the p that the run was trained with")
    return table[:p].double()
