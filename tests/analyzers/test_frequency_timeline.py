"""`frequency_timeline`: shares by hand, in each of the four places."""

from __future__ import annotations

import numpy as np
import pandas as pd

from strobe import Results
from strobe.schema import to_arrow
from strobe_analyzers.frequency_timeline import FrequencyTimeline


def results(embedding=(), neurons=(), heads=(), logits=()):
    spectrum = [
        {"step": 10 * i, "view": "W_E", "component": c, "frequency": 2, "share": share / 2}
        for i, share in enumerate(embedding)
        for c in ("cos", "sin")
    ]
    counted = [
        [{"step": 10 * i, unit: n, "frequency": 3, "fraction": 0.95 if n < many else 0.1} for i, many in enumerate(seq) for n in range(10)]
        for unit, seq in (("neuron", neurons), ("head", heads))
    ]
    clock = [
        {"step": 10 * i, "keys": "all", "fve": fve, "frequencies": np.array([1, 2]), "coefficients": np.array([3.0, 4.0])}
        for i, fve in enumerate(logits)
    ]
    columns = (
        ["step", "view", "component", "frequency", "share"],
        ["step", "neuron", "frequency", "fraction"],
        ["step", "head", "frequency", "fraction"],
    )
    made = [pd.DataFrame(rows, columns=names) for rows, names in zip((spectrum, *counted), columns, strict=True)]
    frame = pd.DataFrame(clock, columns=["step", "keys", "fve", "frequencies", "coefficients"])
    return Results(dominant_frequencies=made[0], neuron_frequency=made[1], head_frequency=made[2], logit_fourier=frame)


def rows(made, **settings):
    found = list(FrequencyTimeline(**settings).analyze_results(made))
    to_arrow(FrequencyTimeline.Row, found)
    return [(r.place, r.frequency, r.change, r.lower, r.upper) for r in found]


def test_the_embedding_with_dips_that_do_not_count():
    assert rows(results(embedding=[0.0, 0.06, 0.03, 0.06, 0.02])) == [
        ("embedding", 2, "acquired", 0, 10),
        ("embedding", 2, "lost", 30, 40),
    ]


def test_there_from_the_start():
    assert rows(results(embedding=[0.5])) == [("embedding", 2, "acquired", 0, 0)]


def test_neurons_and_heads_are_counted():
    assert rows(results(neurons=[0, 0, 1], heads=[0, 2, 0])) == [
        ("neurons", 3, "acquired", 10, 20),
        ("attention", 3, "acquired", 0, 10),
        ("attention", 3, "lost", 10, 20),
    ]


def test_logits_split_what_is_explained_by_squared_coefficients():
    found = list(FrequencyTimeline().analyze_results(results(logits=[0.0, 0.5, 0.5])))
    assert [(r.frequency, r.share) for r in found] == [(1, 0.5 * 9 / 25), (2, 0.5 * 16 / 25)]
    assert rows(results(logits=[None, 0.002])) == []


def test_nothing_anywhere_and_nulls():
    assert rows(results()) == []
    assert rows(results(embedding=[np.nan, np.nan])) == []
