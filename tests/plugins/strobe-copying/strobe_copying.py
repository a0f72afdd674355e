from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from strobe import Family, Probe, Tap, Training

TINY = {"vocab": 5, "d_model": 8, "n_heads": 2, "d_mlp": 8}


class Copying(Family):
    """A one-block transformer, every tensor under its canonical name, that answers the first of two tokens: nothing about it is modular."""

    def parameters(self) -> dict[str, tuple[int, ...]]:
        v, d, h, m = TINY.values()
        heads = {f"blocks.0.attn.{name}": (h, d, d // h) for name in ("W_Q", "W_K", "W_V")} | {"blocks.0.attn.W_O": (h, d // h, d)}
        mlp = {"blocks.0.mlp.W_in": (d, m), "blocks.0.mlp.b_in": (m,), "blocks.0.mlp.W_out": (m, d), "blocks.0.mlp.b_out": (d,)}
        return {"embed.W_E": (v, d), "pos_embed.W_pos": (2, d), **heads, **mlp, "unembed.W_U": (d, v)}

    def sites(self) -> dict[str, tuple[str | int, ...]]:
        v, d, h, m = TINY.values()
        stream, at = ("batch", "pos", d), "blocks.0"
        attention = {f"{at}.attn.pattern": ("batch", h, "query", "key"), f"{at}.attn.z": ("batch", "pos", h, d // h)}
        later = {f"{at}.resid_mid": stream, f"{at}.mlp.post": ("batch", "pos", m), f"{at}.resid_post": stream}
        return {f"{at}.resid_pre": stream, **attention, **later, "logits": ("batch", "pos", v)}

    def initial(self) -> dict[str, torch.Tensor]:
        generator = torch.Generator().manual_seed(0)
        return {name: torch.randn(shape, generator=generator) / 3 for name, shape in self.parameters().items()}

    def forward(self, weights: Mapping[str, torch.Tensor], inputs: torch.Tensor, tap: Tap) -> torch.Tensor:
        w = {name.replace("blocks.0.", ""): weights[name] for name in self.parameters()}
        x = w["embed.W_E"][inputs] + w["pos_embed.W_pos"]  # [batch, pos, d]
        tap("blocks.0.resid_pre", x)
        q, k, v = (torch.einsum("bpd,hde->bphe", x, w[f"attn.{name}"]) for name in ("W_Q", "W_K", "W_V"))
        scores = torch.einsum("bqhe,bkhe->bhqk", q, k).masked_fill(torch.ones(2, 2).triu(1).bool(), -torch.inf)
        pattern = scores.softmax(-1)
        tap("blocks.0.attn.pattern", pattern)
        z = torch.einsum("bhqk,bkhe->bqhe", pattern, v)
        tap("blocks.0.attn.z", z)
        x = x + torch.einsum("bqhe,hed->bqd", z, w["attn.W_O"])
        tap("blocks.0.resid_mid", x)
        h = (x @ w["mlp.W_in"] + w["mlp.b_in"]).relu()
        tap("blocks.0.mlp.post", h)
        x = x + h @ w["mlp.W_out"] + w["mlp.b_out"]
        tap("blocks.0.resid_post", x)
        logits = x @ w["unembed.W_U"]
        tap("logits", logits)
        return logits[:, -1]

    def split(self) -> dict[str, torch.Tensor]:
        return {"train": torch.arange(15), "test": torch.arange(15, 25)}

    def probes(self, split: Mapping[str, torch.Tensor]) -> dict[str, Any]:
        return {"all": lambda: self._probe(split)}

    def _probe(self, split: Mapping[str, torch.Tensor]) -> Probe:
        inputs = torch.cartesian_prod(torch.arange(5), torch.arange(5))
        masks = {name: torch.zeros(25, dtype=torch.bool).index_fill_(0, index, True) for name, index in split.items()}
        return Probe("all", inputs, inputs[:, 0], masks)

    def training(self) -> Training:
        return Training(epochs=4, schedule="every:2")
