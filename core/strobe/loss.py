"""`Loss`: the training loss as a function of the weights, for landscape analyzers. Its forwards and backwards are counted apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from .counters import count

if TYPE_CHECKING:
    import torch

Objective = Callable[[Mapping[str, "torch.Tensor"], str], "torch.Tensor"]
"""(weights, split) -> mean loss, differentiable."""


class Loss:
    """`loss("train")` is the mean loss in nats; `.grad()` and `.hvp(v)` give name -> tensor; `.at(weights)` is the same loss elsewhere.

    `Loss(objective, weights)` builds one by hand from any differentiable `objective(weights, split)`. Cost: one forward per call, one forward and
    one backward per gradient, one forward and two backwards per Hessian-vector product.
    """

    def __init__(self, objective: Objective, weights: Mapping[str, torch.Tensor]) -> None:
        self._objective = objective
        self._weights = {name: tensor.detach().clone() for name, tensor in weights.items()}  # read-only tensors cannot enter autograd

    @property
    def weights(self) -> Mapping[str, torch.Tensor]:
        return self._weights

    def __call__(self, split: str = "train") -> float:
        import torch

        with torch.no_grad():
            return float(self._objective(self._weights, split))

    def grad(self, split: str = "train") -> dict[str, torch.Tensor]:
        """Gradient of the mean loss, name -> tensor of the parameter's shape. Parameters the loss does not use get zeros."""
        return self._grad(split, create_graph=False)[1]

    def hvp(self, v: Mapping[str, torch.Tensor], split: str = "train") -> dict[str, torch.Tensor]:
        """Hessian times `v` (name -> tensor of the parameter's shape), by the gradient of <gradient, v>."""
        import torch

        leaves, grads = self._grad(split, create_graph=True)
        inner = torch.stack([(g * v[name]).sum() for name, g in grads.items()]).sum()
        count("backwards")
        products = torch.autograd.grad(inner, list(leaves.values()), allow_unused=True)
        return {n: torch.zeros_like(w) if h is None else h.detach() for (n, w), h in zip(leaves.items(), products, strict=True)}

    def at(self, weights: Mapping[str, torch.Tensor]) -> Loss:
        """The same loss at other weights; parameters not named keep their values."""
        return Loss(self._objective, {**self._weights, **weights})

    def _grad(self, split: str, *, create_graph: bool) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
        import torch

        leaves = {name: tensor.detach().requires_grad_() for name, tensor in self._weights.items()}
        count("backwards")
        value = self._objective(leaves, split)
        grads = torch.autograd.grad(value, list(leaves.values()), create_graph=create_graph, allow_unused=True)
        return leaves, {n: torch.zeros_like(w) if g is None else g for (n, w), g in zip(leaves.items(), grads, strict=True)}
