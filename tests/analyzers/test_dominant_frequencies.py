"""`dominant_frequencies`: circles have one frequency, shares add up, and the real run's spectra agree."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from strobe import StrobeError, Weights, maths
from strobe.schema import to_arrow, to_pandas
from strobe_analyzers.dominant_frequencies import DominantFrequencies
from strobe_analyzers.token_views import token_views
from strobe_families.modular_addition import ModularAddition


def table(tensors, p):
    weights = tensors if isinstance(tensors, Weights) else Weights(tensors)
    result = DominantFrequencies().analyze_weights(weights, SimpleNamespace(family=SimpleNamespace(p=p)))
    return to_pandas(to_arrow(DominantFrequencies.Row, result).table)


def model(seed=0, p=7, d=4, m=5, heads=2, layers=1, classes=None):
    normal = lambda *shape: torch.from_numpy(np.random.default_rng([seed, *shape]).standard_normal(shape)).float()  # noqa: E731
    tensors = {"embed.W_E": normal(p + 1, d), "unembed.W_U": normal(d, classes or p)}
    for layer in range(layers):
        tensors |= {f"blocks.{layer}.attn.W_{letter}": normal(heads, d, 2) for letter in "QKV"}
        tensors |= {f"blocks.{layer}.attn.W_O": normal(heads, 2, d)}
        tensors |= {f"blocks.{layer}.mlp.W_in": normal(d, m), f"blocks.{layer}.mlp.W_out": normal(m, d)}
    return tensors


PER_HEAD = ("W_E.W_Q", "W_E.W_K", "W_E.W_V", "W_E.W_V.W_O", "W_O.W_U")


def of(found, view, head):
    return found[(found["view"] == view) & (found["head"] == head)]


def circle(p, k, d):
    angle = 2 * torch.pi * k * torch.arange(p).double() / p
    return torch.cat([torch.cos(angle)[:, None], torch.sin(angle)[:, None], torch.zeros(p, d - 2)], 1)


@pytest.mark.parametrize("k", [1, 3])
def test_a_circle_has_all_its_power_at_its_frequency(k):
    tensors = model()
    tensors["embed.W_E"] = torch.cat([circle(7, k, 4), torch.full((1, 4), 9.0)])  # the "=" row must not count
    found = table(tensors, 7).query("view == 'W_E' and frequency == @k").set_index("component")
    assert found.share.to_dict() == pytest.approx({"cos": 0.5, "sin": 0.5})
    assert found.amplitude.tolist() == pytest.approx([(7 / 2) ** 0.5] * 2)


def test_views_and_their_labels():
    found = table(model(), 7)
    assert list(found[["view", "head"]].drop_duplicates().itertuples(index=False, name=None))[:4] == [
        ("W_E", found["head"][0]),
        ("W_U", found["head"][0]),
        ("W_E.W_in", found["head"][0]),
        ("W_L", found["head"][0]),
    ]
    heads = found[found["head"].notna()]
    assert heads.groupby(["view", "head"]).size().to_dict() == {(view, head): 7 for view in PER_HEAD for head in (0, 1)}
    first = found[found["view"] == "W_L"]
    assert list(zip(first.component, first.frequency, strict=True)) == [tuple(row) for row in maths.fourier_rows(7)]


@given(seed=st.integers(0, 1000), p=st.integers(4, 9))
def test_shares_leave_out_the_constant_and_amplitudes_obey_parseval(seed, p):
    tensors = model(seed, p)
    found = table(tensors, p)
    assert found[found.component == "const"].share.isna().all()
    assert found.groupby(["view", "head"], dropna=False).share.sum().tolist() == pytest.approx([1.0] * (4 + 2 * len(PER_HEAD)))
    written = tensors["unembed.W_U"][:, :p].T @ tensors["blocks.0.mlp.W_out"].T
    assert (found[found["view"] == "W_L"].amplitude ** 2).sum() == pytest.approx((written**2).sum().item(), rel=1e-5)
    values = tensors["embed.W_E"][:p] @ tensors["blocks.0.attn.W_V"][1] @ tensors["blocks.0.attn.W_O"][1]
    assert (of(found, "W_E.W_V.W_O", 1).amplitude ** 2).sum() == pytest.approx((values**2).sum().item(), rel=1e-5)


@pytest.mark.parametrize("letter", "QKV")
def test_heads_read_from_the_embedding(letter):
    tensors = model(3)
    read = (tensors["embed.W_E"][:7] @ tensors[f"blocks.0.attn.W_{letter}"][1]).double()
    np.testing.assert_allclose(of(table(tensors, 7), f"W_E.W_{letter}", 1).amplitude, maths.row_amplitudes(read), rtol=1e-5)


def test_heads_write_to_the_classes():
    tensors = model(3)
    written = (tensors["blocks.0.attn.W_O"][1] @ tensors["unembed.W_U"]).T.double()  # [p, d_head]
    np.testing.assert_allclose(of(table(tensors, 7), "W_O.W_U", 1).amplitude, maths.row_amplitudes(written), rtol=1e-5)


@pytest.mark.parametrize("layers", [1, 2])
def test_every_matrix_of_the_family_has_a_view(layers):
    family = ModularAddition(p=5, d_model=8, n_heads=2, d_mlp=6, n_layers=layers)
    initial = family.initial()
    expressed = {view.of for view in token_views(Weights(initial), 5)}
    matrices = {name for name, tensor in initial.items() if tensor.ndim > 1}
    assert expressed == matrices - {"pos_embed.W_pos"}, "W_pos is indexed by position, and no product with it is indexed by tokens"
    without = dict(initial)
    del without["blocks.0.attn.W_Q"]
    assert "blocks.0.attn.W_Q" not in {view.of for view in token_views(Weights(without), 5)}


def test_a_changed_matrix_changes_the_view_that_names_it():
    initial = ModularAddition(p=5, d_model=8, n_heads=2, d_mlp=6).initial()
    before = list(token_views(Weights(initial), 5))
    for name in {view.of for view in before}:
        after = token_views(Weights(initial | {name: initial[name] * 2}), 5)
        assert all(not torch.equal(a.table, b.table) for a, b in zip(before, after, strict=True) if a.of == name)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_weights_are_read_in_float64(dtype):
    halves = {name: tensor.to(dtype) for name, tensor in model().items()}
    wide = {name: tensor.float() for name, tensor in halves.items()}
    assert table(halves, 7).amplitude.tolist() == table(wide, 7).amplitude.tolist()


def test_zero_weights_have_amplitude_zero_and_no_shares():
    found = table({name: torch.zeros_like(tensor) for name, tensor in model(p=3).items()}, 3)
    assert (found.amplitude == 0).all()
    assert found.share.isna().all()


def test_the_class_of_the_equals_sign_is_dropped():
    wide = model(classes=8)
    narrow = wide | {"unembed.W_U": wide["unembed.W_U"][:, :7]}
    assert table(wide, 7).amplitude.tolist() == table(narrow, 7).amplitude.tolist()


def test_views_of_several_layers_bear_their_layer():
    views = set(table(model(layers=2), 7)["view"])
    assert {"blocks.0.W_L", "blocks.1.W_L", "blocks.1.W_E.W_in", "blocks.0.W_E.W_V.W_O", "W_E", "W_U"} <= views
    assert "W_L" not in views


def test_a_wrong_p_is_told_with_both_numbers():
    with pytest.raises(StrobeError, match=r"8 tokens.*p=11"):
        table(model(), 11)


def test_nan_weights_are_null_in_their_views_only():
    tensors = model()
    tensors["blocks.0.mlp.W_in"][0, 0] = torch.nan
    missing = table(tensors, 7).groupby("view").amplitude.apply(lambda a: a.isna().all())
    assert missing[missing].index.tolist() == ["W_E.W_in"]


@pytest.mark.parametrize("step", [0, 5000, 25000])
def test_a_real_run(data, step):
    folder = data / "modadd_p113_seed999"
    expected = json.loads((folder / "reference.json").read_text())[str(step)]
    found = table(Weights.open(folder / f"epoch_{step:05d}.safetensors"), 113)
    for view in ("W_E", "W_U", "W_L"):
        rows = found[(found["view"] == view) & (found.frequency > 0)]
        shares = rows.groupby("frequency").share.sum()
        top = expected[f"fourier_{view}"]["top"]
        assert shares.sort_values(ascending=False).index[: len(top)].tolist() == [k for k, _ in top]
        assert [shares[k] for k, _ in top] == pytest.approx([share for _, share in top], rel=1e-6)
        norms = (rows.assign(power=rows.amplitude**2).groupby("frequency").power.sum() ** 0.5).to_numpy()
        assert maths.gini(torch.tensor(norms)) == pytest.approx(expected[f"fourier_{view}"]["gini_pairs"], rel=1e-6)
