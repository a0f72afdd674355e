"""Memory that many may read and nobody may write: tensors in a sealed memfd, mapped read-only by workers; and a worker's own copies, locked."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import functools
import mmap
import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

F_SEAL_FUTURE_WRITE = 0x10
ALIGNED = 64
"""As torch's own allocator aligns: sums in other places of a cache line may differ in the last bit."""


@dataclass(frozen=True)
class Placed:
    """Where a tensor lies in a region, in elements of its own layout."""

    offset: int
    dtype: str
    shape: tuple[int, ...]
    stride: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Region:
    """A sealed piece of memory and what lies in it. The one who makes it closes it."""

    fd: int
    places: Mapping[Any, Placed] = field(default_factory=dict)
    spans: tuple[tuple[int, int], ...] = ()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            os.close(self.fd)


def share(tensors: Mapping[Any, torch.Tensor]) -> Region:
    """One copy of these tensors for every reader. Cost: one pass over the bytes."""
    places, size = _layout(tensors)
    return Region(_sealed([(places[name].offset, _bytes(_flat(tensor))) for name, tensor in tensors.items()], size), places)


class Arena(Region):
    """A region that is written anew for every checkpoint, while nobody reads: what is mapped once faults no more: a third of the cost."""

    @classmethod
    def like(cls, tensors: Mapping[Any, torch.Tensor]) -> Arena:
        """Room for tensors like these. Only who holds this object can write there."""
        import torch

        places, size = _layout(tensors)
        fd = _memory(size)
        arena = cls(fd, places)
        memory = mmap.mmap(fd, os.fstat(fd).st_size)
        with torch.inference_mode():  # read-only to those who are given them in this process, as whatever is captured
            object.__setattr__(arena, "_room", {name: _placed(memory, at) for name, at in places.items()})
        with contextlib.suppress(OSError):  # a kernel before 5.1: then a worker's mapping alone is read-only
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, F_SEAL_FUTURE_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
        return arena

    def fits(self, tensors: Mapping[Any, torch.Tensor]) -> bool:
        return self.places == _layout(tensors)[0]

    @property
    def room(self) -> dict[Any, torch.Tensor]:
        """The tensors that lie here; written to in inference mode."""
        return self.__dict__["_room"]  # type: ignore[no-any-return]

    def fill(self, tensors: Mapping[Any, torch.Tensor]) -> None:
        """Copy what does not lie here already."""
        import torch

        with torch.inference_mode():
            for name, tensor in tensors.items():
                if tensor.data_ptr() != self.room[name].data_ptr():
                    self.room[name].copy_(tensor)


def _layout(tensors: Mapping[Any, torch.Tensor]) -> tuple[dict[Any, Placed], int]:
    """Where each tensor lies in a region of its own making, and how large that is."""
    places, end = {}, 0
    for name, tensor in tensors.items():
        places[name] = Placed(end, str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape), _stride(tensor))
        end += -(-tensor.numel() * tensor.element_size() // ALIGNED) * ALIGNED
    return places, end


def alike(a: torch.Tensor, b: torch.Tensor) -> bool:
    """Whether a copy of `b` would be as `a` is: of its dtype and shape, its elements in the same order in memory."""
    import torch

    return a.dtype == b.dtype and a.shape == b.shape and a.stride() == torch.empty_like(b, device="meta").stride()


def share_bytes(blocks: Sequence[Any]) -> Region:
    """One copy of these buffers, in a row."""
    spans, end = [], 0
    for block in blocks:
        spans.append((end, len(block)))
        end += -(-len(block) // ALIGNED) * ALIGNED
    return Region(_sealed(zip((at for at, _ in spans), blocks, strict=True), end), spans=tuple(spans))


def _sealed(blocks: Iterable[tuple[int, Any]], size: int) -> int:
    fd = _memory(size)
    for at, block in blocks:
        view = memoryview(block).cast("B")
        while len(view):
            done = os.pwrite(fd, view, at)
            at, view = at + done, view[done:]
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
    return fd


def _memory(size: int) -> int:
    fd = os.memfd_create("strobe", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, max(size, mmap.PAGESIZE))
    return fd


def _stride(tensor: torch.Tensor) -> tuple[int, ...]:
    """Its own where its elements fill their memory, in whatever order; else as if it were contiguous."""
    span = 1 + sum((n - 1) * s for n, s in zip(tensor.shape, tensor.stride(), strict=True))
    return tensor.stride() if tensor.numel() == span else tensor.contiguous().stride()


def _flat(tensor: torch.Tensor) -> torch.Tensor:
    """Its elements in the order in which they lie in memory."""
    tensor = tensor.detach().cpu()
    return (tensor if _stride(tensor) == tensor.stride() else tensor.contiguous()).as_strided((tensor.numel(),), (1,))


def _bytes(flat: torch.Tensor) -> Any:
    import torch

    return flat.view(torch.uint8).numpy() if flat.numel() else b""


def mapped(fd: int) -> mmap.mmap:
    """A region, read-only, with its pages at hand."""
    return mmap.mmap(fd, os.fstat(fd).st_size, flags=mmap.MAP_SHARED | mmap.MAP_POPULATE, prot=mmap.PROT_READ)


def tensors(memory: mmap.mmap, places: Mapping[Any, Placed]) -> dict[Any, torch.Tensor]:
    """The tensors of a region, where they lie. In inference mode they are inference tensors, as captured ones are."""
    return {name: _placed(memory, at) for name, at in places.items()}


def _placed(memory: mmap.mmap, at: Placed) -> torch.Tensor:
    import math

    import torch

    dtype = getattr(torch, at.dtype)
    if not (n := math.prod(at.shape)):
        return torch.empty(at.shape, dtype=dtype)
    with warnings.catch_warnings():  # torch would rather have memory that can be written; that it cannot is the point
        warnings.simplefilter("ignore")
        return torch.frombuffer(memory, dtype=dtype, count=n, offset=at.offset).as_strided(at.shape, at.stride)


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def locked(tensor: torch.Tensor) -> torch.Tensor:
    """A copy that nobody can write to, not even through `.numpy()`: who tries ends with a segmentation fault."""
    import torch

    if not tensor.numel():
        return tensor.clone()
    memory = mmap.mmap(-1, tensor.nbytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    copy = torch.frombuffer(memory, dtype=tensor.dtype, count=tensor.numel()).view(tensor.shape)
    copy.copy_(tensor)
    if _libc().mprotect(ctypes.c_void_p(copy.data_ptr()), ctypes.c_size_t(tensor.nbytes), mmap.PROT_READ):
        raise OSError(ctypes.get_errno(), "mprotect")
    return copy
