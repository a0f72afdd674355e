from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from strobe import Attention, Last, Probe, StrobeError
from strobe.sites import Stop, Tap
from strobe_analyzers.head_frequency import HeadFrequency
from strobe_families.modular_addition import ModularAddition

SITE = "blocks.0.attn.pattern"


def grid(p):
    return ModularAddition(p=p).probes({})["grid"]()


def rows(pattern, p):
    """Rows for a pattern [p*p, head, query, key] of layer 0."""
    return list(HeadFrequency().analyze_attention(Attention({0: pattern}), grid(p)))


def to_a(p, *maps):
    """A pattern [p*p, head, 1, 3] whose weight on key 0 is the given maps over the grid; the rest is split between b and '='."""
    weight = torch.stack([m.flatten() for m in maps], 1)
    rest = (1 - weight) / 2
    return torch.stack([weight, rest, rest], -1)[:, :, None]


def wave(p, k):
    """1/2 + cos(w_k (a + 2)) / 4, over the grid [p, p]."""
    x = (torch.arange(p) + 2).double() * 2 * torch.pi * k / p
    return (0.5 + torch.cos(x) / 4)[:, None].expand(p, p)


@pytest.mark.parametrize(("p", "ks"), [(113, (1, 24, 56)), (7, (3, 2)), (12, (5,))])
def test_a_head_that_follows_one_frequency_of_a_is_all_that_frequency(p, ks):
    found = rows(to_a(p, *(wave(p, k) for k in ks)), p)
    assert [(r.layer, r.head, r.frequency) for r in found] == [(0, head, k) for head, k in enumerate(ks)]
    for row in found:
        assert row.fraction == pytest.approx(1, abs=1e-12)
        assert len(row.fractions) == (p - 1) // 2


def test_uniform_attention_has_no_frequency():
    third = torch.full((49, 2, 1, 3), 1 / 3)
    noise = third.clone()
    noise[::5, 1] += torch.finfo(torch.float32).eps / 4  # one unit in the last place
    for pattern in (third, noise):
        for row in rows(pattern, 7):
            assert (row.frequency, row.fraction, row.fractions) == (None, None, None)


def test_a_pattern_that_is_not_finite_has_no_frequency():
    broken, alive = rows(to_a(7, torch.full((7, 7), torch.nan).double(), wave(7, 1)), 7)
    assert (broken.frequency, broken.fraction) == (None, None)
    assert alive.frequency == 1


@given(st.integers(0, 1000), st.floats(0.01, 1.0), st.sampled_from([5, 8, 11]))
def test_contrast_does_not_matter_and_heads_keep_their_order(seed, contrast, p):
    rng = torch.Generator().manual_seed(seed)
    maps = torch.rand(3, p, p, generator=rng, dtype=torch.float64)
    order = torch.randperm(3, generator=rng)
    before, after = rows(to_a(p, *maps), p), rows(to_a(p, *(contrast * maps[order])), p)
    for row, i in zip(after, order.tolist(), strict=True):
        assert row.frequency == before[i].frequency
        np.testing.assert_allclose(row.fractions, before[i].fractions, rtol=1e-8, atol=1e-12)


def test_inputs_other_than_the_grid_are_refused():
    probe = Probe("three", torch.tensor([[1, 2, 7], [3, 4, 7], [5, 6, 7]]), torch.tensor([3, 0, 4]))
    with pytest.raises(StrobeError, match="every pair"):
        list(HeadFrequency().analyze_attention(Attention({0: torch.ones(3, 1, 1, 3)}), probe))


def test_the_untrained_heads_of_the_real_run_have_the_reference_frequencies(data):
    """At step 0 attention varies by 1e-3 around 1/3: frequencies and fractions from separate code in float64."""
    tap = Tap({SITE: frozenset({Last()})})
    with torch.inference_mode(), pytest.raises(Stop):
        ModularAddition().forward(load_file(data / "modadd_p113_seed999" / "epoch_00000.safetensors"), grid(113).inputs, tap)
    found = rows(tap.captured[SITE, Last()], 113)
    assert [r.frequency for r in found] == [43, 37, 9, 33]
    expected = [0.1192700404984183, 0.07480498399196091, 0.08563568181281583, 0.0692866302623397]
    assert [r.fraction for r in found] == pytest.approx(expected, rel=1e-4)
