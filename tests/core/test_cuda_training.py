"""Training on a GPU: the same steps, without a graph, on the CPU; what is refused; and, where there is a GPU, that nothing moves a bit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from strobe import Training
from strobe.errors import UsageError
from strobe.training.cuda import BLOCK, PIECES, Lane, blocks, events, train_stack
from strobe.training.loop import Evaluated, Event, Saved, train
from strobe_families.modular_addition import ModularAddition

CPU = torch.device("cpu")
SMALL = {"d_model": 16, "n_heads": 2, "d_mlp": 24, "fraction": 0.5}
FAMILIES = [ModularAddition(p=11, seed=seed, data_seed=seed, **SMALL) for seed in range(3)]
SHORT = Training(epochs=23, eval_every=10, schedule="at:4,15", lr=1e-2)
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")


def per_run(found: Iterator[tuple[int, Event]], runs: int) -> list[list[Event]]:
    result: list[list[Event]] = [[] for _ in range(runs)]
    for run, event in found:
        result[run].append(event)
    return result


def stacked(families: Sequence[ModularAddition], training: Training = SHORT, resume: Sequence[Saved] | None = None) -> list[list[Event]]:
    return per_run(events(families, training, [f.split() for f in families], CPU, resume), len(families))


def assert_agree(found: Sequence[Event], expected: Sequence[Event], within: float) -> None:
    assert [(type(e), e.step) for e in found] == [(type(e), e.step) for e in expected]
    for mine, other in zip(found, expected, strict=True):
        if isinstance(mine, Evaluated) and isinstance(other, Evaluated):
            there, here = ({name: value for name, value in e.row().items() if value is not None} for e in (other, mine))
            assert here == pytest.approx(there, rel=within)
        elif isinstance(mine, Saved) and isinstance(other, Saved):
            assert mine.tensors.keys() == other.tensors.keys()
            assert mine.state.keys() == other.state.keys()
            for name, tensor in [*mine.tensors.items(), *mine.state.items()]:
                torch.testing.assert_close(tensor, {**other.tensors, **other.state}[name], rtol=within, atol=within)


def same(a: Event, b: Event) -> bool:
    assert isinstance(a, Saved)
    assert isinstance(b, Saved)
    both = [(a.tensors, b.tensors), (a.state, b.state)]
    return all(one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one) for one, other in both)


def backwards(saved: Saved) -> Saved:
    """The same checkpoint in another order, as a file may have it."""
    return Saved(saved.step, dict(reversed(saved.tensors.items())), saved.metrics, dict(reversed(saved.state.items())))


def test_each_run_of_a_stack_takes_the_steps_it_takes_alone_on_the_cpu() -> None:
    for family, found in zip(FAMILIES, stacked(FAMILIES), strict=True):
        assert_agree(found, list(train(family, SHORT, family.split())), within=1e-5)


def test_runs_of_a_stack_need_not_have_one_shape_and_do_not_touch_each_other() -> None:
    families = [ModularAddition(p=7, **SMALL), *FAMILIES[:1], ModularAddition(p=5, n_layers=2, activation="gelu", **SMALL)]
    for family, found in zip(families, stacked(families), strict=True):
        (alone,) = stacked([family])
        assert all(same(a, b) for a, b in zip(found, alone, strict=True) if isinstance(a, Saved))
        assert_agree(found, list(train(family, SHORT, family.split())), within=1e-4)


@pytest.mark.parametrize(
    "changes",
    [{"optimizer": "adam", "weight_decay": 0.1}, {"clip": 0.01}, {"freeze": ("embed.*", "*.b_in")}, {"loss_dtype": "float32"}, {"weight_decay": 0.0}],
    ids=str,
)
def test_every_setting_means_what_it_means_on_the_cpu(changes: dict[str, object]) -> None:
    training = SHORT.model_copy(update={"epochs": 8, **changes})
    (found,) = stacked(FAMILIES[:1], training)
    assert_agree(found, list(train(FAMILIES[0], training, FAMILIES[0].split())), within=1e-4)


def test_the_optimizer_over_pieces_is_torchs_over_parameters() -> None:
    lr = torch.zeros(())
    lane = Lane(FAMILIES[0], SHORT, FAMILIES[0].split(), None, lr)
    assert len(lane.flat.chunk(PIECES)) == PIECES
    copies = {name: w.detach().clone() for name, w in lane.free.items()}
    optimizer = torch.optim.AdamW(copies.values(), lr=1.0, betas=SHORT.betas, weight_decay=SHORT.weight_decay, fused=True)
    for step in range(5):
        lr.fill_(SHORT.lr_at(step))
        optimizer.param_groups[0]["lr"] = lr.item()
        lane.descend()
        for copy, gradient in zip(copies.values(), lane.gradient.split([c.numel() for c in copies.values()]), strict=True):
            copy.grad = gradient.view_as(copy).clone()
        optimizer.step()
    for name, copy in copies.items():
        torch.testing.assert_close(lane.weights[name].detach(), copy, rtol=1e-6, atol=1e-7)


def test_a_resumed_stack_ends_bitwise_where_the_whole_one_ends() -> None:
    whole = stacked(FAMILIES)
    middle = [backwards(next(e for e in found if isinstance(e, Saved) and e.step == 4)) for found in whole]
    for found, rest in zip(whole, stacked(FAMILIES, resume=middle), strict=True):
        assert [e.step for e in rest if isinstance(e, Evaluated)] == list(range(5, 24))
        assert same(found[-1], rest[-1])


@given(st.integers(0, 900), st.integers(0, 1500), st.sets(st.integers(0, 2400), max_size=8))
def test_blocks_cover_every_step_once_and_end_at_every_kept_one(begin: int, more: int, kept: set[int]) -> None:
    found = list(blocks(begin, begin + more, frozenset(kept)))
    assert found[0][0] == begin
    assert found[-1][1] == begin + more
    assert all(last + 1 == first for (_, last), (first, _) in pairwise(found))
    assert all(0 < last - first + 1 <= BLOCK for first, last in found)
    assert {step for step in kept if begin <= step <= begin + more} <= {last for _, last in found}


def test_a_long_training_is_read_in_blocks() -> None:
    training = SHORT.model_copy(update={"epochs": 2 * BLOCK + 3, "schedule": "at:0", "eval_every": 100})
    (found,) = stacked(FAMILIES[:1], training)
    rows = [e for e in found if isinstance(e, Evaluated)]
    assert [e.step for e in rows] == list(range(2 * BLOCK + 4))
    assert [e.step for e in rows if e.test_loss is not None] == [*range(0, 2 * BLOCK + 3, 100), 2 * BLOCK + 3]


def test_the_device_is_part_of_the_identity() -> None:
    assert Training(device="cuda").identity() == {**Training().identity(), "device": "cuda"}
    assert "device" not in Training().identity(), "runs made before there was a choice keep their identity"


def test_without_a_gpu_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    family = FAMILIES[0]
    with pytest.raises(UsageError, match=r"device=cuda: .*--set device=cpu"):
        next(train(family, SHORT.model_copy(update={"device": "cuda"}), family.split()))


@pytest.mark.parametrize("changes", [{"optimizer": "sgd"}, {"optimizer": "muon"}, {"batch_size": 8}], ids=str)
def test_what_only_the_cpu_does_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(UsageError, match=rf"{next(iter(changes))}=.*not available with device=cuda"):
        train_stack(FAMILIES, SHORT.model_copy(update={"device": "cuda", **changes}), [f.split() for f in FAMILIES])


def test_interventions_are_refused() -> None:
    training = SHORT.model_copy(update={"device": "cuda"})
    with pytest.raises(UsageError, match="interventions"):
        next(train(FAMILIES[0], training, FAMILIES[0].split(), interventions=[lambda **_: None]))


def test_runs_that_stand_at_different_steps_are_resumed_apart() -> None:
    starts = [e for e in stacked(FAMILIES[:1])[0] if isinstance(e, Saved)][1:3]
    with pytest.raises(UsageError, match="4, 15"):
        stacked(FAMILIES[:2], resume=starts)


def test_nothing_to_train_is_refused() -> None:
    with pytest.raises(UsageError, match="leaves no parameter to train"):
        stacked(FAMILIES[:1], SHORT.model_copy(update={"freeze": ("*",)}))


@needs_gpu
def test_on_a_gpu_a_run_is_bitwise_the_same_alone_in_a_stack_and_resumed() -> None:
    training = SHORT.model_copy(update={"device": "cuda"})
    alone = [[e for e in train(f, training, f.split()) if isinstance(e, Saved)] for f in FAMILIES]
    together = per_run(train_stack(FAMILIES, training, [f.split() for f in FAMILIES]), len(FAMILIES))
    for family, one, found in zip(FAMILIES, alone, together, strict=True):
        assert all(same(a, b) for a, b in zip(one, (e for e in found if isinstance(e, Saved)), strict=True))
        assert same(list(train(family, training, family.split(), resume=one[1]))[-1], one[-1])
        assert_agree(found, list(train(family, SHORT, family.split())), within=1e-3)


@needs_gpu
def test_on_a_gpu_a_family_that_reads_values_back_is_told_so() -> None:
    class Reads(ModularAddition):
        """A forward that looks at its inputs each time."""

        def fixed_forward(self, inputs: torch.Tensor):
            return lambda weights: super(ModularAddition, self).fixed_forward(inputs)(weights)

    with pytest.raises(UsageError, match="fixed_forward"):
        next(train(Reads(p=7, **SMALL), SHORT.model_copy(update={"device": "cuda"}), Reads(p=7, **SMALL).split()))
