from __future__ import annotations

import torch
from pydantic import Field

from strobe import Family, Probe, Training


class SparseParity(Family):
    """One hidden ReLU layer learning the parity of the first `k` of `n` bits; the others are noise. It memorises first and generalises later."""

    n: int = Field(12, ge=1, le=20, description="bits of an input")
    k: int = Field(3, ge=1, description="bits that matter")
    d_mlp: int = Field(64, ge=1, description="neurons")
    n_train: int = Field(250, ge=1, description="inputs that are trained on, of 2^n")
    seed: int = Field(0, ge=0, description="of the initial weights and the split")

    def parameters(self):
        return {"blocks.0.mlp.W_in": (self.n, self.d_mlp), "blocks.0.mlp.b_in": (self.d_mlp,), "unembed.W_U": (self.d_mlp, 2)}

    def sites(self):
        neurons = ("batch", "pos", self.d_mlp)
        return {"blocks.0.mlp.pre": neurons, "blocks.0.mlp.post": neurons, "logits": ("batch", "pos", 2)}

    def initial(self):
        generator = torch.Generator().manual_seed(self.seed)
        return {name: torch.randn(shape, generator=generator) / shape[0] ** 0.5 for name, shape in self.parameters().items()}

    def forward(self, weights, inputs, tap):
        pre = inputs.float() @ weights["blocks.0.mlp.W_in"] + weights["blocks.0.mlp.b_in"]
        tap("blocks.0.mlp.pre", pre[:, None])  # at every position, [batch, pos, d]: here there is one
        post = pre.relu()
        tap("blocks.0.mlp.post", post[:, None])
        logits = post @ weights["unembed.W_U"]
        tap("logits", logits[:, None])
        return logits

    def split(self):
        order = torch.randperm(2**self.n, generator=torch.Generator().manual_seed(self.seed))
        return {"train": order[: self.n_train], "test": order[self.n_train :]}

    def probes(self, split):
        return {"all_inputs": lambda: self.every_input(split)}

    def every_input(self, split):
        """All 2^n inputs as -1 and 1, in the order of the numbers that `split` holds."""
        bits = torch.arange(2**self.n)[:, None] >> torch.arange(self.n) & 1
        splits = {name: torch.zeros(2**self.n, dtype=torch.bool).index_fill_(0, indices, True) for name, indices in split.items()}
        return Probe("all_inputs", 2 * bits - 1, bits[:, : self.k].sum(1) % 2, splits)

    def training(self):
        return Training(epochs=1000, lr=1e-2, schedule="every:100")
