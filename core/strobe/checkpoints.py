"""Checkpoint files: safetensors, read tensor by tensor, written atomically, identified by a digest of their bytes."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import CheckpointError, StoreError

if TYPE_CHECKING:
    import torch


def digest(path: Path) -> str:
    """SHA-256 of a file, as hexadecimal. Cost: one read of the file."""
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def header(path: Path) -> list[str]:
    """Names of the tensors in a checkpoint, in file order. Reads the header only."""
    with _opened(path) as f:
        return list(f.keys())


def shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Name -> shape of every tensor in a checkpoint. Reads the header only."""
    with _opened(path) as f:
        return {name: tuple(f.get_slice(name).get_shape()) for name in f.keys()}  # noqa: SIM118 (not a mapping)


def read_tensor(path: Path, name: str, copy: Callable[[torch.Tensor], torch.Tensor] | None = None) -> torch.Tensor:
    """One tensor, copied into memory that torch allocated, or by `copy`: a mapped tensor is aligned differently from file to file, and float32 dot
    products then differ in the last bit."""
    with _opened(path) as f:
        tensor: torch.Tensor = f.get_tensor(name)
        return tensor.clone() if copy is None else copy(tensor)


def read_all(path: Path) -> dict[str, torch.Tensor]:
    """Every tensor of a checkpoint, by name."""
    with _opened(path) as f:
        return {name: f.get_tensor(name).clone() for name in f.keys()}  # noqa: SIM118 (not a mapping)


def write(path: Path, tensors: Mapping[str, torch.Tensor], about: Mapping[str, Any] | None = None) -> str:
    """Write a checkpoint so that a reader sees all of it or nothing; returns its digest. Raises `StoreError` on a full disk.

    The same tensors give the same bytes: what is said `about` them is one entry of the header, since safetensors writes several in any order.
    """
    from safetensors.torch import save

    data = save({name: t.detach().contiguous() for name, t in tensors.items()}, {"strobe": json.dumps(about, sort_keys=True)} if about else None)
    write_atomically(path, data)
    return hashlib.sha256(data).hexdigest()


def write_atomically(path: Path, data: bytes) -> None:
    """Temporary name, flush, rename, flush the folder: after a crash the file is whole or absent."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as f:
            f.write(data)
            f.flush()
            os.fsync(f.fileno())
        os.replace(temporary, path)
    except OSError as e:
        temporary.unlink(missing_ok=True)
        raise StoreError(f"cannot write {path}: {e.strerror or e}; free some space and run the same command again, nothing stored is lost") from e
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _opened(path: Path) -> Any:
    from safetensors import SafetensorError, safe_open

    try:
        return safe_open(path, "pt")
    except FileNotFoundError:
        raise CheckpointError(f"checkpoint {path} is missing: copy it back, or import the run again") from None
    except (SafetensorError, OSError) as e:
        size = path.stat().st_size if path.exists() else 0
        raise CheckpointError(f"checkpoint {path} is truncated or corrupted ({size:,} bytes: {e}); copy it again from where it was made") from e
