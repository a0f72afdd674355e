"""Which inputs of a probe a landscape analyzer takes the loss on."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from strobe import Probe, StrobeError


def splits_of(probe: Probe, wanted: Sequence[str]) -> tuple[str, ...]:
    """Those of the wanted splits that the probe has inputs in; `all` where it has no splits. Raises when it has others alone."""
    found = tuple(s for s in wanted if s == "all" or (s in probe.splits and bool(probe.splits[s].any())))
    if not found and probe.splits:
        raise StrobeError(f"probe {probe.name!r} has no inputs in {', '.join(wanted)}; it has {', '.join(probe.splits)}")
    return found or ("all",)


def rows_of(probe: Probe, wanted: str) -> torch.Tensor:
    """Indices of a split's inputs, int64; of all inputs where the probe has no splits."""
    (split,) = splits_of(probe, (wanted,))
    return probe.splits[split].nonzero()[:, 0] if split in probe.splits else torch.arange(len(probe.inputs))
