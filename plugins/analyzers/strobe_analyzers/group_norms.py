from __future__ import annotations

import fnmatch
from collections.abc import Iterator

import numpy as np

import strobe
from strobe import Analyzer, Results, StrobeError, dim, hookimpl, metric

GROUPS = {
    "all": ("*",),
    "embedding": ("embed.W_E", "pos_embed.W_pos", "unembed.W_U"),
    "unembedding": ("unembed.W_U",),
    "attention": ("blocks.*.attn.W_[QKVO]",),
    "mlp": ("blocks.*.mlp.*",),
}


class GroupNorms(Analyzer):
    """How large each group of parameters is, over training: the sum of squares of its entries and its root, the norm.

    Groups as in `parameter_trajectory`: all, embedding (W_E, W_pos and W_U), unembedding (W_U), attention, mlp, or a pattern such as
    `blocks.0.mlp.W_in`; they overlap, so they do not add up to `all`. `sum_of_squares` of `all` is what the progress-measures paper reports.
    From 0 up; null when an entry of the group is not finite. A named group that the model lacks is left out.
    Cost: reads the stored norms of `weight_norms`, no weights. Source: Nanda et al. 2301.05217, section 5.2.
    """

    consumes = "weight_norms"
    groups: tuple[str, ...] = tuple(GROUPS)

    class Row(strobe.Row):
        step: int = dim("training step of the checkpoint")
        group: str = dim("parameter group")
        norm: float | None = metric("2-norm of all entries of the group", unit="1")
        sum_of_squares: float | None = metric("sum of squares of all entries of the group", unit="1")

    @hookimpl
    def analyze_results(self, results: Results) -> Iterator[Row]:
        norms = results["weight_norms"].pivot_table(index="step", columns="parameter", values="frobenius", sort=True, dropna=False)
        for group in self.groups:
            names = [n for n in norms.columns if any(fnmatch.fnmatch(n, pattern) for pattern in GROUPS.get(group, (group,)))]
            if not names and group not in GROUPS:
                raise StrobeError(f"group_norms: group {group!r} matches no parameter; a group is one of {', '.join(GROUPS)} or a pattern")
            squares = (norms[names].astype(float) ** 2).sum(axis=1, skipna=False) if names else ()
            yield from (self._row(int(step), group, float(total)) for step, total in zip(norms.index, squares, strict=bool(names)))

    def _row(self, step: int, group: str, total: float) -> Row:
        known = np.isfinite(total)
        return self.Row(step=step, group=group, norm=total**0.5 if known else None, sum_of_squares=total if known else None)
