from __future__ import annotations

from collections.abc import Iterator

import strobe
from strobe import Analyzer, Results, dim, hookimpl, metric


class FinalNorm(Analyzer):
    """Norm of all weight matrices at each run's last step, and its ratio to the median run's: 1 where runs agree."""

    consumes = "weight_norms"
    scope = "runs"

    class Row(strobe.Row):
        run: str = dim("run")
        norm: float = metric("square root of the summed squares of all weight matrices", unit="1")
        to_median: float = metric("norm over the median norm of the runs", unit="1")

    @hookimpl
    def analyze_results(self, results: Results) -> Iterator[Row]:
        norms = results["weight_norms"]
        last = norms[norms["step"] == norms.groupby("run")["step"].transform("max")]
        totals = last.groupby("run")["frobenius"].agg(lambda column: float((column**2).sum() ** 0.5))
        for run, norm in totals.items():
            yield self.Row(run=str(run), norm=norm, to_median=norm / totals.median())
