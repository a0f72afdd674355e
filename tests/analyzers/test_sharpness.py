"""`sharpness`: rises of quadratics, in closed form."""

from __future__ import annotations

import pytest
import torch
from quadratic import probe, quadratic

from strobe import Loss
from strobe_analyzers.sharpness import Sharpness

H = torch.diag(torch.tensor([4.0, 1.0, 0.25], dtype=torch.float64))
AT = torch.tensor([1.0, -2.0, 3.0], dtype=torch.float64)


def rises(loss, **settings):
    return {r.measure: r for r in Sharpness(**settings).analyze_landscape(loss, probe())}


def test_sam_climbs_along_the_gradient():
    found = rises(quadratic(H, AT), rho=0.1)
    g = H @ AT
    step = 0.1 * g / g.norm()
    assert found["sam"].rise == pytest.approx(float(g @ step + step @ H @ step / 2))
    assert found["sam"].gradient_norm == pytest.approx(float(g.norm()))


def test_adaptive_is_unmoved_by_rescaling_a_weight():
    """w -> w / c with the loss of c w is the same function: SAM changes, the adaptive measure does not."""
    c = torch.tensor([10.0, 1.0, 0.1], dtype=torch.float64)
    before, after = rises(quadratic(H, AT)), rises(quadratic(torch.diag(c) @ H @ torch.diag(c), AT / c))
    assert after["adaptive"].rise == pytest.approx(before["adaptive"].rise, rel=1e-9)
    assert after["sam"].rise != pytest.approx(before["sam"].rise, rel=0.1)


def test_average_is_the_trace():
    found = rises(quadratic(torch.diag(torch.linspace(0.5, 1.5, 400, dtype=torch.float64))), rho=0.3, directions=30)["average"]
    assert abs(found.rise - 0.3**2 * 400 / (2 * 400)) < 4 * found.rise_se
    assert 0 < found.rise_se < 0.02 * found.rise


def test_a_minimum_has_no_steepest_direction():
    found = rises(quadratic(H))
    assert (found["sam"].rise, found["adaptive"].rise) == (None, None)
    assert found["average"].rise > 0


def test_not_a_number_is_null():
    found = rises(Loss(lambda w, split: w["w"].sum() * float("nan"), {"w": torch.ones(3)}))
    assert {r.rise for r in found.values()} == {None}
    assert found["sam"].loss is None
