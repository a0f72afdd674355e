"""`marchenko_pastur`: noise of known size, planted directions, and the law's median by scipy's quadrature."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad

from strobe import Weights
from strobe.schema import to_arrow
from strobe_analyzers.marchenko_pastur import MarchenkoPastur, median


def rows(tensors, **settings):
    return {row.parameter: row for row in MarchenkoPastur(**settings).analyze_weights(Weights(tensors))}


def noise(n, m, sd=1.0, seed=0):
    return sd * torch.from_numpy(np.random.default_rng(seed).standard_normal((n, m)))


@pytest.mark.parametrize("ratio", [0.01, 0.25, 0.7, 1.0])
def test_half_of_the_law_lies_below_its_median(ratio):
    low, high = (1 - ratio**0.5) ** 2, (1 + ratio**0.5) ** 2
    density = lambda x: np.sqrt((high - x) * (x - low)) / (2 * np.pi * ratio * x)  # noqa: E731
    assert quad(density, median(ratio), high)[0] == pytest.approx(0.5, abs=1e-6)


@pytest.mark.parametrize("shape", [(256, 1024), (1024, 256), (300, 300)])
@pytest.mark.parametrize("sd", [0.02, 3.0])
def test_noise_has_its_standard_deviation_and_no_spikes(shape, sd):
    row = rows({"W": noise(*shape, sd)})["W"]
    ratio = min(shape) / max(shape)
    assert row.noise == pytest.approx(sd, rel=0.02)
    assert row.edge == pytest.approx(row.noise**2 * (1 + ratio**0.5) ** 2)
    assert row.largest_over_edge == pytest.approx(1, abs=0.05)
    assert row.spikes <= 1


@given(spikes=st.integers(1, 5), seed=st.integers(0, 50))
def test_planted_directions_are_counted(spikes, seed):
    rng = np.random.default_rng(seed)
    left, right = (np.linalg.qr(rng.standard_normal((n, spikes))).Q for n in (200, 100))
    row = rows({"W": noise(200, 100, seed=seed) + torch.from_numpy(left @ right.T) * 80}, min_width=100)["W"]
    assert row.spikes in (spikes, spikes + 1)  # noise alone tops the edge one time in six
    assert row.largest_over_edge > 8
    assert 0 < row.spike_share < 1


def test_without_the_division_by_n_everything_would_be_a_spike():
    assert rows({"W": noise(512, 128, 128**-0.5)}, min_width=128)["W"].spikes <= 1


@given(scale=st.floats(1e-8, 1e8))
def test_scale_moves_edge_and_noise_alone(scale):
    a, b = (rows({"W": noise(40, 20) * s}, min_width=1)["W"] for s in (1.0, scale))
    assert (b.spikes, b.largest_over_edge, b.spike_share) == pytest.approx((a.spikes, a.largest_over_edge, a.spike_share))
    assert b.noise == pytest.approx(scale * a.noise)


def test_narrow_matrices_are_named_and_not_looked_at_unless_asked():
    tensors = {"narrow": noise(128, 512), "wide": noise(256, 256)}
    found = rows(tensors)
    assert (found["narrow"].spikes, found["narrow"].reason) == (None, "128 wide, narrower than min_width=256")
    assert found["wide"].reason is None
    assert rows(tensors, min_width=128)["narrow"].spikes is not None


@pytest.mark.parametrize(
    ("matrix", "reason"),
    [(torch.zeros(4, 4), "zero"), (torch.ones(4, 4), "zero"), (torch.full((4, 4), torch.inf), "not finite")],
)
def test_what_has_no_bulk_has_a_reason(matrix, reason):
    found = rows({"W": matrix}, min_width=1)
    assert reason in found["W"].reason
    assert to_arrow(MarchenkoPastur.Row, found.values()).not_finite == {}
