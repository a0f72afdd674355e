from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from strobe import Attention, Last, Probe, StrobeError
from strobe.schema import to_arrow
from strobe.sites import Stop, Tap
from strobe_analyzers.attention_maps import AttentionMaps
from strobe_families.modular_addition import ModularAddition


def grid(p):
    return ModularAddition(p=p).probes({})["grid"]()


def rows(pattern, p):
    """Rows for a pattern [p*p, head, query, key] of layer 0."""
    return list(AttentionMaps().analyze_attention(Attention({0: pattern}), grid(p)))


def test_every_head_has_a_map_per_key_seen_from_the_last_position():
    p = 5
    pattern = torch.rand(25, 2, 1, 3, generator=torch.Generator().manual_seed(0))
    found = rows(pattern, p)
    assert [(r.layer, r.head, r.query, r.key) for r in found] == [(0, head, 2, key) for head in (0, 1) for key in (0, 1, 2)]
    for row in found:
        for a, b in [(0, 0), (1, 3), (4, 2)]:
            assert row.map[a, b] == pytest.approx(float(pattern[a * p + b, row.head, 0, row.key]), rel=1e-3)


def test_with_all_queries_only_the_last_is_taken():
    pattern = torch.zeros(25, 1, 3, 3)
    pattern[:, :, 2] = torch.tensor([0.25, 0.5, 0.25])
    assert [float(r.map.min()) for r in rows(pattern, 5)] == [0.25, 0.5, 0.25]


def test_uniform_attention_is_one_third_everywhere():
    for row in rows(torch.full((49, 4, 1, 3), 1 / 3), 7):
        assert row.map.dtype == np.float16
        np.testing.assert_allclose(row.map.astype(float), 1 / 3, rtol=5e-4)


@given(st.integers(0, 1000), st.sampled_from([3, 4, 7]))
def test_weights_of_a_head_add_up_to_one_and_heads_keep_their_order(seed, p):
    rng = torch.Generator().manual_seed(seed)
    pattern = torch.randn(p * p, 3, 1, 3, generator=rng).softmax(-1)
    order = torch.randperm(3, generator=rng)
    maps, permuted = (np.stack([r.map for r in rows(x, p)]).reshape(3, 3, p, p) for x in (pattern, pattern[:, order]))
    np.testing.assert_allclose(maps.astype(float).sum(1), 1, atol=1.5e-3)
    np.testing.assert_array_equal(permuted, maps[order.numpy()])


def test_the_table_names_its_axes():
    table = to_arrow(AttentionMaps.Row, rows(torch.full((9, 1, 1, 3), 1 / 3), 3)).table
    assert table.schema.field("map").type.shape == [3, 3]
    assert table.schema.field("map").type.dim_names == ["a", "b"]


def test_inputs_other_than_the_grid_are_refused():
    probe = Probe("three", torch.tensor([[1, 2, 7], [3, 4, 7], [5, 6, 7]]), torch.tensor([3, 0, 4]))
    with pytest.raises(StrobeError, match="every pair"):
        list(AttentionMaps().analyze_attention(Attention({0: torch.ones(3, 1, 1, 3)}), probe))


@pytest.mark.parametrize("step", ["0", "1000", "25000"])
def test_the_real_run_attends_as_the_reference_says(data, step):
    expected = json.loads((data / "modadd_p113_seed999" / "reference.json").read_text())[step]["attention_mean_last_to"]["head"]
    site = "blocks.0.attn.pattern"
    tap = Tap({site: frozenset({Last()})})
    with torch.inference_mode(), pytest.raises(Stop):
        ModularAddition().forward(load_file(data / "modadd_p113_seed999" / f"epoch_{int(step):05d}.safetensors"), grid(113).inputs, tap)
    means = [r.map.astype(float).mean() for r in rows(tap.captured[site, Last()], 113)]
    np.testing.assert_allclose(np.reshape(means, (4, 3)), expected, rtol=1e-3, atol=6e-8)  # float16 ends at 6e-8
