"""`spectral_gap`: spectra with a known break, and those of the real run against separate code."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strobe import Results, Weights
from strobe.schema import to_arrow, to_pandas
from strobe_analyzers.effective_dimensionality import EffectiveDimensionality
from strobe_analyzers.spectral_gap import SpectralGap

REAL = {  # step -> parameter -> (k, gap) over k <= rank / 2; float64, independent code
    8000: {"blocks.0.mlp.W_out": (10, 4.717602737)},
    25000: {"blocks.0.mlp.W_out": (7, 9.794272742014266), "blocks.0.mlp.W_in": (15, 22.43185173156275), "embed.W_E": (9, 3.847812935125836)},
}


def gaps(spectra, **settings):
    """Rows for spectra {step: values} of one matrix."""
    steps, values = list(spectra), [np.asarray(s, dtype=float) for s in spectra.values()]
    table = pd.DataFrame({"step": steps, "parameter": "W", "head": None, "singular_values": values})
    return list(SpectralGap(**settings).analyze_results(Results(effective_dimensionality=table)))


@given(k=st.integers(1, 5), ratio=st.floats(1.5, 50))
def test_a_spectrum_with_one_break_has_it_there(k, ratio):
    (row,) = gaps({0: [ratio] * k + [1.0] * (12 - k)})
    assert (row.k, row.gap) == (k, pytest.approx(ratio))


def test_small_values_and_the_second_half_are_left_out():
    (row,) = gaps({0: [100, 99, 90, 0.9, 0.001, 0.0009, 1e-9, 1e-12]})
    assert (row.k, row.gap) == (3, pytest.approx(100))  # not 4 (below the floor), not 6 or 7 (second half)
    (row,) = gaps({0: [100, 99, 90, 0.9, 0.001, 0.0009, 1e-9, 1e-12]}, floor=0.001)
    assert (row.k, row.gap) == (4, pytest.approx(900))


def test_an_exact_rank_has_a_place_and_no_ratio():
    (row,) = gaps({0: [2, 2, 0, 0]})
    assert (row.k, row.gap) == (2, None)


@pytest.mark.parametrize("spectrum", [[], [3.0], [0.0, 0.0, 0.0]])
def test_what_has_no_gap_is_null(spectrum):
    (row,) = gaps({0: spectrum})
    assert (row.k, row.gap, row.top_over_rest) == (None, None, None)


def test_sums_of_top_and_rest_and_their_growth_per_step():
    rows = gaps({30: [5, 4, 0.5, 0.5], 10: [3, 2, 1, 1]}, top=2)  # sorted by step
    assert [row.step for row in rows] == [10, 30]
    assert [row.top_over_rest for row in rows] == pytest.approx([2.5, 9])
    assert (rows[0].top_growth, rows[0].rest_growth) == (None, None)
    assert (rows[1].top_growth, rows[1].rest_growth) == pytest.approx((0.2, -0.05))


def test_identical_checkpoints_do_not_grow_and_a_lost_one_interrupts():
    same = gaps({0: [3, 1, 1], 5: [3, 1, 1]}, top=1)
    assert (same[1].top_growth, same[1].rest_growth) == (0, 0)
    lost = gaps({0: [3, 1, 1], 5: [], 6: [3, 1, 1]}, top=1)
    assert [row.top_growth for row in lost] == [None, None, None]


def test_heads_and_the_whole_are_apart():
    weights = Weights({"blocks.0.attn.W_V": np_heads(), "embed.W_E": np_heads()[0]})
    table = to_pandas(to_arrow(EffectiveDimensionality.Row, EffectiveDimensionality().analyze_weights(weights)).table).assign(step=0)
    rows = list(SpectralGap().analyze_results(Results(effective_dimensionality=table)))
    assert [(row.parameter, row.head) for row in rows] == [("blocks.0.attn.W_V", h) for h in (None,)] + [
        ("embed.W_E", None),
        ("blocks.0.attn.W_V", 0),
        ("blocks.0.attn.W_V", 1),
    ]


def np_heads():
    import torch

    return torch.from_numpy(np.random.default_rng(0).standard_normal((2, 6, 4)))


@pytest.mark.parametrize("step", REAL)
def test_a_real_run(data, step):
    weights = Weights.open(data / "modadd_p113_seed999" / f"epoch_{step:05d}.safetensors")
    table = to_pandas(to_arrow(EffectiveDimensionality.Row, EffectiveDimensionality().analyze_weights(weights)).table).assign(step=step)
    found = {row.parameter: row for row in SpectralGap().analyze_results(Results(effective_dimensionality=table)) if row.head is None}
    for name, (k, gap) in REAL[step].items():
        assert (found[name].k, found[name].gap) == (k, pytest.approx(gap, rel=1e-8))
