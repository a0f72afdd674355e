"""`graduation`: streaks by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd

from strobe import Results
from strobe.schema import to_arrow
from strobe_analyzers.graduation import Graduation


def rows(*inputs, **settings):
    """Per input a string: x wrong, o right, t tied, one letter per step 0, 10, 20, ...; ? for a step whose logits are not finite."""
    cells = []
    for i, letters in enumerate(zip(*inputs, strict=True)):
        known = "?" not in letters
        cells.append(
            {
                "step": 10 * i,
                "inputs": len(inputs),
                "splits": "train,test",
                "rank": np.array([int(c == "x") for c in letters]) if known else None,
                "margin": np.array([1.0 if c == "o" else 0.0 for c in letters]) if known else None,
                "split": np.array([n % 3 if n % 3 < 2 else 255 for n in range(len(inputs))], np.uint8),
            }
        )
    frame = pd.DataFrame(cells[::-1])
    table = to_arrow(Graduation.Row, Graduation(**settings).analyze_results(Results(input_trace=frame))).table.to_pandas()
    return [tuple(None if pd.isna(v) else v for v in row) for row in table[["split", "at_step", "lower", "forgotten"]].itertuples(index=False)]


def test_three_running():
    assert rows("xooxooo", "ooooooo", "xxoxoxo") == [("train", 40, 30, 0), ("test", 0, 0, 0), (None, None, None, 0)]


def test_forgetting_counts_after_graduating():
    assert rows("oooxoxo", "oxoooxo") == [("train", 0, 0, 2), ("test", 20, 10, 1)]


def test_ties_and_steps_that_are_not_finite_are_wrong():
    assert rows("otooo")[0][1] == 20
    assert rows("oo?ooo")[0][1] == 30


def test_short_runs_and_the_setting():
    assert rows("o")[0][1] is None
    assert rows("oo")[0][1] is None
    assert rows("o", consecutive=1)[0][1] == 0
    assert rows("xo", consecutive=2)[0][1] is None


def test_no_checkpoints():
    frame = pd.DataFrame(columns=["step", "inputs", "splits", "rank", "margin", "split"])
    assert len(to_arrow(Graduation.Row, Graduation().analyze_results(Results(input_trace=frame))).table) == 0
