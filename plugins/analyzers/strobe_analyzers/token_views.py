"""Every weight matrix expressed over the p residues: as the tokens it reads, or the classes it writes to.

Shared by the analyzers that look at weights through Fourier rows. A matrix between two inner spaces says nothing about residues by itself; read
from the token embedding, or written to the unembedding, it does.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch

from strobe import StrobeError, Weights


class View(NamedTuple):
    """A weight matrix over the p residues: rows are tokens or classes."""

    name: str
    head: int | None
    table: torch.Tensor  # [p, d], float64
    of: str  # the parameter it expresses


def token_views(weights: Weights, p: int) -> Iterator[View]:
    """The views of all weight matrices: at least one of each, `W_pos` excepted; biases have none.

    As stored, "=" dropped: `W_E`, `W_U`^T (which is `W_L` too where neurons write straight to the classes). Reading from tokens: `W_E.W_in`,
    per head `W_E.W_Q`, `W_E.W_K`, `W_E.W_V`, and `W_E.W_V.W_O` through the whole head. Writing to classes: `W_L` = (W_out W_U)^T, per head
    `W_O.W_U` = (W_O W_U)^T. With several layers a view bears its own: `blocks.1.W_L`.
    Neurons with inputs of their own for a and b have two views: `W_E.W_in.a` and `W_E.W_in.b`, or `W_in.a` and `W_in.b` when these are one-hot.
    Raises `StrobeError` when embedding or unembedding cover fewer than p tokens. Cost at p=113: 3 ms of products in float64.
    """
    one_hot = "embed.W_E" not in weights and any(len(weights[name]) == 2 * p for name in weights.named("blocks.0.mlp.W_in"))
    embed = torch.eye(p, dtype=torch.float64) if one_hot else _residues("embed.W_E", weights["embed.W_E"], p)  # [p, d_model]
    unembed = _residues("unembed.W_U", weights["unembed.W_U"].T, p)  # [p, d_model]
    if not one_hot:
        yield View("W_E", None, embed, "embed.W_E")
    yield View("W_U", None, unembed, "unembed.W_U")
    for block, prefix in _blocks(weights, ".mlp.W_in"):
        yield from _read(f"{block}.mlp.W_in", weights, embed, f"{prefix}W_in" if one_hot else f"{prefix}W_E.W_in")
        yield View(f"{prefix}W_L", None, *_written(weights, unembed, f"{block}.mlp.W_out"))
    for block, prefix in _blocks(weights, ".attn.W_V"):
        yield from _heads(weights, embed, unembed, f"{block}.attn", prefix)


def class_table(weights: Weights, p: int) -> torch.Tensor:
    """`W_L` of the last layer: what each neuron writes to the p classes, float64 [p, d_mlp]."""
    blocks = _blocks(weights, ".mlp.W_out") or _blocks(weights, ".mlp.W_in")
    if not blocks:
        raise StrobeError("this model has no MLP")
    return _written(weights, _residues("unembed.W_U", weights["unembed.W_U"].T, p), f"{blocks[-1][0]}.mlp.W_out")[0]


def _read(name: str, weights: Weights, embed: torch.Tensor, view: str) -> Iterator[View]:
    """What neurons read from the residues: one view, or one each for a and b when W_in has a half for each."""
    inward = weights[name].double()
    if len(inward) == 2 * embed.shape[1]:
        yield from (View(f"{view}.{letter}", None, embed @ half, name) for letter, half in zip("ab", inward.chunk(2), strict=True))
    else:
        yield View(view, None, embed @ inward, name)


def _written(weights: Weights, unembed: torch.Tensor, name: str) -> tuple[torch.Tensor, str]:
    """What neurons write to the classes, and the parameter that says so: W_out, or W_U itself in a model without W_out."""
    return (unembed @ weights[name].double().T, name) if name in weights else (unembed, "unembed.W_U")


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
