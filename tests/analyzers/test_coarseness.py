from __future__ import annotations

import numpy as np
import pytest
import torch
from real_run import passed

from strobe import Activations, Attention
from strobe.schema import to_arrow
from strobe_analyzers.coarseness import Coarseness
from strobe_families.modular_addition import ModularAddition

SITE = "blocks.0.mlp.post"
REFERENCE = {  # heads' '= -> a' map at step 25,000 of the real run, computed apart in float64: disc p/8, 14 x 14 points, gradient, gradient / std
    0: (1.4789897488530883e-4, 2.7014652838912398e-5, 0.32751316279472353, 1.113668033693279),
    1: (9.770931911597368e-4, 1.9148420799696992e-4, 0.38353877031917316, 1.1180523421719024),
    2: (9.56181691957007e-4, 2.99378568990818e-4, 0.2628992688000649, 1.058128300850646),
    3: (8.29268625078656e-4, 2.568621484803109e-4, 0.3822919202068365, 1.1145260463475257),
}
MEDIANS = (0.0032806682921481256, 0.0005390045002248056, 0.9601308010701832, 1.0226427388947799)  # of the neurons, same step
NUMBERS = ("low_frequency_energy", "variance_preserved", "gradient", "gradient_over_std")


def rows(h, p, pattern=None, **settings):
    probe = ModularAddition(p=p).probes({})["grid"]()
    pattern = torch.full((p * p, 1, 1, 3), 1 / 3) if pattern is None else pattern
    return list(Coarseness(**settings).analyze_attention(Attention({0: pattern}), Activations({SITE: h}), probe))


def neurons(h, p, **settings):
    return [r for r in rows(h, p, **settings) if r.kind == "neuron"]


def wave(p, k, m=0):
    x = torch.arange(p).double() * 2 * torch.pi / p
    return torch.cos(k * x[:, None] + m * x).flatten()[:, None]


def naive(x, radius=0.125, points=14):
    """The definition, map by map: 2-D FFT, torch's resampling there and back, differences."""
    p = len(x)
    power = np.abs(np.fft.fft2(x - x.mean())) ** 2
    f = np.fft.fftfreq(p) * p
    inside = f[:, None] ** 2 + f**2 <= (radius * p) ** 2
    power[0, 0] = 0
    resample = torch.nn.functional.interpolate
    small = resample(torch.from_numpy(x)[None, None], (min(points, p),) * 2, mode="bilinear", antialias=True)
    again = resample(small, (p, p), mode="bilinear")[0, 0].numpy()
    gradient = (np.abs(np.diff(x, axis=0)).mean() + np.abs(np.diff(x, axis=1)).mean()) / 2
    return power[inside].sum() / power.sum(), again.var() / x.var(), gradient, gradient / x.std()


@pytest.mark.parametrize(("p", "radius", "points"), [(113, 0.125, 14), (31, 0.125, 14), (12, 0.25, 4), (12, 0.5, 14), (5, 0.3, 2), (3, 0.5, 2)])
def test_agrees_with_the_definition_map_by_map(p, radius, points):
    h = torch.randn(p * p, 4, generator=torch.Generator().manual_seed(p), dtype=torch.float64).cumsum(0) + 7
    for i, row in enumerate(neurons(h, p, radius=radius, points=points)):
        expected = naive(h[:, i].reshape(p, p).numpy(), radius, points)
        assert [getattr(row, n) for n in NUMBERS] == pytest.approx(expected, rel=1e-4, abs=1e-7)
        assert row.std == pytest.approx(h[:, i].std(correction=0).item(), rel=1e-5)


@pytest.mark.parametrize(("k", "m", "inside"), [(1, 0, 1), (14, 1, 1), (14, 4, 0), (15, 0, 0), (41, 41, 0), (56, 0, 0)])
def test_a_wave_is_low_frequency_inside_the_disc_alone(k, m, inside):
    (row,) = neurons(wave(113, k, m), 113)  # p/8 = 14.125
    assert row.low_frequency_energy == pytest.approx(inside, abs=1e-6)


def test_white_noise_has_gradient_two_over_root_pi():
    h = torch.randn(113 * 113, 20, generator=torch.Generator().manual_seed(0))
    assert np.mean([r.gradient_over_std for r in neurons(h, 113)]) == pytest.approx(2 / np.pi**0.5, rel=0.01)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_dead_and_constant_neurons_are_null_in_every_precision(dtype):
    p = 13
    h = torch.stack([torch.zeros(p * p), torch.full((p * p,), 2.5), wave(p, 2)[:, 0].float()], 1).to(dtype)
    dead, constant, alive = neurons(h, p)
    for row in (dead, constant):
        assert (row.low_frequency_energy, row.variance_preserved, row.gradient_over_std, row.gradient, row.std) == (None, None, None, 0, 0)
    assert alive.low_frequency_energy is not None
    assert to_arrow(Coarseness.Row, rows(h, p)).not_finite == {}


def test_nan_activations_are_null_and_harm_no_other_neuron():
    p = 13
    bad, good = neurons(torch.cat([torch.full((p * p, 1), torch.nan).double(), wave(p, 1)], 1), p)
    assert [getattr(bad, n) for n in (*NUMBERS, "std")] == [None] * 5
    assert good.low_frequency_energy == pytest.approx(1, abs=1e-6)


def test_heads_are_their_map_from_equals_to_a():
    p = 13
    to_a = 0.5 + 0.25 * wave(p, 1)[:, 0]
    pattern = torch.stack([to_a, 1 - to_a, torch.zeros(p * p).double()], 1)[:, None, None]
    (head,) = [r for r in rows(torch.zeros(p * p, 1), p, pattern) if r.kind == "head"]
    assert (head.head, head.neuron) == (0, None)
    assert head.std == pytest.approx(0.25 / 2**0.5, rel=1e-5)


def test_agrees_with_the_reference_of_the_real_run():
    sites = passed(25_000, "mlp.post", "attn.pattern").sites
    h, pattern = sites[SITE], sites["blocks.0.attn.pattern"]
    found = rows(h, 113, pattern)
    for row in found[512:]:
        assert [getattr(row, n) for n in NUMBERS] == pytest.approx(REFERENCE[row.head], rel=1e-4)  # the reference divides by the std of a sample
    medians = [np.median([getattr(r, n) for r in found[:512]]) for n in NUMBERS]
    assert medians == pytest.approx(MEDIANS, rel=1e-4)
