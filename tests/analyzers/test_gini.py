"""`gini`: circle embeddings, the definition, reference values of real runs."""

from __future__ import annotations

import json

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from strobe import Context, Results, Weights
from strobe.schema import to_arrow
from strobe_analyzers.dominant_frequencies import DominantFrequencies
from strobe_analyzers.gini import Gini
from strobe_families.modular_addition import ModularAddition


def rows(table):
    found = list(Gini().analyze_weights(Results(dominant_frequencies=table)))
    to_arrow(Gini.Row, found)
    return {(r.view, r.head, r.vector): r.gini for r in found}


def spectrum(amplitudes, view="W_E", head=None):
    """const, cos 1, sin 1, ..."""
    labels = [("const", 0), *((c, k) for k in range(1, 1 + (len(amplitudes) - 1) // 2) for c in ("cos", "sin"))]
    return pd.DataFrame(
        [{"view": view, "head": head, "component": c, "frequency": k, "amplitude": a} for (c, k), a in zip(labels, amplitudes, strict=True)]
    )


def test_one_circle():
    found = rows(spectrum([0, 0, 0, 1, 1, 0, 0]))
    assert found["W_E", None, "pairs"] == pytest.approx(1 - 1 / 3)
    assert found["W_E", None, "components"] == pytest.approx(1 - 2 / 6)  # two of six alike
    assert found["W_E", None, "components_with_dc"] == pytest.approx(1 - 2 / 7)


def test_all_alike_is_zero_and_nothing_is_null():
    assert rows(spectrum([1.0] * 7))["W_E", None, "components_with_dc"] == pytest.approx(0, abs=1e-15)
    assert set(rows(spectrum([0.0] * 7)).values()) == {None}
    assert set(rows(spectrum([None] * 7)).values()) == {None}


def test_views_are_told_apart():
    found = rows(pd.concat([spectrum([0, 1, 0], "A", 0), spectrum([0, 1, 1], "A", 1), spectrum([5, 1, 1], "B")], ignore_index=True))
    assert found["A", 0, "components"] == pytest.approx(0.5)
    assert found["A", 1, "components"] == 0
    assert found["B", None, "pairs"] == 0


def of(path):
    weights, context = Weights(load_file(path)), Context(family=ModularAddition())
    return rows(to_arrow(DominantFrequencies.Row, DominantFrequencies().analyze_weights(weights, context)).table.to_pandas())


def test_the_published_run_has_three_different_numbers(data):
    found = of(data / "progress_measures_wd01" / "epoch_107791.safetensors")
    expected = [0.5265, 0.5354, 0.5386]
    assert [found["W_E", None, v] for v in ("pairs", "components", "components_with_dc")] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("step", [0, 5000, 25000])
def test_a_real_run(data, step):
    folder = data / "modadd_p113_seed999"
    reference = json.loads((folder / "reference.json").read_text())[str(step)]
    found = of(folder / f"epoch_{step:05d}.safetensors")
    for view in ("W_E", "W_U", "W_L"):
        assert found[view, None, "pairs"] == pytest.approx(reference[f"fourier_{view}"]["gini_pairs"], rel=1e-6)


def test_even_p_counts_the_row_without_a_sine():
    x = torch.arange(8).double() * 2 * torch.pi / 8
    table = torch.stack([torch.cos(4 * x), torch.zeros(8)], 1)
    weights = {"embed.W_E": table, "unembed.W_U": table.T}
    made = to_arrow(DominantFrequencies.Row, DominantFrequencies().analyze_weights(Weights(weights), Context(family=ModularAddition(p=8))))
    assert rows(made.table.to_pandas())["W_E", None, "pairs"] == pytest.approx(1 - 1 / 4)
