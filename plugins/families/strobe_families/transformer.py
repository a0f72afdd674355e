"""The model as a plain `torch.nn.Module`, for use outside Strobe: an einsum per head, every position, every site in a cache."""

from __future__ import annotations

import torch
from torch import nn

from .activation import activation

Cache = dict[str, torch.Tensor]


class Transformer(nn.Module):
    """A transformer without layer norm; the state dict has the canonical parameter names."""

    def __init__(self, p: int, n_ctx: int, d_model: int, n_heads: int, d_mlp: int, n_layers: int, activation: str) -> None:
        super().__init__()
        self.embed = nn.ParameterDict({"W_E": empty(p + 1, d_model)})
        self.pos_embed = nn.ParameterDict({"W_pos": empty(n_ctx, d_model)})
        self.blocks = nn.ModuleList(Block(d_model, n_heads, d_mlp, activation) for _ in range(n_layers))
        self.unembed = nn.ParameterDict({"W_U": empty(d_model, p)})
        self.p = p
        self.register_load_state_dict_pre_hook(drop_equals)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Logits [batch, pos, p] of tokens [batch, pos]."""
        return self.run_with_cache(tokens)[0]

    def run_with_cache(self, tokens: torch.Tensor) -> tuple[torch.Tensor, Cache]:
        """Logits [batch, pos, p], and site -> tensor at all positions."""
        cache: Cache = {"embed": self.embed["W_E"][tokens]}
        cache["pos_embed"] = self.pos_embed["W_pos"][: tokens.shape[1]].expand_as(cache["embed"])
        stream = cache["embed"] + cache["pos_embed"]
        for layer, block in enumerate(self.blocks):
            stream, sites = block(stream)
            cache |= {f"blocks.{layer}.{site}": tensor for site, tensor in sites.items()}
        cache["logits"] = stream @ self.unembed["W_U"]
        return cache["logits"], cache


class Block(nn.Module):
    """Attention, then the MLP, each added to the stream."""

    def __init__(self, d_model: int, n_heads: int, d_mlp: int, activation: str) -> None:
        super().__init__()
        self.attn = Attention(d_model, n_heads)
        self.mlp = MLP(d_model, d_mlp, activation)

    def forward(self, stream: torch.Tensor) -> tuple[torch.Tensor, Cache]:
        out, attn = self.attn(stream)
        middle = stream + out
        out, mlp = self.mlp(middle)
        return middle + out, {"resid_pre": stream, **attn, "resid_mid": middle, **mlp, "resid_post": middle + out}


class Attention(nn.Module):
    """Causal attention: scores q.k / sqrt(d_head), no biases."""

    def __init__(self, d_model: int, n_heads: int) -> None:
        super().__init__()
        d_head = d_model // n_heads
        self.W_Q, self.W_K, self.W_V = (empty(n_heads, d_model, d_head) for _ in range(3))
        self.W_O = empty(n_heads, d_head, d_model)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, Cache]:
        q = torch.einsum("bpd,hde->bphe", x, self.W_Q)
        k = torch.einsum("bpd,hde->bphe", x, self.W_K)
        v = torch.einsum("bpd,hde->bphe", x, self.W_V)
        causal = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool, device=x.device).tril()
        scores = (torch.einsum("bqhe,bkhe->bhqk", q, k) / self.W_Q.shape[-1] ** 0.5).masked_fill(~causal, -torch.inf)
        pattern = scores.softmax(-1)  # [batch, head, query, key]
        z = torch.einsum("bhqk,bkhe->bqhe", pattern, v)
        out = torch.einsum("bqhe,hed->bqd", z, self.W_O)
        return out, {"attn.q": q, "attn.k": k, "attn.v": v, "attn.scores": scores, "attn.pattern": pattern, "attn.z": z, "attn.out": out}


class MLP(nn.Module):
    """act(x W_in + b_in) W_out + b_out."""

    def __init__(self, d_model: int, d_mlp: int, name: str) -> None:
        super().__init__()
        self.W_in, self.b_in = empty(d_model, d_mlp), empty(d_mlp)
        self.W_out, self.b_out = empty(d_mlp, d_model), empty(d_model)
        self.activation = activation(name)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, Cache]:
        pre = x @ self.W_in + self.b_in
        post = self.activation(pre)
        out = post @ self.W_out + self.b_out
        return out, {"mlp.pre": pre, "mlp.post": post, "mlp.out": out}


def empty(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.zeros(shape))


def drop_equals(module: nn.Module, state: dict[str, torch.Tensor], prefix: str, *_: object) -> None:
    """Checkpoints with p + 1 classes load too: '=' is never an answer."""
    name = f"{prefix}unembed.W_U"
    if name in state:
        state[name] = state[name][:, : module.p]
