"""The family of docs/families.md, installed as a stranger's package: it trains, resumes and is analyzed like a built-in one."""

from __future__ import annotations

import pytest
import torch

from strobe import Positions, Tap, Workspace


@pytest.fixture
def ws(installed, tmp_path) -> Workspace:
    installed("strobe-sparse-parity")
    return Workspace(tmp_path / "ws")


def test_it_memorises_and_then_generalises(ws: Workspace) -> None:
    run = ws.train("sparse_parity", training={"epochs": 300})
    rows = run.metrics.set_index("step")
    assert rows["train_accuracy"][rows.index >= 100].min() > 0.99
    assert rows["test_accuracy"][0] < 0.6
    assert rows["test_accuracy"][100] < 0.8
    assert rows["test_accuracy"][300] > 0.95


def test_every_measure_runs_or_says_why_it_does_not_apply(ws: Workspace) -> None:
    run = ws.train("sparse_parity", n=6, n_train=20, d_mlp=8, training={"epochs": 4, "schedule": "every:2"})
    report = ws.analyze(run)
    assert report.failures == []
    states = {t.analyzer: t for t in report.tables}
    assert {"loss_and_accuracy", "weight_norms", "effective_dimensionality", "margins", "phases"} <= {
        n for n, t in states.items() if t.state == "computed"
    }
    assert states["neuron_frequency"].why == "made for modular_addition, modular_mlp, this run is sparse_parity"
    assert all(t.why for t in report.tables if t.state == "not applicable")


def test_more_epochs_are_the_same_bits(ws: Workspace) -> None:
    small = {"n": 6, "n_train": 20, "d_mlp": 8}
    whole = ws.train("sparse_parity", name="whole", training={"epochs": 8, "schedule": "every:4"}, **small)
    part = ws.train("sparse_parity", name="part", training={"epochs": 4, "schedule": "every:4"}, **small)
    part = ws.train(part, training={"epochs": 8})
    assert all(torch.equal(whole.weights(8)[name], part.weights(8)[name]) for name in whole.family.parameters())


def test_sites_are_as_declared(ws: Workspace) -> None:
    family = ws.registry.get("family", "sparse_parity").load()(n=5, n_train=8)
    probe = family.probes(family.split())["all_inputs"]()
    tap = Tap({site: frozenset({Positions()}) for site in family.sites()}, stop=False)
    family.forward(family.initial(), probe.inputs, tap)
    shapes = {site: tuple({"batch": 32, "pos": 1}.get(n, n) for n in shape) for site, shape in family.sites().items()}
    assert {site: tuple(x.shape) for (site, _), x in tap.captured.items()} == shapes
    assert probe.targets.tolist()[:8] == [0, 1, 1, 0, 1, 0, 0, 1]  # parity of three bits
    assert (probe.splits["train"] ^ probe.splits["test"]).all()
