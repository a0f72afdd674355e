"""`Weights`: one checkpoint's parameters under canonical names, in `x @ W` orientation, read tensor by tensor."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import CheckpointError, did_you_mean

if TYPE_CHECKING:
    import torch

OUTWARD = (".W_O",)
"""Per-head tensors whose heads lie on the input side: (head, d_head, d_model)."""


class Weights(Mapping[str, "torch.Tensor"]):
    """Lazy mapping canonical name -> read-only tensor. `Weights({"embed.W_E": t})` builds one by hand in a test.

    Iterating over names costs nothing; a tensor is read when it is first touched and kept until the object goes. `buffers` are those that
    training does not move (running statistics, counters, masks): they can be read by name, and no `named`, `matrices` or `heads` gives them.
    `nonfinite` collects the tensors read so far that hold NaN or infinity, with their count.
    """

    def __init__(
        self,
        tensors: Mapping[str, torch.Tensor] | None = None,
        *,
        names: list[str] | None = None,
        read: Callable[[str], torch.Tensor] | None = None,
        source: str = "these weights",
        buffers: Collection[str] | Callable[[], Collection[str]] = (),
    ) -> None:
        self._names = list(tensors if tensors is not None else names or ())
        self._read = tensors.__getitem__ if tensors is not None else read
        self._buffers = buffers
        self._kept: dict[str, torch.Tensor] = {}
        self.source = source
        self.bytes_read = 0
        self.nonfinite: dict[str, int] = {}
        self.touched: set[str] = set()

    @classmethod
    def open(cls, path: Path, *, source: str = "", buffers: Collection[str] | Callable[[], Collection[str]] = ()) -> Weights:
        """The weights in a safetensors file, whose header alone is read now. Raises `CheckpointError` when it cannot be."""
        from .checkpoints import header, read_tensor

        return cls(names=header(path), read=lambda name: read_tensor(path, name), source=source or str(path), buffers=buffers)

    def view(self) -> Weights:
        """The same weights with a `touched` of their own: which tensors one reader looked at. What one view reads, the others need not."""
        view = Weights(names=self._names, read=self._read, source=self.source, buffers=lambda: self.buffers)
        view._kept, view.nonfinite = self._kept, self.nonfinite
        return view

    def __getitem__(self, name: str) -> torch.Tensor:
        import torch

        self.touched.add(name)
        if name not in self._kept:
            if name not in self._names or self._read is None:
                raise CheckpointError(f"{self.source}: no tensor {name!r}{did_you_mean(name, self._names)}")
            with torch.inference_mode():
                tensor = self._read(name)
                tensor = tensor if tensor.is_inference() else tensor.detach().clone()  # read-only: in-place writes raise outside inference mode
            self._keep(name, tensor)
        return self._kept[name]

    def _keep(self, name: str, tensor: torch.Tensor) -> None:
        self._kept[name] = tensor
        self.bytes_read += tensor.nbytes
        if tensor.is_floating_point() and not tensor.sum().isfinite() and (bad := int((~tensor.isfinite()).sum())):
            self.nonfinite[name] = bad  # counted only where the sum says so: NaN and infinity survive it, and it is a tenth of the cost

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    @property
    def buffers(self) -> frozenset[str]:
        """Names of the tensors that training does not move."""
        if not isinstance(self._buffers, frozenset):  # a family says it, which is asked only when somebody wants to know
            self._buffers = frozenset(self._buffers() if callable(self._buffers) else self._buffers)
        return self._buffers

    def named(self, pattern: str = "*") -> list[str]:
        """Names of the parameters that match a pattern (`blocks.*.mlp.W_in`), in the file's order. Reads nothing."""
        return [name for name in fnmatch.filter(self._names, pattern) if name not in self.buffers]

    def matrices(self, pattern: str = "*") -> Iterator[tuple[str, torch.Tensor]]:
        """`(name, matrix [in, out])`, one per parameter: heads side by side, convolutions flattened to (in*k*k, out), vectors and biases skipped.

        `W_Q|W_K|W_V` (head, d_model, d_head) become [d_model, head*d_head]; `W_O` (head, d_head, d_model) becomes [head*d_head, d_model].
        """
        for name in self.named(pattern):
            if name.rsplit(".", 1)[-1].startswith(("b_", "bias")):
                continue
            matrix = as_matrix(name, self[name])
            if matrix is not None:
                yield name, matrix

    def heads(self, pattern: str = "*") -> Iterator[tuple[str, int, torch.Tensor]]:
        """`(name, head, matrix)` for every per-head parameter: [d_model, d_head], or [d_head, d_model] for `W_O`."""
        for name in self.named(pattern):
            if is_per_head(name) and self[name].ndim == 3:
                yield from ((name, head, matrix) for head, matrix in enumerate(self[name]))


def is_per_head(name: str) -> bool:
    return name.rsplit(".", 1)[-1] in ("W_Q", "W_K", "W_V", "W_O")


def as_matrix(name: str, tensor: torch.Tensor) -> torch.Tensor | None:
    """The parameter as one [in, out] matrix, or None for vectors and scalars."""
    if tensor.ndim < 2:
        return None
    if tensor.ndim == 2:
        return tensor
    if is_per_head(name) and tensor.ndim == 3:
        return tensor.reshape(-1, tensor.shape[-1]) if name.endswith(OUTWARD) else tensor.permute(1, 0, 2).reshape(tensor.shape[1], -1)
    if tensor.ndim == 3 and len(tensor) == 1:  # (1, pos, d): embeddings of positions, as vision transformers keep them
        return as_matrix(name, tensor[0]) if tensor.shape[1] > 1 else None
    return tensor.flatten(1).T  # convolution weights (out, in, k, k) -> (in*k*k, out)
