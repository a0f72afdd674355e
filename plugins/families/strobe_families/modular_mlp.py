"""The family `modular_mlp`: one hidden layer that learns (a + b) mod p, or another operation, without attention."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

import strobe
from strobe import Family, Probe, StrobeError, Tap

from . import operations
from .activation import activation
from .operations import Operation

if TYPE_CHECKING:
    import torch


W_E, W_IN, B_IN, W_U = "embed.W_E", "blocks.0.mlp.W_in", "blocks.0.mlp.b_in", "unembed.W_U"


class ModularMLP(Family):
    """One hidden layer learning (a + b) mod p, or another `operation`: the smallest network that groks.

    `one_hot`: act(x W_in) W_U with x = (one-hot a, one-hot b), no biases; with `activation=square` the network of "Grokking modular arithmetic"
    (Gromov 2023, arXiv:2301.02679), which trains on the squared error (`objective=mse`). `concatenated` and `summed`: one learned embedding of a
    and b, joined or added to x, then act(x W_in + b_in) W_U; summed with `activation=relu` as in "Towards understanding grokking" (Liu et al. 2022,
    arXiv:2205.10343), here with one hidden layer. Neurons write straight to the p classes.
    """

    p: int = Field(113, ge=3, le=2000, description="modulus, and number of classes; a prime for a*b and a/b")
    operation: Operation = Field("a+b", description="what the answer is, mod p; b = 0 of a/b has none and is in no split")
    inputs: Literal["one_hot", "concatenated", "summed"] = Field(
        "one_hot", description="one-hot a and b, or their learned embeddings joined or added"
    )
    d_model: int = Field(128, ge=1, description="width of the learned embedding; one_hot has none")
    d_mlp: int = Field(512, ge=1, description="neurons")
    activation: Literal["relu", "gelu", "square"] = Field("square", description="of the neurons; square is x^2")
    objective: Literal["cross_entropy", "mse"] = Field("cross_entropy", description="what training minimises; mse is the squared distance to one-hot")
    fraction: float = Field(0.5, gt=0, le=1, description="share of the inputs (p*p of them, p*(p-1) for a/b) that are trained on")
    seed: int = Field(0, ge=0, lt=2**63, description="of the initial weights")
    data_seed: int = Field(598, ge=0, lt=2**63, description="of the train/test split")

    step_name = "epoch"
    compute_path = "structured"
    aliases = {"train_fraction": "fraction"}

    @model_validator(mode="after")
    def _fits(self) -> ModularMLP:
        operations.require_prime(self.operation, self.p)
        if not self.n_train:
            n = operations.n_defined(self.operation, self.p)
            raise ValueError(f"fraction={self.fraction} of {n} inputs leaves nothing to train on: raise fraction above {1 / n:.2g}")
        return self

    @property
    def n_train(self) -> int:
        """Trained inputs: int(fraction * p^2), 6,384 of 12,769 with the defaults."""
        return int(self.fraction * operations.n_defined(self.operation, self.p))

    def parameters(self) -> dict[str, tuple[int, ...]]:
        """Canonical parameter name -> shape. The first half of the rows of a W_in with one_hot or concatenated inputs is for a, the second for b."""
        rows = {"one_hot": 2 * self.p, "concatenated": 2 * self.d_model, "summed": self.d_model}[self.inputs]
        neurons = {W_IN: (rows, self.d_mlp), W_U: (self.d_mlp, self.p)}
        return neurons if self.inputs == "one_hot" else {W_E: (self.p, self.d_model), B_IN: (self.d_mlp,), **neurons}

    def sites(self) -> dict[str, tuple[str | int, ...]]:
        """Site -> named shape. `embed` has the positions a and b, the others one position."""
        embed = {} if self.inputs == "one_hot" else {"embed": ("batch", "pos", self.d_model)}
        neurons = ("batch", "pos", self.d_mlp)
        return {**embed, "blocks.0.mlp.pre": neurons, "blocks.0.mlp.post": neurons, "logits": ("batch", "pos", self.p)}

    def initial(self) -> dict[str, torch.Tensor]:
        """Normal weights: W_E of variance 1, W_in so that a neuron's input has variance 1, W_U of variance 1/d_mlp^2, so that outputs start near 0 as
        in Gromov's mean-field scaling; biases zero."""
        import torch

        generator = torch.Generator().manual_seed(self.seed)
        fan_in = {"one_hot": 2, "concatenated": 2 * self.d_model, "summed": 2 * self.d_model}[self.inputs]
        variance = {W_E: 1.0, W_IN: 1 / fan_in, B_IN: 0.0, W_U: self.d_mlp**-2.0}
        return {name: torch.randn(shape, generator=generator) * variance[name] ** 0.5 for name, shape in self.parameters().items()}

    def build(self) -> torch.nn.Module:
        """The plain module at its initial weights: `module(inputs)` gives logits [batch, p], `module.run_with_cache(inputs)` also every site. One-hot
        vectors are multiplied as such."""
        from .perceptron import Perceptron

        module = Perceptron(self.parameters(), self.inputs, self.activation)
        module.load_state_dict(self.initial())
        return module

    def forward(self, weights: Mapping[str, torch.Tensor], inputs: torch.Tensor, tap: Tap) -> torch.Tensor:
        """Logits [batch, p]. `inputs` are residues (a, b), int64 [batch, 2].

        What enters the neurons is a row for a plus a row for b: the product with W_in is taken once per residue, not once per input. Equal to the
        plain module to 1e-5. Differentiable.
        """
        self._check(inputs)
        return self._logits(weights, inputs, tap)

    def fixed_forward(self, inputs: torch.Tensor) -> Callable[[Mapping[str, torch.Tensor]], torch.Tensor]:
        """The forward, its inputs checked once."""
        self._check(inputs)
        return lambda weights: self._logits(weights, inputs, Tap())

    def _logits(self, weights: Mapping[str, torch.Tensor], inputs: torch.Tensor, tap: Tap) -> torch.Tensor:
        from torch.nn import functional as F

        if tap.wants("embed"):
            tap("embed", weights[W_E][inputs])
        of_a, of_b = self._rows(weights)
        pre = F.embedding(inputs[:, 0], of_a) + F.embedding(inputs[:, 1], of_b)  # gradients are summed in input order: deterministic
        tap("blocks.0.mlp.pre", pre[:, None])
        post = activation(self.activation)(pre)  # [batch, d_mlp]
        tap("blocks.0.mlp.post", post[:, None])
        logits = post @ weights[W_U]
        tap("logits", logits[:, None])
        return logits

    def _rows(self, weights: Mapping[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """What each residue adds to the neurons' input as a and as b, [p, d_mlp] each; the bias is in the first."""
        if self.inputs == "one_hot":
            return weights[W_IN][: self.p], weights[W_IN][self.p :]
        embed, inward, bias = weights[W_E], weights[W_IN], weights[B_IN]
        if self.inputs == "summed":
            rows = embed @ inward
            return rows + bias, rows
        return bias.addmm(embed, inward[: self.d_model]), embed @ inward[self.d_model :]

    def _check(self, inputs: torch.Tensor) -> None:
        if inputs.ndim != 2 or inputs.shape[1] != 2:
            raise StrobeError(f"modular_mlp: inputs have shape {list(inputs.shape)}, expected [batch, 2] of residues (a, b)")
        low, high = (int(edge) for edge in inputs.aminmax()) if len(inputs) else (0, 0)
        if low < 0 or high >= self.p:
            row, position = ((inputs < 0) | (inputs >= self.p)).nonzero()[0].tolist()
            raise StrobeError(
                f"modular_mlp: {int(inputs[row, position])} at input {row}, position {position} is out of range: residues are 0..{self.p - 1} "
                f"with p={self.p}; correct the probe, or the family's p"
            )

    @property
    def loss_unit(self) -> str:
        return "nats" if self.objective == "cross_entropy" else "squared error"

    def loss(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Loss per input [batch]: cross-entropy in nats, or with `mse` the squared distance of the outputs from one-hot, summed over the classes
        (0: exact, 1: as good as answering nothing). Analyzers report cross-entropy whatever was trained on."""
        import torch

        if self.objective == "cross_entropy":
            return super().loss(logits, targets)
        return (logits - torch.nn.functional.one_hot(targets, self.p)).square().sum(-1)

    def split(self) -> dict[str, torch.Tensor]:
        """`train` and `test`: int64 indices x = a * p + b, drawn from `data_seed`; those of modular_addition for the same fraction and seed."""
        return operations.split(self.operation, self.p, self.n_train, self.data_seed)

    def probes(self, split: Mapping[str, torch.Tensor]) -> dict[str, Callable[[], Probe]]:
        """`grid`: all p^2 inputs (a, b), int64 [p*p, 2], in the order x = a * p + b."""
        import torch

        return {"grid": lambda: operations.probe(self.operation, self.p, torch.stack(operations.pairs(self.p), 1), split)}

    def training(self) -> strobe.Training:
        """3,000 full-batch epochs of AdamW with learning rate 0.01 (the progress-measures code has 0.001: ten times slower here); 52 checkpoints."""
        return strobe.Training(epochs=3_000, lr=1e-2, schedule="at:5,15,25,75+0-200:20+200-1000:50+1000-3000:100")

    @classmethod
    def tiny(cls) -> dict[str, Any]:
        """49 inputs, 16 neurons."""
        return {"p": 7, "d_mlp": 16}

    @classmethod
    def demo(cls) -> tuple[dict[str, Any], strobe.Training]:
        """p=31 and 128 neurons: memorises by epoch 30, test accuracy 95 % at about 500, test loss below 0.1 at about 640 (3 seeds), in 5 seconds."""
        return {"p": 31, "d_mlp": 128}, strobe.Training(epochs=1_500, lr=1e-2, schedule="at:5,15,25+0-200:20+200-1000:50+1000-1500:100")

    @classmethod
    def report(cls) -> Path:
        """Loss, frequencies, neurons and weights, without attention: see reports/grokking_mlp.yaml."""
        return Path(__file__).parent / "reports" / "grokking_mlp.yaml"
