from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from strobe import Activations, Last, Probe, StrobeError
from strobe.schema import to_arrow
from strobe.sites import Stop, Tap
from strobe_analyzers.neuron_frequency import NeuronFrequency
from strobe_families.modular_addition import ModularAddition

SITE = "blocks.0.mlp.post"


def grid(p):
    return ModularAddition(p=p).probes({})["grid"]()


def rows(h, p, harmonics=1):
    """Rows for activations [p*p, d_mlp]."""
    return list(NeuronFrequency(harmonics=harmonics).analyze_activations(Activations({SITE: h}), grid(p)))


def pair_sum(p, k, phase_a=0.3, phase_b=1.1):
    """cos(w_k a + phase_a) + cos(w_k b + phase_b) over the grid: [p*p], float64."""
    x = torch.arange(p).double() * 2 * torch.pi * k / p
    return (torch.cos(x + phase_a)[:, None] + torch.cos(x + phase_b)).flatten()


@pytest.mark.parametrize(("p", "k"), [(113, 1), (113, 24), (113, 56), (31, 15), (12, 5), (97, 40)])
def test_a_pair_sum_neuron_is_all_its_frequency(p, k):
    (row,) = rows(pair_sum(p, k)[:, None], p)
    assert (row.layer, row.neuron, row.frequency, row.dead) == (0, 0, k, False)
    assert row.fraction == pytest.approx(1, abs=1e-12)
    assert len(row.fractions) == (p - 1) // 2  # every frequency, the last one included
    assert row.fractions[k - 1] == pytest.approx(row.fraction)


@pytest.mark.parametrize("k", [1, 24, 41, 56])
def test_a_quadratic_neuron_is_four_fifths_its_frequency_and_all_of_it_with_the_second_harmonic(k):
    h = pair_sum(113, k)[:, None] ** 2
    (one,), (two,) = rows(h, 113), rows(h, 113, harmonics=2)
    assert (one.frequency, two.frequency) == (k, k)
    assert one.fraction == pytest.approx(0.8, abs=1e-12)
    assert two.fraction == pytest.approx(1.0, abs=1e-12)


def test_a_relu_pair_sum_neuron_is_0_962_its_frequency():
    (row,) = rows(pair_sum(113, 24).relu()[:, None], 113)
    assert row.frequency == 24
    assert row.fraction == pytest.approx(0.962, abs=5e-4)


def test_fractions_are_the_three_by_three_block_of_the_definition():
    p, rng = 13, torch.Generator().manual_seed(0)
    h = torch.randn(p * p, 4, generator=rng, dtype=torch.float64)
    x = torch.arange(p).double()
    waves = [torch.ones(p, dtype=torch.float64)]
    for k in range(1, 7):
        waves += [torch.cos(2 * torch.pi * k * x / p), torch.sin(2 * torch.pi * k * x / p)]
    F = torch.stack([w / w.norm() for w in waves])
    for row, column in zip(rows(h, p), h.T, strict=True):
        G = (F @ (column - column.mean()).reshape(p, p) @ F.T) ** 2
        expected = [float(G[np.ix_([0, 2 * k - 1, 2 * k], [0, 2 * k - 1, 2 * k])].sum() / G.sum()) for k in range(1, 7)]
        np.testing.assert_allclose(row.fractions, expected, rtol=1e-10)


def test_dead_and_constant_neurons_are_null_and_only_zero_is_dead():
    h = torch.stack([torch.zeros(49), torch.full((49,), 1 / 3), pair_sum(7, 2).float()], 1)
    dead, constant, alive = rows(h, 7)
    assert (dead.dead, constant.dead, alive.dead) == (True, False, False)
    for row in (dead, constant):
        assert (row.frequency, row.fraction, row.fractions) == (None, None, None)
    assert alive.frequency == 2
    table = to_arrow(NeuronFrequency.Row, [dead, constant, alive]).table
    assert table.column("frequency").to_pylist() == [None, None, 2]


def test_a_neuron_that_is_not_finite_is_null_and_its_neighbours_are_not():
    h = torch.stack([torch.full((49,), torch.nan), pair_sum(7, 3).float()], 1)
    broken, alive = rows(h, 7)
    assert (broken.frequency, broken.fraction, broken.dead) == (None, None, False)
    assert alive.frequency == 3


@given(st.integers(0, 10_000), st.sampled_from([5, 7, 8, 11]), st.floats(1e-3, 1e3))
def test_scale_and_offset_do_not_matter_and_order_of_neurons_is_order_of_rows(seed, p, scale):
    rng = torch.Generator().manual_seed(seed)
    h = torch.randn(p * p, 5, generator=rng, dtype=torch.float64)
    order = torch.randperm(5, generator=rng)
    before, after = rows(h, p), rows(scale * h[:, order] + 2 * scale, p)
    for row, i in zip(after, order.tolist(), strict=True):
        assert row.frequency == before[i].frequency
        np.testing.assert_allclose(row.fractions, before[i].fractions, rtol=1e-8, atol=1e-12)
        assert 0 <= row.fraction <= 1 + 1e-12


@given(st.integers(0, 10_000), st.sampled_from([5, 7, 11]))
def test_shifting_the_residues_changes_no_fraction(seed, p):
    h = torch.randn(p, p, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    before, after = rows(h.reshape(p * p, 2), p), rows(h.roll((2, 3), (0, 1)).reshape(p * p, 2), p)
    for one, other in zip(before, after, strict=True):
        np.testing.assert_allclose(one.fractions, other.fractions, rtol=1e-9, atol=1e-12)


def test_layers_are_told_apart():
    h = pair_sum(7, 1)[:, None]
    found = list(NeuronFrequency().analyze_activations(Activations({"blocks.0.mlp.post": h, "blocks.11.mlp.post": h}), grid(7)))
    assert [(r.layer, r.neuron) for r in found] == [(0, 0), (11, 0)]


def test_inputs_other_than_the_grid_are_refused():
    probe = Probe("three", torch.tensor([[1, 2, 7], [3, 4, 7], [5, 6, 7]]), torch.tensor([3, 0, 4]))
    with pytest.raises(StrobeError, match="every pair"):
        list(NeuronFrequency().analyze_activations(Activations({SITE: torch.ones(3, 2)}), probe))
    shuffled = Probe("shuffled", grid(5).inputs.flip(0), grid(5).targets)
    with pytest.raises(StrobeError, match="every pair"):
        list(NeuronFrequency().analyze_activations(Activations({SITE: torch.ones(25, 2)}), shuffled))


@pytest.mark.parametrize(("step", "with_two"), [("0", 0), ("5000", 37), ("25000", 475)])
def test_the_real_run_has_the_reference_clusters(data, step, with_two):
    """`with_two`: neurons above 0.85 with two harmonics, from separate code (MEASURES.md, sections F and G)."""
    expected = json.loads((data / "modadd_p113_seed999" / "reference.json").read_text())[step]["neurons"]
    family, tap = ModularAddition(), Tap({SITE: frozenset({Last()})})
    with torch.inference_mode(), pytest.raises(Stop):
        family.forward(load_file(data / "modadd_p113_seed999" / f"epoch_{int(step):05d}.safetensors"), grid(113).inputs, tap)
    found = rows(tap.captured[SITE, Last()], 113)
    explained = [r.frequency for r in found if not r.dead and r.fraction >= 0.85]
    assert len(explained) == expected["explained_085"]
    assert sum(r.dead for r in found) == expected["dead"]
    assert {str(k): explained.count(k) for k in set(explained)} == expected["clusters"]
    lower_median = torch.tensor([r.fraction for r in found if not r.dead], dtype=torch.float64).median()
    assert float(lower_median) == pytest.approx(expected["median_fraction"], rel=1e-6)
    two = rows(tap.captured[SITE, Last()], 113, harmonics=2)
    assert sum((r.fraction or 0) >= 0.85 for r in two) == with_two
