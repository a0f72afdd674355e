"""`strobe.maths`: closed forms, properties, and agreement of every fast path with the dense definition."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from strobe import maths

moduli = st.integers(2, 40)
seeds = st.integers(0, 2**32 - 1)


def normal(seed: int, *shape: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


def waves(p: int, k: int, *, sign: int = 1) -> torch.Tensor:
    """cos(w_k (a + sign b)) over the grid, [p, p]."""
    x = torch.arange(p)
    return torch.cos(2 * torch.pi * k * (x[:, None] + sign * x) / p)


# --- basis ----------------------------------------------------------------------------------------------------------------------------------


@given(p=moduli)
def test_the_basis_is_orthonormal_for_odd_and_even_p(p):
    basis = maths.fourier_basis(p)
    torch.testing.assert_close(basis @ basis.T, torch.eye(p, dtype=torch.float64), rtol=0, atol=1e-13)


def test_rows_are_const_then_cos_before_sin():
    assert maths.fourier_rows(5) == (("const", 0), ("cos", 1), ("sin", 1), ("cos", 2), ("sin", 2))
    x = torch.arange(5, dtype=torch.float64)
    torch.testing.assert_close(maths.fourier_basis(5)[3], torch.cos(4 * torch.pi * x / 5) * (2 / 5) ** 0.5)
    torch.testing.assert_close(maths.fourier_basis(5)[4], torch.sin(4 * torch.pi * x / 5) * (2 / 5) ** 0.5)


def test_even_p_ends_with_one_alternating_row():
    assert maths.fourier_rows(4)[-1] == ("cos", 2)
    torch.testing.assert_close(maths.fourier_basis(4)[-1], torch.tensor([0.5, -0.5, 0.5, -0.5], dtype=torch.float64))


def test_writing_to_a_basis_harms_nobody_else():
    maths.fourier_basis(7).add_(1)
    assert maths.fourier_basis(7)[0, 0].item() == pytest.approx(7**-0.5)


@given(p=moduli, d=st.integers(1, 6), seed=seeds)
def test_parseval(p, d, seed):
    table = normal(seed, p, d)
    assert (maths.row_amplitudes(table) ** 2).sum().item() == pytest.approx((table**2).sum().item(), rel=1e-12)


@given(p=moduli, seed=seeds)
def test_frequency_powers_agree_with_the_fft(p, seed):
    table = normal(seed, p, 3)
    spectrum = (torch.fft.rfft(table, dim=0).abs() ** 2).sum(1)[1:]
    doubled = torch.tensor([1.0 if 2 * k == p else 2.0 for k in range(1, p // 2 + 1)], dtype=torch.float64)
    torch.testing.assert_close(maths.frequency_powers(table), spectrum * doubled / p)


def test_a_frequency_out_of_range_is_named():
    with pytest.raises(ValueError, match=r"\[9\] are outside 0..3 for p=7"):
        maths.rows_of(7, [1, 9])


def test_fold_aliases_to_the_nearest_frequency():
    assert [maths.fold(k, 7) for k in (0, 3, 4, 6, 8, -1)] == [0, 3, 3, 1, 1, 1]


# --- maps -----------------------------------------------------------------------------------------------------------------------------------


def dense_fractions(maps: torch.Tensor, harmonics: int) -> torch.Tensor:
    p = maps.shape[1]
    basis = maths.fourier_basis(p)
    power = (basis @ (maps.double() - maps.double().mean(dim=(1, 2), keepdim=True)) @ basis.T) ** 2
    found = []
    for k in range(1, (p - 1) // 2 + 1):
        block = maths.rows_of(p, {0, k} if harmonics == 1 else {0, k, maths.fold(2 * k, p)})
        found.append(power[:, block][:, :, block].sum(dim=(1, 2)) / power.sum(dim=(1, 2)))
    return torch.stack(found, 1)


@given(p=st.integers(3, 30), n=st.integers(1, 40), harmonics=st.sampled_from([1, 2]), seed=seeds)
def test_fractions_agree_with_the_dense_definition(p, n, harmonics, seed):
    maps = normal(seed, n, p, p).float() + 3
    torch.testing.assert_close(maths.map_fractions(maps, harmonics), dense_fractions(maps, harmonics), rtol=0, atol=1e-12)


@pytest.mark.parametrize("p", [3, 4, 6, 7, 30, 31])
@pytest.mark.parametrize("offset", [0.0, 3.0, 1e4])
def test_fractions_of_activations_as_they_are_laid_out_are_those_of_their_maps(p, offset):
    values = normal(0, p * p, 6).float() + offset
    values[:, 1], values[:, 2] = 0.0, 5.0  # dead, constant
    expected = maths.map_fractions(maths.grid_maps(values))
    torch.testing.assert_close(maths.grid_fractions(values), expected, rtol=0, atol=1e-12, equal_nan=True)
    assert maths.grid_fractions(values)[1:3].isnan().all()
    assert maths.grid_fractions(values[:, :0]).shape == (0, (p - 1) // 2)


@pytest.mark.parametrize("k", [1, 8, 15])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_wave_has_all_its_variance_at_its_frequency_also_the_last(k, sign):
    fractions = maths.map_fractions(5 + waves(31, k, sign=sign)[None])[0]
    assert fractions[k - 1].item() == pytest.approx(1, abs=1e-6)
    assert fractions.sum().item() == pytest.approx(1, abs=1e-6)


@given(k=st.integers(1, 15), f=st.floats(0, 6), g=st.floats(0, 6))
def test_a_quadratic_neuron_is_four_fifths_at_k_and_whole_with_two_harmonics(k, f, g):
    angle = 2 * torch.pi * k * torch.arange(31, dtype=torch.float64) / 31
    neuron = (torch.cos(angle + f)[:, None] + torch.cos(angle + g)) ** 2
    assert maths.map_fractions(neuron[None], 1)[0, k - 1].item() == pytest.approx(0.8, abs=1e-9)
    assert maths.map_fractions(neuron[None], 2)[0, k - 1].item() == pytest.approx(1.0, abs=1e-9)


@given(seed=seeds, shift=st.integers(0, 12))
def test_fractions_do_not_move_when_an_input_is_relabelled_cyclically(seed, shift):
    maps = normal(seed, 3, 13, 13)
    torch.testing.assert_close(maths.map_fractions(maps.roll(shift, 1)), maths.map_fractions(maps))


def test_constant_and_non_finite_maps_have_no_fractions():
    maps = torch.stack([torch.full((7, 7), 0.1), torch.zeros(7, 7), torch.full((7, 7), torch.nan), torch.rand(7, 7)])
    assert maths.map_fractions(maps).isnan().all(dim=1).tolist() == [True, True, True, False]
    assert maths.map_fractions(maps, 2).isnan().all(dim=1).tolist() == [True, True, True, False]


def test_a_single_rounding_step_is_not_constant():
    almost = torch.ones(1, 113, 113)
    almost[0, 3, 5] = 1 + 2**-23
    assert maths.map_fractions(almost).isfinite().all()


def test_activations_go_in_as_a_view():
    h = normal(1, 49, 20)
    torch.testing.assert_close(maths.map_fractions(h.T.unflatten(1, (7, 7))), maths.map_fractions(h.T.reshape(20, 7, 7)))


def test_no_maps_no_fractions():
    assert maths.map_fractions(torch.zeros(0, 7, 7)).shape == (0, 3)


def test_maps_must_be_square():
    with pytest.raises(ValueError, match=r"\[n, p, p\], got \(2, 3, 4\)"):
        maths.map_fractions(torch.zeros(2, 3, 4))


# --- sum directions ---------------------------------------------------------------------------------------------------------------------------


@given(p=st.integers(3, 14), data=st.data(), seed=seeds)
def test_the_projection_is_that_onto_the_orthonormal_directions(p, data, seed):
    keys = data.draw(st.lists(st.integers(1, p // 2), unique=True))
    logits = normal(seed, p * p, 4)
    directions = maths.sum_directions(p, keys)
    torch.testing.assert_close(directions @ directions.T, torch.eye(len(directions), dtype=torch.float64), rtol=0, atol=1e-12)
    projected = maths.sum_projection(maths.class_sums(logits, p), keys)[maths.sum_classes(p)]
    torch.testing.assert_close(projected, directions.T @ (directions @ logits), rtol=0, atol=1e-12)


def test_the_projection_keeps_a_clock_and_nothing_else():
    p = 11
    clock = torch.cos(2 * torch.pi * 3 * (maths.sum_classes(p)[:, None] - torch.arange(p)) / p).double()
    totals = maths.class_sums(clock, p)
    torch.testing.assert_close(maths.sum_projection(totals, [3])[maths.sum_classes(p)], clock, rtol=0, atol=1e-6)
    assert maths.sum_projection(totals, [1, 2, 4, 5]).abs().max().item() < 1e-6


def test_frequency_zero_is_the_mean():
    values = normal(0, 25, 3)
    torch.testing.assert_close(maths.sum_projection(maths.class_sums(values, 5), [0])[2], values.mean(0))


# --- spectra ----------------------------------------------------------------------------------------------------------------------------------


@given(n=st.integers(1, 12), m=st.integers(1, 12), seed=seeds)
def test_singular_values_are_those_of_the_svd(n, m, seed):
    matrices = normal(seed, 2, n, m)
    torch.testing.assert_close(maths.singular_values(matrices), torch.linalg.svdvals(matrices), rtol=1e-9, atol=1e-12)


def test_small_singular_values_of_an_ill_conditioned_matrix_are_exact():
    values = torch.tensor([1.0, 1e-3, 1e-9, 1e-11], dtype=torch.float64)
    left, right = (torch.linalg.qr(normal(seed, 4, 4)).Q for seed in (1, 2))
    torch.testing.assert_close(maths.singular_values(left @ torch.diag(values) @ right), values, rtol=1e-4, atol=0)


def test_non_finite_matrices_have_nan_spectra_and_leave_the_others_alone():
    matrices = torch.eye(3).repeat(2, 1, 1)
    matrices[0, 1, 1] = torch.inf
    spectra = maths.singular_values(matrices)
    assert spectra[0].isnan().all()
    assert spectra[1].tolist() == [1, 1, 1]


def test_the_spectral_norm_is_the_largest_singular_value():
    matrix = normal(3, 5, 9)
    assert maths.spectral_norm(matrix) == pytest.approx(torch.linalg.svdvals(matrix)[0].item(), rel=1e-12)
    assert maths.spectral_norm(torch.zeros(2, 3)) == 0


@given(rank=st.integers(1, 20), zeros=st.integers(0, 5), scale=st.floats(1e-3, 1e3))
def test_isotropic_spectra_have_their_rank_by_every_measure(rank, zeros, scale):
    s = torch.tensor([scale] * rank + [0.0] * zeros, dtype=torch.float64)
    measures = [maths.participation_ratio(s), maths.participation_ratio(s**2), maths.stable_rank(s), maths.effective_rank(s)]
    assert measures == pytest.approx([rank] * 4, rel=1e-12)


def test_known_spectrum():
    s = torch.tensor([3.0, 1.0])
    assert maths.participation_ratio(s) == pytest.approx(1.6)
    assert maths.participation_ratio(s**2) == pytest.approx(100 / 82)
    assert maths.stable_rank(s) == pytest.approx(10 / 9)
    assert (maths.dims_holding(s, 0.9), maths.dims_holding(s, 0.91)) == (1, 2)


def test_nine_of_ten_equal_directions_hold_ninety_percent():
    assert maths.dims_holding(torch.full((10,), 0.1), 0.9) == 9
    assert maths.dims_holding(torch.zeros(3), 0.9) is None
    assert maths.dims_holding(torch.tensor([torch.nan]), 0.9) is None


# --- gini -------------------------------------------------------------------------------------------------------------------------------------


@given(n=st.integers(1, 60), scale=st.floats(1e-6, 1e6))
def test_gini_ends(n, scale):
    assert maths.gini(torch.full((n,), scale)) == pytest.approx(0, abs=1e-12)
    one = torch.zeros(n)
    one[n // 2] = scale
    assert maths.gini(one) == pytest.approx(1 - 1 / n, abs=1e-12)


def test_gini_of_a_circle_embedding():
    angle = 2 * torch.pi * 5 * torch.arange(113) / 113
    circle = torch.stack([torch.cos(angle), torch.sin(angle)], 1).double()
    powers = maths.frequency_powers(circle)
    assert powers[4].item() == pytest.approx(113, rel=1e-6)
    assert maths.gini(powers.round(decimals=6).sqrt()) == pytest.approx(1 - 1 / 56)
