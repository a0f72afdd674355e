"""`Loss`: the training loss as a function of the weights, for landscape analyzers. Its forwards and backwards are counted apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Union

from .analysis.counters import count
from .errors import StrobeError

if TYPE_CHECKING:
    import torch

Split = Union[str, "torch.Tensor"]
"""The name of a split (`train`, `test`, `all`), or which inputs of the probe: int64 indices [n]."""
Objective = Callable[[Mapping[str, "torch.Tensor"], Split], "torch.Tensor"]
"""(weights, split) -> mean loss, differentiable."""
Vector = Mapping[str, "torch.Tensor"]
"""Name -> tensor of the parameter's shape."""


class Loss:
    """`loss("train")` is the mean loss in nats; `.grad()` and `.hvp(v)` give name -> tensor; `.at(weights)` is the same loss elsewhere.

    Wherever a split is named, int64 indices of the probe's inputs do as well: `loss.grad(rows)` is the gradient on a batch.
    `Loss(objective, weights)` builds one by hand from any differentiable `objective(weights, split)`. Cost: one forward per call, one forward and
    one backward per gradient, one forward and two backwards per Hessian-vector product; `.hessian()` does the first two once for many products.
    """

    def __init__(self, objective: Objective, weights: Mapping[str, torch.Tensor]) -> None:
        self._objective = objective
        self._weights = {name: tensor.detach().clone() for name, tensor in weights.items()}  # read-only tensors cannot enter autograd

    @property
    def weights(self) -> Mapping[str, torch.Tensor]:
        return self._weights

    def __call__(self, split: Split = "train") -> float:
        import torch

        with torch.no_grad():
            return float(self._objective(self._weights, split))

    def grad(self, split: Split = "train") -> dict[str, torch.Tensor]:
        """Gradient of the mean loss, name -> tensor of the parameter's shape. Parameters the loss does not use get zeros."""
        return self.value_and_grad(split)[1]

    def value_and_grad(self, split: Split = "train") -> tuple[float, dict[str, torch.Tensor]]:
        """The mean loss and its gradient, for the price of the gradient."""
        value, _, grads = self._grad(split, create_graph=False)
        return float(value), grads

    def hvp(self, v: Vector, split: Split = "train") -> dict[str, torch.Tensor]:
        """Hessian times `v` (name -> tensor of the parameter's shape), by the gradient of <gradient, v>."""
        return self.hessian(split)(v)

    def hessian(self, split: Split = "train") -> Callable[[Vector], dict[str, torch.Tensor]]:
        """The Hessian as a function `v -> H v`. It keeps the graph of the gradient, so each product after the first saves a forward and a backward
        (40 % of its cost); that graph's memory, about twice a gradient's, lives as long as the function does."""
        import torch

        _, leaves, grads = self._grad(split, create_graph=True)

        def product(v: Vector) -> dict[str, torch.Tensor]:
            inner = torch.stack([(grads[name] * v[name]).sum() for name in leaves]).sum()
            if not inner.requires_grad:  # a loss that is linear in the weights
                return {n: torch.zeros_like(w) for n, w in self._weights.items()}
            count("backwards")
            return self._named(leaves, torch.autograd.grad(inner, list(leaves.values()), retain_graph=True, allow_unused=True))

        return product

    def at(self, weights: Vector) -> Loss:
        """The same loss at other weights; parameters not named keep their values."""
        return Loss(self._objective, {**self._weights, **weights})

    def double(self) -> Loss:
        """The same loss with weights, and so forwards, in float64: for differences below 1e-7 of the loss. About 2.3 times the cost."""
        return Loss(self._objective, {n: w.double() if w.is_floating_point() else w for n, w in self._weights.items()})

    def _grad(self, split: Split, *, create_graph: bool) -> tuple[torch.Tensor, dict[str, torch.Tensor], dict[str, torch.Tensor]]:
        """The loss, the parameters that can be differentiated, and the gradient. Integer parameters cannot, and get zeros."""
        import torch

        leaves = {name: tensor.detach().requires_grad_() for name, tensor in self._weights.items() if tensor.is_floating_point()}
        count("backwards")
        value = self._objective({**self._weights, **leaves}, split)
        if not value.requires_grad:
            raise StrobeError("this loss cannot be differentiated: its forward detaches the weights, or uses none; a landscape needs one that can")
        grads = torch.autograd.grad(value, list(leaves.values()), create_graph=create_graph, allow_unused=True)
        return value.detach(), leaves, self._named(leaves, grads, keep=create_graph)

    def _named(self, leaves: Vector, grads: Sequence[torch.Tensor | None], *, keep: bool = False) -> dict[str, torch.Tensor]:
        import torch

        found = dict(zip(leaves, grads, strict=True))
        whole = {n: torch.zeros_like(w) if found.get(n) is None else found[n] for n, w in self._weights.items()}
        return {n: g if keep else g.detach() for n, g in whole.items() if g is not None}
