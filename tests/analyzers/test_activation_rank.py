from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from real_run import passed

from strobe import Activations, maths
from strobe.schema import to_arrow
from strobe_analyzers.activation_rank import NUMBERS, ActivationRank, spectrum

SITE = "blocks.0.mlp.post"
REFERENCE = {0: (159.43973732472676, 29.934345934344574), 25_000: (33.9177347768858, 8.644811002392725)}
"""Effective rank and participation ratio of the real run's neurons, computed apart in float64."""


def row(h, **settings):
    (found,) = ActivationRank(**settings).analyze_activations(Activations({SITE: h}))
    return found


@given(st.integers(0, 10_000), st.sampled_from([(40, 6), (6, 40), (300, 200), (2, 2)]))
def test_against_torch_svd(seed, shape):
    h = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + 10
    s = torch.linalg.svdvals(h - h.mean(0)) / shape[0] ** 0.5
    found, kept = spectrum(h), min(shape[0] - 1, shape[1])
    assert torch.allclose(found[:kept], s[:kept], rtol=1e-6)
    assert row(h).effective_rank == pytest.approx(maths.effective_rank(s), rel=1e-5)


@pytest.mark.parametrize("rank", [1, 2, 5])
def test_equal_directions_count_as_many(rank):
    h = torch.zeros(4 * rank, 9, dtype=torch.float64)
    for i in range(rank):
        h[4 * i, i], h[4 * i + 1, i] = 1.0, -1.0
    found = row(h + 3)
    assert found.effective_rank == pytest.approx(rank, rel=1e-5)
    assert found.participation_ratio_lambda == pytest.approx(rank)
    assert found.dims_99 == rank


def test_sites_without_variation_or_with_nan_say_so():
    for h, why in [(torch.ones(5, 3), "same vector"), (torch.full((5, 3), torch.nan), "not finite"), (torch.zeros(0, 3), "no inputs")]:
        found = row(h)
        assert why in found.reason
        assert all(getattr(found, name) is None for name in NUMBERS)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_single(dtype):
    h = torch.randn(50, 8, generator=torch.Generator().manual_seed(0)).to(dtype)
    assert row(h).effective_rank == pytest.approx(row(h.double()).effective_rank, rel=1e-4)
    assert to_arrow(ActivationRank.Row, [row(h)]).not_finite == {}


def test_more_inputs_than_allowed_are_thinned_evenly():
    h = torch.randn(1000, 5, generator=torch.Generator().manual_seed(0))
    assert row(h, max_inputs=100).effective_rank == pytest.approx(row(h[::10]).effective_rank)
    assert row(h, max_inputs=999).effective_rank == pytest.approx(row(h[::2]).effective_rank)


@pytest.mark.parametrize("step", [0, 25_000])
def test_agrees_with_the_reference_of_the_real_run(step):
    found = row(passed(step, "mlp.post").sites[SITE])
    erank, ratio = REFERENCE[step]
    assert found.effective_rank == pytest.approx(erank, rel=3e-3)  # float32 activations: the smallest directions are rounding
    assert found.participation_ratio_lambda == pytest.approx(ratio, rel=1e-6)
