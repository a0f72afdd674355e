"""Checkpoints of any model, without the model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import Field

from strobe import Family

if TYPE_CHECKING:
    import torch

STATISTICS = ("running_mean", "running_var", "num_batches_tracked", "inv_freq", "masked_bias", "position_ids")
"""What buffers are called by batch norm, rotary embeddings and the models of HuggingFace."""

Shape = tuple[int, ...]


class StateDict(Family):
    """Weights of any PyTorch model as its `state_dict` names them, without the model: what looks at weights alone can be computed.

    `strobe import DIR` makes such a run; the first checkpoint says which tensors there are. Names and orientation stay as they are: `nn.Linear` and
    convolutions keep `[out, in, ...]`, and measures read a convolution as one matrix (in*k*k, out). Integers, running statistics, causal masks, and
    the second name of tied weights are `buffers`: they are kept, and nothing measures them.
    """

    weights_only = True

    tensors: dict[str, Shape] = Field({}, description="name and shape of every tensor of a checkpoint", repr=False)
    held: tuple[str, ...] = Field((), description="names of those that training does not move, or that are there under another name too", repr=False)

    def parameters(self) -> dict[str, Shape]:
        """Everything that training may move, in the order of the checkpoint."""
        return {name: shape for name, shape in self.tensors.items() if name not in self._held}

    def buffers(self) -> dict[str, Shape]:
        return {name: self.tensors[name] for name in self.held}

    def problems(self, shapes: Mapping[str, Shape]) -> list[str]:
        """As of any family; buffers may be missing, as nothing reads them: safetensors hold no second name of tied weights, other files do."""
        return super().problems({**self.buffers(), **shapes})

    @property
    def _held(self) -> frozenset[str]:
        return frozenset(self.held)

    @classmethod
    def of_tensors(cls, tensors: Mapping[str, torch.Tensor]) -> dict[str, Any]:
        """The tensors of the first checkpoint, and which of them are no parameters."""
        again = set(tied(tensors))
        held = [name for name, tensor in tensors.items() if name in again or is_buffer(name, tensor)]
        return {"tensors": {name: tuple(tensor.shape) for name, tensor in tensors.items()}, "held": held}

    @classmethod
    def report(cls) -> str:
        return "any_model"

    def sites(self) -> dict[str, tuple[str | int, ...]]:
        """None: there is no forward."""
        return {}

    def split(self) -> dict[str, torch.Tensor]:
        """None: there are no inputs."""
        return {}

    def probes(self, split: Mapping[str, torch.Tensor]) -> dict[str, Any]:
        """None: there are no inputs."""
        return {}


def is_buffer(name: str, tensor: torch.Tensor) -> bool:
    """Whether a tensor is no weight, by its type, its name, or (a causal mask `attn.bias` [1, 1, n, n]) its shape."""
    mask = tensor.ndim == 4 and tensor.shape[:2] == (1, 1) and tensor.shape[2] == tensor.shape[3] and name.endswith("attn.bias")
    return not tensor.is_floating_point() or name.rsplit(".", 1)[-1] in STATISTICS or mask


def tied(tensors: Mapping[str, torch.Tensor]) -> list[str]:
    """Names of tensors that are one with a tensor named before, such as `lm_head.weight` of GPT-2, which is its embedding."""
    seen: set[tuple[Any, ...]] = set()
    again = []
    for name, tensor in tensors.items():
        place = (tensor.data_ptr(), tuple(tensor.shape), tensor.stride())
        if tensor.numel() and place in seen:
            again.append(name)
        seen.add(place)
    return again
