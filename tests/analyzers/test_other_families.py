"""Models that are not the transformer of modular addition: what makes sense runs, and the rest says why it does not apply."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from strobe import Workspace
from strobe.analysis.engine import Report

SHORT = {"epochs": 4, "schedule": "every:2"}
ANY_WEIGHTS = {"weight_norms", "effective_dimensionality", "algebraic_connectivity", "powerlaw_alpha", "marchenko_pastur"}
ANY_TRAJECTORY = {"parameter_trajectory", "parameter_velocity"}
ANY_DERIVED = {"phases", "phase_time", "change_points", "spectral_gap", "group_norms", "regularised_loss"}
ANY_ANSWERS = {"loss_and_accuracy", "class_loss", "margins", "input_trace", "graduation"}
ANY_NEURONS = {"dormant_neurons"}
ON_EVERYTHING = ANY_WEIGHTS | ANY_TRAJECTORY | ANY_DERIVED | ANY_ANSWERS | ANY_NEURONS
ON_A_GRID = {"neuron_frequency", "neuron_dynamics", "transient_frequencies", "activation_maps", "dominant_frequencies", "axis_ratio", "gini"}
ON_SUMS = {"key_frequencies", "progress_measures", "logit_fourier"}
ON_A_STREAM = {"activation_rank", "activation_sample", "logit_lens", "direct_logit_attribution", "neural_collapse"}
ON_ATTENTION = {"attention_entropy", "head_scores"}


def states(report: Report) -> dict[str, str]:
    """Analyzer -> state; nothing may fail, and what does not apply says why."""
    assert [(f.analyzer, f.kind, f.message) for f in report.failures] == []
    assert [t.analyzer for t in report.tables if t.state == "not applicable" and not t.why] == []
    return {t.analyzer: t.state for t in report.tables}


def everything(ws: Workspace, family: str, **parameters: Any) -> dict[str, str]:
    run = ws.train(family, name="other", training=SHORT, **parameters)
    names = [p.name for p in ws.registry.all("analyzer") if not p.load().opt_in]  # those on request ask for a choice
    found = states(ws.analyze(run, names))
    assert set(found) == set(names)
    return found


def computed(found: Mapping[str, str]) -> set[str]:
    return {name for name, state in found.items() if state == "computed"}


@pytest.mark.parametrize("inputs", ["one_hot", "concatenated", "summed"])
def test_an_mlp_of_modular_addition(inputs: str, tmp_path: Path) -> None:
    found = everything(Workspace(tmp_path), "modular_mlp", p=7, d_model=8, d_mlp=12, inputs=inputs)
    assert computed(found) >= ON_EVERYTHING | ON_A_GRID | ON_SUMS
    assert computed(found).isdisjoint(ON_ATTENTION)


def test_an_mlp_of_another_operation_on_another_objective(tmp_path: Path) -> None:
    found = everything(Workspace(tmp_path), "modular_mlp", p=7, d_mlp=12, operation="a*b", objective="mse")
    assert computed(found) >= ON_EVERYTHING | ON_A_GRID
    assert computed(found).isdisjoint({"progress_measures", "representation_geometry"})


def test_a_transformer_of_another_operation(tmp_path: Path) -> None:
    found = everything(Workspace(tmp_path), "modular_addition", p=7, d_model=8, n_heads=2, d_mlp=12, operation="a/b")
    assert computed(found) >= ON_EVERYTHING | ON_A_STREAM | ON_ATTENTION
    assert computed(found).isdisjoint({"progress_measures", "representation_geometry"})


def test_parities_of_bits_by_a_stranger(installed: Any, tmp_path: Path) -> None:
    installed("strobe-sparse-parity")
    found = everything(Workspace(tmp_path), "sparse_parity", n=6, k=2, d_mlp=12, n_train=40)
    assert computed(found) >= ON_EVERYTHING
    assert computed(found).isdisjoint(ON_A_GRID | ON_SUMS | ON_ATTENTION)


def test_a_transformer_that_copies_by_a_stranger(installed: Any, tmp_path: Path) -> None:
    """Attention, a residual stream and an unembedding, without residues: the lens, the scores and the circuits apply, Fourier does not."""
    installed("strobe-copying")
    ws = Workspace(tmp_path)
    found = everything(ws, "copying")
    assert computed(found) >= ON_EVERYTHING | ON_A_STREAM | ON_ATTENTION | {"circuits"}
    assert computed(found).isdisjoint(ON_A_GRID | ON_SUMS)
    lens = ws.table("logit_lens").query("site == 'blocks.0.resid_post'")
    assert lens["divergence"].abs().max() < 1e-5
    assert (lens["agreement"] == 1).all()
