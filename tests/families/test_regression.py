"""Modules that predict values: trained, analyzed and shown without anything that only answers in classes have."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from strobe import ModuleFamily, Outputs, StrobeError, Workspace
from strobe.panels.cards import cards_of, resolve
from strobe.reports.library import find
from strobe.schema import to_arrow
from strobe.testing.families import CHECKS, Subject
from strobe.training.cuda import events
from strobe.training.loop import Evaluated, Training
from strobe_analyzers.squared_error import SquaredError


class Slopes(ModuleFamily):
    """A hidden layer that learns two linear functions of three numbers."""

    hidden: int = 6
    site_names = {"blocks.0.mlp.post": "1"}

    def build(self) -> nn.Module:
        return nn.Sequential(nn.Linear(3, self.hidden), nn.Tanh(), nn.Dropout(0.1), nn.Linear(self.hidden, 2))

    def data(self) -> Any:
        x = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
        return x.numpy(), (x @ torch.tensor([[1.0, 0.5], [-1.0, 0.0], [0.0, 2.0]])).double().numpy()


class Curve(ModuleFamily):
    """One value of one number, with targets [n] and an answer [batch]."""

    def build(self) -> nn.Module:
        return nn.Sequential(nn.Linear(1, 4), nn.Tanh(), nn.Linear(4, 1), nn.Flatten(0))

    def data(self) -> Any:
        x = torch.linspace(-1, 1, 12)[:, None]
        return {"train": (x[::2], x[::2, 0] ** 2), "test": (x[1::2], x[1::2, 0] ** 2)}


@pytest.fixture(scope="module")
def ws(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    workspace = Workspace(tmp_path_factory.mktemp("regression") / "ws")
    workspace.train(Slopes, name="run", training={"epochs": 20, "schedule": "every:10", "lr": 0.02, "batch_size": 16})
    report = workspace.analyze("run")
    assert report.failures == []
    workspace.__dict__["said"] = {t.analyzer: t for t in report.tables}
    return workspace


@pytest.mark.parametrize("family", [Slopes, Curve])
@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
def test_it_keeps_to_what_a_family_must(family: Any, check: Any) -> None:
    check(Subject(family))


def test_the_loss_is_the_mean_squared_error_and_there_is_no_accuracy(ws: Workspace) -> None:
    run = ws.run("run")
    metrics = run.metrics.set_index("step")
    assert run.family.loss_unit == "squared error"
    assert not metrics["train_accuracy"].notna().any()
    net = run.family.build().eval()
    net.load_state_dict({n: run.weights(20)[n] for n in net.state_dict()})
    inputs, targets = (torch.as_tensor(part).float() for part in run.family.data())
    for split in ("train", "test"):
        rows = run.split[split]
        expected = nn.functional.mse_loss(net(inputs[rows]).double(), targets[rows].double()).item()
        assert metrics[f"{split}_loss"][20] == pytest.approx(expected, rel=1e-6)
    assert metrics["train_loss"][20] < metrics["train_loss"][0]
    assert ws.table("squared_error", runs=run).query("split == 'test' and step == 20")["error"].item() == pytest.approx(metrics["test_loss"][20])


def test_what_counts_right_answers_does_not_apply_and_says_why(ws: Workspace) -> None:
    said = ws.__dict__["said"]
    for name in ("loss_and_accuracy", "margins", "class_loss", "input_trace", "neural_collapse", "logit_lens", "phases"):
        assert said[name].why == "made for answers that are classes; the targets of this run are values", name
    assert "input_trace, which does not apply" in said["graduation"].why
    for name in ("squared_error", "dormant_neurons", "flatness", "logit_sample", "loss_slope"):
        assert (said[name].why, said[name].computed > 0) == ("", True), name


def test_its_report_has_what_a_regression_has(ws: Workspace) -> None:
    cards = cards_of(resolve(ws, find(ws, "any_model", "run"), "run"))
    titles = {card.title for card in cards}
    assert {"Loss", "Explained variance", "Norms", "Path"} <= titles
    assert not {"Accuracy", "Measured loss", "What happened when", "Classes apart", "Right answers", "Checkpoint products"} & titles
    for card in cards:
        drawing = card.draw({"step": 20})
        assert not drawing.problem
        assert any(drawing.datasets.values()) or "scene" in drawing.spec, card.title
    assert ws.view("loss_curves", "run").chart.to_dict()["description"].startswith("Loss in squared error")


def test_the_updates_of_a_gpu_have_no_accuracy_either() -> None:
    config = Training(epochs=2, mode="eval", loss_dtype="float64")
    found = [e for _, e in events([Curve()], config, [Curve().split()], torch.device("cpu")) if isinstance(e, Evaluated)]
    assert [(e.train_accuracy, e.test_accuracy) for e in found] == [(None, None)] * 3
    assert all(np.isfinite([e.train_loss for e in found]))


def rows(predicted: Any, targets: Any, **splits: Any) -> dict[str, Any]:
    outputs = Outputs(torch.tensor(predicted), torch.tensor(targets), {n: torch.tensor(m) for n, m in splits.items()})
    found = list(SquaredError().analyze_outputs(outputs))
    to_arrow(SquaredError.Row, found)
    return {row.split: row for row in found}


def test_explained_variance_by_hand() -> None:
    found = rows([[1.0], [2.0], [5.0]], [1.0, 2.0, 3.0], train=[True, True, False])
    assert (found["train"].error, found["train"].explained, found["train"].largest) == (0, 1, 0)
    assert (found["all"].error, found["all"].explained, found["all"].largest) == pytest.approx((4 / 3, 1 - 4 / 2, 2))
    assert rows([[2.0, 7.0], [2.0, 7.0]], [[1.0, 6.0], [3.0, 8.0]])["all"].explained == pytest.approx(0)  # the mean of each value
    assert rows([[2.0], [2.5]], [1.0, 1.0])["all"].explained is None
    assert rows([[float("nan")], [1.0]], [1.0, 2.0])["all"].error is None


def test_least_squares_explains_the_squared_correlation() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 50))
    slope, offset = np.polyfit(x, y, 1)
    found = rows((slope * x + offset)[:, None].tolist(), y.tolist())
    assert found["all"].explained == pytest.approx(pd.Series(x).corr(pd.Series(y)) ** 2)


MISTAKES = {
    "widths": (torch.randn(6, 3), "a target has 3 values, and the module answers 2"),
    "lengths": (torch.randn(5, 2), r"targets have shape \[5, 2\] for inputs \[6, 3\], expected \[n\] or \[n, values\]"),
    "not finite": (torch.full((6, 2), torch.inf), "12 of the targets are not finite"),
}


@pytest.mark.parametrize("what", MISTAKES)
def test_a_mistake_is_said_with_what_to_write(what: str) -> None:
    targets, message = MISTAKES[what]

    class Wrong(Slopes):
        def data(self) -> Any:
            return torch.randn(6, 3), targets

    with pytest.raises(StrobeError, match=message):
        Wrong().sites()
