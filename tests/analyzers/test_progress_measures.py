from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from safetensors.torch import load_file
from torch.nn.functional import cross_entropy

from strobe import Outputs, Probe, Results, StrobeError
from strobe.sites import Tap
from strobe_analyzers.progress_measures import ProgressMeasures
from strobe_families.modular_addition import ModularAddition


def grid(p, trained=None):
    """The probe of all pairs, with the given inputs (default: every third) as `train`."""
    trained = torch.arange(0, p * p, 3) if trained is None else trained
    rest = torch.ones(p * p).bool().index_fill_(0, trained, False)
    return ModularAddition(p=p).probes({"train": trained, "test": torch.nonzero(rest).flatten()})["grid"]()


def table(**sets):
    """What key_frequencies hands on to a step: its own row, and those of the whole run."""
    frames = [
        {"set": name, "step": 100 if name == "own" else None, "frequencies": keys and np.array(keys), "n_keys": 1} for name, keys in sets.items()
    ]
    return Results(key_frequencies=pd.DataFrame(frames))


def rows(logits, probe, keys="union", results=None):
    """Split name -> row."""
    outputs = Outputs(logits, probe.targets, probe.splits)
    return {r.split: r for r in ProgressMeasures(keys=keys).analyze_outputs(outputs, probe, results or Results())}


def clock(p, *frequencies, amplitude=3.0):
    """sum_k amplitude cos(w_k (a + b - c)): [p*p, p], float64."""
    x = torch.arange(p)
    angle = (x[:, None, None] + x[:, None] - x) % p
    return sum(amplitude * torch.cos(2 * torch.pi * k * angle.double() / p) for k in frequencies).reshape(p * p, p)


def dense(logits, probe, keys):
    """Restricted and excluded loss per input by the definition: a projection in R^(p*p)."""
    p = logits.shape[1]
    s = (probe.inputs[:, 0] + probe.inputs[:, 1]).double()
    waves = [f(2 * torch.pi * k * s / p) for k in keys for f in (torch.cos, torch.sin) if not (f is torch.sin and 2 * k == p)]
    U = torch.stack([w / w.norm() for w in waves], 1) if waves else torch.zeros(p * p, 0, dtype=torch.float64)
    L = logits.double()
    projected = U @ (U.T @ L)
    losses = (cross_entropy(x, probe.targets, reduction="none") for x in (projected + L.mean(0), L - projected))
    return tuple(losses)


@pytest.mark.parametrize(("p", "keys"), [(113, (24, 36, 41)), (31, (15,)), (7, (1, 2, 3))])
def test_an_exact_clock_is_all_restricted_and_a_uniform_guess_without_its_keys(p, keys):
    for row in rows(clock(p, *keys), grid(p), json.dumps(keys)).values():
        assert row.restricted_loss == pytest.approx(row.full_loss, rel=1e-11)
        assert row.excluded_loss == pytest.approx(math.log(p), rel=1e-12)
        assert row.key_frequencies.tolist() == list(keys)
        assert row.n_keys == len(keys)


def test_excluding_one_of_several_keys_leaves_the_others():
    p, probe = 31, grid(31)
    row = rows(clock(p, 3, 5, 8), probe, "[3,5,8]")["all"]
    for k, loss in zip(row.key_frequencies, row.excluded_by_frequency, strict=True):
        others = [other for other in (3, 5, 8) if other != k]
        assert loss == pytest.approx(float(cross_entropy(clock(p, *others), probe.targets)), rel=1e-11)


@given(st.integers(0, 10_000), st.sampled_from([4, 5, 7, 12, 13]), st.sampled_from([1.0, 10.0, 500.0]), st.data())
def test_it_is_the_dense_definition(seed, p, scale, draw):
    """At scale 500 the exponents leave float64's range, so the factored exponentials give way to separate ones."""
    keys = draw.draw(st.lists(st.integers(1, p // 2), unique=True, max_size=4).map(sorted))
    probe = grid(p)
    logits = scale * torch.randn(p * p, p, generator=torch.Generator().manual_seed(seed))
    found = rows(logits, probe, json.dumps(keys))
    restricted, excluded = dense(logits, probe, keys)
    by_frequency = [dense(logits, probe, [k])[1] for k in keys]
    assert list(found) == ["train", "test", "all"]
    for split, row in found.items():
        mask = probe.splits.get(split, torch.ones(p * p).bool())
        close = {"rel": 1e-9, "abs": 1e-12}
        assert row.full_loss == pytest.approx(float(cross_entropy(logits.double(), probe.targets, reduction="none")[mask].mean()), **close)
        assert row.restricted_loss == pytest.approx(float(restricted[mask].mean()), **close)
        assert row.excluded_loss == pytest.approx(float(excluded[mask].mean()), **close)
        assert row.excluded_by_frequency.tolist() == pytest.approx([float(x[mask].mean()) for x in by_frequency], **close)


@given(st.integers(0, 1000), st.sampled_from([5, 8, 11]))
def test_offsets_per_input_move_no_excluded_loss(seed, p):
    """Adding the same number to all logits of an input changes no loss of the model; the projection sees it in every class alike."""
    rng = torch.Generator().manual_seed(seed)
    logits, offset = torch.randn(p * p, p, generator=rng).double(), torch.randn(p * p, 1, generator=rng).double()
    before, after = (rows(x, grid(p), "[1,2]")["train"] for x in (logits, logits + offset))
    assert after.restricted_loss == pytest.approx(before.restricted_loss, rel=1e-10)
    assert after.excluded_loss == pytest.approx(before.excluded_loss, rel=1e-10)


def test_the_whole_spectrum_restricts_to_the_average_over_each_class():
    p, probe = 7, grid(7)
    logits = torch.randn(49, 7, generator=torch.Generator().manual_seed(0)).double()
    row = rows(logits, probe, "[1,2,3]")["all"]
    means = torch.stack([logits[probe.targets == r].mean(0) for r in range(p)])
    assert row.restricted_loss == pytest.approx(float(cross_entropy(means, torch.arange(p))), rel=1e-12)
    assert row.n_keys == 3


def test_without_keys_the_mean_is_left_and_nothing_is_excluded():
    row = rows(clock(7, 2), grid(7), "[]")["all"]
    assert row.restricted_loss == pytest.approx(math.log(7), rel=1e-12)
    assert row.excluded_loss == pytest.approx(row.full_loss, rel=1e-12)
    assert (row.n_keys, len(row.excluded_by_frequency)) == (0, 0)


def test_losses_far_below_float64_rounding_of_one_are_told():
    row = rows(clock(7, 1, 2, 3, amplitude=20.0), grid(7), "[1,2,3]")["all"]  # 60 on the target, -10 on the six others: 6 exp(-70)
    assert row.restricted_loss == pytest.approx(6 * math.exp(-70), rel=1e-9)


@pytest.mark.parametrize(("keys", "expected"), [("union", [1, 2, 3]), ("last", [2]), ("own", [1, 3]), ("[3,1,3]", [1, 3])])
def test_the_setting_says_which_set(keys, expected):
    results = table(own=[3, 1], last=[2], union=[1, 2, 3])
    row = rows(clock(7, 2), grid(7), keys, results)["all"]
    assert row.key_frequencies.tolist() == expected
    assert row.key_frequencies.dtype == np.int64
    assert row.keys == ("[1,3]" if keys.startswith("[") else keys)


def test_a_list_is_as_good_as_its_json_and_other_settings_are_refused():
    assert ProgressMeasures(keys=[36, 24]).keys == ProgressMeasures(keys="[24, 36]").keys == "[24,36]"
    for wrong in ("all", "[1.5]", "24", '{"a": 1}', "[true]"):
        with pytest.raises(ValidationError, match="own, last, union"):
            ProgressMeasures(keys=wrong)


def test_missing_or_impossible_keys_are_named():
    probe = grid(7)
    with pytest.raises(StrobeError, match="'own' are 0 times there"):
        rows(clock(7, 2), probe, "own", table(union=[1]))
    with pytest.raises(StrobeError, match=r"\[4\] are outside 1..3"):
        rows(clock(7, 2), probe, "[2,4]")


def test_unknown_keys_leave_nulls_with_their_reason():
    found = rows(clock(7, 2), grid(7), "own", table(own=None))
    assert all(row.restricted_loss is None and row.excluded_loss is None and "not finite" in row.reason for row in found.values())
    assert all(row.full_loss is not None for row in found.values())


def test_another_task_or_other_inputs_are_refused():
    probe = grid(5)
    minus = Probe("grid", probe.inputs, (probe.inputs[:, 0] - probe.inputs[:, 1]) % 5)
    with pytest.raises(StrobeError, match=r"\(a \+ b\) mod 5"):
        rows(torch.zeros(25, 5), minus, "[1]")
    with pytest.raises(StrobeError, match="every pair"):
        rows(torch.zeros(3, 5), Probe("three", probe.inputs[5:8], probe.targets[5:8]), "[1]")


def test_logits_that_are_not_finite_make_losses_that_are_not():
    logits = clock(7, 2)
    logits[3, 4] = torch.nan
    row = rows(logits, grid(7), "[2]")["all"]
    assert all(math.isnan(x) for x in (row.full_loss, row.restricted_loss, row.excluded_loss))


@pytest.mark.parametrize("run_step", [("modadd_p113_seed999", step) for step in (0, 5000, 25000)] + [("progress_measures_wd01", 107791)])
def test_the_real_runs_have_the_reference_losses(data, run_step):
    run, step = run_step
    reference = json.loads((data / run / "reference.json").read_text())
    expected = reference.get(str(step), reference)
    probe = grid(113, load_file(data / run / "losses.safetensors")["train_index"].long())
    with torch.inference_mode():
        logits = ModularAddition().forward(load_file(data / run / f"epoch_{step:05d}.safetensors"), probe.inputs, Tap())
    found = rows(logits, probe, "own", table(own=expected["key_frequencies"]))
    assert {s: r.restricted_loss for s, r in found.items()} == pytest.approx(expected["restricted_loss"], rel=1e-5)  # a float32 forward is in between
    assert {s: r.full_loss for s, r in found.items()} == pytest.approx(expected["loss"], rel=1e-5)
    assert found["train"].excluded_loss == pytest.approx(expected["excluded_loss_train"], rel=1e-5)
