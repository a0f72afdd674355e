"""What the charts of the loss landscape say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from strobe import Frame
from strobe_renderers.curvature_over_steps import CurvatureOverSteps
from strobe_renderers.flatness_over_steps import FlatnessOverSteps
from strobe_renderers.gradient_alignment_over_steps import GradientAlignmentOverSteps
from strobe_renderers.hessian_density import HessianDensity
from strobe_renderers.loss_slice import LossSlice
from strobe_renderers.sampling_chains import SamplingChains


def drawn(renderer: Any, data: pd.DataFrame, **others: pd.DataFrame) -> dict[str, Any]:
    return renderer.render(Frame(data, others=others)).to_dict()["datasets"]


FLAT = pd.DataFrame(
    [
        {"step": 5, "split": "train", "alpha": 0.1, "curvature": 2.0, "curvature_se": 0.5, "plus": [0.02, -0.01], "minus": [0.01, 0.02]},
        {"step": 9, "split": "train", "alpha": 0.1, "curvature": -1.0, "curvature_se": 0.5, "plus": [0.0, 0.0], "minus": [0.0, -0.02]},
    ]
)


def test_directions_are_drawn_relative_to_the_mean_of_their_step() -> None:
    found = drawn(FlatnessOverSteps(), FLAT)
    assert [(r["step"], r["value"]) for r in found["directions train"]] == [(5, pytest.approx(1.5)), (5, pytest.approx(0.5))]
    assert [(r["low"], r["high"]) for r in found["mean train"]] == [(0.5, 1.5)]


def test_curvature_leaves_out_what_is_not_positive_and_draws_without_a_hessian() -> None:
    hessian = pd.DataFrame(
        [{"step": 5, "split": "train", "lambda_max": 3.0, "trace": -1.0}, {"step": 5, "split": "test", "lambda_max": 9.0, "trace": 9.0}]
    )
    both = drawn(CurvatureOverSteps(), FLAT, hessian=hessian)
    assert [(r["series"], r["value"]) for r in both["hessian"]] == [("largest eigenvalue", 3.0)]
    assert [r["step"] for r in both["flatness"]] == [5]
    assert "hessian" not in drawn(CurvatureOverSteps(), FLAT)


def test_a_plane_is_drawn_as_squares_around_its_points() -> None:
    axis = np.array([-1.0, 0.0, 1.0])
    data = pd.DataFrame([{"split": "train", "alphas": axis, "betas": axis, "losses": np.arange(9.0).reshape(3, 3)}])
    cells = drawn(LossSlice(), data)["map"]
    assert len(cells) == 8  # a loss of 0 has no place on a logarithmic scale
    assert {"alpha": 1.0, "beta": 0.0, "loss": 5.0, "x0": 0.5, "x1": 1.5, "y0": -0.5, "y1": 0.5} in cells


def test_the_density_leaves_out_shares_of_nothing() -> None:
    data = pd.DataFrame([{"split": "train", "lambda_max": 2.0, "density_nodes": [0.0, 1.0, 2.0], "density_shares": [0.9, 1e-12, 0.1]}])
    assert [r["eigenvalue"] for r in drawn(HessianDensity(), data)["nodes"]] == [0.0, 2.0]


def test_alignment_is_drawn_beside_its_null() -> None:
    rows = [
        {"step": 1, "group": "attention", "other": "mlp", "alignment": 0.8, "null_95": 0.3, "train_test_cosine": None},
        {"step": 1, "group": "mlp", "other": "mlp", "alignment": 1.0, "null_95": 0.6, "train_test_cosine": -0.2},
    ]
    found = drawn(GradientAlignmentOverSteps(), pd.DataFrame(rows))
    assert {r["series"]: r["value"] for r in found["attention mlp"]} == {"alignment": 0.8, "null_95": 0.3}
    assert [(r["series"], r["value"]) for r in found["train test"]] == [("mlp", -0.2)]


def test_chains_have_running_means_and_their_label() -> None:
    shared = {"label": "prior-dominated", "llc_se": 0.1, "baseline": 1.0, "nbeta": 10.0, "curvature_to_prior": 0.2}
    rows = [{"chain": 0, "llc": 2.0, "losses": np.array([1.1, 1.3]), **shared}, {"chain": None, "llc": 2.0, "losses": None, **shared}]
    found = drawn(SamplingChains(), pd.DataFrame(rows).astype({"chain": "Int64"}))
    assert [r["mean"] for r in found["draws"]] == pytest.approx([1.0, 2.0])
    assert found["summary"][0]["text"].startswith("prior-dominated; LLC 2")
