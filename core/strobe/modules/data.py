"""The inputs and targets that somebody gives with a module, checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import StrobeError

if TYPE_CHECKING:
    import torch

FORMS = 'return (inputs, targets), or {"train": (inputs, targets), "test": (inputs, targets)}'


@dataclass(frozen=True, eq=False)
class Data:
    """`inputs` [n, ...], `targets` int64 [n], or float32 [n, values]; `split`: name -> indices, {} where none was given."""

    inputs: torch.Tensor
    targets: torch.Tensor
    split: Mapping[str, torch.Tensor]


def data(given: Any, who: str) -> Data:
    """What `data()` returned. Raises `StrobeError` that says what it should be."""
    import torch

    if not isinstance(given, Mapping):
        return Data(*_pair(given, who), {})
    parts = {str(name): _pair(part, who) for name, part in given.items()}
    if "train" not in parts:
        raise StrobeError(f"{who}: data() gives the parts {', '.join(parts) or 'none'}, and no 'train'; {FORMS}")
    ends = torch.tensor([len(targets) for _, targets in parts.values()]).cumsum(0).tolist()
    split = {name: torch.arange(end - len(parts[name][1]), end) for name, end in zip(parts, ends, strict=True)}
    return Data(torch.cat([x for x, _ in parts.values()]), torch.cat([y for _, y in parts.values()]), split)


def _pair(given: Any, who: str) -> tuple[torch.Tensor, torch.Tensor]:
    import torch

    if not (isinstance(given, (tuple, list)) and len(given) == 2):
        raise StrobeError(f"{who}: data() returned a {type(given).__name__}; {FORMS}")
    try:
        inputs, targets = (torch.as_tensor(part).detach().cpu() for part in given)
    except (TypeError, ValueError, RuntimeError) as e:
        raise StrobeError(f"{who}: data() returned what makes no tensor ({e}); {FORMS}") from e
    if targets.is_floating_point():
        return _floats(inputs), _values(targets, inputs, who)
    if targets.ndim != 1 or len(targets) != len(inputs) or not len(targets):
        last = "; of next-token data give the token after the last, targets[:, -1]" if targets.ndim == 2 else ""
        raise StrobeError(f"{who}: targets have shape {list(targets.shape)} for inputs {list(inputs.shape)}, expected one class per input{last}")
    return _floats(inputs), targets.long()


def _floats(inputs: torch.Tensor) -> torch.Tensor:
    return inputs.float() if inputs.is_floating_point() else inputs


def _values(targets: torch.Tensor, inputs: torch.Tensor, who: str) -> torch.Tensor:
    """Targets of a regression, [n, values]."""
    if targets.ndim not in (1, 2) or len(targets) != len(inputs) or not targets.numel():
        raise StrobeError(f"{who}: targets have shape {list(targets.shape)} for inputs {list(inputs.shape)}, expected [n] or [n, values] per input")
    if not bool(targets.isfinite().all()):
        raise StrobeError(f"{who}: {int((~targets.isfinite()).sum())} of the targets are not finite; leave out the inputs that have no value")
    return targets.float().reshape(len(targets), -1)
