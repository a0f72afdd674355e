"""`effective_dimensionality`: spectra known in closed form, and those of a real run."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from strobe import Weights
from strobe.schema import to_arrow
from strobe_analyzers.effective_dimensionality import EffectiveDimensionality

RATIOS = ("participation_ratio_sigma", "participation_ratio_lambda", "stable_rank", "effective_rank")


def rows(tensors):
    weights = tensors if isinstance(tensors, Weights) else Weights(tensors)
    return {(row.parameter, row.head): row for row in EffectiveDimensionality().analyze_weights(weights)}


def orthogonal(seed: int, n: int) -> torch.Tensor:
    return torch.linalg.qr(torch.from_numpy(np.random.default_rng(seed).standard_normal((n, n)))).Q


@given(rank=st.integers(1, 8), seed=st.integers(0, 1000))
def test_an_isotropic_matrix_has_its_rank_by_every_ratio(rank, seed):
    matrix = 3 * orthogonal(seed, 8)[:, :rank] @ orthogonal(seed + 1, 8)[:rank]
    row = rows({"W": matrix})["W", None]
    assert [getattr(row, name) for name in RATIOS] == pytest.approx([rank] * 4, rel=1e-6)
    assert row.dims_99 == rank


def test_a_known_spectrum():
    row = rows({"W": torch.diag(torch.tensor([3.0, 1.0]))})["W", None]
    assert (row.participation_ratio_sigma, row.participation_ratio_lambda, row.stable_rank) == pytest.approx((1.6, 100 / 82, 10 / 9))
    assert row.singular_values.tolist() == pytest.approx([3, 1])
    assert (row.dims_90, row.dims_99) == (1, 2)


@given(seed=st.integers(0, 1000))
def test_relabelling_rows_and_columns_changes_nothing(seed):
    rng = np.random.default_rng(seed)
    matrix = torch.from_numpy(rng.standard_normal((6, 9)))
    shuffled = matrix[rng.permutation(6)][:, rng.permutation(9)]
    a, b = rows({"W": matrix})["W", None], rows({"W": shuffled})["W", None]
    np.testing.assert_allclose(a.singular_values, b.singular_values, rtol=1e-9)
    assert [getattr(a, name) for name in RATIOS] == pytest.approx([getattr(b, name) for name in RATIOS])


def test_heads_have_rows_of_their_own_and_biases_none():
    tensors = {"blocks.0.attn.W_V": torch.randn(3, 5, 2), "blocks.0.attn.b_V": torch.randn(3, 2), "embed.W_E": torch.randn(7, 5)}
    found = rows(tensors)
    assert list(found) == [("blocks.0.attn.W_V", None), ("embed.W_E", None), *(("blocks.0.attn.W_V", head) for head in range(3))]
    assert len(found["blocks.0.attn.W_V", None].singular_values) == 5
    assert len(found["blocks.0.attn.W_V", 0].singular_values) == 2
    np.testing.assert_allclose(found["blocks.0.attn.W_V", 1].singular_values, torch.linalg.svdvals(tensors["blocks.0.attn.W_V"][1]), rtol=1e-5)


def test_non_finite_matrices_are_null_and_a_zero_matrix_has_no_ratios():
    found = rows({"bad": torch.tensor([[torch.nan, 1.0]]), "zero": torch.zeros(2, 2), "good": torch.eye(2)})
    assert found["bad", None].stable_rank is None
    assert found["bad", None].dims_90 is None
    assert len(found["bad", None].singular_values) == 0
    assert found["zero", None].effective_rank is None
    assert found["zero", None].singular_values.tolist() == [0, 0]
    table = to_arrow(EffectiveDimensionality.Row, found.values()).table
    assert table.column("stable_rank").to_pylist() == [None, None, pytest.approx(2)]


@pytest.mark.parametrize("step", [0, 5000, 25000])
def test_a_real_run(data, step):
    folder = data / "modadd_p113_seed999"
    expected = json.loads((folder / "reference.json").read_text())[str(step)]["spectra"]
    found = rows(Weights.open(folder / f"epoch_{step:05d}.safetensors"))
    for short, name in {"W_E": "embed.W_E", "W_in": "blocks.0.mlp.W_in", "W_out": "blocks.0.mlp.W_out", "W_U": "unembed.W_U"}.items():
        assert [getattr(found[name, None], ratio) for ratio in RATIOS] == pytest.approx([expected[short][ratio] for ratio in RATIOS], rel=1e-6)
