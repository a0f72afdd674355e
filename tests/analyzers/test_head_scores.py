"""`head_scores`: patterns drawn by hand score 1, uniform attention scores 0, and what does not apply says so."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from strobe import Attention, Probe
from strobe.schema import to_arrow
from strobe_analyzers.head_scores import HeadScores
from strobe_families.modular_addition import ModularAddition

ORDER = ("previous_token", "duplicate_token", "induction")


def rows(pattern, inputs):
    probe = Probe("p", inputs, torch.zeros(len(inputs), dtype=torch.int64))
    return {(r.head, r.pattern): r for r in HeadScores().analyze_attention(Attention({0: pattern}), probe)}


def uniform(batch, length, heads=1):
    return (torch.ones(length, length).tril() / torch.arange(1, length + 1)[:, None]).expand(batch, heads, length, length)


def repeated(T, batch=3, seed=0):
    """BOS + r + r, r = T random tokens without repeats: [batch, 1 + 2T]."""
    rng = np.random.default_rng(seed)
    blocks = torch.from_numpy(np.stack([rng.permutation(T * 2)[:T] + 1 for _ in range(batch)]))
    return torch.cat([torch.zeros(batch, 1, dtype=torch.int64), blocks, blocks], 1)


def attending_to(offset, length, batch=3):
    """Every query gives all its weight to the key `offset` before it, or to the first key."""
    pattern = torch.zeros(length, length)
    pattern[torch.arange(length), (torch.arange(length) - offset).clamp(min=0)] = 1
    return pattern.expand(batch, 1, length, length)


@pytest.mark.parametrize(("name", "offset"), [("previous_token", 1), ("duplicate_token", 4), ("induction", 3)])
def test_a_head_that_follows_a_pattern_has_attention_one(name, offset):
    T = 4
    found = rows(attending_to(offset, 1 + 2 * T), repeated(T))
    assert found[0, name].attention == pytest.approx(1)
    assert found[0, name].score == pytest.approx(1 - found[0, name].baseline)
    for other in set(ORDER) - {name}:
        assert found[0, other].score < 0.3


def test_induction_on_a_repeated_block_is_the_prefix_matching_score():
    T = 5
    length = 1 + 2 * T
    pattern = torch.from_numpy(np.random.default_rng(0).dirichlet(np.ones(length), (3, 2, length)))
    pattern = pattern.tril()
    pattern = pattern / pattern.sum(-1, keepdim=True)
    second = range(1 + T, length)
    expected = torch.stack([pattern[:, :, q, q - T + 1] for q in second]).mean((0, 1))
    found = rows(pattern, repeated(T))
    assert [found[head, "induction"].attention for head in (0, 1)] == pytest.approx(expected.tolist())
    assert found[0, "induction"].baseline == pytest.approx(np.mean([1 / (q + 1) for q in second]))


@given(length=st.integers(2, 8), seed=st.integers(0, 100))
def test_uniform_attention_scores_zero_wherever_a_pattern_applies(length, seed):
    inputs = torch.from_numpy(np.random.default_rng(seed).integers(0, 3, (4, length)))
    for row in rows(uniform(4, length), inputs).values():
        assert row.score is None or row.score == pytest.approx(0, abs=1e-6)
        assert (row.score is None) == (row.reason is not None)


def test_without_a_mask_the_baseline_is_over_all_keys():
    found = rows(torch.full((2, 1, 4, 4), 0.25), torch.tensor([[0, 1, 2, 3]] * 2))
    assert found[0, "previous_token"].baseline == pytest.approx(0.25)
    assert found[0, "previous_token"].score == pytest.approx(0)


def test_modular_addition_has_no_induction_and_duplicates_where_b_is_a():
    inputs = ModularAddition(p=5).probes({})["grid"]().inputs
    pattern = uniform(25, 3, heads=2).clone()
    pattern[:, 1, 1] = torch.tensor([0.9, 0.1, 0])  # b looks at a
    pattern[:, 1, 2] = torch.tensor([0.0, 1, 0])  # '=' looks at b
    found = rows(pattern, inputs)
    assert [name for _, name in list(found)[::2]] == list(ORDER)
    for head in (0, 1):
        row = found[head, "induction"]
        assert (row.score, row.attention, row.baseline) == (None, None, None)
        assert row.reason.startswith("no input of the probe repeats a token")
    assert (found[1, "previous_token"].attention, found[1, "previous_token"].baseline) == pytest.approx((0.95, (1 / 2 + 1 / 3) / 2))
    assert (found[1, "duplicate_token"].attention, found[1, "duplicate_token"].baseline) == pytest.approx((0.9, 0.5))
    assert to_arrow(HeadScores.Row, found.values()).table.num_rows == 6


def test_one_token_has_no_pattern_at_all():
    found = rows(torch.ones(2, 1, 1, 1), torch.zeros(2, 1, dtype=torch.int64))
    assert all(row.score is None and row.reason for row in found.values())


def test_attention_that_is_not_finite_has_a_reason():
    pattern = uniform(3, 9, heads=2).clone()
    pattern[0, 0, 4, 3] = torch.nan
    found = rows(pattern, repeated(4))
    assert (found[0, "previous_token"].score, found[0, "previous_token"].reason) == (None, "attention is not finite")
    assert found[1, "previous_token"].score is not None
