"""A tiny run in memory: a family's smallest member, moved for a few steps, its checkpoints and what training would have recorded."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..errors import StrobeError, UsageError
from ..sites import Positions, Stop, Tap, resolve, union

if TYPE_CHECKING:
    import pandas as pd
    import torch

    from ..arguments import Probe
    from ..family import Family
    from ..registration.registry import Registry

EPOCHS = 20
STEPS = (0, 5, 10, 15, 20)
STRIDE = 0.05
"""Length of an update, as a share of a parameter's norm."""

Tensors = Mapping[str, "torch.Tensor"]


@dataclass(frozen=True, eq=False)
class TinyRun:
    """Checkpoints (step -> name -> read-only tensor), metrics and probe of a run that lives in memory only."""

    name: str
    family: Family
    family_name: str
    checkpoints: Mapping[int, Tensors]
    metrics: pd.DataFrame
    probe: Probe
    record: Mapping[str, Any] = field(default_factory=dict)

    @property
    def steps(self) -> tuple[int, ...]:
        return tuple(self.checkpoints)

    def capture(self, step: int, sites: Mapping[str, Positions], tensors: Tensors | None = None) -> dict[tuple[str, Positions], torch.Tensor]:
        """(site, positions) -> tensor over the probe, at a step's weights or at other ones. One forward."""
        return forward(self.family, tensors or self.checkpoints[step], self.probe.inputs, resolve(sites, self.family.sites()))


def forward(family: Family, tensors: Tensors, inputs: torch.Tensor, sites: Mapping[str, Positions]) -> dict[tuple[str, Positions], torch.Tensor]:
    """What a forward pass shows at the given sites, read-only."""
    import torch

    tap = Tap(union([sites]))
    with torch.inference_mode(), contextlib.suppress(Stop):
        family.forward(tensors, inputs, tap)
    return tap.captured


def tiny_run(family: Family | None = None, *, name: str = "tiny", steps: Sequence[int] = STEPS) -> TinyRun:
    """A run of the family's smallest member (of the first installed family, when none is given), the same each time.

    The weights are the family's initial ones moved along the gradient of its loss, 20 small steps: no optimizer, so that no test waits for one.
    `metrics` has the columns that training records. Made once per process; what hooks are handed are copies. Cost: 20 gradients.
    """
    member = family if family is not None else smallest(default_family())
    return _made(type(member), member.model_dump_json(), name, tuple(steps))


@functools.lru_cache(maxsize=32)
def _made(cls: type[Family], parameters: str, name: str, steps: tuple[int, ...]) -> TinyRun:
    import pandas as pd

    family = cls.model_validate_json(parameters)
    split = family.split()
    probe = next(iter(family.probes(split).values()))()
    kept, rows = {}, []
    for step, (tensors, row) in enumerate(_moved(family, probe, split)):
        rows.append({"step": step, **row})
        if step in steps:
            kept[step] = read_only(tensors)
    record = {"epochs": EPOCHS, "lr": STRIDE, "weight_decay": 0.0}
    return TinyRun(name, family, _registered(cls), kept, pd.DataFrame(rows), probe, record)


def _moved(family: Family, probe: Probe, split: Mapping[str, torch.Tensor]) -> Iterable[tuple[Tensors, dict[str, float | None]]]:
    """Weights and their row of metrics at every step."""
    import torch

    weights = {name: tensor.detach().clone() for name, tensor in family.initial().items()}
    for _ in range(EPOCHS + 1):
        leaves = {n: w.requires_grad_(w.is_floating_point() and n not in family.buffers()) for n, w in weights.items()}
        loss, accuracy = _look(family, leaves, probe, split["train"])
        moving = [w for w in leaves.values() if w.requires_grad]
        grads = iter(torch.autograd.grad(loss, moving, allow_unused=True))
        with torch.no_grad():
            test_loss, test_accuracy = _look(family, leaves, probe, split["test"]) if len(split.get("test", ())) else (None, None)
        yield weights, _row(loss, accuracy, test_loss, test_accuracy)
        weights = {n: _stepped(w.detach(), next(grads) if w.requires_grad else None) for n, w in leaves.items()}


def _row(loss: Any, accuracy: Any, test_loss: Any, test_accuracy: Any) -> dict[str, float | None]:
    values = {"train_loss": loss, "test_loss": test_loss, "train_accuracy": accuracy, "test_accuracy": test_accuracy}
    return {**{name: None if v is None else v.item() for name, v in values.items()}, "lr": STRIDE}


def _look(family: Family, weights: Tensors, probe: Probe, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
    logits = family.forward(weights, probe.inputs[rows], Tap())
    targets = probe.targets[rows]
    return family.loss(logits.double(), targets).mean(), None if family.regression else (logits.detach().argmax(-1) == targets).double().mean()


def _stepped(weight: torch.Tensor, gradient: torch.Tensor | None) -> torch.Tensor:
    if gradient is None or not bool(gradient.any()):
        return weight.clone()
    moved: torch.Tensor = weight - STRIDE * (weight.norm() + 1) * gradient / gradient.norm()
    return moved


def read_only(tensors: Tensors) -> dict[str, torch.Tensor]:
    """Copies that refuse to be written to."""
    import torch

    with torch.inference_mode():
        return {name: tensor.detach().clone() for name, tensor in tensors.items()}


def default_family(registry: Registry | None = None) -> type[Family]:
    """The first installed family that can be used, those that come with Strobe before others."""
    for plugin in families(registry):
        with contextlib.suppress(StrobeError):
            return plugin.load()  # type: ignore[no-any-return]
    raise UsageError("no family is installed, and the fixtures are made from one; `pip install strobe`, or hand in what the analyzer reads")


def families(registry: Registry | None = None) -> list[Any]:
    """Installed families, those that come with Strobe first."""
    from ..registration.registry import Registry

    return sorted((registry or Registry.discover()).all("family"), key=lambda p: p.package != "strobe")


def smallest(cls: type[Family]) -> Family:
    """A family's tiny member."""
    return cls(**cls.tiny())


def _registered(cls: type[Family]) -> str:
    """The name a family is installed under, else that of its class."""
    from ..registration.registry import Registry, snake_case

    module, name = cls.__module__, cls.__qualname__
    entries = (p for p in Registry.discover().all("family") if p.entry is not None)
    return next((p.name for p in entries if p.entry.value == f"{module}:{name}"), snake_case(name))  # type: ignore[union-attr]
