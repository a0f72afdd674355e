"""The family `modular_addition`: a transformer without layer norm that learns (a + b) mod p, or another operation, from the tokens a, b, '='."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

import strobe
from strobe import Family, Probe, StrobeError, Tap

from . import fixed, foreign, operations, plain, structured
from .operations import Operation

if TYPE_CHECKING:
    import torch

N_CTX = 3
REPORTS = Path(__file__).parent / "reports"
"""Tokens of an input: a, b and '='."""


class ModularAddition(Family):
    """A small transformer learning (a + b) mod p, or another `operation`: it memorises first and generalises much later.

    Tokens 0..p-1 are residues and p is '='; the answer is read at '=', over p classes. Learned positions, causal attention, no layer norm, no
    attention biases, embedding and unembedding untied. Setting and defaults of "Progress measures for grokking via mechanistic interpretability"
    (Nanda et al. 2023, arXiv:2301.05217, section 3).
    """

    p: int = Field(113, ge=3, le=2000, description="modulus, and number of classes; a prime for a*b and a/b")
    operation: Operation = Field("a+b", description="what the answer is, mod p; b = 0 of a/b has none and is in no split")
    d_model: int = Field(128, ge=1, description="width of the residual stream; a multiple of n_heads")
    n_heads: int = Field(4, ge=1, description="attention heads per layer")
    d_mlp: int = Field(512, ge=1, description="neurons per layer")
    n_layers: int = Field(1, ge=1, le=12, description="transformer blocks")
    activation: Literal["relu", "gelu", "square"] = Field("relu", description="of the neurons; square is x^2")
    fraction: float = Field(0.3, gt=0, le=1, description="share of the inputs (p*p of them, p*(p-1) for a/b) that are trained on")
    seed: int = Field(0, ge=0, lt=2**63, description="of the initial weights")
    data_seed: int = Field(598, ge=0, lt=2**63, description="of the train/test split")

    step_name = "epoch"
    compute_path = "structured"
    aliases = {"train_fraction": "fraction"}

    @model_validator(mode="after")
    def _fits(self) -> ModularAddition:
        operations.require_prime(self.operation, self.p)
        if self.d_model % self.n_heads:
            below = self.d_model - self.d_model % self.n_heads
            near = f"{below} or {below + self.n_heads}" if below else f"{self.n_heads}"
            raise ValueError(f"d_model={self.d_model} must be a multiple of n_heads={self.n_heads}: try d_model={near}")
        if not self.n_train:
            n = operations.n_defined(self.operation, self.p)
            raise ValueError(f"fraction={self.fraction} of {n} inputs leaves nothing to train on: raise fraction above {1 / n:.2g}")
        return self

    @property
    def d_head(self) -> int:
        return self.d_model // self.n_heads

    @property
    def n_train(self) -> int:
        """Trained inputs: int(fraction * p^2), 3,830 of 12,769 with the defaults."""
        return int(self.fraction * operations.n_defined(self.operation, self.p))

    def identity(self) -> dict[str, Any]:
        """Parameters, dtype, and the compute path: `structured` with one layer, else `plain`. Addition is not named: it was the only operation once,
        and runs of that time keep their identity."""
        whole = super().identity()
        named = {name: value for name, value in whole["parameters"].items() if (name, value) != ("operation", "a+b")}
        return {**whole, "parameters": named, "compute_path": self.compute_path if self.n_layers == 1 else "plain"}

    def parameters(self) -> dict[str, tuple[int, ...]]:
        """Canonical parameter name -> shape. A checkpoint's `unembed.W_U` may have p + 1 columns: the forward drops the class of '='."""
        per_head, block = (self.n_heads, self.d_model, self.d_head), {}
        for layer in range(self.n_layers):
            at = f"blocks.{layer}"
            block |= {f"{at}.attn.{name}": per_head for name in ("W_Q", "W_K", "W_V")}
            block |= {f"{at}.attn.W_O": (self.n_heads, self.d_head, self.d_model)}
            block |= {f"{at}.mlp.W_in": (self.d_model, self.d_mlp), f"{at}.mlp.b_in": (self.d_mlp,)}
            block |= {f"{at}.mlp.W_out": (self.d_mlp, self.d_model), f"{at}.mlp.b_out": (self.d_model,)}
        ends = {"embed.W_E": (self.p + 1, self.d_model), "pos_embed.W_pos": (N_CTX, self.d_model)}
        return {**ends, **block, "unembed.W_U": (self.d_model, self.p)}

    def problems(self, shapes: Mapping[str, tuple[int, ...]]) -> list[str]:
        """As every family's, except that `unembed.W_U` may have a column for '=', as in models that share one vocabulary for input and output."""
        unembedding, (d_model, classes) = "unembed.W_U", self.parameters()["unembed.W_U"]
        shared = shapes.get(unembedding) == (d_model, classes + 1)
        return super().problems({**shapes, unembedding: (d_model, classes)} if shared else shapes)

    def sites(self) -> dict[str, tuple[str | int, ...]]:
        """Site -> named shape, in the order the forward reaches them; `scores` is -inf where the causal mask forbids a key."""
        stream, head = ("batch", "pos", self.d_model), ("batch", "pos", self.n_heads, self.d_head)
        square, neurons = ("batch", self.n_heads, "query", "key"), ("batch", "pos", self.d_mlp)
        sites: dict[str, tuple[str | int, ...]] = {"embed": stream, "pos_embed": stream}
        for layer in range(self.n_layers):
            at = f"blocks.{layer}"
            sites |= {f"{at}.resid_pre": stream, f"{at}.attn.q": head, f"{at}.attn.k": head, f"{at}.attn.v": head}
            sites |= {f"{at}.attn.scores": square, f"{at}.attn.pattern": square, f"{at}.attn.z": head, f"{at}.attn.out": stream}
            sites |= {f"{at}.resid_mid": stream, f"{at}.mlp.pre": neurons, f"{at}.mlp.post": neurons}
            sites |= {f"{at}.mlp.out": stream, f"{at}.resid_post": stream}
        return {**sites, "logits": ("batch", "pos", self.p)}

    def initial(self) -> dict[str, torch.Tensor]:
        """Normal weights of variance 1/d_model, unembedding of 1/(p + 1), biases zero: as in the progress-measures code, transformers.py."""
        import torch

        generator = torch.Generator().manual_seed(self.seed)
        scale = {"unembed.W_U": (self.p + 1) ** -0.5}
        return {
            name: torch.zeros(shape) if is_bias(name) else torch.randn(shape, generator=generator) * scale.get(name, self.d_model**-0.5)
            for name, shape in self.parameters().items()
        }

    def build(self) -> torch.nn.Module:
        """The plain module at its initial weights: `module(inputs)` gives logits [batch, pos, p], `module.run_with_cache(inputs)` also every site.

        Its state has the canonical names: `module.load_state_dict(dict(weights))` makes it any checkpoint of the family.
        """
        from .transformer import Transformer

        module = Transformer(self.p, N_CTX, self.d_model, self.n_heads, self.d_mlp, self.n_layers, self.activation)
        module.load_state_dict(self.initial())
        return module

    def forward(self, weights: Mapping[str, torch.Tensor], inputs: torch.Tensor, tap: Tap) -> torch.Tensor:
        """Logits [batch, p] at '='. `inputs` are int64 tokens [batch, 3].

        When nobody wants more than the last position (of attention patterns, any query), one layer and inputs (a, b, '=') take the structured path:
        about 6 times less CPU than the plain one, equal to 1e-5. Differentiable on both.
        """
        self._check(inputs)
        if self.n_layers == 1 and structured.enough(tap) and structured.applies(inputs, self.p):
            return structured.forward(self, weights, inputs, tap)
        return plain.forward(self, weights, inputs, tap)[:, -1]

    def fixed_forward(self, inputs: torch.Tensor) -> Callable[[Mapping[str, torch.Tensor]], torch.Tensor]:
        """One layer: the structured path, rearranged for a GPU; it agrees with the forward to 1e-5."""
        self._check(inputs)
        if self.n_layers == 1 and structured.applies(inputs, self.p):
            return fixed.forward(self, inputs)
        return lambda weights: plain.forward(self, weights, inputs, Tap())[:, -1]

    def _check(self, inputs: torch.Tensor) -> None:
        if inputs.ndim != 2 or inputs.shape[1] != N_CTX:
            raise StrobeError(f"modular_addition: inputs have shape {list(inputs.shape)}, expected [batch, {N_CTX}] of tokens (a, b, '=' = {self.p})")
        low, high = (int(edge) for edge in inputs.aminmax()) if len(inputs) else (0, 0)
        if low < 0 or high > self.p:
            row, position = ((inputs < 0) | (inputs > self.p)).nonzero()[0].tolist()
            raise StrobeError(
                f"modular_addition: token {int(inputs[row, position])} at input {row}, position {position} is out of range: "
                f"tokens are 0..{self.p} with p={self.p} ('=' is {self.p}); correct the probe, or the family's p"
            )

    def split(self) -> dict[str, torch.Tensor]:
        """`train` and `test`: int64 indices x = a * p + b, the first int(fraction * p^2) of a permutation drawn from `data_seed`, and the rest."""
        return operations.split(self.operation, self.p, self.n_train, self.data_seed)

    def probes(self, split: Mapping[str, torch.Tensor]) -> dict[str, Callable[[], Probe]]:
        """`grid`: all p^2 inputs in the order x = a * p + b."""
        return {"grid": lambda: self._grid(split)}

    def _grid(self, split: Mapping[str, torch.Tensor]) -> Probe:
        import torch

        a, b = operations.pairs(self.p)
        return operations.probe(self.operation, self.p, torch.stack([a, b, torch.full_like(a, self.p)], 1), split)

    def load(self, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """TransformerLens state dicts and those of the progress-measures code, under canonical names and orientation."""
        return foreign.load(self, tensors)

    def training(self) -> strobe.Training:
        """25,000 full-batch epochs of AdamW; 46 checkpoints, the closest together where p=113 memorises and generalises."""
        return strobe.Training(epochs=25_000, schedule="at:10,30,100,250,750,1250+0-14000:500+14000-25000:1000")

    @classmethod
    def tiny(cls) -> dict[str, Any]:
        """49 inputs, two heads, 16 neurons."""
        return {"p": 7, "d_model": 8, "n_heads": 2, "d_mlp": 16, "fraction": 0.5}

    @classmethod
    def demo(cls) -> tuple[dict[str, Any], strobe.Training]:
        """p=37 and a smaller, faster-learning model: memorises by epoch 60, test loss below 0.1 at epoch 380 (260 to 1,700 over 13 seeds)."""
        small = {"p": 37, "d_model": 64, "n_heads": 4, "d_mlp": 128, "fraction": 0.5}
        schedule = "at:5,15,25,35,45+0-100:10+120-600:20+600-1000:100+1000-2500:500"
        return small, strobe.Training(epochs=2_500, lr=1e-2, schedule=schedule)

    @classmethod
    def report(cls) -> Path:
        """From memorising to the regress: see reports/grokking.yaml."""
        return REPORTS / "grokking.yaml"

    @classmethod
    def reports(cls) -> Mapping[str, Path]:
        """One neuron's life, the heads, geometry and loops."""
        return {name: REPORTS / f"{name}.yaml" for name in ("neuron", "heads", "geometry")}

    @classmethod
    def story(cls) -> Path:
        """Phases, frequencies, dimensions, neurons, the path: see stories/grokking.yaml."""
        return REPORTS.with_name("stories") / "grokking.yaml"


def is_bias(name: str) -> bool:
    return name.rsplit(".", 1)[-1].startswith("b_")
