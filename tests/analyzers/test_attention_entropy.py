"""`attention_entropy`: uniform and one-hot patterns, scipy's entropy, and values of the real run from separate code."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from strobe import Attention, Positions
from strobe.schema import to_arrow
from strobe.sites import Stop, Tap
from strobe_analyzers.attention_entropy import AttentionEntropy
from strobe_families.modular_addition import ModularAddition

SITE = "blocks.0.attn.pattern"
REAL = {  # step -> mean entropy / ln 3 of each head at '=', float64 forward, independent code
    0: [0.999966133721755, 0.999912394003384, 0.999869327920873, 0.9999500641268505],
    25000: [0.46484015846854865, 0.3779198029150985, 0.519603342736328, 0.37794789621630626],
}


def rows(pattern, layer=0):
    return {(r.head, r.query): r for r in AttentionEntropy().analyze_attention(Attention({layer: pattern}))}


def causal(seed, batch=3, heads=2, length=5):
    scores = torch.from_numpy(np.random.default_rng(seed).standard_normal((batch, heads, length, length))) * 3
    return scores.masked_fill(torch.ones(length, length, dtype=torch.bool).triu(1), -torch.inf).softmax(-1)


def test_uniform_attention_over_q_plus_1_keys():
    pattern = torch.ones(4, 1, 6, 6).tril() / torch.arange(1, 7)[:, None]
    found = rows(pattern)
    assert [query for _, query in found] == [1, 2, 3, 4, 5]  # the first has one key and nothing to spread
    for (_, query), row in found.items():
        assert (row.entropy, row.normalised, row.keys) == (pytest.approx(math.log(query + 1)), pytest.approx(1), query + 1)


def test_attention_to_one_key_has_none():
    for row in rows(torch.eye(4).expand(2, 3, 4, 4)).values():
        assert (row.entropy, row.normalised) == (0, 0)


@given(seed=st.integers(0, 1000), heads=st.integers(1, 3), length=st.integers(2, 6))
def test_agrees_with_scipy(seed, heads, length):
    pattern = causal(seed, heads=heads, length=length)
    found = rows(pattern)
    assert len(found) == heads * (length - 1)
    for (head, query), row in found.items():
        expected = scipy.stats.entropy(pattern[:, head, query, : query + 1].numpy(), axis=1).mean()
        assert row.entropy == pytest.approx(expected)
        assert row.normalised == pytest.approx(expected / math.log(query + 1))


def test_without_a_mask_every_query_may_attend_to_all_keys():
    pattern = torch.full((2, 1, 3, 3), 1 / 3)
    assert [(row.query, row.keys, row.normalised) for row in rows(pattern).values()] == [(q, 3, pytest.approx(1)) for q in range(3)]


def test_the_last_query_alone():
    pattern = causal(0)
    whole, last = rows(pattern), rows(pattern[:, :, -1:])
    assert list(last) == [(0, 4), (1, 4)]
    assert all(last[key].entropy == whole[key].entropy for key in last)


def test_batches_may_be_split():
    pattern = causal(1, batch=6)
    whole, a, b = rows(pattern), rows(pattern[:2]), rows(pattern[2:])
    assert all(row.entropy == pytest.approx((2 * a[key].entropy + 4 * b[key].entropy) / 6) for key, row in whole.items())


def test_what_is_not_finite_is_null_and_spares_other_heads():
    pattern = causal(0)
    pattern[0, 0, 3, 1] = torch.nan
    found = rows(pattern)
    assert (found[0, 3].entropy, found[0, 3].normalised) == (None, None)
    assert found[1, 3].entropy is not None
    assert to_arrow(AttentionEntropy.Row, found.values()).not_finite == {}


@pytest.mark.parametrize("step", REAL)
def test_a_real_run(data, step):
    family = ModularAddition()
    weights = load_file(data / "modadd_p113_seed999" / f"epoch_{step:05d}.safetensors")
    tap = Tap({SITE: frozenset({Positions()})})
    with torch.inference_mode(), pytest.raises(Stop):
        family.forward(weights, family.probes({})["grid"]().inputs, tap)
    found = rows(tap.captured[SITE, Positions()])
    assert [found[head, 2].normalised for head in range(4)] == pytest.approx(REAL[step], rel=1e-6)
