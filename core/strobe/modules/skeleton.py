"""The tensors of a module by name: which are parameters, which buffers, and which are the same tensor under two names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Skeleton:
    """Shapes of a module's tensors, each under its first name; `ties`: further name -> first name. `children`: names of its submodules."""

    parameters: Mapping[str, Shape]
    buffers: Mapping[str, Shape]
    ties: Mapping[str, str] = field(default_factory=dict)
    children: tuple[str, ...] = ()

    def loaded(self, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Tensors of a checkpoint under this module's names: a prefix that all of them bear goes, and tied weights have one name."""
        found = _without_prefix(tensors, {**self.parameters, **self.buffers})
        first = {self.ties[name]: tensor for name, tensor in found.items() if name in self.ties}
        return {**first, **{name: tensor for name, tensor in found.items() if name not in self.ties}}


def skeleton(module: torch.nn.Module) -> Skeleton:
    """What a module consists of. Buffers that it does not save (`persistent=False`) are its own affair."""
    saved = module.state_dict(keep_vars=True)
    parameters = {name: tuple(p.shape) for name, p in module.named_parameters()}
    buffers = {name: tuple(b.shape) for name, b in module.named_buffers() if name in saved}
    first = {id(t): name for name, t in (*module.named_parameters(), *module.named_buffers())}
    ties = {name: first[id(t)] for name, t in saved.items() if id(t) in first and first[id(t)] != name}
    return Skeleton(parameters, buffers, ties, tuple(name for name, _ in module.named_modules() if name))


def _without_prefix(tensors: Mapping[str, torch.Tensor], wanted: Mapping[str, Shape]) -> dict[str, torch.Tensor]:
    """Lightning and others save a module as a part of something (`model.`, `net.`): what stands before every name that is wanted is no part of it."""
    name = next(iter(wanted), "")
    if not name or any(n in tensors for n in wanted):
        return dict(tensors)
    prefixes = [n.removesuffix(name) for n in tensors if n.endswith(f".{name}")]
    prefix = next((p for p in prefixes if all(p + n in tensors for n in wanted)), "")
    return {n.removeprefix(prefix): t for n, t in tensors.items()}
