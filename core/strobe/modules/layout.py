"""Where a module can be looked at: the outputs of its submodules, found by running it twice on a few inputs.

The axis that grows with the number of inputs is the batch, wherever a module keeps it. As sites, outputs are [batch, pos, d]: [batch, d] has one
position, and the places of an image [batch, channel, height, width] are positions, its channels the d.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import StrobeError, did_you_mean
from ..sites import QUERY_SITES

if TYPE_CHECKING:
    import torch

FEW = (2, 3)
"""Batches that are run to see which axis is the batch."""


@dataclass(frozen=True)
class Place:
    """An output: of which submodule, at which of its calls (0 first), where its batch axis is, and its shape for one input, batch axis left out."""

    module: str
    call: int
    axis: int
    rest: tuple[int, ...]

    @property
    def name(self) -> str:
        return self.module if not self.call else f"{self.module}:{self.call + 1}"


Run = Callable[[int], object]
"""Runs the module on the first n inputs."""
Watch = Callable[[str, int, Any], None]
"""(submodule, call, what it returned)."""


@contextmanager
def watched(module: torch.nn.Module, names: Sequence[str], watch: Watch) -> Iterator[None]:
    """Within, `watch` sees what these submodules return. Multi-head attention is computed in full, so that every part of a transformer is run."""
    import torch

    calls = dict.fromkeys(names, -1)

    def hook(name: str) -> Callable[[Any, Any, Any], None]:
        def seen(_: Any, __: Any, output: Any) -> None:
            calls[name] += 1
            watch(name, calls[name], output)

        return seen

    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    with ExitStack() as stack:
        stack.callback(torch.backends.mha.set_fastpath_enabled, fast)
        for name in names:
            stack.callback(module.get_submodule(name).register_forward_hook(hook(name)).remove)
        yield


def places(module: torch.nn.Module, names: Sequence[str], run: Run) -> dict[str, Place]:
    """Every output that is a tensor with a batch axis, by its site's name, in the order in which they are reached. Cost: two runs on a few inputs."""
    shapes: list[dict[tuple[str, int], tuple[int, ...]]] = []
    for n in FEW:
        seen: dict[tuple[str, int], tuple[int, ...]] = {}
        with watched(module, names, lambda name, call, output, seen=seen: seen.update(_shape(name, call, output))):  # type: ignore[misc]
            run(n)
        shapes.append(seen)
    found = {}
    for (name, call), shape in shapes[0].items():
        axis = batch_axis(shape, shapes[1].get((name, call), ()))
        if axis is not None:
            place = Place(name, call, axis, shape[:axis] + shape[axis + 1 :])
            found[place.name] = place
    return found


def _shape(name: str, call: int, output: Any) -> dict[tuple[str, int], tuple[int, ...]]:
    tensor = tensor_in(output)
    return {} if tensor is None else {(name, call): tuple(tensor.shape)}


def tensor_in(output: Any) -> torch.Tensor | None:
    """The tensor that a module returned, the first of several (attention returns its output first, a recurrent net its states); None for none."""
    import torch

    while isinstance(output, (tuple, list)) and output:
        output = output[0]
    if isinstance(output, Mapping):
        output = next((output[key] for key in ("logits", "last_hidden_state") if key in output), None)
    return output if isinstance(output, torch.Tensor) else getattr(output, "logits", None)


def batch_axis(few: Sequence[int], more: Sequence[int]) -> int | None:
    """The axis that is as long as the batch in both runs; None when there is none, or another axis grew too."""
    axes = [i for i, (a, b) in enumerate(zip(few, more, strict=False)) if (a, b) == FEW]
    grown = [i for i, (a, b) in enumerate(zip(few, more, strict=False)) if a != b]
    return axes[0] if len(few) == len(more) and len(axes) == 1 and grown == axes else None


def as_site(x: torch.Tensor, axis: int, *, query: bool = False) -> torch.Tensor:
    """An output as [batch, pos, d]; with `query` as [batch, head, query, key], which it is already."""
    x = x.movedim(axis, 0)
    if query:
        return x
    if x.ndim <= 2:
        return x[:, None, None] if x.ndim == 1 else x[:, None]
    return x if x.ndim == 3 else x.flatten(2).transpose(1, 2)


def site_shape(rest: Sequence[int]) -> tuple[int, int]:
    """(positions, d) of an output whose shape for one input is `rest`."""
    if len(rest) <= 1:
        return 1, rest[0] if rest else 1
    if len(rest) == 2:
        return rest[0], rest[1]
    positions = 1
    for n in rest[1:]:
        positions *= n
    return positions, rest[0]


def is_query(site: str) -> bool:
    return site.endswith(QUERY_SITES)


def aliases(names: Mapping[str, str], found: Mapping[str, Place], children: Sequence[str], who: str) -> dict[str, Place]:
    """Canonical site -> output, `*` for the number of a layer on both sides. Raises `StrobeError` for a submodule that gives no site."""
    made: dict[str, Place] = {}
    for site, target in names.items():
        numbers = {n: m.groups() for n in (*children, *found) if (m := _pattern(target).fullmatch(n))}
        if not numbers:
            raise StrobeError(
                f"{who}: site_names: {site!r} is said to be {target!r}, and build() has no such submodule{did_you_mean(target, children)}"
            )
        reached = {n: parts for n, parts in numbers.items() if n in found}
        if not reached:
            why = "it is not run in the forward, or it returns no tensor with a batch axis"
            raise StrobeError(f"{who}: site_names: {site!r}: the output of {target!r} is no site: {why}; name a submodule that `strobe sites` lists")
        made.update({_filled(site, parts): found[n] for n, parts in reached.items()})
    if odd := [site for site, place in made.items() if is_query(site) and len(place.rest) != 3]:
        place = made[odd[0]]
        raise StrobeError(f"{who}: site {odd[0]} is [batch, head, query, key], and {place.name!r} returns [batch, {', '.join(map(str, place.rest))}]")
    return made


def _pattern(target: str) -> re.Pattern[str]:
    return re.compile(r"(\d+)".join(map(re.escape, target.split("*"))))


def _filled(site: str, numbers: Sequence[str]) -> str:
    parts = site.split("*")
    return parts[0] + "".join(n + part for n, part in zip(numbers, parts[1:], strict=False))
