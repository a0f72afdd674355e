from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from strobe import Activations, Probe, StrobeError
from strobe.schema import to_arrow
from strobe_analyzers.activation_maps import ActivationMaps, resampling
from strobe_analyzers.activation_sample import drawn
from strobe_families.modular_addition import ModularAddition

SITE = "blocks.0.mlp.post"


def rows(h, p, **settings):
    """Rows for activations [p*p, d_mlp]."""
    probe = ModularAddition(p=p).probes({})["grid"]()
    return list(ActivationMaps(**settings).analyze_activations(Activations({SITE: h}), probe))


@pytest.mark.parametrize(("p", "size"), [(113, 28), (31, 28), (29, 28), (40, 7)])
def test_a_map_is_the_bilinear_antialiased_resampling_of_the_grid(p, size):
    h = torch.rand(p * p, 3, generator=torch.Generator().manual_seed(0))
    images = h.T.reshape(1, 3, p, p)
    expected = torch.nn.functional.interpolate(images, (size, size), mode="bilinear", antialias=True)[0]
    found = rows(h, p, size=size)
    assert [(r.layer, r.neuron) for r in found] == [(0, 0), (0, 1), (0, 2)]
    for row, image in zip(found, expected, strict=True):
        assert row.map.dtype == np.float16
        np.testing.assert_allclose(row.map, image, atol=6e-4)  # float16


def test_a_small_grid_is_kept_as_it_is_with_a_down_the_rows():
    p = 5
    h = torch.arange(25.0)[:, None]  # a * p + b
    (row,) = rows(h, p)
    np.testing.assert_array_equal(row.map, np.arange(25).reshape(5, 5))


def test_rows_and_columns_are_not_exchanged():
    p = 56
    a = torch.arange(p).repeat_interleave(p).float()
    (row,) = rows(a[:, None], p)
    assert (np.diff(row.map.astype(float), axis=0) > 1).all()
    assert np.ptp(row.map.astype(float), axis=1).max() < 0.05


def test_frequencies_that_the_map_cannot_show_fade_instead_of_aliasing():
    p = 113
    x = torch.arange(p).double() * 2 * torch.pi * 41 / p
    wave = torch.cos(x).repeat_interleave(p).float()
    (row,) = rows(wave[:, None], p)
    assert np.abs(row.map[2:-2].astype(float)).max() < 0.1


@given(st.integers(0, 1000), st.sampled_from([3, 30, 61]))
def test_constants_stay_constant_and_order_is_kept(seed, p):
    rng = torch.Generator().manual_seed(seed)
    levels = torch.rand(4, generator=rng)
    for row, level in zip(rows(levels.expand(p * p, 4), p), levels, strict=True):
        np.testing.assert_allclose(row.map, float(level), rtol=1e-3)


def test_weights_of_a_resampled_point_add_up_to_one():
    assert torch.allclose(resampling(113, 28).sum(1), torch.ones(28))


def test_two_layers_make_one_table_of_one_shape():
    h = torch.rand(31 * 31, 2)
    probe = ModularAddition(p=31).probes({})["grid"]()
    found = list(ActivationMaps().analyze_activations(Activations({SITE: h, "blocks.1.mlp.post": h}), probe))
    table = to_arrow(ActivationMaps.Row, found).table
    assert table.column("layer").to_pylist() == [0, 0, 1, 1]
    assert table.schema.field("map").type.shape == [28, 28]
    assert table.schema.field("map").type.dim_names == ["a", "b"]


def test_a_size_below_two_and_inputs_other_than_the_grid_are_refused():
    with pytest.raises(ValidationError, match="size"):
        ActivationMaps(size=1)
    probe = Probe("three", torch.tensor([[1, 2, 7], [3, 4, 7], [5, 6, 7]]), torch.tensor([3, 0, 4]))
    with pytest.raises(StrobeError, match="every pair"):
        list(ActivationMaps().analyze_activations(Activations({SITE: torch.ones(3, 2)}), probe))


def test_a_map_beyond_float16_says_what_it_is_to_be_multiplied_with():
    h = torch.linspace(0, 1, 49)[:, None] * torch.tensor([1.0, 1e6, 1e-3])
    found = rows(h, 7)
    assert [r.scale for r in found] == [1.0, 32.0, 1.0]
    for row, column in zip(found, h.T, strict=True):
        assert row.map.astype(float) * row.scale == pytest.approx(column.reshape(7, 7).numpy(), rel=1e-3, abs=1e-6)
        assert row.sample is None  # every pair is in the map


def test_the_sample_is_the_activation_at_the_drawn_pairs_in_255_levels():
    h = torch.randn(31 * 31, 4, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 1e5, 0.0, 1e-4])
    h[5, 3] = torch.nan
    drawn_at = drawn(31 * 31, 961, 0)
    found = rows(h, 31, pairs=961)
    for i in range(3):
        expected = h[drawn_at, i] / max(float(h[:, i].abs().max()), 1e-30) * 127
        assert found[i].sample == pytest.approx(expected.numpy(), abs=0.51)
    assert found[3].sample is None
