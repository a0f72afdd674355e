"""The model of `modular_mlp` as a plain `torch.nn.Module`, for use outside Strobe: one-hot vectors and every site in a cache."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from .activation import activation

Cache = dict[str, torch.Tensor]


class Perceptron(nn.Module):
    """act(x W_in + b_in) W_U, x made of a and b as `inputs` says; the state dict has the canonical parameter names."""

    def __init__(self, shapes: Mapping[str, tuple[int, ...]], inputs: str, name: str) -> None:
        super().__init__()
        zeros = {parameter: nn.Parameter(torch.zeros(shape)) for parameter, shape in shapes.items()}
        if "embed.W_E" in zeros:
            self.embed = nn.ParameterDict({"W_E": zeros["embed.W_E"]})
        layer = nn.Module()
        layer.mlp = nn.ParameterDict({parameter.rsplit(".", 1)[-1]: tensor for parameter, tensor in zeros.items() if ".mlp." in parameter})
        self.blocks = nn.ModuleList([layer])
        self.unembed = nn.ParameterDict({"W_U": zeros["unembed.W_U"]})
        self.inputs, self.activation = inputs, activation(name)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Logits [batch, p] of residues [batch, 2]."""
        return self.run_with_cache(inputs)[0]

    def run_with_cache(self, inputs: torch.Tensor) -> tuple[torch.Tensor, Cache]:
        """Logits [batch, p], and site -> tensor [batch, pos, d]."""
        cache: Cache = {}
        if self.inputs == "one_hot":
            x = nn.functional.one_hot(inputs, self.unembed["W_U"].shape[1]).float().flatten(1)  # [batch, 2p]
        else:
            cache["embed"] = self.embed["W_E"][inputs]  # [batch, 2, d_model]
            x = cache["embed"].sum(1) if self.inputs == "summed" else cache["embed"].flatten(1)
        mlp = self.blocks[0].mlp
        pre = x @ mlp["W_in"]
        pre = pre + mlp["b_in"] if "b_in" in mlp else pre
        post = self.activation(pre)
        logits = post @ self.unembed["W_U"]
        return logits, cache | {"blocks.0.mlp.pre": pre[:, None], "blocks.0.mlp.post": post[:, None], "logits": logits[:, None]}
