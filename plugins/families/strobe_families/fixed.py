"""The structured forward for training on a GPU: the inputs are fixed, and what depends on them alone is made once. Few kernels, nothing read back.

The same function as `structured.forward`, rearranged. With d_x = v_x - v_= (values) and s_x = score_x - score_=, a head gathers
v_= + w_a d_a + w_b d_b, where (w_a, w_b, w_=) = softmax(s_a, s_b, 0): what '=' adds is one vector, not one term per input.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from .activation import activation

if TYPE_CHECKING:
    import torch

    from .modular_addition import ModularAddition

Weights = Mapping[str, "torch.Tensor"]


def forward(family: ModularAddition, inputs: torch.Tensor) -> Callable[[Weights], torch.Tensor]:
    """Weights -> logits [batch, p] of fixed int64 tokens [batch, 3], each (a, b, '=')."""
    import torch

    p, heads, at = family.p, family.n_heads, "blocks.0"
    attention, affine = mix(inputs, p, heads), affine_over(inputs)

    def logits(weights: Weights) -> torch.Tensor:
        rows, of_equals, equals = attended(family, weights)
        W_O = weights[f"{at}.attn.W_O"].flatten(0, 1)  # [head * d_head, d_model]
        stream = affine(attention(rows), W_O, torch.addmm(equals, of_equals, W_O)[0])  # [batch, d_model]
        pre = affine(stream, weights[f"{at}.mlp.W_in"], weights[f"{at}.mlp.b_in"])  # [batch, d_mlp]
        out = affine(activation(family.activation, inplace=True)(pre), weights[f"{at}.mlp.W_out"], weights[f"{at}.mlp.b_out"])
        return (stream + out) @ weights["unembed.W_U"][:, :p]

    return logits


def attended(family: ModularAddition, weights: Weights) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """What a head can gather from each residue at either place, [2, p, head * d_head + head] (values, then one score per head; both relative to
    those of '='); the values of '=', [1, head * d_head]; and '=' in the stream, [1, d_model]."""
    import torch

    at, p = "blocks.0.attn", family.p
    residues, equals = weights["embed.W_E"].split([p, 1])
    places, third = weights["pos_embed.W_pos"].split([2, 1])
    equals = equals + third
    query = (equals @ weights[f"{at}.W_Q"]).transpose(1, 2) / family.d_head**0.5  # [head, d_head, 1]
    to_score = (weights[f"{at}.W_K"] @ query)[..., 0]  # [head, d_model]
    to_value = weights[f"{at}.W_V"].transpose(0, 1).flatten(1)  # [d_model, head * d_head]
    table = torch.cat([(places[:, None] + residues).flatten(0, 1), equals])  # [2p + 1, d_model]
    rows, last = (table @ torch.cat([to_value, to_score.t()], 1)).split([2 * p, 1])
    return (rows - last).view(2, p, -1), last[:, : family.d_model], equals


def mix(inputs: torch.Tensor, p: int, heads: int) -> Callable[[torch.Tensor], torch.Tensor]:
    """Rows of `attended` -> what the heads gather from a and b, relative to '=': [batch, head * d_head].

    The gradient of a row is a sum over the inputs that have its residue, taken as a product with a one-hot matrix: in a fixed order, and without
    sorting the inputs at every step.
    """
    import torch

    tokens = inputs[:, :2].t()  # [2, batch]
    flat = (tokens + p * torch.arange(2, device=inputs.device)[:, None]).flatten()
    one_hot = torch.nn.functional.one_hot(tokens, p).transpose(1, 2)  # [2, p, batch]
    by_type = {torch.float32: one_hot.float()}
    nothing = torch.zeros(1, len(inputs), heads, device=inputs.device)

    class Mix(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, rows: torch.Tensor) -> torch.Tensor:
            taken = rows.flatten(0, 1).index_select(0, flat).view(2, len(inputs), -1)
            values, scores = taken[..., :-heads].unflatten(-1, (heads, -1)), taken[..., -heads:]
            weight = torch.cat([scores, nothing.to(scores)]).softmax(0)[:2, ..., None]  # [2, batch, head, 1]
            ctx.save_for_backward(values, weight)
            return torch.addcmul(weight[0] * values[0], weight[1], values[1]).flatten(1)

        @staticmethod
        def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
            values, weight = ctx.saved_tensors  # [2, batch, head, d_head], [2, batch, head, 1]
            gradient = gradient.unflatten(-1, (heads, -1))
            along = (values * gradient).sum(-1, keepdim=True) * weight  # of the weights, times the weights
            of_scores = (along - weight * along.sum(0)).flatten(2)
            of_taken = torch.cat([(weight * gradient).flatten(2), of_scores], -1)
            place = by_type.setdefault(gradient.dtype, one_hot.to(gradient.dtype))
            return torch.stack([place[0] @ of_taken[0], place[1] @ of_taken[1]])

    return Mix.apply


def affine_over(inputs: torch.Tensor) -> Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]:
    """(x, matrix, bias) -> x @ matrix + bias. The bias's gradient is a product with ones, faster than a sum over a long first axis."""
    import torch

    ones = torch.ones(len(inputs), device=inputs.device)

    class Affine(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: torch.Tensor, matrix: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
            ctx.save_for_backward(x, matrix)
            return torch.addmm(bias, x, matrix)

        @staticmethod
        def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, ...]:
            x, matrix = ctx.saved_tensors
            return gradient @ matrix.t(), x.t() @ gradient, ones.to(gradient.dtype) @ gradient

    return Affine.apply
