"""`head_labels`: thresholds, switches, and what is constant."""

from __future__ import annotations

import pandas as pd
import pytest

from strobe import Results
from strobe_analyzers.head_labels import HeadLabels


def labels(*heads, steps=None, **settings):
    """(label, frequency, since) per step for heads given as lists of (frequency, fraction)."""
    table = pd.DataFrame(
        [
            {"step": (steps or range(0, 10 * len(head), 10))[i], "layer": 0, "head": h, "frequency": k, "fraction": f}
            for h, head in enumerate(heads)
            for i, (k, f) in enumerate(head)
        ]
    ).astype({"frequency": "Int64", "fraction": float})
    found = HeadLabels(**settings).analyze_results(Results(head_frequency=table.sample(frac=1, random_state=0)))
    return [(row.step, row.head, row.label, row.frequency, row.since) for row in found]


def test_labels_by_threshold():
    found = labels([(5, 0.1), (5, 0.3), (5, 0.69), (5, 0.7), (None, None)])
    assert [(label, k) for _, _, label, k, _ in found] == [
        ("mixed", None),
        ("leaning", 5),
        ("leaning", 5),
        ("specialised", 5),
        ("constant", None),
    ]


def test_since_is_the_step_of_the_last_change():
    found = labels([(1, 0.1), (2, 0.2), (41, 0.9), (41, 0.8), (39, 0.9), (41, 0.9)])
    assert [since for *_, since in found] == [0, 0, 20, 20, 40, 50]


def test_heads_are_apart_and_steps_sorted():
    found = labels([(1, 0.9), (1, 0.9)], [(2, 0.1), (2, 0.9)])
    assert [(step, head, since) for step, head, _, _, since in found] == [(0, 0, 0), (10, 0, 0), (0, 1, 0), (10, 1, 10)]


def test_a_single_checkpoint_and_settings():
    assert labels([(3, 0.5)], steps=[700], specialised_from=0.5) == [(700, 0, "specialised", 3, 700)]


def test_no_rows_make_no_labels():
    empty = pd.DataFrame({"step": [], "layer": [], "head": [], "frequency": [], "fraction": []})
    assert list(HeadLabels().analyze_results(Results(head_frequency=empty))) == []


@pytest.mark.parametrize("fraction", [0.0, 0.2999])
def test_mixed_heads_keep_their_label_whatever_leads(fraction):
    found = labels([(1, fraction), (2, fraction), (3, fraction)])
    assert [(label, since) for _, _, label, _, since in found] == [("mixed", 0)] * 3
