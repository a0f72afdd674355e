"""`Loss`: values, gradients and Hessian products of a loss known in closed form, on splits and on batches."""

from __future__ import annotations

import pytest
import torch

from strobe import Loss, StrobeError

H = torch.tensor([[3.0, 1.0], [1.0, 2.0]], dtype=torch.float64)
X = torch.tensor([[1.0, 0.0], [0.0, 2.0], [3.0, 1.0]], dtype=torch.float64)


def data_loss() -> Loss:
    """Mean over inputs x of (w . x)^2 / 2; the split names them or is their indices."""
    parts = {"train": torch.tensor([0, 1]), "test": torch.tensor([2])}

    def objective(weights, split):
        return (X[parts[split] if isinstance(split, str) else split] @ weights["w"]).square().mean() / 2

    return Loss(objective, {"w": torch.tensor([1.0, 1.0], dtype=torch.float64), "unused": torch.ones(2), "count": torch.tensor(3)})


def test_indices_stand_for_a_split():
    loss = data_loss()
    assert loss("train") == loss(torch.tensor([0, 1])) == (1 + 4) / 4
    assert loss(torch.tensor([1])) == 2
    together = (loss.grad(torch.tensor([0]))["w"] + loss.grad(torch.tensor([1]))["w"]) / 2
    torch.testing.assert_close(loss.grad("train")["w"], together)
    assert loss.value_and_grad("test")[0] == loss("test") == 8


def test_the_hessian_can_be_applied_many_times():
    loss = data_loss()
    hessian = loss.hessian("train")
    expected = X[:2].T @ X[:2] / 2
    for v in torch.eye(2, dtype=torch.float64):
        whole = {"w": v, "unused": torch.ones(2), "count": torch.tensor(0)}
        torch.testing.assert_close(hessian(whole)["w"], expected @ v)
        torch.testing.assert_close(loss.hvp(whole)["w"], expected @ v)


def test_parameters_without_a_gradient_get_zeros_of_their_shape():
    loss = data_loss()
    for vector in (loss.grad(), loss.hvp(dict(loss.weights))):
        assert vector["unused"].tolist() == [0, 0]
        assert vector["count"].item() == 0


def test_a_linear_loss_has_no_curvature():
    loss = Loss(lambda weights, split: weights["w"].sum(), {"w": torch.ones(3)})
    assert loss.hvp({"w": torch.ones(3)})["w"].tolist() == [0, 0, 0]


def test_a_loss_that_detaches_its_weights_is_refused():
    loss = Loss(lambda weights, split: weights["w"].detach().sum(), {"w": torch.ones(3)})
    assert loss() == 3
    with pytest.raises(StrobeError, match="cannot be differentiated"):
        loss.grad()


def test_double_and_at_keep_what_they_do_not_change():
    loss = data_loss().at({"w": torch.tensor([2.0, 0.0], dtype=torch.float64)})
    assert loss() == 1
    wide = loss.double()
    assert {n: w.dtype for n, w in wide.weights.items()} == {"w": torch.float64, "unused": torch.float64, "count": torch.int64}
    assert wide() == 1
    assert not wide.grad()["w"].requires_grad
