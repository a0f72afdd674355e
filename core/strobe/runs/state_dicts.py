"""Tensors out of the files that people save: nested, prefixed, in half precision, in shards, with an optimizer's state beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import checkpoints
from ..errors import CheckpointError

if TYPE_CHECKING:
    import torch

NESTS = ("state_dict", "model_state_dict", "model", "module", "net", "network", "params", "weights")
"""Keys under which a training script keeps the weights, the likeliest first."""
WRAPPERS = ("module.", "_orig_mod.")
"""What DistributedDataParallel, DataParallel and torch.compile put before every name."""
ADVICE = "save its state_dict() with torch.save, or as safetensors"

Tensors = dict[str, "torch.Tensor"]


def read(files: Sequence[Path]) -> Tensors:
    """Name -> tensor of one checkpoint. Names as they were saved, but for what wraps the module; half precision is widened to float32, which loses
    nothing. Raises `CheckpointError` that names the file."""
    tensors: Tensors = {}
    for file in files:
        tensors.update(checkpoints.read_all(file) if file.suffix == ".safetensors" else load_pt(file))
    if not tensors:
        raise CheckpointError(f"{files[0].name} holds no tensors")
    return _plain(tensors)


def unwrapped(tensors: Mapping[str, torch.Tensor]) -> Tensors:
    """Without the prefixes that wrappers put before every name, in whatever order, and torch.compile also within one."""
    names = list(tensors)
    while prefix := next((w for w in WRAPPERS if names and all(n.startswith(w) for n in names)), ""):
        names = [n.removeprefix(prefix) for n in names]
    return dict(zip((n.replace("._orig_mod.", ".") for n in names), tensors.values(), strict=True))


def _plain(tensors: Mapping[str, torch.Tensor]) -> Tensors:
    """Contiguous, and of 32 bits or more. Two names of one tensor stay so, which is how a family sees that weights are tied."""
    made: dict[tuple[Any, ...], torch.Tensor] = {}
    for t in tensors.values():
        made.setdefault(_place(t), (t.float() if t.is_floating_point() and t.element_size() < 4 else t).detach().contiguous())
    return {name: made[_place(t)] for name, t in tensors.items()}


def _place(t: torch.Tensor) -> tuple[Any, ...]:
    return (t.data_ptr(), t.dtype, tuple(t.shape), t.stride()) if t.numel() else (id(t),)


def apart(tensors: Mapping[str, torch.Tensor]) -> Tensors:
    """Each tensor in memory of its own: a file of safetensors can hold no two that share it."""
    seen: set[int] = set()
    found = {}
    for name, t in tensors.items():
        storage = t.untyped_storage().data_ptr()
        found[name] = t.clone() if storage in seen else t
        seen.add(storage)
    return found


def load_pt(file: Path) -> Tensors:
    """A file of torch.save that holds tensors by name, or dictionaries of them. Loaded with weights only: no code is run."""
    import torch

    try:
        with torch.serialization.safe_globals(_harmless()):
            data = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as e:  # torch raises pickle, zip and runtime errors of many kinds here
        raise CheckpointError(f"{file.name} cannot be loaded as weights only ({_reason(e)}); {ADVICE}") from e
    found = _weights_of(data)
    if not found:
        raise CheckpointError(f"{file.name} holds no dictionary of tensors; save model.state_dict() with torch.save")
    return found


def _harmless() -> list[Any]:
    """Types that lie beside weights in many checkpoints and whose making runs no code of anybody's: settings of argparse, numbers of numpy."""
    import argparse

    import numpy as np

    scalar = np.float64(0).__reduce__()[0]  # numpy keeps it in another module than it did before version 2
    numbers = [np.dtype, *{type(np.dtype(t)) for t in ("f4", "f8", "i4", "i8", "?")}]
    return [argparse.Namespace, *((scalar, f"numpy.{m}.multiarray.scalar") for m in ("core", "_core")), *numbers]


def _reason(e: Exception) -> str:
    """What torch says, without its paragraphs of advice."""
    lines = [line.strip() for line in str(e).splitlines() if line.strip()]
    told = next((line for line in lines if "Unsupported" in line or "GLOBAL" in line), lines[0] if lines else type(e).__name__)
    return told.partition(". Please")[0].partition("WeightsUnpickler error: ")[2] or told.partition(". Please")[0]


def _weights_of(data: Any) -> Tensors:
    """The tensors in what a file holds: under the key where scripts keep them, else at the top, else every nested dictionary under its own key."""
    if not isinstance(data, Mapping):
        return {}
    nested = {
        str(key): found
        for key, value in data.items()
        if isinstance(value, Mapping) and not _is_optimizer(key, value) and (found := _weights_of(value))
    }
    if usual := next((name for name in NESTS if name in nested), ""):
        return nested[usual]
    own = {str(key): value for key, value in data.items() if _is_tensor(value)}
    models = {key: found for key, found in nested.items() if any(t.ndim for t in found.values())}  # single numbers are no model
    if len(own) > sum(map(len, models.values())):
        return own
    return next(iter(models.values())) if len(models) == 1 else _joined(models)


def _is_optimizer(key: Any, value: Mapping[Any, Any]) -> bool:
    return "param_groups" in value or "optim" in str(key).lower() or "sched" in str(key).lower()


def _is_tensor(value: Any) -> bool:
    import torch

    return isinstance(value, torch.Tensor)


def _joined(parts: Mapping[str, Tensors]) -> Tensors:
    """Several models in one file, such as a generator and a discriminator."""
    return {f"{part}.{name}": tensor for part, tensors in parts.items() for name, tensor in tensors.items()}
