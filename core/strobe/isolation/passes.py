"""What one forward captures for analyzers in workers: written where they read it, and nowhere else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ..sites import Positions, Tap
from . import memory
from .memory import Arena, Region
from .orders import Key
from .workers import Workers

if TYPE_CHECKING:
    import torch

    from ..analysis.plan import Capture
    from ..arguments import Probe


class SharingTap(Tap):
    """A tap whose copies of what isolated analyzers take lie in the memory they share, as far as that has room of the right shapes."""

    def __init__(self, wanted: Mapping[str, frozenset[Positions]], room: Mapping[Key, torch.Tensor]) -> None:
        super().__init__(wanted)
        self._room = room

    def _copied(self, site: str, where: Positions, x: torch.Tensor) -> torch.Tensor:
        place = self._room.get((site, where))
        return place.copy_(x) if place is not None and memory.alike(place, x) else x.clone()


class SharedPass:
    """One pass, of which the analyzers `names` see what they take in shared memory. Most of it is captured right there; what does not fit the room of
    the checkpoint before, as on the first one, is copied when the first of them asks."""

    def __init__(self, workers: Workers, plan: Capture, names: Iterable[str], probe: Probe) -> None:
        self.workers, self.plan, self.probe = workers, plan, probe
        self.wanted: list[Key] = list(dict.fromkeys(item for name in names for item in plan.takes[name].items()))
        self._captured: Mapping[Any, torch.Tensor] = {}
        self._arena: Arena | None = None

    def tap(self) -> Tap:
        """What the forward is to be tapped with. Nothing of an earlier pass may be looked at any more."""
        self.workers.interrupt()
        return SharingTap(self.plan.wanted, self.workers.room(self.wanted))

    def keep(self, captured: Mapping[Any, torch.Tensor]) -> None:
        """What the tap has captured."""
        self._captured = {key: captured[key] for key in self.wanted}

    def arena(self) -> Arena:
        if self._arena is None:
            self._arena = self.workers.filled(self._captured)
            self._captured = {}
        return self._arena

    def probe_region(self) -> Region:
        """The inputs: one region for all checkpoints of an analysis."""
        probe, probes = self.probe, self.workers.probes
        if probe.digest not in probes:
            splits = {("split", name): mask for name, mask in probe.splits.items()}
            probes[probe.digest] = memory.share({("inputs", ""): probe.inputs, ("targets", ""): probe.targets, **splits})
        return probes[probe.digest]
