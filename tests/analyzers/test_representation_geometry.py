from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from real_run import passed

from strobe import Activations, maths
from strobe.schema import to_arrow
from strobe_analyzers.representation_geometry import (
    MEASURED,
    RepresentationGeometry,
    alignment,
    alignment_null,
    circle_fit,
    circle_null,
    frequency_planes,
)
from strobe_families.modular_addition import ModularAddition

REFERENCE = {  # at step 25,000 of the real run, computed apart in float64
    ("resid_mid", "centre_spread"): 2.7894898709655203,
    ("resid_mid", "snr"): 0.049947388694113116,
    ("resid_mid", "fisher_mean"): 0.05111982084945396,
    ("resid_mid", "fisher_min"): 0.0008067248409222716,
    ("resid_mid", "class_dimension"): 3.5417919372243416,
    ("resid_mid", "circularity"): 0.3981293748741026,
    ("resid_mid", "alignment"): 0.9761494197655554,
    ("resid_mid", "pc2_share"): 0.25018439055683744,
    ("resid_post", "centre_spread"): 57.89154096851614,
    ("resid_post", "snr"): 13.540000970406942,
    ("resid_post", "fisher_min"): 2.472953458591638,
    ("resid_post", "class_dimension"): 4.378100113176854,
    ("resid_post", "circularity"): 0.31107480548648925,
    ("resid_post", "pc1_share"): 0.2799457055076617,
    ("resid_post", "pc3_share"): 0.19913677315492573,
    ("mlp.post", "snr"): 0.1927791494538852,
    ("mlp.post", "class_dimension"): 3.3903564509759003,
    ("mlp.post", "alignment"): 0.985009757492762,
}
PLANES = {
    24: (0.09016852884728875, 0.9957129559581457),
    36: (0.061225744970294885, 0.000703313141508029),
    39: (0.3738299651943465, 0.9257920136997894),
}


def measured(sites, p):
    probe = ModularAddition(p=p).probes({})["grid"]()
    named = {f"blocks.0.{site}": h for site, h in sites.items()}
    return {r.site: r for r in RepresentationGeometry().analyze_activations(Activations(named), probe)}


def row(h, p):
    return measured({"resid_post": h}, p)["resid_post"]


def circles(p, frequencies, amplitudes=None, d=16, noise=0.0, seed=0):
    """Class r at sum over k of amplitude (cos, sin)(2 pi k r / p), in planes of their own, plus noise per input: [p*p, d]."""
    r = maths.sum_classes(p).double()
    rng = torch.Generator().manual_seed(seed)
    h = noise * torch.randn(p * p, d, generator=rng, dtype=torch.float64)
    for i, k in enumerate(frequencies):
        angle = 2 * torch.pi * k * r / p
        h[:, 2 * i] += (amplitudes or [1] * len(frequencies))[i] * torch.cos(angle)
        h[:, 2 * i + 1] += (amplitudes or [1] * len(frequencies))[i] * torch.sin(angle)
    return h


@pytest.mark.parametrize(("p", "k"), [(113, 24), (113, 56), (31, 7), (12, 5), (7, 3), (5, 1)])
def test_one_circle_is_one_circle(p, k):
    found = row(circles(p, [k], noise=0.01) + 3, p)
    assert found.frequency_shares[k - 1] == pytest.approx(1, abs=1e-3)
    assert found.axis_ratios[k - 1] == pytest.approx(1, abs=0.02)
    assert found.circularity == pytest.approx(1, abs=0.05)
    assert (found.alignment, found.alignment_frequency) == (pytest.approx(1, abs=1e-2), k)
    assert len(found.frequency_shares) == p // 2
    assert found.centre_spread == pytest.approx(1, rel=1e-2)
    assert found.radius == pytest.approx(0.01 * 4 * (1 - 1 / p) ** 0.5, rel=0.1)
    assert found.snr == pytest.approx((found.centre_spread / found.radius) ** 2)


def test_a_mirrored_circle_is_as_aligned():
    h = circles(31, [7], noise=0.01)
    h[:, 1] *= -1
    assert row(h, 31).alignment == pytest.approx(1, abs=1e-2)


def test_a_clock_of_four_circles_scores_little_circularity_and_all_of_each_frequency():
    found = row(circles(113, [24, 36, 39, 41], noise=0.01), 113)
    assert found.circularity < 0.5
    assert [found.frequency_shares[k - 1] for k in (24, 36, 39, 41)] == pytest.approx([0.25] * 4, abs=1e-3)
    assert [found.axis_ratios[k - 1] for k in (24, 36, 39, 41)] == pytest.approx([1] * 4, abs=0.01)
    assert found.alignment is None  # PC1 to PC8 are alike: no plane is the top one


def test_a_line_has_axis_ratio_zero_and_the_unpaired_frequency_is_a_line():
    p = 12
    r = maths.sum_classes(p).double()
    h = torch.stack([torch.cos(2 * torch.pi * 2 * r / p + 0.7), torch.cos(torch.pi * r)], 1)
    shares, ratios = frequency_planes(_means(h, p))
    assert shares[[1, 5]].tolist() == pytest.approx([1 / 3, 2 / 3])
    assert ratios[[1, 5]].tolist() == pytest.approx([0, 0], abs=1e-6)


def _means(h, p):
    means = maths.class_sums(h, p) / p
    return means - means.mean(0)


@given(st.integers(0, 10_000), st.sampled_from([5, 8, 13]), st.sampled_from([2, 6, 40]))
def test_against_covariances_and_singular_values(seed, p, d):
    rng = torch.Generator().manual_seed(seed)
    h = torch.randn(p * p, d, generator=rng, dtype=torch.float64) + 5
    found, r = row(h, p), maths.sum_classes(p)
    groups = [h[r == c] for c in range(p)]
    covariances = [torch.cov(g.T, correction=0).reshape(d, d) for g in groups]
    dimension = np.mean([(c.trace() ** 2 / (c**2).sum()).item() for c in covariances])
    radii = torch.stack([c.trace() for c in covariances])
    mu = torch.stack([g.mean(0) for g in groups])
    fisher = torch.cdist(mu, mu)[*torch.triu_indices(p, p, 1)] ** 2 / (radii[:, None] + radii)[*torch.triu_indices(p, p, 1)]
    shares = torch.linalg.svdvals(mu - mu.mean(0)) ** 2
    assert found.class_dimension == pytest.approx(dimension, rel=1e-9)
    assert (found.fisher_mean, found.fisher_min) == (pytest.approx(fisher.mean().item()), pytest.approx(fisher.min().item(), rel=1e-6))
    assert found.pc1_share == pytest.approx((shares[0] / shares.sum()).item(), rel=1e-9)
    waves = maths.fourier_basis(p) @ (mu - mu.mean(0))
    for k in range(1, p // 2 + 1):
        s = torch.linalg.svdvals(waves[maths.rows_of(p, [k])])
        assert found.frequency_shares[k - 1] == pytest.approx(((s**2).sum() / shares.sum()).item(), rel=1e-9)
        assert found.axis_ratios[k - 1] == pytest.approx((s[1] / s[0]).item() if len(s) > 1 else 0, abs=1e-6)


def test_nulls_are_those_of_random_points():
    mean, high = alignment_null(113)
    assert mean == pytest.approx(0.048, abs=2e-3)
    assert high == pytest.approx(0.071, abs=6e-3)
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(2, 200_000))
    assert circle_fit(x, y) == pytest.approx(np.pi**0.5 - 1, abs=5e-3)
    assert circle_null(113) == pytest.approx(0.79, abs=0.015)
    assert circle_null(3) == pytest.approx(1)
    assert np.mean([alignment(*rng.normal(size=(2, 113)))[0] for _ in range(500)]) == pytest.approx(mean, rel=0.05)


def test_a_site_that_does_not_vary_and_one_that_is_not_finite_say_so():
    p, h = 7, torch.randn(1, 5).expand(49, 5)
    bad = torch.randn(49, 5)
    bad[3, 2] = torch.nan
    found = measured({"resid_pre": h, "resid_mid": bad, "mlp.post": torch.zeros(49, 3), "mlp.out": torch.full((49, 2), torch.inf)}, p)
    assert found["resid_pre"].reason == found["mlp.post"].reason == "the same vector for every input"
    assert found["resid_mid"].reason == found["mlp.out"].reason == "activations are not finite"
    assert all(getattr(r, name) is None for r in found.values() for name in MEASURED)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("p", [3, 4, 6, 9])
def test_tiny_even_and_coarse_inputs_give_finite_numbers(p, dtype):
    h = torch.randn(p * p, 4, generator=torch.Generator().manual_seed(p)).to(dtype)
    made = to_arrow(RepresentationGeometry.Row, [row(h, p)])
    assert made.not_finite == {}
    assert made.table.column("radius")[0].as_py() > 0


def test_classes_without_width_or_without_spread_are_null_not_infinite():
    p = 5
    points = row(circles(p, [1]), p)
    assert points.centre_spread == pytest.approx(1)
    alike = torch.arange(p).repeat_interleave(p).double()[:, None]  # a alone: every class has the same mean
    same = row(alike, p)
    assert (same.frequency_shares, same.circularity, same.alignment) == (None, None, None)
    assert same.snr == pytest.approx(0, abs=1e-12)
    assert to_arrow(RepresentationGeometry.Row, [points, same]).not_finite == {}


def test_agrees_with_the_references_of_the_real_run():
    names = ("resid_pre", "resid_mid", "mlp.post", "mlp.out", "resid_post")
    found = measured({site.split(".", 2)[2]: h for site, h in passed(25_000, *names).sites.items()}, 113)
    assert found["resid_pre"].reason
    for (site, name), value in REFERENCE.items():
        assert getattr(found[site], name) == pytest.approx(value, rel=1e-4), (site, name)
    for k, (share, ratio) in PLANES.items():
        assert found["resid_post"].frequency_shares[k - 1] == pytest.approx(share, rel=1e-5)
        assert found["resid_post"].axis_ratios[k - 1] == pytest.approx(ratio, abs=1e-5)
