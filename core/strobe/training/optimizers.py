"""Optimizers: built from the configuration, their state as named tensors that go into a file and come back bitwise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..errors import UsageError

if TYPE_CHECKING:
    import torch

    from .loop import Training

Leaves = Mapping[str, "torch.Tensor"]


class Optimizer:
    """One or two torch optimizers over named parameters (Muon takes the hidden matrices, AdamW the rest)."""

    def __init__(self, training: Training, weights: Leaves) -> None:
        self.weights = weights
        self.parts = _built(training, weights)

    def update(self, lr: float) -> None:
        """One update with the gradients that are there."""
        for part in self.parts:
            for group in part.param_groups:
                group["lr"] = lr
            part.step()

    def clear(self) -> None:
        for part in self.parts:
            part.zero_grad(set_to_none=True)

    def state(self) -> dict[str, torch.Tensor]:
        """`<parameter>/<quantity>` -> a copy of the tensor."""
        return {f"{name}/{key}": value.detach().clone() for name, p in self.weights.items() for key, value in self._state_of(p).items()}

    def restore(self, state: Mapping[str, torch.Tensor]) -> None:
        """Continue from a state that `state()` gave."""
        for name, p in self.weights.items():
            mine = {key.partition("/")[2]: value.clone() for key, value in state.items() if key.partition("/")[0] == name}
            if mine:
                self._part_of(p).state[p] = mine

    def _part_of(self, p: torch.Tensor) -> torch.optim.Optimizer:
        return next(part for part in self.parts if any(p is q for group in part.param_groups for q in group["params"]))

    def _state_of(self, p: torch.Tensor) -> dict[str, torch.Tensor]:
        state = self._part_of(p).state[p] if p.requires_grad else {}
        return {key: value for key, value in state.items() if hasattr(value, "clone")}


def _built(training: Training, weights: Leaves) -> list[torch.optim.Optimizer]:
    import torch

    free = {name: p for name, p in weights.items() if p.requires_grad}
    if not free:
        raise UsageError(f"freeze={list(training.freeze)} leaves no parameter to train")
    if training.optimizer == "muon":
        return _muon(training, free)
    parameters = list(free.values())
    if training.optimizer == "sgd":
        return [torch.optim.SGD(parameters, lr=training.lr, momentum=training.betas[0], weight_decay=training.weight_decay)]
    kind = torch.optim.AdamW if training.optimizer == "adamw" else torch.optim.Adam
    return [kind(parameters, lr=training.lr, betas=training.betas, weight_decay=training.weight_decay, fused=True)]


def _muon(training: Training, free: Leaves) -> list[torch.optim.Optimizer]:
    """Muon on the matrices between the embeddings, AdamW on embeddings, per-head tensors and biases, as its authors advise."""
    import torch

    if not hasattr(torch.optim, "Muon"):
        raise UsageError("optimizer 'muon': this torch has none; `pip install -U torch`, or use adamw")
    hidden = [p for name, p in free.items() if p.ndim == 2 and not name.startswith(("embed.", "pos_embed.", "unembed."))]
    rest = [p for p in free.values() if all(p is not q for q in hidden)]
    parts: list[torch.optim.Optimizer] = []
    if hidden:
        parts.append(torch.optim.Muon(hidden, lr=training.lr, weight_decay=training.weight_decay, momentum=training.betas[0]))
    if rest:
        parts.append(torch.optim.AdamW(rest, lr=training.lr, betas=training.betas, weight_decay=training.weight_decay, fused=True))
    return parts
