"""When each single input was understood."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import Field

import strobe
from strobe import Analyzer, Results, dim, hookimpl, metric


class Graduation(Analyzer):
    """Per input: the first checkpoint from which it is answered correctly at `consecutive` checkpoints running, and how often it was forgotten.

    For modular addition input a*p + b is the pair (a, b). `lower` is the checkpoint before: the truth lies between. Null for an input that never is;
    a run shorter than `consecutive` checkpoints graduates nobody. `forgotten`: times that it was right at one checkpoint and wrong at the next,
    after graduating. Checkpoints whose logits are not finite count as wrong. No forward: reads input_trace. Cost at p=113: 40 ms for 43 checkpoints.
    """

    consumes = "input_trace"

    consecutive: int = Field(3, ge=1)

    class Row(strobe.Row):
        input: int = dim("input, in the order of the probe")
        split: str | None = dim("split of the run that the input is in; null when in none")
        at_step: int | None = metric("first checkpoint of the streak; null when it never graduates", unit="step")
        lower: int | None = metric("checkpoint before it; the same at the first", unit="step")
        forgotten: int = metric("times it went from right to wrong after graduating", unit="1")

    @hookimpl
    def analyze_results(self, results: Results) -> Any:
        table = results["input_trace"].sort_values("step")
        if not len(table):
            return self.Row.columns(input=[], split=[], at_step=[], lower=[], forgotten=[])
        steps = table["step"].to_numpy(np.int64)
        n = int(table["inputs"].iloc[0])
        right = np.stack([_right(rank, margin, n) for rank, margin in zip(table["rank"], table["margin"], strict=True)])  # [step, input]
        streak = right.copy()
        for i in range(1, min(self.consecutive, len(steps))):
            streak[: len(streak) - i] &= right[i:]
        streak[len(streak) - self.consecutive + 1 :] = False
        first, ever = streak.argmax(0), streak.any(0)
        fell = right[:-1] & ~right[1:] & (np.arange(len(steps) - 1)[:, None] >= first) & ever
        names = [*str(table["splits"].iloc[0]).split(",")]
        return self.Row.columns(
            input=np.arange(n),
            split=[names[code] if code < len(names) else None for code in table["split"].iloc[0]],
            at_step=[int(steps[i]) if known else None for i, known in zip(first, ever, strict=True)],
            lower=[int(steps[max(i - 1, 0)]) if known else None for i, known in zip(first, ever, strict=True)],
            forgotten=fell.sum(0),
        )


def _right(rank: np.ndarray | None, margin: np.ndarray | None, n: int) -> np.ndarray:
    """Whether each input is answered correctly: no larger logit, and no tie."""
    return np.zeros(n, bool) if rank is None or margin is None else (np.asarray(rank) == 0) & (np.asarray(margin) > 0)
