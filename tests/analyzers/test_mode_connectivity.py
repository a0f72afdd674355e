"""`mode_connectivity`: one valley, two valleys, the same neurons in another order, and models that cannot be joined."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from quadratic import model
from safetensors.torch import save_file

from strobe import Loss, StrobeError
from strobe_analyzers.mode_connectivity import ModeConnectivity

BOTH = ("test", "train")


def double_well(at):
    """(w^2 - 1)^2 with minima at -1 and 1 and a barrier of 1 between them."""
    return Loss(lambda w, split: ((w["w"] ** 2 - 1) ** 2).sum(), {"w": torch.tensor([at], dtype=torch.float64)})


def between(loss, other, splits=("train",), **settings):
    return {r.split: r for r in ModeConnectivity(**settings).between(loss, other, splits)}


def test_two_valleys_have_the_barrier_between_them():
    row = between(double_well(-1.0), {"w": torch.tensor([1.0])})["train"]
    assert (row.barrier, row.barrier_at) == pytest.approx((1, 0.5))
    assert (row.distance, row.relative_distance) == pytest.approx((2, 2))
    np.testing.assert_allclose(row.losses, ((2 * row.alphas - 1) ** 2 - 1) ** 2, atol=1e-12)


def test_the_line_between_the_losses_is_taken_off():
    row = between(double_well(0.0), {"w": torch.tensor([1.0])}, points=3)["train"]
    assert (row.loss, row.other_loss) == (1, 0)
    assert row.barrier == pytest.approx((0.25 - 1) ** 2 - 0.5)


def test_one_valley_has_none():
    bowl = Loss(lambda w, split: (w["w"] ** 2).sum(), {"w": torch.tensor([2.0])})
    row = between(bowl, {"w": torch.tensor([-3.0])})["train"]
    assert (row.barrier, row.barrier_at) == (0, 0)


def test_neurons_in_another_order_are_put_back():
    _, loss, _grid = model()
    order = torch.randperm(6, generator=torch.Generator().manual_seed(1))
    shuffled = dict(loss.weights)
    for name, axis in (("W_in", 1), ("b_in", 0), ("W_out", 0)):
        shuffled[f"blocks.0.mlp.{name}"] = loss.weights[f"blocks.0.mlp.{name}"].index_select(axis, order)
    as_they_are, put_back = between(loss, shuffled, BOTH), between(loss, shuffled, BOTH, align_neurons=True)
    for split in BOTH:
        assert as_they_are[split].other_loss == pytest.approx(loss(split))
        assert as_they_are[split].distance > 1
        assert put_back[split].distance == 0
        assert put_back[split].barrier == pytest.approx(0, abs=1e-12)


def test_the_other_run_is_a_file_that_the_settings_pin(tmp_path):
    _, loss, grid = model()
    file = tmp_path / "step_00000010.safetensors"
    save_file({n: w + 1 for n, w in loss.weights.items()}, file)
    analyzer = ModeConnectivity(other=str(file))
    assert {r.split for r in analyzer.analyze_landscape(loss, grid)} == set(BOTH)
    assert ModeConnectivity.model_validate_json(analyzer.model_dump_json()).digest == analyzer.digest
    save_file({n: w + 2 for n, w in loss.weights.items()}, file)
    assert ModeConnectivity(other=str(file)).digest != analyzer.digest
    with pytest.raises(ValidationError, match="has changed"):
        ModeConnectivity.model_validate_json(analyzer.model_dump_json())
    with pytest.raises(ValidationError, match="no file"):
        ModeConnectivity(other=str(tmp_path / "nowhere"))


def test_without_another_run_and_with_one_of_another_model_it_refuses():
    _, loss, grid = model()
    with pytest.raises(StrobeError, match="needs another run"):
        list(ModeConnectivity().analyze_landscape(loss, grid))
    wider = model(d_mlp=7)[1]
    with pytest.raises(StrobeError, match=r"W_in is \[4, 6\] here and \[4, 7\] there"):
        between(loss, wider.weights)
    with pytest.raises(StrobeError, match=r"has no embed\.W_E"):
        between(loss, {})


def test_not_a_number_is_null():
    loss = Loss(lambda w, split: w["w"].log().sum(), {"w": torch.tensor([1.0])})
    row = between(loss, {"w": torch.tensor([-1.0])})["train"]
    assert (row.barrier, row.barrier_at, row.other_loss) == (None, None, None)
