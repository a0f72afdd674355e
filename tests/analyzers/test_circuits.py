"""`circuits`: heads that copy, suppress and rotate, against dense eigenvalues and singular values."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from strobe import Weights
from strobe.schema import to_arrow
from strobe_analyzers.circuits import Circuits

AT = "blocks.0.attn"


def rows(tensors, p=None):
    context = SimpleNamespace(family=SimpleNamespace(p=p) if p else None)
    return {(r.circuit, r.layer, r.head): r for r in Circuits().analyze_weights(Weights(tensors), context)}


def model(seed=0, vocab=7, classes=7, d=6, heads=2, d_head=3, key_heads=None):
    normal = lambda *shape: torch.from_numpy(np.random.default_rng([seed, *shape]).standard_normal(shape))  # noqa: E731
    kv = key_heads or heads
    return {
        "embed.W_E": normal(vocab, d),
        f"{AT}.W_Q": normal(heads, d, d_head),
        f"{AT}.W_K": normal(kv, d, d_head) + 1,
        f"{AT}.W_V": normal(kv, d, d_head) + 2,
        f"{AT}.W_O": normal(heads, d_head, d),
        "unembed.W_U": normal(d, classes),
    }


def dense(tensors, head, n):
    """OV and QK of a head in full, [n, n]."""
    E, U = tensors["embed.W_E"][:n].double(), tensors["unembed.W_U"][:, :n].double()
    Q, K, V, O = (tensors[f"{AT}.W_{x}"][head].double() for x in "QKVO")  # noqa: E741
    return {"OV": E @ V @ O @ U, "QK": E @ Q @ K.T @ E.T}


@given(seed=st.integers(0, 1000), d_head=st.integers(1, 9))
def test_spectra_are_those_of_the_full_circuit(seed, d_head):
    tensors = model(seed, d_head=d_head)
    found = rows(tensors)
    for head in (0, 1):
        for name, full in dense(tensors, head, 7).items():
            row = found[name, 0, head]
            rank = min(7, d_head)
            np.testing.assert_allclose(row.singular_values, torch.linalg.svdvals(full)[:rank], atol=1e-9)
            eigenvalues = np.sort(np.abs(np.linalg.eigvals(full.numpy())))[::-1][:rank]
            np.testing.assert_allclose(np.hypot(row.eigenvalues_real, row.eigenvalues_imag), eigenvalues, rtol=1e-5, atol=1e-5)
            assert row.eigenvalues_real.sum() == pytest.approx(full.trace().item(), rel=1e-4, abs=1e-4)


@pytest.mark.parametrize(("sign", "score"), [(1.0, 1.0), (-0.5, -1.0)])
def test_a_head_that_copies_or_suppresses(sign, score):
    """Tokens are orthogonal, the head moves a third of them, the unembedding is the embedding."""
    tensors = model(vocab=6, classes=6, d=6)
    basis = torch.linalg.qr(tensors["embed.W_E"]).Q
    tensors |= {
        "embed.W_E": basis,
        "unembed.W_U": basis.T,
        f"{AT}.W_V": basis.T[:, :3].repeat(2, 1, 1),
        f"{AT}.W_O": sign * basis[:3].repeat(2, 1, 1),
    }
    row = rows(tensors)["OV", 0, 1]
    assert row.score == pytest.approx(score)
    assert row.singular_values.tolist() == pytest.approx([abs(sign)] * 3)


@pytest.mark.parametrize(("k", "shift"), [(1, 0), (2, 3), (3, 5)])
def test_a_rotation_through_residues_has_the_cosine_of_its_angle(k, shift):
    """OV maps residue a to the circle of frequency k turned by `shift`: eigenvalues exp(+-i angle) p/2, score cos(angle)."""
    p, angle = 7, 2 * torch.pi * k * torch.arange(7).double() / 7
    circle = torch.stack([torch.cos(angle), torch.sin(angle)], 1)  # [p, 2]
    turned = torch.stack([torch.cos(angle - angle[shift]), torch.sin(angle - angle[shift])], 1)
    identity = torch.eye(2, dtype=torch.float64)[None]
    tensors = {"embed.W_E": circle, "unembed.W_U": turned.T, **{f"{AT}.W_{x}": identity for x in "QKVO"}}
    found = rows(tensors, p)
    assert found["OV", 0, 0].score == pytest.approx(torch.cos(angle[shift]).item())
    assert found["OV", 0, 0].singular_values.tolist() == pytest.approx([p / 2] * 2)
    assert found["QK", 0, 0].score == pytest.approx(1)  # W_Q = W_K: tokens look for themselves


def test_the_equals_sign_takes_no_part():
    wide = model(vocab=8, classes=8)
    narrow = wide | {"embed.W_E": wide["embed.W_E"][:7], "unembed.W_U": wide["unembed.W_U"][:, :7]}
    half = wide | {"unembed.W_U": wide["unembed.W_U"][:, :7]}
    scores = [[row.score for row in found.values()] for found in (rows(wide, 7), rows(narrow), rows(half))]
    assert scores[0] == scores[1] == scores[2]


def test_shared_key_and_value_heads():
    shared = model(heads=4, key_heads=2)
    spelt = shared | {f"{AT}.W_{x}": shared[f"{AT}.W_{x}"].repeat_interleave(2, 0) for x in "KV"}
    assert [r.score for r in rows(shared).values()] == [r.score for r in rows(spelt).values()]


def test_a_model_without_attention_says_so():
    (row,) = rows({"embed.W_E": torch.randn(5, 3), "unembed.W_U": torch.randn(3, 5)}).values()
    assert (row.circuit, row.score, row.reason) == (None, None, "the model has no blocks.*.attn.W_Q")
    (row,) = rows({f"{AT}.W_Q": torch.randn(1, 5, 3)}).values()
    assert row.reason == "the model has no embed.W_E, unembed.W_U"
    assert to_arrow(Circuits.Row, [row]).table.num_rows == 1


def test_zero_and_not_finite_circuits_have_no_score():
    zero = rows({name: torch.zeros_like(tensor) for name, tensor in model().items()})
    assert [row.score for row in zero.values()] == [None] * 4
    broken = model()
    broken[f"{AT}.W_V"][0, 0, 0] = torch.nan
    found = rows(broken)
    assert (found["OV", 0, 0].score, found["OV", 0, 0].reason) == (None, "weights are not finite")
    assert found["OV", 0, 1].score is not None
    assert found["QK", 0, 0].score is not None


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(dtype):
    halves = {name: tensor.to(dtype) for name, tensor in model().items()}
    wide = {name: tensor.double() for name, tensor in halves.items()}
    assert [r.score for r in rows(halves).values()] == [r.score for r in rows(wide).values()]


def test_a_real_checkpoint(data):
    weights = Weights.open(data / "modadd_p113_seed999" / "epoch_25000.safetensors")
    found = rows(weights, 113)
    for name, full in dense(weights, 2, 113).items():
        row = found[name, 0, 2]
        eigenvalues = np.linalg.eigvals(full.numpy())
        assert row.score == pytest.approx(eigenvalues.real.sum() / np.abs(eigenvalues).sum(), rel=1e-8)
        np.testing.assert_allclose(row.singular_values, torch.linalg.svdvals(full)[:32], atol=1e-9 * row.singular_values[0])
