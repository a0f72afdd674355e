"""Training: what each event says about which weights, and that the same thing happens twice."""

from __future__ import annotations

import itertools

import pytest
import torch
from pydantic import ValidationError

from strobe import Tap, Training
from strobe.training.loop import Evaluated, Event, Saved, train
from strobe_families.modular_addition import ModularAddition

FAMILY = ModularAddition(p=11, d_model=16, n_heads=2, d_mlp=24, fraction=0.5, seed=3)
SHORT = Training(epochs=23, eval_every=10, schedule="at:4,15", lr=1e-2)


def events(family: ModularAddition = FAMILY, training: Training = SHORT, resume: Saved | None = None) -> list[Event]:
    return list(train(family, training, family.split(), resume=resume))


def saved(found: list[Event]) -> dict[int, Saved]:
    return {event.step: event for event in found if isinstance(event, Saved)}


def rows(found: list[Event]) -> dict[int, Evaluated]:
    return {event.step: event for event in found if isinstance(event, Evaluated)}


def same(a: Saved, b: Saved) -> bool:
    return a.tensors.keys() == b.tensors.keys() and all(torch.equal(a.tensors[n], b.tensors[n]) for n in a.tensors)


def test_a_row_per_step_and_checkpoints_where_scheduled() -> None:
    found = events()
    assert list(rows(found)) == list(range(24))
    assert list(saved(found)) == [0, 4, 15, 23]
    assert all(found[i - 1] is event.metrics for i, event in enumerate(found) if isinstance(event, Saved)), "its row comes first"
    assert [step for step, row in rows(found).items() if row.test_loss is not None] == [0, 4, 10, 15, 20, 23]
    assert all((row.test_loss is None) == (row.test_accuracy is None) for row in rows(found).values())


def test_step_zero_is_untrained() -> None:
    first = saved(events())[0]
    initial = FAMILY.initial()
    assert first.tensors.keys() == initial.keys()
    assert all(torch.equal(first.tensors[name], initial[name]) for name in initial)


def test_the_row_of_a_checkpoint_is_the_loss_of_exactly_this_checkpoint() -> None:
    probe = FAMILY.probes(FAMILY.split())["grid"]()
    for checkpoint in saved(events()).values():
        logits = FAMILY.forward(checkpoint.tensors, probe.inputs, Tap())
        losses, correct = FAMILY.loss(logits.double(), probe.targets), (logits.argmax(-1) == probe.targets).double()
        row, train_, test = checkpoint.metrics, probe.splits["train"], probe.splits["test"]
        assert row.train_loss == pytest.approx(losses[train_].mean().item(), rel=1e-6)
        assert row.test_loss == pytest.approx(losses[test].mean().item(), rel=1e-6)
        assert row.train_accuracy == correct[train_].mean().item()
        assert row.test_accuracy == correct[test].mean().item()


def test_same_seed_same_bits_and_other_seed_other_bits() -> None:
    first, second = saved(events()), saved(events())
    other = saved(events(FAMILY.model_copy(update={"seed": 4})))
    assert all(same(first[step], second[step]) for step in first)
    assert not any(same(first[step], other[step]) for step in first)


def test_evaluating_more_often_does_not_move_the_weights() -> None:
    often = SHORT.model_copy(update={"eval_every": 1, "schedule": "every:1"})
    assert same(saved(events(training=often))[23], saved(events())[23])


@pytest.mark.parametrize("optimizer", ["adamw", "adam", "sgd"])
def test_resuming_from_a_checkpoint_changes_nothing(optimizer: str) -> None:
    training = SHORT.model_copy(update={"optimizer": optimizer})
    whole = events(training=training)
    rest = events(training=training, resume=saved(whole)[4])
    assert list(rows(rest)) == list(range(5, 24))
    assert {s: r for s, r in rows(whole).items() if s > 4} == rows(rest)
    assert all(same(saved(whole)[step], saved(rest)[step]) for step in (15, 23))


def test_checkpoints_are_copies() -> None:
    stream = train(FAMILY, SHORT, FAMILY.split())
    first = next(event for event in stream if isinstance(event, Saved))
    before = {name: tensor.clone() for name, tensor in first.tensors.items()}
    list(itertools.islice(stream, 10))
    assert all(torch.equal(before[name], first.tensors[name]) for name in before)
    assert not any(tensor.requires_grad for tensor in first.tensors.values())


def test_the_first_updates_are_warmed_up() -> None:
    training = Training(lr=1e-3, warmup=4)
    assert [training.lr_at(step) for step in range(6)] == pytest.approx([2.5e-4, 5e-4, 7.5e-4, 1e-3, 1e-3, 1e-3])
    assert Training(lr=1e-3, warmup=0).lr_at(0) == 1e-3
    assert [row.lr for row in rows(events(training=training.model_copy(update={"epochs": 2}))).values()] == pytest.approx([2.5e-4, 5e-4, 7.5e-4])


def test_the_first_adamw_update_is_the_textbook_one() -> None:
    """w (1 - lr wd) - lr sign(g): with both moments corrected, the first step of Adam has size lr wherever the gradient is not tiny."""
    training = Training(epochs=1, warmup=0, lr=1e-2, weight_decay=0.5)
    before, after = (saved(events(training=training))[step].tensors for step in (0, 1))
    leaves = {name: tensor.clone().requires_grad_() for name, tensor in before.items()}
    probe, split = FAMILY.probes(FAMILY.split())["grid"](), FAMILY.split()["train"]
    FAMILY.loss(FAMILY.forward(leaves, probe.inputs[split], Tap()).double(), probe.targets[split]).mean().backward()
    for name, leaf in leaves.items():
        expected = before[name] * (1 - 1e-2 * 0.5) - 1e-2 * leaf.grad / (leaf.grad.abs() + 1e-8)
        torch.testing.assert_close(after[name], expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("optimizer", "lr"), [("adamw", 1e-2), ("adam", 1e-2), ("sgd", 0.05)])
def test_a_small_model_memorises(optimizer: str, lr: float) -> None:
    decay = 1.0 if optimizer == "adamw" else 0.0
    found = rows(events(training=Training(epochs=150, optimizer=optimizer, lr=lr, weight_decay=decay, schedule="at:0")))
    assert found[0].train_loss == pytest.approx(torch.tensor(11.0).log().item(), rel=0.05), "untrained: as good as guessing"
    assert found[150].train_loss < 0.1
    assert found[150].train_accuracy == 1.0


def test_weight_decay_shrinks_weights() -> None:
    def norm(decay: float) -> float:
        tensors = saved(events(training=SHORT.model_copy(update={"weight_decay": decay})))[23].tensors
        return sum(t.square().sum().item() for t in tensors.values())

    assert norm(5.0) < norm(0.0)


def test_two_layers_train_too() -> None:
    found = rows(events(FAMILY.model_copy(update={"n_layers": 2})))
    assert found[23].train_loss < found[0].train_loss


def test_the_default_schedules_are_dense_where_it_happens() -> None:
    steps = ModularAddition().training().steps()
    assert len(steps) == 46
    assert (steps[0], steps[-1]) == (0, 25_000)
    assert max(b - a for a, b in itertools.pairwise(step for step in steps if step <= 14_000)) == 500


@pytest.mark.parametrize(
    ("field", "value"), [("epochs", 0), ("optimizer", "lion"), ("betas", (0.9, 1.0)), ("lr", 0.0), ("eval_every", 0), ("rate", 1)]
)
def test_settings_are_checked(field: str, value: object) -> None:
    with pytest.raises(ValidationError, match=field):
        Training(**{field: value})


def test_the_demo_really_groks() -> None:
    """It memorises while the test loss climbs, and generalises much later; trained no further than that here."""
    parameters, training = ModularAddition.demo()
    family = ModularAddition(**parameters)
    assert 40 <= len(training.steps()) <= 50
    memorised, highest = None, 0.0
    for event in train(family, training, family.split()):
        if isinstance(event, Saved):
            continue
        if memorised is None and event.train_loss < 1e-2:
            memorised = event.step
        highest = max(highest, event.test_loss or 0.0)
        if event.test_loss is not None and event.test_loss < 0.1:
            break
    assert memorised is not None
    assert highest > 7, "twice as bad as guessing: it memorised"
    assert event.step > 3 * memorised
    assert event.test_loss < 0.1
    assert event.test_accuracy > 0.9
