"""Every analyzer of weights on what may come: small and even p, one checkpoint's worth of NaN, zeros, half precision, and models of another kind."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from strobe import Analyzer, Attention, Positions, Results, Tap, Weights
from strobe.schema import to_arrow, to_pandas
from strobe_analyzers.algebraic_connectivity import AlgebraicConnectivity
from strobe_analyzers.attention_entropy import AttentionEntropy
from strobe_analyzers.axis_ratio import AxisRatio
from strobe_analyzers.circuits import Circuits
from strobe_analyzers.dominant_frequencies import DominantFrequencies
from strobe_analyzers.effective_dimensionality import EffectiveDimensionality
from strobe_analyzers.head_scores import HeadScores
from strobe_analyzers.marchenko_pastur import MarchenkoPastur
from strobe_analyzers.powerlaw_alpha import PowerlawAlpha
from strobe_analyzers.query_frequency import QueryFrequency
from strobe_analyzers.spectral_gap import SpectralGap
from strobe_analyzers.weight_norms import WeightNorms
from strobe_families.modular_addition import ModularAddition

ANY_MODEL = (WeightNorms(), EffectiveDimensionality(), AlgebraicConnectivity(), PowerlawAlpha(min_width=1), MarchenkoPastur(min_width=1), Circuits())
RESIDUES = (DominantFrequencies(), AxisRatio(), QueryFrequency())
name = lambda analyzer: type(analyzer).__name__  # noqa: E731


def family(p: int) -> ModularAddition:
    return ModularAddition(p=p, d_model=8, n_heads=2, d_mlp=6, fraction=0.5)


def rows(analyzer: Analyzer, tensors: dict[str, torch.Tensor], p: int | None = None):
    """The stored table, and how many values were not finite beyond those declared missing."""
    arguments = {"weights": Weights(tensors)}
    if name(analyzer) in {name(a) for a in (*RESIDUES, Circuits())}:
        arguments["context"] = SimpleNamespace(family=family(p) if p else None)
    made = to_arrow(analyzer.Row, analyzer.analyze_weights(**arguments))
    return to_pandas(made.table), made.not_finite


def broken(value: float) -> Callable[[torch.Tensor], torch.Tensor]:
    def change(tensor: torch.Tensor) -> torch.Tensor:
        changed = tensor.clone()
        changed.view(-1)[0] = value
        return changed

    return change


BAD = {
    "NaN": broken(torch.nan),
    "infinite": broken(torch.inf),
    "zero": torch.zeros_like,
    "constant": torch.ones_like,
    "float16": lambda t: t.half(),
    "bfloat16": lambda t: t.bfloat16(),
    "huge": lambda t: t.double() * 1e8,
    "tiny": lambda t: t.double() * 1e-8,
}


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("p", [3, 4, 7])
@pytest.mark.parametrize("analyzer", [*ANY_MODEL, *RESIDUES], ids=name)
def test_a_result_or_a_null_and_never_a_crash(analyzer: Analyzer, p: int, bad: str) -> None:
    good, _ = rows(analyzer, family(p).initial(), p)
    found, not_finite = rows(analyzer, {n: BAD[bad](t) for n, t in family(p).initial().items()}, p)
    assert len(found) == len(good)  # no row is dropped silently
    if bad in ("float16", "bfloat16", "huge", "tiny"):
        assert not_finite == {}
        numbers = found.select_dtypes("float").columns
        assert (found[numbers].isna() == good[numbers].isna()).all(axis=None)


@pytest.mark.parametrize("analyzer", ANY_MODEL, ids=name)
def test_models_of_another_kind(analyzer: Analyzer) -> None:
    """Convolutions, vectors, scalars, integer buffers and empty tensors."""
    tensors = {
        "conv.weight": torch.randn(4, 3, 3, 3),
        "norm.weight": torch.ones(4),
        "fc.weight": torch.randn(5, 4),
        "fc.bias": torch.zeros(5),
        "scale": torch.tensor(2.0),
        "steps": torch.tensor([3]),
    }
    found, not_finite = rows(analyzer, tensors)
    assert not_finite == {}
    if name(analyzer) == "Circuits":
        assert found["reason"].tolist() == ["the model has no embed.W_E, unembed.W_U"]
    else:
        assert {"conv.weight", "fc.weight"} <= set(found["parameter"])


@pytest.mark.parametrize("weights", ["initial", "zero", "huge"])
@pytest.mark.parametrize("p", [3, 4])
def test_attention_of_small_and_broken_models(p: int, weights: str) -> None:
    change = {"initial": lambda t: t, "zero": torch.zeros_like, "huge": lambda t: t * 1e3}[weights]
    tensors, probe = {n: change(t) for n, t in family(p).initial().items()}, family(p).probes({})["grid"]()
    tap = Tap({"blocks.0.attn.pattern": frozenset({Positions()}), "logits": frozenset({Positions(-1)})}, stop=False)
    with torch.inference_mode():
        family(p).forward(tensors, probe.inputs, tap)
    attention = Attention({0: tap.captured["blocks.0.attn.pattern", Positions()]})
    entropy = to_arrow(AttentionEntropy.Row, AttentionEntropy().analyze_attention(attention))
    scores = to_arrow(HeadScores.Row, HeadScores().analyze_attention(attention, probe))
    assert (entropy.table.num_rows, scores.table.num_rows) == (4, 6)
    assert (entropy.not_finite, scores.not_finite) == ({}, {})
    if weights == "zero":
        assert entropy.table["normalised"].to_pylist() == pytest.approx([1.0] * 4)


def test_gaps_of_identical_checkpoints_and_of_one() -> None:
    table, _ = rows(EffectiveDimensionality(), family(5).initial())
    one = list(SpectralGap().analyze_results(Results(effective_dimensionality=table.assign(step=3))))
    assert {row.top_growth for row in one} == {None}
    twice = Results(effective_dimensionality=pd.concat([table.assign(step=3), table.assign(step=9)], ignore_index=True))
    two = [row for row in SpectralGap(top=2).analyze_results(twice) if row.step == 9]
    assert {row.top_growth for row in two} == {0.0}
    assert np.isfinite([row.gap for row in two if row.k]).all()
