from __future__ import annotations

from collections.abc import Iterator

import strobe
from strobe import Activations, Analyzer, dim, hookimpl


class WrongCategory(Analyzer):
    """Its hook says activations, its entry-point group says weights."""

    class Row(strobe.Row):
        site: str = dim("site")

    @hookimpl
    def analyze_activations(self, activations: Activations) -> Iterator[Row]:
        yield from (self.Row(site=site) for site in activations)
