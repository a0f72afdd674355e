"""`axis_ratio`: circles, lines and ellipses known in closed form, torch's SVD, and values of the real run from separate code."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from strobe import Weights, maths
from strobe.schema import to_arrow, to_pandas
from strobe_analyzers.axis_ratio import AxisRatio
from strobe_families.modular_addition import ModularAddition

REAL = {  # step -> frequency -> (axis ratio, cosine share) of W_E; float64, independent code
    5000: {24: (0.990735508600343, 0.4983868841990986), 36: (0.6872638401656956, 0.45587476227266214)},
    25000: {36: (0.9553865036438226, 0.4908503099181398), 41: (0.9764375679736655, 0.5016889938202422)},
}


def table(tensors, p):
    weights = tensors if isinstance(tensors, Weights) else Weights(tensors)
    result = AxisRatio().analyze_weights(weights, SimpleNamespace(family=SimpleNamespace(p=p)))
    return to_pandas(to_arrow(AxisRatio.Row, result).table)


def model(embed, seed=0):
    """A model whose residues have the rows `embed` [p, d], with an '=' row that must not count."""
    p, d = embed.shape
    family = ModularAddition(p=max(p, 3), d_model=d, n_heads=1, d_mlp=5, seed=seed)
    return family.initial() | {"embed.W_E": torch.cat([embed, torch.full((1, d), 9.0, dtype=embed.dtype)])}


def ellipse(p, k, long, short, d=4, turn=0.3):
    """Residues on an ellipse of frequency k, in a tilted plane of d dimensions, starting at phase `turn`."""
    angle = 2 * torch.pi * k * torch.arange(p).double() / p + turn
    plane = torch.linalg.qr(torch.from_numpy(np.random.default_rng(0).standard_normal((d, 2)))).Q
    return torch.stack([long * torch.cos(angle), short * torch.sin(angle)], 1) @ plane.T


def at(found, k, view="W_E"):
    return found[(found["view"] == view) & (found["frequency"] == k)].iloc[0]


@pytest.mark.parametrize(("long", "short"), [(1, 1), (2, 0.5), (3, 1e-9), (1, 0)])
@pytest.mark.parametrize("k", [1, 5])
def test_an_ellipse_has_the_ratio_of_its_axes(long, short, k):
    row = at(table(model(ellipse(11, k, long, short)), 11), k)
    assert row.axis_ratio == pytest.approx(short / long, rel=1e-6, abs=1e-15)


def test_a_line_at_45_degrees_has_cosine_share_one_half_and_is_no_circle():
    row = at(table(model(ellipse(11, 2, 1, 0, turn=torch.pi / 4)), 11), 2)
    assert row.cos_share == pytest.approx(0.5)
    assert row.axis_ratio == pytest.approx(0, abs=1e-15)


@given(seed=st.integers(0, 1000), p=st.sampled_from([3, 4, 7, 10]), d=st.integers(2, 6))
def test_agrees_with_an_svd_of_each_block(seed, p, d):
    embed = torch.from_numpy(np.random.default_rng(seed).standard_normal((p, d)))
    found = table(model(embed), p)
    rows = maths.fourier_rows(p)
    for k in range(1, (p - 1) // 2 + 1):
        block = maths.fourier_basis(p)[[rows.index((c, k)) for c in ("cos", "sin")]] @ embed
        s = torch.linalg.svdvals(block)
        assert at(found, k).axis_ratio == pytest.approx((s[1] / s[0]).item(), rel=1e-9, abs=1e-14)


@given(seed=st.integers(0, 1000), shift=st.integers(0, 6), scale=st.floats(0.01, 100))
def test_shifting_the_residues_and_scaling_change_no_ratio(seed, shift, scale):
    embed = torch.from_numpy(np.random.default_rng(seed).standard_normal((7, 4)))
    moved = table(model(scale * embed.roll(shift, 0)), 7)
    before = table(model(embed), 7)
    np.testing.assert_allclose(moved[moved["view"] == "W_E"].axis_ratio, before[before["view"] == "W_E"].axis_ratio, rtol=1e-9)


def test_views_and_heads_are_those_of_dominant_frequencies():
    found = table(ModularAddition(p=7, d_model=8, n_heads=2, d_mlp=5).initial(), 7)
    assert set(found[found["head"].isna()]["view"]) == {"W_E", "W_U", "W_E.W_in", "W_L"}
    assert set(found[found["head"] == 1]["view"]) == {"W_E.W_Q", "W_E.W_K", "W_E.W_V", "W_E.W_V.W_O", "W_O.W_U"}
    assert found.groupby(["view", "head"], dropna=False).frequency.apply(list).tolist() == [[1, 2, 3]] * (4 + 10)


def test_even_p_leaves_out_the_frequency_without_a_sine():
    assert sorted(table(ModularAddition(p=8, d_model=8, n_heads=1, d_mlp=5).initial(), 8)["frequency"].unique()) == [1, 2, 3]


def test_nothing_and_not_a_number_are_null():
    zero = table(model(torch.zeros(7, 4)), 7)
    assert zero[zero["view"] == "W_E"][["axis_ratio", "cos_share"]].isna().all(axis=None)
    broken = table(model(torch.full((7, 4), torch.nan)), 7)
    assert broken[broken["view"] == "W_E"].axis_ratio.isna().all()
    assert broken[broken["view"] == "W_U"].axis_ratio.notna().all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_read_in_float64(dtype):
    halves = {name: tensor.to(dtype) for name, tensor in ModularAddition(p=7, d_model=8, n_heads=2, d_mlp=5).initial().items()}
    wide = {name: tensor.float() for name, tensor in halves.items()}
    assert table(halves, 7).axis_ratio.tolist() == table(wide, 7).axis_ratio.tolist()


@pytest.mark.parametrize("step", REAL)
def test_a_real_run(data, step):
    found = table(Weights.open(data / "modadd_p113_seed999" / f"epoch_{step:05d}.safetensors"), 113)
    for k, expected in REAL[step].items():
        assert (at(found, k).axis_ratio, at(found, k).cos_share) == pytest.approx(expected, rel=1e-9)
