"""What a folder of checkpoints holds: which files are at which step, and what lies beside them. Reads no tensor.

A checkpoint is a file whose name ends in its step (`epoch_00500.safetensors`, `model-500.pt`), or a folder whose name does and that holds the weights
(`step_500/model.safetensors`, `checkpoint-500/pytorch_model.bin`, in several shards too). States of optimizers and schedulers are passed over.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import checkpoints
from ..errors import UsageError

if TYPE_CHECKING:
    import torch

SUFFIXES = (".safetensors", ".pt", ".pth", ".bin", ".ckpt")
LOSSES = "losses.safetensors"
SHARD = re.compile(r"-\d+-of-\d+$")
NO_WEIGHTS = re.compile(r"(^|[_.-])(optim\w*|scheduler|rng_state\w*|random_states\w*|scaler|training_args|trainer_state)([_.-]|\d|$)", re.IGNORECASE)
"""Files that lie beside weights and hold none."""
USUAL = ("model", "pytorch_model", "diffusion_pytorch_model", "adapter_model", "weights", "checkpoint", "ckpt", "state_dict")
"""What the weights in a checkpoint's own folder are called, the likeliest first; the same name as safetensors comes before one with pickles in it."""


@dataclass(frozen=True)
class Found:
    """What a folder holds: step -> the files of its weights (several: shards), a description, arrays by name, files that are no checkpoint of it."""

    folder: Path
    files: Mapping[int, tuple[Path, ...]]
    description: Mapping[str, Any]
    arrays: Mapping[str, torch.Tensor]
    passed_over: tuple[str, ...] = ()


def look(folder: Path) -> Found:
    """The checkpoints and what lies beside them. Raises `UsageError` when there are none."""
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder of checkpoints; give the folder that holds the .safetensors or .pt files")
    files: dict[int, tuple[Path, ...]] = {}
    passed_over = []
    for entry in sorted(folder.iterdir()):
        own = _files_of(entry)
        step = step_of(entry)
        if own and step is None:
            passed_over.append(entry.name)
        elif own and step is not None:
            if step in files:
                raise UsageError(f"{_shown(folder, files[step])} and {_shown(folder, own)} both look like step {step}; keep one per step")
            files[step] = own
    if not files and (own := _weights_in(folder)) and (step := step_of(folder.resolve())) is not None:
        files, passed_over = {step: own}, []  # one checkpoint's own folder
    if not files:
        also = f"; {passed_over[0]} says none" if passed_over else ""
        raise UsageError(
            f"{folder} holds no checkpoints: expected .safetensors or .pt files whose name ends in the step, such as step_00500.safetensors, "
            f"or folders of them, such as checkpoint-500{also}"
        )
    description = read_json(folder / "run.json") if (folder / "run.json").is_file() else {}
    arrays = checkpoints.read_all(folder / LOSSES) if (folder / LOSSES).is_file() else {}
    return Found(folder, dict(sorted(files.items())), description, arrays, tuple(passed_over))


def step_of(path: Path) -> int | None:
    """The last number in a name, without the suffix of a checkpoint; None when there is none."""
    stem = path.stem if path.suffix in SUFFIXES else path.name
    number = re.search(r"(\d+)\D*$", SHARD.sub("", stem))
    return int(number[1]) if number else None


def _files_of(entry: Path) -> tuple[Path, ...]:
    """The weights that an entry of the folder is or holds, () for anything else."""
    if entry.is_dir():
        return _weights_in(entry) if step_of(entry) is not None else ()
    return (entry,) if _may_hold_weights(entry) else ()


def _may_hold_weights(file: Path) -> bool:
    return file.suffix in SUFFIXES and file.name != LOSSES and not file.name.startswith(".") and not NO_WEIGHTS.search(file.stem) and file.is_file()


def _weights_in(folder: Path) -> tuple[Path, ...]:
    """The files of one checkpoint in a folder of its own: all its shards, else the likeliest one."""
    found = sorted((f for f in folder.iterdir() if _may_hold_weights(f)), key=lambda f: (SUFFIXES.index(f.suffix), f.name))
    shards = [f for f in found if SHARD.search(f.stem)]
    if shards:
        return _whole(folder, [f for f in shards if f.suffix == shards[0].suffix])
    named = [f for name in USUAL for f in found if f.stem == name]
    if len(found) > 1 and not named:
        raise UsageError(
            f"{folder.name} holds {', '.join(f.name for f in found[:3])}: which are its weights is not known; name them model.safetensors"
        )
    return tuple((named or found)[:1])


def _whole(folder: Path, shards: Sequence[Path]) -> tuple[Path, ...]:
    """The shards of a checkpoint. Raises `UsageError` when one that their names or their index speak of is not there."""
    name, wanted = SHARD.sub("", shards[0].stem), int(shards[0].stem.rpartition("-")[2])
    index = folder / f"{name}{shards[0].suffix}.index.json"
    listed = set(read_json(index).get("weight_map", {}).values()) if index.is_file() else set()
    missing = sorted(listed - {f.name for f in shards})
    if missing or len(shards) < wanted:
        what = f"without {', '.join(missing[:3])}" if missing else f"{len(shards)} of {wanted} shards"
        raise UsageError(f"{folder.name} holds {name} {what}: the checkpoint is not whole; copy the rest of it, or move the folder away")
    return tuple(f for f in shards if not listed or f.name in listed)


def _shown(folder: Path, files: Sequence[Path]) -> str:
    return str(files[0].relative_to(folder))


def read_json(file: Path) -> dict[str, Any]:
    try:
        return json.loads(file.read_text())  # type: ignore[no-any-return]
    except ValueError as e:
        raise UsageError(f"{file} is not valid JSON: {e}") from e
