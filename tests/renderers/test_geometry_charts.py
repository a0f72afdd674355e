"""What the charts of class geometry, coarseness and dormancy say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from strobe import Frame
from strobe_renderers.centroid_planes_over_steps import CentroidPlanesOverSteps
from strobe_renderers.coarseness_over_steps import CoarsenessOverSteps
from strobe_renderers.dormant_over_steps import DormantOverSteps
from strobe_renderers.geometry_over_steps import GeometryOverSteps

STEPS = (0, 250, 1000, 4000, 5000, 5500, 10_000, 25_000)


def planes(p: int = 31, k: int = 7, share: float = 0.5) -> pd.DataFrame:
    angle = 2 * np.pi * k * np.arange(p) / p
    circle = np.stack([np.cos(angle), np.sin(angle)], 1)
    where = {"layer": 0, "site": "resid_post", "frequency": k, "share": share, "axis_ratio": 1.0}
    return pd.DataFrame([{"step": s, **where, "coordinates": (1 + s) * circle} for s in STEPS])


def classes(data: pd.DataFrame, others: dict[str, pd.DataFrame] | None = None, **settings: Any) -> list[dict[str, Any]]:
    chart = CentroidPlanesOverSteps(**settings).render(Frame(data, others=others or {}))
    return chart.to_dict()["datasets"]["classes"]


def test_planes_share_one_scale_per_frequency_and_order_the_phases() -> None:
    rows = classes(planes(), steps=(0, 25_000))
    assert {r["step"] for r in rows} == {0, 25_000}
    assert max(abs(r["x"]) for r in rows) == pytest.approx(1)
    assert max(abs(r["x"]) for r in rows if r["step"] == 0) == pytest.approx(1 / 25_001)
    late = [r for r in rows if r["step"] == 25_000]
    turns = np.arctan2([r["y"] for r in late], [r["x"] for r in late]) / (2 * np.pi)
    assert np.mod(turns + 1e-6, 1) == pytest.approx([r["phase"] for r in late], abs=2e-6)
    for axis in "xy":
        assert [r[f"outline_{axis}"] for r in late] == pytest.approx([r[axis] for r in late])
    assert late[0]["class"] == late[-1]["class"] == 0  # closed


def test_planes_take_the_steps_of_the_events_and_no_neighbours() -> None:
    phases = pd.DataFrame({"event": ["turn", "generalised", "regress"], "interpolated_step": [5100.0, 5600.0, None], "at_step": [5500, 6000, None]})
    rows = classes(planes(), {"phases": phases}, columns=5)
    steps = sorted({r["step"] for r in rows})
    assert {0, 5000, 25_000} <= set(steps)
    assert 5500 not in steps  # 3 px from the turn
    assert len(steps) <= 5
    assert sorted({r["step"] for r in classes(planes()[:1])}) == [0]


@pytest.mark.parametrize(("share", "pale"), [(0.001, True), (0.5, False), (None, True)])
def test_planes_without_variance_are_pale(share: float | None, pale: bool) -> None:
    assert {r["opacity"] < 0.5 for r in classes(planes(share=share))} == {pale}


def test_geometry_leaves_out_axis_ratios_of_noise() -> None:
    numbers = {"snr": 1.0, "alignment": 0.9, "alignment_null_95": 0.07}
    arrays = [np.array([0.999, 0.001]), np.array([0.5, 0.5])]
    data = pd.DataFrame(
        [
            {
                "step": s,
                "layer": 0,
                "site": "resid_post",
                **numbers,
                "frequency_shares": a,
                "axis_ratios": a,
            }
            for s, a in zip((0, 100), arrays, strict=True)
        ]
    )
    datasets = GeometryOverSteps().render(Frame(data)).to_dict()["datasets"]
    assert [(r["step"], r["series"]) for r in datasets["axis ratios"]] == [(0, "1"), (100, "1"), (100, "2")]
    assert len(datasets["shares"]) == 4


def test_coarseness_draws_the_median_neuron_and_each_head() -> None:
    numbers = {"variance_preserved": 0.1, "gradient_over_std": 1.0}
    rows = [
        {"step": 0, "layer": 0, "kind": "neuron", "neuron": i, "head": None, "low_frequency_energy": v, **numbers}
        for i, v in enumerate((0.1, 0.2, 0.9))
    ]
    rows.append({"step": 0, "layer": 0, "kind": "head", "neuron": None, "head": 3, "low_frequency_energy": 0.7, **numbers})
    datasets = CoarsenessOverSteps().render(Frame(pd.DataFrame(rows))).to_dict()["datasets"]
    assert {r["series"]: r["value"] for r in datasets["low_frequency_energy"]} == {"neurons": 0.2, "head 3": 0.7}


def test_dormant_and_dead_are_counted_apart_on_the_chosen_split() -> None:
    rows = [{"step": 5, "layer": 0, "split": s, "neurons": 9, "dormant": n, "dead": n - 1} for s, n in (("train", 4), ("all", 2))]
    datasets = DormantOverSteps(split="train").render(Frame(pd.DataFrame(rows))).to_dict()["datasets"]
    assert {r["series"]: r["value"] for r in datasets["lines"]} == {"dormant": 4, "dead": 3}
