"""`flatness`, `hessian` and `sharpness` of the committed checkpoints against values from separate code in float64."""

from __future__ import annotations

import pytest
import real_run
from quadratic import objective

from strobe import Loss
from strobe_analyzers.flatness import Flatness
from strobe_analyzers.hessian import Hessian
from strobe_analyzers.sharpness import Sharpness
from strobe_families.modular_addition import ModularAddition

REAL = {  # step -> largest eigenvalue, trace and its error, SAM at 0.05, curvature at alpha 0.03 on train and its error
    5000: (0.000236527747, (8.1619e-3, 2.05e-4), 1.21181908e-07, (1.40544e-4, 2.32e-6)),
    25000: (7.06227360e-05, (2.00825e-3, 5.33e-5), 2.07090336e-08, (1.94308e-5, 3.12e-7)),
}


@pytest.mark.parametrize("step", REAL)
def test_landscape_of_a_real_run(step):
    weights, grid, _, _ = real_run.passed(step)
    loss = Loss(objective(ModularAddition(seed=999), grid), weights)
    largest, (trace, trace_se), sam, (curvature, curvature_se) = REAL[step]
    (hessian,) = Hessian().analyze_landscape(loss, grid)
    assert hessian.lambda_max == pytest.approx(largest, rel=1e-3)
    assert abs(hessian.trace - trace) < 4 * (hessian.trace_se**2 + trace_se**2) ** 0.5
    (flat,) = Flatness(pairs=6, splits=("train",)).analyze_landscape(loss, grid)
    assert abs(flat.curvature - curvature) < 4 * (flat.curvature_se**2 + curvature_se**2) ** 0.5
    first = next(iter(Sharpness(directions=2).analyze_landscape(loss, grid)))
    assert first.rise == pytest.approx(sam, rel=1e-3)
