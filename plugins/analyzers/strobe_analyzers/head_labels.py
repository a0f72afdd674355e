from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

import strobe
from strobe import Analyzer, Results, dim, hookimpl, metric

SPECIALISED, LEANING, MIXED, CONSTANT = "specialised", "leaning", "mixed", "constant"


class HeadLabels(Analyzer):
    """What each head has become, at every step: specialised in one frequency, leaning to one, mixed, or constant.

    From the share of the head's attention map '= -> a' that its strongest frequency explains (`head_frequency`):
    specialised, `specialised_from` or more; leaning, `leaning_from` or more; mixed, less (untrained heads have 0.07 to 0.12 at p=113);
    constant, the map does not vary with the input. `since` is the step from which the head has carried this label without interruption, for the same
    frequency unless it is mixed: so a change of `since` is a dated switch. Cost: reads the rows of `head_frequency`.
    """

    consumes = "head_frequency"
    families = ("modular_addition",)
    specialised_from: float = 0.7
    leaning_from: float = 0.3

    class Row(strobe.Row):
        step: int = dim("training step of the checkpoint")
        layer: int = dim("layer")
        head: int = dim("attention head")
        label: str = dim("specialised, leaning, mixed or constant")
        frequency: int | None = dim("frequency of a specialised or leaning head; null otherwise")
        fraction: float | None = metric("share of the head's map that its strongest frequency explains, 0..1", unit="1")
        since: int = metric("step from which label and frequency have been these", unit="step")

    @hookimpl
    def analyze_results(self, results: Results) -> Iterator[Row]:
        table = results["head_frequency"].sort_values("step", kind="stable")
        for (layer, head), rows in table.groupby(["layer", "head"], sort=True):
            before: tuple[str, int | None] | None = None
            since = 0
            for step, fraction, frequency in zip(rows["step"].astype(int), rows["fraction"], rows["frequency"], strict=True):
                now = self._label(fraction, frequency)
                since = since if now == before else step
                before = now
                share = None if pd.isna(fraction) else float(fraction)
                yield self.Row(step=step, layer=int(layer), head=int(head), label=now[0], frequency=now[1], fraction=share, since=since)

    def _label(self, fraction: float | None, frequency: int | None) -> tuple[str, int | None]:
        """(label, frequency it is about)."""
        if pd.isna(fraction) or pd.isna(frequency):
            return CONSTANT, None
        if fraction < self.leaning_from:
            return MIXED, None
        return SPECIALISED if fraction >= self.specialised_from else LEANING, int(frequency)
