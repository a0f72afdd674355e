"""Training on a GPU: the whole update is one CUDA graph, replayed; several runs go through it side by side.

An update of a small model is a hundred kernels of a few microseconds: launched one by one they take longer to launch than to run, and one run
cannot fill a GPU. So forward, loss, backward and optimizer are captured once and replayed. Each run of a stack has a branch of its own in that graph,
made of exactly the kernels that it has alone: its weights come out bitwise as when it is trained by itself, and shapes need not agree. (Batched
products over a run axis were as fast for eight runs, and moved the last bits.)

Losses of every step stay on the device and are read back in blocks. Products are float32 throughout (no tf32), losses as `loss_dtype` says. Bitwise
equal, where the family's kernels sum in a fixed order: the same run twice, alone or in a stack, resumed or not, on one kind of GPU and one version of
torch. Not bitwise equal: the CPU path, which sums in another order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import UsageError
from .loop import Evaluated, Event, Saved, Training, leaves

if TYPE_CHECKING:
    import torch

    from ..family import Family, Split

BLOCK = 256
"""Most steps between two readings of the losses."""

WARM_UP = 3
"""Updates before the capture: libraries choose and load kernels at the first calls, which no graph may hold."""

PIECES = 32
"""Parts a run's parameters are cut into for the optimizer: its fused kernel gives one thread block to 65,536 numbers of a tensor, so whole matrices
of a small model would leave most of the GPU idle (p=113 on an H200: 78 us an update, against 12)."""

Look = Callable[[], tuple["torch.Tensor", "torch.Tensor"]]
"""() -> mean loss and accuracy of the weights as they are."""


def train_stack(
    families: Sequence[Family],
    training: Training,
    splits: Sequence[Split],
    *,
    resume: Sequence[Saved] | None = None,
    keep: Iterable[int] | None = None,
) -> Iterator[tuple[int, Event]]:
    """Train several runs at once on the GPU: (index of the run, event), for each run the events that `strobe.training.loop.train` gives.

    All have one training configuration and start at the same step. Raises `UsageError` without a GPU, and for what is only done on the CPU.
    """
    import torch

    refuse(training)
    return events(families, training, splits, torch.device("cuda"), resume, keep)


def refuse(training: Training, interventions: Sequence[object] = ()) -> None:
    """Raises `UsageError` for what the graph does not hold, and without a GPU."""
    import torch

    if training.optimizer not in ("adamw", "adam"):
        raise UsageError(f"optimizer={training.optimizer} is not available with device=cuda: use adamw or adam, or device=cpu")
    if training.batch_size is not None:
        raise UsageError(f"batch_size={training.batch_size} is not available with device=cuda: leave it null (the whole split), or use device=cpu")
    if training.mode == "train":
        raise UsageError("mode=train is not available with device=cuda: use mode=eval (no dropout, fixed batch norm), or device=cpu")
    if interventions:
        raise UsageError("interventions act between kernels of an update, which device=cuda replays as a whole: use device=cpu")
    if not torch.cuda.is_available():
        why = "this torch is built without CUDA" if torch.version.cuda is None else "torch finds no GPU"
        raise UsageError(
            f"device=cuda: {why}. Train with `--set device=cpu`, or on a machine with an NVIDIA GPU and a torch for CUDA (https://pytorch.org/get-started)"
        )


def events(
    families: Sequence[Family],
    training: Training,
    splits: Sequence[Split],
    device: torch.device,
    resume: Sequence[Saved] | None = None,
    keep: Iterable[int] | None = None,
) -> Iterator[tuple[int, Event]]:
    """`train_stack` on a given device; on the CPU the same steps are taken without a graph."""
    import torch

    starts: Sequence[Saved | None] = resume or [None] * len(families)
    if len({0 if start is None else start.step for start in starts}) > 1:
        raise UsageError(
            f"runs trained at once must start at one step, not at {', '.join(str(s.step if s else 0) for s in starts)}: resume them apart"
        )
    begin = -1 if starts[0] is None else starts[0].step
    kept = frozenset(training.steps() if keep is None else keep)
    lr = torch.zeros((), device=device)
    stack = Stack([Lane(f, training, s, start, lr) for f, s, start in zip(families, splits, starts, strict=True)], lr)
    for first, last in blocks(max(begin, 0), training.epochs, kept):
        steps = range(first, last + 1)
        due = [step in kept or step % training.eval_every == 0 for step in steps]
        snapshots = stack.advance([training.lr_at(step) for step in steps], due, keep=last in kept)
        for step, looked, seen in zip(steps, due, stack.seen(), strict=False):
            for run, (train_loss, train_accuracy, *test) in enumerate(seen):
                if step > begin:
                    test_loss, test_accuracy = test if looked and "test" in stack.lanes[run].looks else (None, None)
                    right, test_right = (None, None) if families[run].regression else (train_accuracy, test_accuracy)
                    row = Evaluated(step, train_loss, test_loss, right, test_right, training.lr_at(step))
                    yield run, row
                    if step in kept:
                        yield run, snapshots[run].saved(step, row)


def blocks(begin: int, end: int, kept: frozenset[int]) -> Iterator[tuple[int, int]]:
    """First and last step of what is done without looking at a loss: a kept step ends its block."""
    first = begin
    for step in range(begin, end + 1):
        if step in kept or step == end or step - first + 1 == BLOCK:
            yield first, step
            first = step + 1


@dataclass(frozen=True, eq=False)
class Snapshot:
    """Weights and optimizer state of one run at one step, copied on the device; brought back when asked for."""

    tensors: Mapping[str, torch.Tensor]
    state: Mapping[str, torch.Tensor]

    def saved(self, step: int, row: Evaluated) -> Saved:
        tensors, state = ({name: t.cpu() for name, t in some.items()} for some in (self.tensors, self.state))
        return Saved(step, tensors, row, state if step else {})


class Lane:
    """One run on the device: its weights, what an update of them is, and what is seen of it."""

    def __init__(self, family: Family, training: Training, split: Split, start: Saved | None, lr: torch.Tensor) -> None:
        import torch

        self.training = training
        begin = dict(sorted(leaves(family, training, start).items()))  # a file has an order of its own, and where a tensor lies moves its last bit
        self.free = {name: w for name, w in begin.items() if w.requires_grad}
        if not self.free:
            raise UsageError(f"freeze={list(training.freeze)} leaves no parameter to train")
        self.flat = joined(self.free.values()).to(lr.device)  # every free parameter, one after the other
        self.free = {name: view.requires_grad_() for name, view in self._views(self.flat).items()}
        self.weights = {name: self.free.get(name, w.to(lr.device)) for name, w in begin.items()}
        self.gradient = torch.zeros_like(self.flat)
        self.moments = {name: self._moment(name, start) for name in ("exp_avg", "exp_avg_sq")}
        self.updates = torch.tensor(float(next((t for key, t in (start.state if start else {}).items() if key.endswith("/step")), 0)))
        self.optimizer = self._optimizer(lr)
        self.looks = looks(family, training, split, self.weights)
        self._begin = [t.clone() for t in self._moving()]

    def descend(self) -> torch.Tensor:
        """One update; returns loss and accuracy before it."""
        import torch

        loss, accuracy = self.looks["train"]()
        gradients = torch.autograd.grad(loss, list(self.free.values()))
        torch.cat([g.reshape(-1) for g in gradients], out=self.gradient)
        if self.training.clip is not None:
            self.gradient.mul_((self.training.clip / (self.gradient.norm() + 1e-6)).clamp(max=1))
        self.optimizer.step()
        return torch.stack([loss.detach().double(), accuracy])

    def test(self) -> torch.Tensor:
        """Loss and accuracy over the test split; NaN without one."""
        import torch

        if "test" not in self.looks:
            return torch.full((2,), torch.nan, dtype=torch.float64, device=self.flat.device)
        with torch.no_grad():
            loss, accuracy = self.looks["test"]()
            return torch.stack([loss.double(), accuracy])

    def snapshot(self) -> Snapshot:
        moments = {f"{name}/{key}": view for key, flat in self.moments.items() for name, view in self._views(flat.clone()).items()}
        steps = {f"{name}/step": self.steps[0].clone() for name in self.free}
        return Snapshot({name: w.detach().clone() for name, w in self.weights.items()}, {**steps, **moments})

    def rewind(self) -> None:
        """Back to where it began, after a warm-up."""
        for t, begin in zip(self._moving(), self._begin, strict=True):
            t.copy_(begin)

    def _moving(self) -> list[torch.Tensor]:
        return [self.flat, *self.moments.values(), *self.steps]

    def _views(self, flat: torch.Tensor) -> dict[str, torch.Tensor]:
        import torch

        sizes = [w.numel() for w in self.free.values()]
        return {name: part.view(w.shape) for (name, w), part in zip(self.free.items(), torch.split(flat.detach(), sizes), strict=True)}

    def _moment(self, name: str, start: Saved | None) -> torch.Tensor:
        import torch

        if start is None or not start.state:
            return torch.zeros_like(self.flat)
        return joined(start.state[f"{parameter}/{name}"] for parameter in self.free).to(self.flat.device)

    def _optimizer(self, lr: torch.Tensor) -> torch.optim.Optimizer:
        import torch

        pieces = self.flat.chunk(PIECES)
        self.steps = [self.updates.to(lr.device, copy=True) for _ in pieces]
        kind = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}[self.training.optimizer]
        decay, betas, capturable = self.training.weight_decay, self.training.betas, lr.device.type == "cuda"
        optimizer: torch.optim.Optimizer = kind(pieces, lr=lr, betas=betas, weight_decay=decay, fused=True, capturable=capturable)
        moments = zip(*(flat.chunk(PIECES) for flat in self.moments.values()), strict=True)
        for piece, gradient, step, (mean, square) in zip(pieces, self.gradient.chunk(PIECES), self.steps, moments, strict=True):
            piece.grad = gradient
            optimizer.state[piece] = {"step": step, "exp_avg": mean, "exp_avg_sq": square}
        return optimizer


def joined(tensors: Iterable[torch.Tensor]) -> torch.Tensor:
    import torch

    return torch.cat([t.detach().flatten() for t in tensors])


def looks(family: Family, training: Training, split: Split, weights: Mapping[str, torch.Tensor]) -> dict[str, Look]:
    """How to look at `weights` on each split that has inputs."""
    probe = next(iter(family.probes(split).values()))()
    device = next(iter(weights.values())).device
    return {
        name: look_at(family, training, weights, probe.inputs[split[name].long()].to(device), probe.targets[split[name].long()].to(device))
        for name in ("train", "test")
        if len(split[name])
    }


def look_at(family: Family, training: Training, weights: Mapping[str, torch.Tensor], inputs: torch.Tensor, targets: torch.Tensor) -> Look:
    import torch

    forward = family.fixed_forward(inputs)

    def look() -> tuple[torch.Tensor, torch.Tensor]:
        logits = forward(weights)
        right = logits.new_full((1,), torch.nan) if family.regression else logits.detach().argmax(-1) == targets
        correct = right.mean(dtype=torch.float64)
        answers = logits.double() if training.loss_dtype == "float64" else logits
        return family.loss(answers, targets).mean(), correct

    return look


class Stack:
    """Runs that take their steps at once. What a step needs from the host (a learning rate) and what it leaves (losses) is in buffers of a block."""

    def __init__(self, lanes: Sequence[Lane], lr: torch.Tensor) -> None:
        import torch

        self.lanes, self.lr = lanes, lr
        self.lrs = torch.zeros(BLOCK, device=lr.device)
        self.slot = torch.zeros(1, dtype=torch.int64, device=lr.device)  # where in the block
        self.records = torch.zeros(2, BLOCK, len(lanes), 2, dtype=torch.float64, device=lr.device)  # train and test, loss and accuracy
        self.streams = [new_stream() for _ in lanes] if lr.is_cuda and len(lanes) > 1 else []
        self.update, self.test = (captured(self, self._update), captured(self, self._test)) if lr.is_cuda else (self._update, self._test)

    def advance(self, lrs: Sequence[float], due: Sequence[bool], *, keep: bool) -> list[Snapshot]:
        """Take a step per learning rate, the test split looked at where it is due; returns the runs as they were before the last step, to keep."""
        import torch

        self.slot.zero_()
        self.lrs[: len(lrs)].copy_(torch.tensor(lrs))
        snapshots: list[Snapshot] = []
        for at, look in enumerate(due):
            if keep and at == len(due) - 1:
                snapshots = [lane.snapshot() for lane in self.lanes]
            if look:
                self.test()
            self.update()
        return snapshots

    def seen(self) -> list[list[tuple[float, float, float, float]]]:
        """Slot -> run -> (train loss, train accuracy, test loss, test accuracy). Waits for the device."""
        import torch

        values: list[list[tuple[float, float, float, float]]] = torch.cat(list(self.records), -1).tolist()
        return values

    def _update(self) -> None:
        import torch

        torch.index_select(self.lrs, 0, self.slot, out=self.lr.view(1))
        self.records[0].index_copy_(0, self.slot, self._each(Lane.descend))
        self.slot.add_(1)

    def _test(self) -> None:
        self.records[1].index_copy_(0, self.slot, self._each(Lane.test))

    def _each(self, act: Callable[[Lane], torch.Tensor]) -> torch.Tensor:
        """What `act` gives for each run, [1, run, 2]; each run on a stream of its own."""
        import torch

        if not self.streams:
            return torch.stack([act(lane) for lane in self.lanes])[None]
        main, results = torch.cuda.current_stream(), []
        for lane, stream in zip(self.lanes, self.streams, strict=True):
            stream.wait_stream(main)
            with torch.cuda.stream(stream):
                results.append(act(lane))
        for stream in self.streams:
            main.wait_stream(stream)
        return torch.stack(results)[None]


def captured(stack: Stack, act: Callable[[], None]) -> Callable[[], None]:
    """`act` as a graph to replay; the runs are as they were before."""
    import torch

    graph, side = torch.cuda.CUDAGraph(), new_stream()
    side.wait_stream(torch.cuda.current_stream())
    with float32_products(), torch.cuda.stream(side):
        for _ in range(WARM_UP):
            act()
        side.synchronize()
        try:
            with torch.cuda.graph(graph, stream=side):
                act()
        except RuntimeError as e:
            raise UsageError(
                "device=cuda: the family's `fixed_forward` or `loss` cannot be captured in a CUDA graph: it may read no value back, and its shapes "
                f"must not change. Use device=cpu, or mend the family ({str(e).partition(chr(10))[0]})"
            ) from e
    torch.cuda.current_stream().wait_stream(side)
    for lane in stack.lanes:
        lane.rewind()
    return graph.replay


def new_stream() -> torch.cuda.Stream:
    import torch

    return torch.cuda.Stream()  # type: ignore[no-untyped-call]


@contextmanager
def float32_products() -> Iterator[None]:
    """No tf32, whatever the process is set to."""
    import torch

    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
