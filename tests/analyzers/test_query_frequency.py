"""`query_frequency`: heads that look for one frequency, and the scores that the forward computes."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from strobe import Last, StrobeError, Weights
from strobe.schema import to_arrow
from strobe.sites import Stop, Tap
from strobe_analyzers.query_frequency import QueryFrequency
from strobe_families.modular_addition import ModularAddition

SCORES = "blocks.0.attn.scores"


def rows(tensors, p):
    weights = tensors if isinstance(tensors, Weights) else Weights(tensors)
    return {(r.head, r.key): r for r in QueryFrequency().analyze_weights(weights, SimpleNamespace(family=SimpleNamespace(p=p)))}


@pytest.mark.parametrize(("p", "k"), [(7, 3), (12, 5), (113, 24)])
def test_a_head_that_looks_for_one_frequency(p, k):
    """Keys hold cos(w_k a) in one direction, '=' asks for it; the other coordinate is noise that it does not ask for."""
    wave = torch.cos(2 * torch.pi * k * torch.arange(p).double() / p + 0.4)
    embed = torch.zeros(p + 1, 3, dtype=torch.float64)
    embed[:p, 0], embed[:p, 1] = wave, torch.from_numpy(np.random.default_rng(0).standard_normal(p))
    embed[p, 2] = 1.0  # "=": its own direction
    position = torch.tensor([[2.0, 0, 0], [-1.0, 0, 0], [0, 0, 0]], dtype=torch.float64)
    query, key = torch.zeros(2, 1, 3, 4, dtype=torch.float64)
    query[0, 2, 0], key[0, 0, 0] = 6.0, 1.0
    found = rows({"embed.W_E": embed, "pos_embed.W_pos": position, "blocks.0.attn.W_Q": query, "blocks.0.attn.W_K": key}, p)
    assert [(row.frequency, row.share) for row in found.values()] == [(k, pytest.approx(1))] * 2
    assert [row.mean for row in found.values()] == pytest.approx([3 * 2, 3 * -1])  # 6 / sqrt(4) per unit
    np.testing.assert_allclose(found[0, 1].scores, 3 * wave, rtol=1e-6, atol=1e-6)
    assert found[0, 0].deviation == pytest.approx(3 * 0.5**0.5)


@given(seed=st.integers(0, 100), p=st.sampled_from([3, 5, 8]))
def test_scores_are_those_of_the_forward(seed, p):
    family = ModularAddition(p=p, d_model=8, n_heads=2, d_mlp=5, seed=seed)
    weights = family.initial()
    tap = Tap({SCORES: frozenset({Last()})})
    inputs = family.probes({})["grid"]().inputs
    with torch.inference_mode(), pytest.raises(Stop):
        family.forward(weights, inputs, tap)
    scores = tap.captured[SCORES, Last()][:, :, 0]  # [batch, head, key]
    less = (scores - scores[..., 2:]).double().reshape(p, p, 2, 3)
    for (head, key), row in rows(weights, p).items():
        seen = less[:, 0, head, 0] if key == 0 else less[0, :, head, 1]
        np.testing.assert_allclose(row.scores + row.mean, seen, atol=1e-5)
        assert sum(row.shares) == pytest.approx(1, abs=1e-6)


def test_scores_that_do_not_vary_have_no_frequency():
    tensors = ModularAddition(p=7, d_model=8, n_heads=2, d_mlp=5).initial()
    for name in ("blocks.0.attn.W_K", "embed.W_E"):
        found = rows(tensors | {name: torch.zeros_like(tensors[name])}, 7)
        assert [(row.frequency, row.share, row.scores) for row in found.values()] == [(None, None, None)] * 4
    constant = rows(tensors | {"embed.W_E": tensors["embed.W_E"][:1].expand(8, -1)}, 7)
    assert all(row.frequency is None for row in constant.values())


def test_not_finite_weights_are_null():
    tensors = ModularAddition(p=7, d_model=8, n_heads=2, d_mlp=5).initial()
    tensors["blocks.0.attn.W_K"][0, 0, 0] = torch.nan
    found = rows(tensors, 7)
    assert (found[0, 0].frequency, found[0, 0].scores) == (None, None)
    assert found[1, 0].frequency is not None
    assert to_arrow(QueryFrequency.Row, found.values()).table.num_rows == 4


def test_an_embedding_without_the_equals_sign_is_told():
    tensors = ModularAddition(p=7, d_model=8, n_heads=2, d_mlp=5).initial()
    with pytest.raises(StrobeError, match=r"8 rows.*11 residues"):
        rows(tensors, 11)


def test_untrained_heads_of_the_real_run_look_for_what_they_attend_to(data):
    """At step 0 softmax is linear, so the scores' spectrum is that of attention: `head_frequency` in separate code gives these."""
    found = rows(Weights.open(data / "modadd_p113_seed999" / "epoch_00000.safetensors"), 113)
    assert [found[head, 0].frequency for head in range(4)] == [43, 37, 9, 33]
    expected = [0.1192700404984183, 0.07480498399196091, 0.08563568181281583, 0.0692866302623397]
    assert [found[head, 1].share for head in range(4)] == pytest.approx(expected, rel=5e-3)
