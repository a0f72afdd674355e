"""Checkpoints that other code wrote, under canonical names and in `x @ W` orientation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from strobe import StrobeError

if TYPE_CHECKING:
    import torch

    from .modular_addition import ModularAddition

BUFFERS = ("attn.mask", "attn.IGNORE")
"""Constants that TransformerLens and the progress-measures code keep in their state dicts."""
ABSENT = ("attn.b_Q", "attn.b_K", "attn.b_V", "attn.b_O", "unembed.b_U")
"""Biases that TransformerLens always has and this family has not: they must be zero (frozen), as in its grokking demo."""


def load(family: ModularAddition, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Canonical tensors. TransformerLens already uses the names and the orientation; the progress-measures code keeps most weights transposed.

    Names that neither uses pass unchanged. Raises `StrobeError` for a bias that this family does not have and that is not zero.
    """
    kept = {name: tensor for name, tensor in tensors.items() if not name.endswith(BUFFERS)}
    for name in [name for name in kept if name.endswith(ABSENT)]:
        refuse_nonzero(name, kept.pop(name))
    if is_transposed(family, kept):
        kept = {name: turn(family, name, tensor) for name, tensor in kept.items()}
    return kept


def refuse_nonzero(name: str, bias: torch.Tensor) -> None:
    if bias.any():
        raise StrobeError(
            f"{name}: the checkpoint has a trained bias (largest value {bias.abs().max().item():.3g}), and modular_addition has none there; "
            "import checkpoints whose attention and unembedding biases are frozen at zero"
        )


def is_transposed(family: ModularAddition, tensors: Mapping[str, torch.Tensor]) -> bool:
    """The progress-measures layout, told by an embedding of shape (d_model, vocab)."""
    embedding, (vocab, d_model) = tensors.get("embed.W_E"), family.parameters()["embed.W_E"]
    return embedding is not None and vocab != d_model and tuple(embedding.shape) == (d_model, vocab)


def turn(family: ModularAddition, name: str, tensor: torch.Tensor) -> torch.Tensor:
    """One tensor of the progress-measures layout (its transformers.py): W_E (d, vocab), W_Q|W_K|W_V (head, d_head, d), W_O (d, head * d_head),
    W_in (d_mlp, d), W_out (d, d_mlp); W_pos and W_U are as here."""
    last = name.rsplit(".", 1)[-1]
    if last == "W_O":
        return tensor.T.reshape(family.n_heads, family.d_head, family.d_model)
    return tensor.mT.contiguous() if last in ("W_E", "W_Q", "W_K", "W_V", "W_in", "W_out") else tensor
