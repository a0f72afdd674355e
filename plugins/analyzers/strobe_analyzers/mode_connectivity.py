"""Whether two sets of weights lie in one valley."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from pydantic import Field, model_validator

import strobe
from strobe import Analyzer, Loss, Probe, StrobeError, Weights, array, dim, hookimpl, metric

from .directions import norm
from .inputs import splits_of

Tensors = dict[str, torch.Tensor]


class ModeConnectivity(Analyzer):
    """Loss on the straight line from this checkpoint w0 to another run's w1, and its barrier, train and test apart.

    barrier = max over alpha of L((1 - alpha) w0 + alpha w1) - ((1 - alpha) L(w0) + alpha L(w1)), `points` values of alpha from 0 to 1. At or near 0:
    linearly connected; some nats: two valleys. Never below 0. `other` is a checkpoint file of the other run,
    `runs/NAME/checkpoints/step_00025000.safetensors`; its digest is part of the settings, so another file gives other results. A model whose
    parameters differ in name or shape is refused. Runs that differ only in the order of their neurons have a barrier without being different:
    `align_neurons` puts the neurons of every MLP (W_in, b_in, W_out) of the other run in the order that best matches these weights; it does not turn
    the residual stream or permute heads, so between runs from different initial weights barriers remain. Null where a loss is not finite. Cost:
    points forwards per split: 1.2 s at p = 113; runs when asked for by name. Source: Frankle et al. 1912.05671; weight matching of Ainsworth et al.
    2209.04836, section 3.2.
    """

    opt_in = True

    other: str = Field("", description="checkpoint file (.safetensors) of the other run")
    digest: str = Field("", description="SHA-256 of that file; filled in")
    points: int = Field(11, ge=3, description="values of alpha from 0 to 1")
    align_neurons: bool = Field(False, description="reorder the other run's neurons to match first")
    splits: tuple[str, ...] = ("test", "train")

    class Row(strobe.Row):
        split: str = dim("inputs the loss is taken on")
        other: str = dim("checkpoint file of the other run")
        distance: float | None = metric("||w1 - w0||", unit="1")
        relative_distance: float | None = metric("||w1 - w0|| / ||w0||", unit="1")
        loss: float | None = metric("loss at this checkpoint", unit="nats")
        other_loss: float | None = metric("loss at the other", unit="nats")
        barrier: float | None = metric("highest rise over the straight line between the two losses, 0 and up", unit="nats")
        barrier_at: float | None = metric("alpha of the barrier; 0 at this checkpoint, 1 at the other", unit="1")
        alphas: np.ndarray = array("where the loss was taken", dims=["alpha"], dtype="float64", unit="1")
        losses: np.ndarray = array("loss there", dims=["alpha"], dtype="float64", unit="nats")

    @model_validator(mode="after")
    def _reads(self) -> ModeConnectivity:
        if self.other:
            if not Path(self.other).is_file():
                raise ValueError(f"other={self.other!r} is no file; name a checkpoint, such as runs/NAME/checkpoints/step_00025000.safetensors")
            found = sha256(Path(self.other).read_bytes()).hexdigest()
            if self.digest not in ("", found):
                raise ValueError(
                    f"{self.other} has changed: its digest is {found[:16]}, not {self.digest[:16]}; leave digest out to take it as it is"
                )
            object.__setattr__(self, "digest", found)
        return self

    @hookimpl
    def analyze_landscape(self, loss: Loss, probe: Probe) -> Iterator[Row]:
        if not self.other:
            raise StrobeError("mode_connectivity: needs another run: --set mode_connectivity.other=runs/NAME/checkpoints/step_00025000.safetensors")
        yield from self.between(loss, Weights.open(Path(self.other)), splits_of(probe, self.splits))

    def between(self, loss: Loss, other: Mapping[str, torch.Tensor], splits: Sequence[str]) -> Iterator[Row]:
        """The rows of the line from the loss's weights to `other`."""
        end = _matching(loss.weights, other)
        end = aligned(loss.weights, end) if self.align_neurons else end
        start = {n: w.double() for n, w in loss.weights.items()}
        distance = norm({n: end[n].double() - w for n, w in start.items()})
        alphas = np.linspace(0, 1, self.points)
        line = (loss.at({n: torch.lerp(w, end[n], float(a)) for n, w in loss.weights.items() if w.is_floating_point()}) for a in alphas)
        losses = np.array([[there(split) for split in splits] for there in line])  # [alpha, split]
        shared = {"other": self.other, "distance": _finite(distance), "relative_distance": _finite(distance / max(norm(start), 1e-300))}
        for i, split in enumerate(splits):
            yield self.Row(split=split, alphas=alphas, losses=losses[:, i], **shared, **_barrier(alphas, losses[:, i]))


def _barrier(alphas: np.ndarray, losses: np.ndarray) -> dict[str, float | None]:
    rise = losses - ((1 - alphas) * losses[0] + alphas * losses[-1])
    rise[[0, -1]] = 0.0  # by definition; rounding would make it 1e-17
    known = bool(np.isfinite(rise).all()) and bool(np.isfinite(losses).all())
    at = int(rise.argmax()) if known else 0
    barrier = {"barrier": float(rise[at]) if known else None, "barrier_at": float(alphas[at]) if known else None}
    return {"loss": _finite(float(losses[0])), "other_loss": _finite(float(losses[-1])), **barrier}


def _matching(mine: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]) -> Tensors:
    """The other run's tensors in these dtypes; refuses a model of another make, naming the first difference."""
    if missing := [n for n in mine if n not in other]:
        raise StrobeError(f"mode_connectivity: the other run has no {missing[0]}; runs of different models have no line between them")
    for name, w in mine.items():
        if other[name].shape != w.shape:
            shapes = f"{list(w.shape)} here and {list(other[name].shape)} there"
            raise StrobeError(
                f"mode_connectivity: {name} is {shapes}; runs of different shapes have no line between them: choose a run of the same model"
            )
    return {n: other[n].detach().clone().to(w.dtype) for n, w in mine.items()}


def aligned(mine: Mapping[str, torch.Tensor], other: Tensors) -> Tensors:
    """`other` with the neurons of every MLP in the order that maximises the inner product with `mine` (linear assignment per layer)."""
    from scipy.optimize import linear_sum_assignment

    found = dict(other)
    for name in mine:
        if not re.fullmatch(r"blocks\.\d+\.mlp\.W_in", name):
            continue
        at = name.removesuffix("W_in")
        axes = {f"{at}{n}": axis for n, axis in (("W_in", 1), ("b_in", 0), ("W_out", 0)) if f"{at}{n}" in mine}
        flat = [torch.cat([w[n].double().movedim(axis, 0).reshape(w[n].shape[axis], -1) for n, axis in axes.items()], 1) for w in (mine, found)]
        order = torch.from_numpy(linear_sum_assignment((flat[0] @ flat[1].T).numpy(), maximize=True)[1])
        found |= {n: found[n].index_select(axis, order) for n, axis in axes.items()}
    return found


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
