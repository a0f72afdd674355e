"""The operations mod p: answers, splits, what has no answer, and that addition is what it always was."""

from __future__ import annotations

from typing import get_args

import pytest
import torch
from pydantic import ValidationError

from strobe import Outputs, Workspace
from strobe.analysis.plan import Bound, RunFacts, not_applicable
from strobe_families import operations
from strobe_families.modular_addition import ModularAddition
from strobe_families.modular_mlp import ModularMLP

OPERATIONS = get_args(operations.Operation)
FAMILIES = [(ModularAddition, {"d_model": 8, "n_heads": 2, "d_mlp": 8}), (ModularMLP, {"d_mlp": 8})]


def probe_of(operation: str, p: int = 7):
    family = ModularMLP(p=p, operation=operation, d_mlp=4)
    return family.probes(family.split())["grid"]()


@pytest.mark.parametrize("p", [5, 7, 13])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_answers_by_hand(operation: str, p: int) -> None:
    target = operations.answers(operation, p).reshape(p, p).tolist()
    for a in range(p):
        for b in range(p):
            if operation == "a/b":
                assert b == 0 or target[a][b] * b % p == a
            else:
                assert target[a][b] == eval(operation.replace("^", "**"), {}, {"a": a, "b": b}) % p


@pytest.mark.parametrize(("family", "small"), FAMILIES)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_splits_hold_every_input_that_has_an_answer_once(family: type, small: dict, operation: str) -> None:
    model = family(p=7, operation=operation, fraction=0.5, **small)
    split = model.split()
    known = operations.defined(operation, 7).nonzero()[:, 0]
    assert torch.cat([split["train"], split["test"]]).sort().values.equal(known)
    assert len(known) == operations.n_defined(operation, 7) == (42 if operation == "a/b" else 49)
    assert len(split["train"]) == len(known) // 2


def test_inputs_without_an_answer_are_in_no_split_and_not_in_all() -> None:
    """The grid stays whole, p*p inputs in row order, for what looks at maps over (a, b)."""
    probe = probe_of("a/b")
    zero = probe.inputs[:, 1] == 0
    assert len(probe.inputs) == 49
    assert int(zero.sum()) == 7
    assert set(probe.splits) == {"train", "test", "all"}
    assert not any((mask & zero).any() for mask in probe.splits.values())
    assert (probe.splits["train"] ^ probe.splits["test"]).equal(probe.splits["all"])
    assert probe.table["target"].isna().tolist() == zero.tolist()
    outputs = Outputs(torch.zeros(49, 7), probe.targets, probe.splits)
    assert int(outputs.split("all").sum()) == 42


def test_where_every_input_has_an_answer_all_is_all() -> None:
    probe = probe_of("a*b")
    assert set(probe.splits) == {"train", "test"}
    assert Outputs(torch.zeros(49, 7), probe.targets, probe.splits).split("all").all()
    assert probe.table["target"].dtype == "int64"


@pytest.mark.parametrize(("family", "small"), FAMILIES)
@pytest.mark.parametrize(
    ("operation", "p", "said"),
    [("a*b", 100, "p=100 is not prime, and a*b needs a prime: try p=97 or p=101"), ("a/b", 4, "a/b needs a prime: try p=3 or p=5")],
)
def test_a_modulus_that_is_no_prime(family: type, small: dict, operation: str, p: int, said: str) -> None:
    with pytest.raises(ValidationError) as e:
        family(p=p, operation=operation, **small)
    assert said in str(e.value)
    family(p=p, operation="a-b", **small)  # needs none


def test_an_unknown_operation_is_told_the_others() -> None:
    with pytest.raises(ValidationError, match=r"'a\+b', 'a-b', 'a\*b', 'a/b' or 'a\^2\+b\^2'"):
        ModularMLP(operation="a**b")


def test_the_split_of_addition_is_the_permutation_it_always_was() -> None:
    order = torch.randperm(113**2, generator=torch.Generator().manual_seed(598))
    assert torch.equal(ModularAddition().split()["train"], order[:3830])
    assert torch.equal(ModularAddition(operation="a-b").split()["train"], order[:3830])


def test_runs_of_addition_keep_the_identity_they_had_before_there_were_operations() -> None:
    assert set(ModularAddition().identity()["parameters"]) == {
        "p", "d_model", "n_heads", "d_mlp", "n_layers", "activation", "fraction", "seed", "data_seed"
    }  # fmt: skip
    assert ModularAddition(operation="a-b").identity() != ModularAddition().identity()
    assert ModularAddition(operation="a-b").identity() != ModularAddition(operation="a*b").identity()


def test_an_analyzer_says_which_parameters_it_is_made_for() -> None:
    bound = {"sums": Bound("sums", "weights", "code", "{}", "{}", where=(("operation", ("a+b",)),))}

    def said(family: ModularAddition | ModularMLP) -> str:
        return not_applicable(bound, "sums", RunFacts("run", "f", family.identity(), "code", {0: "d"}, "m", "grid", "pd"))

    assert said(ModularMLP()) == said(ModularAddition()) == ""
    assert said(ModularMLP(operation="a*b")) == "made for operation a+b, this run has operation a*b"
    assert said(ModularAddition(operation="a/b")) == "made for operation a+b, this run has operation a/b"


@pytest.mark.parametrize(("name", "small"), [("modular_addition", FAMILIES[0][1]), ("modular_mlp", FAMILIES[1][1])])
def test_division_is_trained_and_analyzed_without_its_undefined_inputs(name: str, small: dict, tmp_path) -> None:
    ws = Workspace(tmp_path)
    run = ws.train(name, p=7, operation="a/b", training={"epochs": 4, "schedule": "every:2"}, **small)
    report = ws.analyze(
        run, ["loss_and_accuracy", "class_loss", "input_trace", "graduation", "neuron_frequency", "activation_maps", "progress_measures"]
    )
    assert report.ok
    states = {t.analyzer: (t.state, t.why) for t in report.tables}
    assert states["progress_measures"] == ("not applicable", "made for operation a+b, this run has operation a/b")
    counts = ws.table("class_loss").query("split == 'all' and step == 4")["counts"].iloc[0]
    assert list(counts) == [6] * 7  # each quotient from 6 pairs: nothing of b = 0
    trace = ws.table("input_trace").query("step == 4").iloc[0]
    zero = run.probe().inputs[:, 1].numpy() == 0
    assert set(trace["rank"][zero]) == {65535}
    assert set(trace["margin"][zero]) == {-65504}
    assert trace["correct"] == (trace["rank"] == 0).sum()  # the margin decides ties; there are none here
    n = run.family.n_train
    metrics = run.metrics.query("step == 4").iloc[0]
    rows = ws.table("loss_and_accuracy").query("step == 4").set_index("split")["loss"]
    assert rows["train"] == pytest.approx(metrics["train_loss"], rel=1e-6)
    assert rows["all"] == pytest.approx((n * rows["train"] + (42 - n) * rows["test"]) / 42, rel=1e-9)


def test_a_run_may_be_named_after_any_operation(tmp_path) -> None:
    ws = Workspace(tmp_path)
    names = [ws.train("modular_mlp", p=5, d_mlp=2, operation=o, training={"epochs": 1, "schedule": "at:0"}).name for o in OPERATIONS]
    assert len(set(names)) == len(names)
