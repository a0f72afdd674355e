from __future__ import annotations

import json
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from strobe import Outputs
from strobe.schema import to_arrow
from strobe.sites import Tap
from strobe_analyzers.loss_and_accuracy import LossAndAccuracy
from strobe_families.modular_addition import ModularAddition


def rows(logits, targets, **splits):
    """Split name -> row."""
    return {r.split: r for r in LossAndAccuracy().analyze_outputs(Outputs(logits, targets, splits))}


def test_a_uniform_guess_scores_ln_classes():
    row = rows(torch.zeros(6, 113), torch.arange(6))["all"]
    assert row.loss == pytest.approx(math.log(113), rel=1e-14)
    assert row.accuracy == pytest.approx(1 / 6)  # the first of equal logits
    assert row.min_margin == 0


def test_two_classes_by_hand():
    logits, targets = torch.tensor([[2.0, 0.0], [0.0, 3.0], [1.0, 0.0]]), torch.tensor([0, 1, 1])
    found = rows(logits, targets, train=torch.tensor([True, True, False]), test=torch.tensor([False, False, True]))
    assert list(found) == ["train", "test", "all"]
    losses = [math.log1p(math.exp(-2)), math.log1p(math.exp(-3)), math.log1p(math.exp(1))]
    assert found["train"].loss == pytest.approx(sum(losses[:2]) / 2, rel=1e-12)
    assert found["test"].loss == pytest.approx(losses[2], rel=1e-12)
    assert found["all"].loss == pytest.approx(sum(losses) / 3, rel=1e-12)
    assert [found[s].accuracy for s in found] == pytest.approx([1, 0, 2 / 3])
    assert [found[s].min_margin for s in found] == [2, -1, -1]


def test_small_losses_are_not_rounded_to_float32():
    logits = torch.zeros(2, 3)
    logits[:, 1] = 20
    assert rows(logits, torch.tensor([1, 1]))["all"].loss == pytest.approx(2 * math.exp(-20), rel=1e-6)  # 4e-9; float32 gives 0


def test_a_split_without_inputs_has_no_row_and_other_splits_are_kept():
    found = rows(torch.eye(3), torch.arange(3), train=torch.ones(3).bool(), test=torch.zeros(3).bool(), held_out=torch.tensor([True, False, False]))
    assert list(found) == ["train", "held_out", "all"]


def test_logits_that_are_not_finite_are_null_and_counted():
    logits = torch.tensor([[torch.nan, 0.0], [0.0, 1.0]])
    outputs = Outputs(logits, torch.tensor([0, 1]), {"train": torch.tensor([False, True])})
    made = to_arrow(LossAndAccuracy.Row, LossAndAccuracy().analyze_outputs(outputs))
    assert made.not_finite == {"loss": 1, "accuracy": 1, "min_margin": 1}
    assert made.table.column("accuracy").to_pylist() == [1.0, None]


@given(st.integers(0, 10_000), st.integers(2, 6), st.integers(1, 8))
def test_offsets_and_the_order_of_inputs_do_not_matter(seed, classes, n):
    rng = torch.Generator().manual_seed(seed)
    logits = torch.randn(n, classes, generator=rng, dtype=torch.float64)
    targets, order = torch.randint(classes, (n,), generator=rng), torch.randperm(n, generator=rng)
    before, after = rows(logits, targets)["all"], rows(logits[order] + 3, targets[order])["all"]
    assert after.loss == pytest.approx(before.loss, rel=1e-12)
    assert after.accuracy == pytest.approx(before.accuracy)
    assert after.min_margin == pytest.approx(before.min_margin, rel=1e-9, abs=1e-12)
    assert (before.min_margin > 0) == (before.accuracy == 1)


@pytest.mark.parametrize("step", ["0", "5000", "25000"])
def test_the_real_run_scores_what_the_reference_says(data, step):
    folder, family = data / "modadd_p113_seed999", ModularAddition()
    expected = json.loads((folder / "reference.json").read_text())[step]
    trained = torch.zeros(113**2, dtype=torch.bool)
    trained[load_file(folder / "losses.safetensors")["train_index"].long()] = True
    probe = family.probes({})["grid"]()
    with torch.inference_mode():
        logits = family.forward(load_file(folder / f"epoch_{int(step):05d}.safetensors"), probe.inputs, Tap())
    found = rows(logits, probe.targets, train=trained, test=~trained)
    assert {s: r.loss for s, r in found.items()} == pytest.approx(expected["loss"], rel=1e-5)  # a float32 forward is in between
    assert {s: found[s].accuracy for s in ("train", "test")} == pytest.approx(expected["accuracy"], rel=1e-12)
    assert found["all"].min_margin == pytest.approx(expected["min_logit_margin"], rel=1e-5)
