from __future__ import annotations

import numpy as np
import pytest
import torch
from real_run import passed

from strobe import Activations
from strobe.schema import to_arrow
from strobe_analyzers.activation_sample import ActivationSample, directions, drawn

SITE = "blocks.0.resid_post"
CKA_TO_LAST = {0: 0.006802232840488435}
"""Linear CKA of resid_post to step 25,000 over all 12,769 pairs of the real run, computed apart."""


def row(h, **settings):
    (found,) = ActivationSample(**settings).analyze_activations(Activations({SITE: h}))
    return found


def test_the_same_inputs_at_every_step():
    a, b = torch.randn(2, 2000, 8, generator=torch.Generator().manual_seed(0))
    first, second = row(a), row(b)
    np.testing.assert_array_equal(first.indices, second.indices)
    assert len(set(first.indices.tolist())) == 512
    assert (np.diff(first.indices) > 0).all()
    np.testing.assert_allclose(first.sample.astype(float) * first.scale, a[first.indices.tolist()], atol=first.scale * 5e-4)
    assert not np.array_equal(row(a, seed=1).indices, first.indices)


def test_a_small_probe_is_kept_whole():
    h = torch.arange(12.0).reshape(4, 3)
    found = row(h)
    assert found.indices.tolist() == [0, 1, 2, 3]
    np.testing.assert_allclose(found.sample.astype(float) * found.scale, h, rtol=1e-3)


def test_a_wide_stream_is_projected_and_keeps_lengths():
    h = torch.randn(300, 600, generator=torch.Generator().manual_seed(0))
    found = row(h, inputs=200, width=128)
    assert found.sample.shape == (200, 128)
    lengths = np.linalg.norm(found.sample.astype(float) * found.scale, axis=1) / h[found.indices.tolist()].norm(dim=1).numpy()
    assert lengths.mean() == pytest.approx(1, abs=0.02)
    q = directions(600, 128, 0)
    assert torch.allclose(q.T @ q, torch.eye(128).double() * 600 / 128, atol=1e-9)


@pytest.mark.parametrize("size", [1e-30, 1.0, 1e30])
def test_values_of_any_size_keep_three_digits(size):
    h = torch.randn(20, 4, generator=torch.Generator().manual_seed(0)) * size
    found = row(h)
    np.testing.assert_allclose(found.sample.astype(float) * found.scale, h, atol=size * 3e-3)
    assert np.abs(found.sample).max() == 1


def test_zero_and_non_finite_activations():
    assert row(torch.zeros(5, 3)).scale == 0
    bad = row(torch.full((5, 3), torch.nan))
    assert (bad.scale, bad.sample, bad.reason) == (None, None, "activations are not finite")
    assert to_arrow(ActivationSample.Row, [bad, row(torch.zeros(0, 3))]).not_finite == {}


def test_takes_at_most_150_kilobytes_of_the_real_run_and_gives_its_cka():
    early, late = (row(passed(step, "resid_post").sites[SITE]) for step in (0, 25_000))
    assert early.sample.nbytes + early.indices.nbytes < 150_000
    assert _cka(early.sample, late.sample) == pytest.approx(CKA_TO_LAST[0], abs=1e-2)


def _cka(x, y):
    """Unbiased linear CKA (Song et al. 2007; Kornblith et al. 2019)."""
    k, m = (a.astype(float) @ a.astype(float).T for a in (x, y))
    for gram in (k, m):
        np.fill_diagonal(gram, 0)
    n = len(k)

    def hsic(a, b):
        return (a * b).sum() + a.sum() * b.sum() / ((n - 1) * (n - 2)) - 2 / (n - 2) * (a.sum(0) @ b.sum(0))

    return hsic(k, m) / np.sqrt(hsic(k, k) * hsic(m, m))


def test_drawn_is_a_permutation_of_the_probe():
    assert drawn(7, 100, 0).tolist() == list(range(7))
    assert len(drawn(0, 5, 0)) == 0
