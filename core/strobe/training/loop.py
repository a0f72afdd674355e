"""Training: optimisation of a family, as a stream of events. It touches no disk; whoever consumes the events stores them."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

from pydantic import BaseModel, ConfigDict, Field, field_validator

from ..errors import UsageError, did_you_mean
from ..sites import Tap
from . import schedules
from .learning_rates import Constant, LearningRate
from .optimizers import Optimizer

if TYPE_CHECKING:
    import torch

    from ..family import Family, Split


class Training(BaseModel):
    """How a run is trained: optimizer, length, and which steps are kept.

    Defaults of "Progress measures for grokking" (Nanda et al. 2023, section 3 and code). The loss is the family's: cross-entropy in float64 of
    float32 logits, because float32 cross-entropy bottoms out at 1.2e-7. `epochs` counts updates: one pass over the training split each while
    `batch_size` is null.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: int = Field(25_000, ge=1, description="updates, each over the whole training split, or over one batch")
    optimizer: Literal["adamw", "adam", "sgd", "muon"] = Field(
        "adamw",
        description="sgd and muon have momentum betas[0]; adam and sgd add the decay to the gradient; muon leaves embeddings, heads, biases to adamw",
    )
    lr: float = Field(1e-3, gt=0, description="learning rate after the warm-up")
    weight_decay: float = Field(1.0, ge=0, description="of every parameter; 1.0 shrinks weights by lr per update")
    betas: tuple[float, float] = Field((0.9, 0.98), description="decay rates of the running mean and mean square of the gradient")
    warmup: int = Field(10, ge=0, description="updates over which the learning rate rises linearly: lr/warmup at the first, lr from the last on")
    lr_schedule: LearningRate = Field(Constant(), description="constant, cosine:over=N,final=F, step:every=N,factor=F, piecewise:0=1,10000=0.1")
    loss_dtype: Literal["float64", "float32"] = Field("float64", description="precision of the loss of float32 logits")
    batch_size: int | None = Field(None, ge=1, description="inputs per update; null: the whole training split")
    batch_seed: int = Field(0, ge=0, description="of the order of batches")
    clip: float | None = Field(None, gt=0, description="largest norm of the whole gradient; null: not clipped")
    freeze: tuple[str, ...] = Field((), description="patterns of parameters that keep their initial values, such as blocks.*.mlp.b_*")
    mode: Literal["eval", "train"] = Field(
        "eval", description="train: updates run the module in train mode, with dropout and batch norm by batch; eval: they run what is analyzed"
    )
    device: Literal["cpu", "cuda"] = Field(
        "cpu", description="cuda: an NVIDIA GPU, the whole update as one graph; sums in another order than the CPU"
    )
    eval_every: int = Field(10, ge=1, description="epochs between test evaluations; every checkpoint has one too")
    schedule: str = Field("log:40", description="steps to keep: every:N, log:N, at:N,N, first-last:stride, and unions with +")
    state_every: int = Field(0, ge=0, description="keep optimizer state at every n-th checkpoint, to add checkpoints from there; 0: at the last only")

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
        return self.lr * min(1.0, (step + 1) / max(1, self.warmup)) * self.lr_schedule.factor(step)

    def identity(self) -> dict[str, Any]:
        """What moves the trajectory: everything but its length and what is kept of it."""
        unmoving = {"epochs", "schedule", "eval_every", "state_every"}
        plain = {name for name, value in (("device", "cpu"), ("mode", "eval")) if getattr(self, name) == value}
        return self.model_dump(mode="json", exclude=unmoving | plain)


@dataclass(frozen=True)
class Evaluated:
    """How good the weights of one step are: mean loss in nats, share of correct answers (0 to 1), learning rate of the update that follows.

    Test values are None between evaluations; with batches or in train mode so are those of the training split, and `batch_loss` is the loss that the
    next update is made of: of its batch, in its mode. Accuracies are None where answers are values and not classes.
    """

    step: int
    train_loss: float | None
    test_loss: float | None
    train_accuracy: float | None
    test_accuracy: float | None
    lr: float
    batch_loss: float | None = None

    def row(self) -> dict[str, Any]:
        """As a row of metrics."""
        return {name: value for name, value in vars(self).items() if name != "batch_loss" or value is not None}


@dataclass(frozen=True, eq=False)
class Saved:
    """A checkpoint: the weights of `step` by canonical name, their row of `metrics`, and the optimizer's state after that many updates.

    `tensors` and `state` are copies; `train(..., resume=saved)` goes on from here, bitwise as if it had never stopped.
    """

    step: int
    tensors: Mapping[str, torch.Tensor]
    metrics: Evaluated | None = None
    state: Mapping[str, torch.Tensor] = field(default_factory=dict, repr=False)


Event = Evaluated | Saved


class Intervention(Protocol):
    """The `before_step` hook: called before each update."""

    def __call__(self, *, step: int, parameters: Mapping[str, torch.Tensor], optimizer: torch.optim.Optimizer) -> object: ...


def train(
    family: Family,
    training: Training,
    split: Split,
    *,
    resume: Saved | None = None,
    keep: Iterable[int] | None = None,
    interventions: Sequence[Intervention] = (),
) -> Iterator[Event]:
    """Train a family's initial weights on `split["train"]`: one `Evaluated` per step from 0 (untrained) to `epochs`, each followed by `Saved` at
    the steps of the schedule (of `keep`, when given).

    `Evaluated` at step s describes the weights after s updates, so the row of a checkpoint is that of exactly this checkpoint. Same family,
    training, split, machine and number of threads: bitwise the same weights. Set `torch.set_num_threads(1)` before; two threads beside another
    process made a step 150 times slower. Cost per epoch: a forward and a backward over the training split, plus a forward over the test split
    every `eval_every` epochs. In train mode what is random is drawn from `batch_seed` and the step, and buffers (running
    statistics) go on from update to update, like the weights.
    """
    if training.device == "cuda":
        yield from _on_gpu(family, training, split, resume, keep, interventions)
        return
    weights = leaves(family, training, resume)
    optimizer = Optimizer(training, weights)
    if resume is not None:
        optimizer.restore(resume.state)
    task = _Task(family, training, split)
    kept = frozenset(training.steps() if keep is None else keep)
    for step in range(0 if resume is None else resume.step, training.epochs + 1):
        optimizer.clear()
        value, row, buffers = task.look(weights, step, due=step in kept)
        if resume is None or step > resume.step:
            yield row
            if step in kept:
                yield Saved(step, {name: t.detach().clone() for name, t in weights.items()}, row, optimizer.state())
        if step < training.epochs:
            for intervention in interventions:
                intervention(step=step, parameters=weights, optimizer=optimizer.parts[0])
            for name, buffer in buffers.items():
                weights[name].copy_(buffer)
            _descend(training, weights, value)
            optimizer.update(training.lr_at(step))


def ready(training: Training, interventions: Sequence[object] = ()) -> None:
    """Raises `UsageError` when this machine cannot train so, before anything is written."""
    if training.device == "cuda":
        from .cuda import refuse

        refuse(training, interventions)


def _on_gpu(
    family: Family, training: Training, split: Split, resume: Saved | None, keep: Iterable[int] | None, interventions: Sequence[Intervention]
) -> Iterator[Event]:
    from .cuda import train_stack

    ready(training, interventions)
    for _, event in train_stack([family], training, [split], resume=None if resume is None else [resume], keep=keep):
        yield event


Leaves = dict[str, "torch.Tensor"]
Buffers = Mapping[str, "torch.Tensor"]


class Seen(NamedTuple):
    """Mean loss and share of correct answers on a split; None where nobody looked."""

    loss: float | None = None
    accuracy: float | None = None


def leaves(family: Family, training: Training, resume: Saved | None) -> Leaves:
    """Parameters as leaves of autograd, from the start or from a checkpoint; frozen ones and buffers without gradient."""
    tensors = family.initial() if resume is None else resume.tensors
    frozen = {name for pattern in training.freeze for name in fnmatch.filter(tensors, pattern)}
    for pattern in training.freeze:
        if not fnmatch.filter(tensors, pattern):
            raise UsageError(f"freeze={pattern!r} matches no parameter{did_you_mean(pattern, tensors)}")
    frozen |= set(family.buffers())
    return {name: tensor.detach().clone().requires_grad_(name not in frozen) for name, tensor in tensors.items()}


def _descend(training: Training, weights: Leaves, loss: torch.Tensor) -> None:
    import torch

    loss.backward()  # type: ignore[no-untyped-call]
    if training.clip is not None:
        torch.nn.utils.clip_grad_norm_([w for w in weights.values() if w.grad is not None], training.clip)


class _Task:
    """The inputs of a training, and how good weights are on them."""

    def __init__(self, family: Family, training: Training, split: Split) -> None:
        self.family, self.training = family, training
        probe = next(iter(family.probes(split).values()))()
        self.inputs, self.targets = probe.inputs, probe.targets
        self.train, self.test = split["train"].long(), split["test"].long()
        self._rows = {"train": self._taken(self.train), "test": self._taken(self.test)}

    def look(self, weights: Leaves, step: int, *, due: bool) -> tuple[torch.Tensor, Evaluated, Buffers]:
        """The loss to descend, with its graph, the row of this step, and the buffers that the update leaves behind."""
        due = due or step % self.training.eval_every == 0
        test = self._seen(weights, "test") if due and len(self.test) else Seen()
        lr = self.training.lr_at(step)
        if self.training.batch_size is None and self.training.mode == "eval":
            value, accuracy = self._evaluate(weights, *self._rows["train"])
            return value, Evaluated(step, value.item(), test.loss, accuracy, test.accuracy, lr), {}
        train = self._seen(weights, "train") if due else Seen()
        value, buffers = self._update_loss(weights, step)
        return value, Evaluated(step, train.loss, test.loss, train.accuracy, test.accuracy, lr, value.item()), buffers

    def _seen(self, weights: Leaves, split: str) -> Seen:
        """How good the weights are on a split, without a graph."""
        import torch

        with torch.no_grad():
            loss, accuracy = self._evaluate(weights, *self._rows[split])
        return Seen(loss.item(), accuracy)

    def _update_loss(self, weights: Leaves, step: int) -> tuple[torch.Tensor, Buffers]:
        """The loss of the update's batch, in the mode it is trained in, and the buffers after it."""
        inputs, targets = self._rows["train"] if self.training.batch_size is None else self._taken(self.batch(step))
        if self.training.mode == "eval":
            return self._evaluate(weights, inputs, targets)[0], {}
        logits, buffers = self.family.training_forward(weights, inputs, self.training.batch_seed * 1_000_003 + step)
        return self._loss(logits, targets), buffers

    def batch(self, step: int) -> torch.Tensor:
        """Indices of the batch of one update: each pass over the split has an order of its own, drawn from seed and pass, so that nothing but the
        step has to be remembered."""
        import torch

        size = min(self.training.batch_size or len(self.train), len(self.train))
        per_pass = len(self.train) // size
        epoch, at = divmod(step, per_pass)
        generator = torch.Generator().manual_seed(self.training.batch_seed * 1_000_003 + epoch)
        order = torch.randperm(len(self.train), generator=generator)
        return self.train[order[at * size : (at + 1) * size]]

    def _taken(self, indices: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.inputs[indices], self.targets[indices]

    def _evaluate(self, weights: Leaves, inputs: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, float | None]:
        """Mean loss, and accuracy where answers are classes."""
        logits = self.family.forward(weights, inputs, Tap())
        correct = None if self.family.regression else (logits.detach().argmax(-1) == targets).double().mean().item()
        return self._loss(logits, targets), correct

    def _loss(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        answers = logits.double() if self.training.loss_dtype == "float64" else logits
        return self.family.loss(answers, targets).mean()
