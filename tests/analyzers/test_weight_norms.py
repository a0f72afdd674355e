"""`weight_norms`: norms known in closed form, and those of the published run."""

from __future__ import annotations

import json

import pytest
import torch

from strobe import Weights
from strobe_analyzers.weight_norms import WeightNorms


def norms(tensors, **settings):
    return {row.parameter: row for row in WeightNorms(**settings).analyze_weights(Weights(tensors))}


def test_a_diagonal_matrix():
    row = norms({"blocks.0.mlp.W_in": torch.diag(torch.tensor([3.0, -4.0]))})["blocks.0.mlp.W_in"]
    assert (row.frobenius, row.spectral, row.max_abs) == pytest.approx((5, 4, 4))


def test_a_vector_has_its_two_norm_as_spectral_norm():
    row = norms({"blocks.0.mlp.b_in": torch.tensor([3.0, 0.0, -4.0])})["blocks.0.mlp.b_in"]
    assert (row.frobenius, row.spectral, row.max_abs) == pytest.approx((5, 5, 4))


@pytest.mark.parametrize("name", ["blocks.0.attn.W_Q", "blocks.0.attn.W_O"])
def test_heads_lie_side_by_side(name):
    heads = torch.zeros(2, 3, 3)
    heads[:, 0, 0] = 1.0  # the same direction twice: norm 1 per head, sqrt(2) side by side
    row = norms({name: heads})[name]
    assert (row.frobenius, row.spectral) == pytest.approx((2**0.5, 2**0.5))


def test_parameters_are_chosen_by_pattern_and_empty_ones_left_out():
    tensors = {"a.weight": torch.ones(2, 2), "b.weight": torch.ones(2, 2), "b.empty": torch.zeros(0)}
    assert list(norms(tensors, parameters="b.*")) == ["b.weight"]


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_non_finite_weights_have_no_norms_and_spare_the_others(bad):
    found = norms({"a": torch.tensor([[1.0, bad]]), "b": torch.ones(1, 4)})
    assert (found["a"].frobenius, found["a"].spectral, found["a"].max_abs) == (None, None, None)
    assert found["b"].spectral == pytest.approx(2)


def test_a_published_run(data):
    folder = data / "progress_measures_wd01"
    reference = json.loads((folder / "reference.json").read_text())
    reference = reference if "spectra" in reference else next(iter(reference.values()))
    found = {row.parameter: row for row in WeightNorms().analyze_weights(Weights.open(folder / "epoch_107791.safetensors"))}
    assert sum(row.frobenius**2 for row in found.values()) == pytest.approx(reference["sum_of_squares"], rel=1e-6)
    for short, name in {"W_E": "embed.W_E", "W_in": "blocks.0.mlp.W_in", "W_out": "blocks.0.mlp.W_out", "W_U": "unembed.W_U"}.items():
        expected = reference["spectra"][short]
        assert (found[name].spectral, found[name].frobenius) == pytest.approx((expected["spectral_norm"], expected["frobenius"]), rel=1e-6)
