"""Training: full-batch optimisation of a family, as a stream of events. It touches no disk; whoever consumes the events stores them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from . import schedules
from .sites import Tap

if TYPE_CHECKING:
    import torch

    from .family import Family, Split


class Training(BaseModel):
    """How a run is trained: optimizer, length, and which steps are kept.

    Defaults of "Progress measures for grokking" (Nanda et al. 2023, section 3 and code). The loss is the family's: cross-entropy in float64 of
    float32 logits, because float32 cross-entropy bottoms out at 1.2e-7.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: int = Field(25_000, ge=1, description="updates, each over the whole training split")
    optimizer: Literal["adamw", "adam", "sgd"] = Field("adamw", description="sgd has momentum betas[0]; adam and sgd add the decay to the gradient")
    lr: float = Field(1e-3, gt=0, description="learning rate after the warm-up")
    weight_decay: float = Field(1.0, ge=0, description="of every parameter; 1.0 shrinks weights by lr per update")
    betas: tuple[float, float] = Field((0.9, 0.98), description="decay rates of the running mean and mean square of the gradient")
    warmup: int = Field(10, ge=0, description="updates over which the learning rate rises linearly: lr/warmup at the first, lr from the last on")
    eval_every: int = Field(10, ge=1, description="epochs between test evaluations; every checkpoint has one too")
    schedule: str = Field("log:40", description="steps to keep: every:N, log:N, at:N,N, first-last:stride, and unions with +")

    @field_validator("schedule")
    @classmethod
    def _parses(cls, schedule: str) -> str:
        schedules.steps(schedule, 1)
        return schedule

    @field_validator("betas")
    @classmethod
    def _decays(cls, betas: tuple[float, float]) -> tuple[float, float]:
        if not all(0 <= beta < 1 for beta in betas):
            raise ValueError(f"betas={list(betas)} must both be at least 0 and below 1")
        return betas

    def steps(self) -> tuple[int, ...]:
        """Steps at which a checkpoint is kept, sorted; the first is 0 and the last is `epochs`."""
        return schedules.steps(self.schedule, self.epochs)

    def lr_at(self, step: int) -> float:
        """Learning rate of the update that leads from `step` to `step + 1`."""
        return self.lr * min(1.0, (step + 1) / max(1, self.warmup))


@dataclass(frozen=True)
class Evaluated:
    """How good the weights of one step are: mean loss in nats, share of correct answers (0 to 1), learning rate of the update that follows.

    Test values are None between evaluations.
    """

    step: int
    train_loss: float
    test_loss: float | None
    train_accuracy: float
    test_accuracy: float | None
    lr: float


@dataclass(frozen=True, eq=False)
class Saved:
    """A checkpoint: the weights of `step` by canonical name, their row of `metrics`, and the optimizer's state after that many updates.

    `tensors` are copies; `train(..., resume=saved)` goes on from here, bitwise as if it had never stopped.
    """

    step: int
    tensors: dict[str, torch.Tensor]
    metrics: Evaluated
    optimizer: dict[str, Any] = field(repr=False)


Event = Evaluated | Saved


def train(family: Family, training: Training, split: Split, *, resume: Saved | None = None) -> Iterator[Event]:
    """Train a family's initial weights on `split["train"]`: one `Evaluated` per step from 0 (untrained) to `epochs`, each followed by `Saved` at
    the steps of the schedule.

    `Evaluated` at step s describes the weights after s updates, so the row of a checkpoint is that of exactly this checkpoint. Same family,
    training, split, machine and number of threads: bitwise the same weights. Set `torch.set_num_threads(1)` before; two threads beside another
    process made a step 150 times slower. Cost per epoch: a forward and a backward over the training split, plus a forward over the test split
    every `eval_every` epochs.
    """
    weights = _leaves(family, resume)
    optimizer = _optimizer(training, list(weights.values()))
    if resume is not None:
        optimizer.load_state_dict(copy.deepcopy(resume.optimizer))
    loss, test = _objective(family, split, "train"), _objective(family, split, "test")
    kept = frozenset(training.steps())
    for step in range(0 if resume is None else resume.step, training.epochs + 1):
        value, accuracy = loss(weights)
        if resume is None or step > resume.step:
            row = _evaluated(training, step, value, accuracy, lambda: test(weights), due=step in kept)
            yield row
            if step in kept:
                yield _saved(step, weights, row, optimizer)
        if step < training.epochs:
            _update(optimizer, value, training.lr_at(step))


Leaves = dict[str, "torch.Tensor"]
Objective = Callable[[Leaves], tuple["torch.Tensor", "torch.Tensor"]]
"""Weights -> (mean loss with its graph, accuracy)."""


def _leaves(family: Family, resume: Saved | None) -> Leaves:
    """Parameters as leaves of autograd, from the start or from a checkpoint."""
    tensors = family.initial() if resume is None else resume.tensors
    return {name: tensor.detach().clone().requires_grad_() for name, tensor in tensors.items()}


def _optimizer(training: Training, weights: list[torch.Tensor]) -> torch.optim.Optimizer:
    import torch

    if training.optimizer == "sgd":
        return torch.optim.SGD(weights, lr=training.lr, momentum=training.betas[0], weight_decay=training.weight_decay)
    kind = torch.optim.AdamW if training.optimizer == "adamw" else torch.optim.Adam
    return kind(weights, lr=training.lr, betas=training.betas, weight_decay=training.weight_decay, fused=True)


def _objective(family: Family, split: Split, name: str) -> Objective:
    """The loss over one split of the family's first probe, whose inputs the split indexes."""
    probe = next(iter(family.probes(split).values()))()
    indices = split[name].long()
    inputs, targets = probe.inputs[indices], probe.targets[indices]

    def objective(weights: Leaves) -> tuple[torch.Tensor, torch.Tensor]:
        logits = family.forward(weights, inputs, Tap())
        correct = (logits.detach().argmax(-1) == targets).double().mean()
        return family.loss(logits, targets).mean(), correct

    return objective


def _evaluated(
    training: Training, step: int, loss: torch.Tensor, accuracy: torch.Tensor, test: Callable[[], tuple[torch.Tensor, torch.Tensor]], *, due: bool
) -> Evaluated:
    import torch

    test_loss = test_accuracy = None
    if due or step % training.eval_every == 0:
        with torch.no_grad():
            test_loss, test_accuracy = (value.item() for value in test())
    return Evaluated(step, loss.item(), test_loss, accuracy.item(), test_accuracy, training.lr_at(step))


def _saved(step: int, weights: Leaves, row: Evaluated, optimizer: torch.optim.Optimizer) -> Saved:
    tensors = {name: tensor.detach().clone() for name, tensor in weights.items()}
    return Saved(step, tensors, row, copy.deepcopy(optimizer.state_dict()))


def _update(optimizer: torch.optim.Optimizer, loss: torch.Tensor, lr: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = lr
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
