"""What hooks are handed. Each can be built by hand, so that a unit test of an analyzer is a plain call."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from .errors import StrobeError, did_you_mean

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import torch

    from .family import Family
    from .weights import Weights


class Activations(dict[str, "torch.Tensor"]):
    """Site -> tensor: [batch, pos, d], or [batch, d] where `Last()` was asked for; `q|k|v|z` [batch, pos, head, d_head]. Read-only tensors."""

    def __missing__(self, site: str) -> torch.Tensor:
        raise StrobeError(f"site {site!r} was not captured: declare it in `sites`{did_you_mean(site, self)}")


class Attention(dict[int, "torch.Tensor"]):
    """Layer -> attention pattern [batch, head, query, key], rows summing to 1. All queries unless `sites` narrows `attn.pattern`."""


class Results(dict[str, "pd.DataFrame"]):
    """Analyzer -> its rows, for the analyzers named in `consumes`.

    Derived analyzers get all steps. A step analyzer gets the rows of its own step and those with a null step, so its cell does not
    change when other steps are added.
    """

    def __missing__(self, name: str) -> pd.DataFrame:
        raise StrobeError(f"no results of {name!r} here: name it in `consumes`{did_you_mean(name, self)}")


@dataclass(frozen=True, eq=False)
class Probe:
    """A named, stored batch of inputs: `inputs` [batch, pos], `targets` [batch], `splits` name -> mask [batch], `table` one row per input.

    Inputs that have no answer belong in no split; then `splits` also holds `all`, the ones that have.
    """

    name: str
    inputs: torch.Tensor
    targets: torch.Tensor
    splits: Mapping[str, torch.Tensor] = field(default_factory=dict)
    table: pd.DataFrame | None = None

    @cached_property
    def digest(self) -> str:
        """SHA-256 over name, inputs, targets and splits."""
        h = hashlib.sha256(self.name.encode())
        for name, tensor in [("inputs", self.inputs), ("targets", self.targets), *sorted(self.splits.items())]:
            h.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            h.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        return h.hexdigest()


@dataclass(frozen=True, eq=False)
class Outputs:
    """What the model answered: `logits` [batch, classes] at the family's read-out position, `targets` [batch], `splits` name -> mask [batch].

    Of a regression (an analyzer's `answers` is `"values"` or `"any"`) `logits` are the predictions, [batch, values], and `targets` floating point.
    """

    logits: torch.Tensor
    targets: torch.Tensor
    splits: Mapping[str, torch.Tensor] = field(default_factory=dict)

    @cached_property
    def loss(self) -> torch.Tensor:
        """Cross-entropy per input in nats, float64 [batch]: logits are cast *before* log_softmax, which in float32 bottoms out at 1.2e-7.

        Of a regression the squared error, its mean over the values of an input.
        """
        import torch

        if self.targets.is_floating_point():
            return (self.logits.double() - self.targets.double().reshape(self.logits.shape)).square().mean(-1)
        return torch.nn.functional.cross_entropy(self.logits.double(), self.targets, reduction="none")

    def split(self, name: str) -> torch.Tensor:
        """Boolean mask [batch] of a split the probe names (`train`, `test`), or of `all`: every input, unless the probe names fewer as its `all`."""
        import torch

        if name == "all" and name not in self.splits:
            return torch.ones(len(self.targets), dtype=torch.bool)
        if name not in self.splits:
            raise StrobeError(f"no split {name!r}{did_you_mean(name, ['all', *self.splits])}")
        return self.splits[name]


@dataclass(frozen=True, eq=False)
class Context:
    """Where a hook is running: run, step (None for derived analyzers), family, device, a generator seeded from the cell's key, a logger.

    With `scope = "runs"` there is no one family; then `parameters` says of each run what it was made with: its family's name as `family`, the
    family's parameters, and the training configuration under its own names (a family parameter of the same name comes first).
    """

    run: str = "run"
    step: int | None = None
    family: Family | None = None
    device: str = "cpu"
    seed: int = 0
    logger: logging.Logger = field(default_factory=lambda: logging.getLogger("strobe"))
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @cached_property
    def rng(self) -> np.random.Generator:
        """Same cell, same numbers: seeded from the cell's key."""
        import numpy as np

        return np.random.default_rng(self.seed)


@dataclass(frozen=True, eq=False)
class Checkpoints:
    """A run's checkpoints, opened one at a time: iterate for `(step, weights)`, or index by step. Nothing is kept between steps."""

    steps: tuple[int, ...]
    open: Callable[[int], Weights]

    def __iter__(self) -> Iterator[tuple[int, Weights]]:
        return ((step, self.open(step)) for step in self.steps)

    def __len__(self) -> int:
        return len(self.steps)

    def __getitem__(self, step: int) -> Weights:
        if step not in self.steps:
            raise StrobeError(f"no checkpoint at step {step}: there are {', '.join(map(str, self.steps))}")
        return self.open(step)
