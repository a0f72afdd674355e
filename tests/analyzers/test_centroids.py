from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from real_run import FOLDER, passed

from strobe import Activations, Results, maths
from strobe.schema import to_arrow, to_pandas
from strobe_analyzers.centroid_pca import CentroidPca
from strobe_analyzers.centroid_planes import CentroidPlanes, centroids_of, plane
from strobe_analyzers.centroids import Centroids
from strobe_families.modular_addition import ModularAddition

PLANES = {
    24: (0.09016852884728875, 0.9957129559581457),
    36: (0.061225744970294885, 0.000703313141508029),
    41: (0.46531492737425545, 0.8312927566345251),
}
"""Share of centroid variance and axis ratio at step 25,000 of the real run, resid_post, computed apart in float64."""


def stored(h, p, step=0, site="resid_post"):
    """The table `centroids` of one site and step, as it comes back from storage."""
    probe = ModularAddition(p=p).probes({})["grid"]()
    found = Centroids().analyze_activations(Activations({f"blocks.0.{site}": h}), probe)
    return to_pandas(to_arrow(Centroids.Row, found).table).assign(step=step)


def keys(*frequencies):
    return pd.DataFrame({"set": ["union"], "step": [None], "frequencies": [np.array(frequencies)]})


def circle(p, k, radius=1.0, d=4):
    angle = 2 * torch.pi * k * maths.sum_classes(p).double() / p
    return torch.cat([radius * torch.stack([torch.cos(angle), torch.sin(angle)], 1), torch.zeros(p * p, d - 2)], 1)


@given(st.integers(0, 1000), st.sampled_from([3, 4, 13]), st.sampled_from([1e-6, 1.0, 1e6]))
def test_centroids_are_class_means_less_their_mean(seed, p, size):
    h = size * torch.randn(p * p, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + 2 * size
    row = next(stored(h, p).itertuples())
    means = maths.class_sums(h, p) / p
    expected = means - means.mean(0)
    assert row.scale == pytest.approx(expected.abs().max().item(), rel=1e-9)
    np.testing.assert_allclose(centroids_of(row), expected, atol=row.scale * 5e-4)


def test_what_all_inputs_share_costs_no_digits():
    p, small = 13, circle(13, 2, 1e-3).float()
    row = next(stored(small + 100, p).itertuples())
    np.testing.assert_allclose(centroids_of(row)[:, :2], circle(p, 2, 1e-3)[:p, :2], atol=2e-5)  # float32 at 100 has steps of 8e-6


def test_a_constant_site_and_one_with_nan_have_a_reason_and_no_centroids():
    for h, why in [(torch.ones(49, 3), "the same vector for every input"), (torch.full((49, 3), torch.nan), "activations are not finite")]:
        table = stored(h, 7)
        assert table["reason"].tolist() == [why]
        assert table["centroids"].tolist() == [None]
        assert list(CentroidPlanes().analyze_results(Results(centroids=table, key_frequencies=keys(1)))) == []
        assert list(CentroidPca().analyze_results(Results(centroids=table))) == []


# --- planes ------------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("p", "k"), [(113, 41), (31, 15), (12, 5), (5, 2)])
def test_a_circle_goes_round_in_its_own_plane_at_its_own_frequency(p, k):
    table = stored(circle(p, k, 3.0) @ torch.linalg.qr(torch.randn(4, 4, dtype=torch.float64))[0], p)
    (row,) = CentroidPlanes().analyze_results(Results(centroids=table, key_frequencies=keys(k)))
    angle = 2 * np.pi * k * np.arange(p) / p
    np.testing.assert_allclose(row.coordinates, 3 * np.stack([np.cos(angle), np.sin(angle)], 1), atol=5e-3)
    assert (row.step, row.site, row.frequency) == (0, "resid_post", k)
    assert (row.share, row.axis_ratio) == (pytest.approx(1, abs=1e-5), pytest.approx(1, abs=1e-3))


def test_a_line_is_a_line_and_an_absent_frequency_holds_nothing():
    p = 31
    wave = torch.cos(2 * torch.pi * 7 * maths.sum_classes(p).double() / p + 0.4)
    other, line = CentroidPlanes().analyze_results(Results(centroids=stored(wave[:, None] * torch.ones(1, 3), p), key_frequencies=keys(7, 3)))
    assert (line.share, line.axis_ratio) == (pytest.approx(1, abs=1e-5), pytest.approx(0, abs=1e-3))
    assert np.linalg.matrix_rank(line.coordinates, tol=0.02) == 1
    assert other.share < 1e-6


@pytest.mark.parametrize("d", [1, 2, 5])
def test_the_unpaired_frequency_of_an_even_modulus_is_a_line_in_any_width(d):
    p = 6
    alternating = torch.cos(torch.pi * torch.arange(p).double())[:, None].expand(p, d)
    coordinates, power, ratio = plane(alternating, 3)
    assert coordinates.shape == (p, 2)
    assert (power, ratio) == (pytest.approx(p * d), 0)


def test_only_the_chosen_set_is_projected():
    table = pd.concat([keys(1, 2), keys(2).assign(set="last")])
    found = CentroidPlanes(keys="last").analyze_results(Results(centroids=stored(circle(7, 2), 7), key_frequencies=table))
    assert [r.frequency for r in found] == [2]


# --- principal components ----------------------------------------------------------------------------------------------------------------------


def by_frame(*tables, **settings):
    found = list(CentroidPca(**settings).analyze_results(Results(centroids=pd.concat(tables))))
    assert to_arrow(CentroidPca.Row, found).not_finite == {}
    return {(r.frame, r.step): r for r in found}


def test_shares_and_coordinates_are_those_of_an_svd():
    p, h = 13, torch.randn(169, 6, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    own = by_frame(stored(h, p))["own", 0]
    means = maths.class_sums(h, p) / p
    u, s, _ = torch.linalg.svd(means - means.mean(0), full_matrices=False)
    np.testing.assert_allclose(own.shares, [*(s**2 / (s**2).sum()), 0, 0, 0, 0], atol=1e-4)
    np.testing.assert_allclose(np.abs(own.coordinates), (u * s).abs()[:, :3], atol=1e-2)
    assert (own.coordinates[np.abs(own.coordinates).argmax(0), range(3)] > 0).all()


def test_one_step_has_the_same_plane_in_both_frames():
    frames = by_frame(stored(torch.randn(169, 6, generator=torch.Generator().manual_seed(3)), 13))
    own, shared = frames["own", 0], frames["shared", 0]
    np.testing.assert_allclose(own.shares, shared.shares, atol=1e-9)
    np.testing.assert_allclose(np.abs(own.coordinates), np.abs(shared.coordinates), atol=1e-5)


def test_the_shared_frame_stays_put_and_may_weigh_steps_alike():
    p, turn = 13, torch.tensor([[0.0, 0, 1, 0], [0, 0, 0, 1], [1, 0, 0, 0], [0, 1, 0, 0]])
    early, late = stored(circle(p, 2, 0.01).float(), p), stored(circle(p, 2, 1.0).float() @ turn, p, step=100)
    raw = by_frame(early, late)
    assert raw["own", 0].shares[:2].sum() == pytest.approx(1, abs=1e-6)
    assert raw["shared", 0].shares[:2].sum() == pytest.approx(0, abs=1e-3)  # the late plane, in which the early circle does not lie
    assert raw["shared", 100].shares[:2].sum() == pytest.approx(1, abs=1e-3)
    unit = by_frame(early, late, weighting="unit", components=4)
    assert unit["shared", 0].shares[:4].sum() == pytest.approx(1, abs=1e-6)


def test_agrees_with_the_references_of_the_real_run():
    import json

    reference = json.loads((FOLDER / "reference.json").read_text())
    for step in (0, 25_000):
        table = stored(passed(step, "resid_post").sites["blocks.0.resid_post"], 113, step)
        own = by_frame(table)["own", step]
        assert own.shares[:5] == pytest.approx(reference[str(step)]["centroid_pca_share_resid_post"], rel=1e-4)  # float16
    for row in CentroidPlanes().analyze_results(Results(centroids=table, key_frequencies=keys(*PLANES))):
        assert (row.share, row.axis_ratio) == (pytest.approx(PLANES[row.frequency][0], rel=1e-3), pytest.approx(PLANES[row.frequency][1], abs=1e-3))
