"""`Weights`: canonical names, `x @ W` orientation, read tensor by tensor, read-only."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from strobe import Weights
from strobe.errors import CheckpointError

HEADS, D_MODEL, D_HEAD, D_MLP = 2, 6, 3, 5
TENSORS = {
    "embed.W_E": torch.randn(8, D_MODEL),
    "blocks.0.attn.W_Q": torch.randn(HEADS, D_MODEL, D_HEAD),
    "blocks.0.attn.W_O": torch.randn(HEADS, D_HEAD, D_MODEL),
    "blocks.0.mlp.W_in": torch.randn(D_MODEL, D_MLP),
    "blocks.0.mlp.b_in": torch.randn(D_MLP),
    "conv.weight": torch.randn(7, 3, 2, 2),
    "conv.bias": torch.randn(7),
    "norm.bias_scale": torch.randn(3, 3),
    "scale": torch.tensor(2.0),
    "gain": torch.randn(4),
}


@pytest.fixture
def weights() -> Weights:
    return Weights(TENSORS)


# --- matrices and heads --------------------------------------------------------------------------------------------------------------------


def test_one_matrix_per_parameter_vectors_and_biases_skipped(weights: Weights) -> None:
    assert {name: tuple(m.shape) for name, m in weights.matrices()} == {
        "embed.W_E": (8, D_MODEL),
        "blocks.0.attn.W_Q": (D_MODEL, HEADS * D_HEAD),
        "blocks.0.attn.W_O": (HEADS * D_HEAD, D_MODEL),
        "blocks.0.mlp.W_in": (D_MODEL, D_MLP),
        "conv.weight": (3 * 2 * 2, 7),
    }


def test_heads_side_by_side_act_as_the_heads_do(weights: Weights) -> None:
    x = torch.randn(D_MODEL)
    q = dict(weights.matrices("*.W_Q"))["blocks.0.attn.W_Q"]
    torch.testing.assert_close(x @ q, torch.cat([x @ w for w in TENSORS["blocks.0.attn.W_Q"]]))
    z = torch.randn(HEADS, D_HEAD)
    o = dict(weights.matrices("*.W_O"))["blocks.0.attn.W_O"]
    torch.testing.assert_close(z.flatten() @ o, sum(z[h] @ TENSORS["blocks.0.attn.W_O"][h] for h in range(HEADS)))


def test_a_convolution_is_a_matrix_on_its_patches(weights: Weights) -> None:
    patch = torch.randn(1, 3, 2, 2)
    matrix = dict(weights.matrices("conv.*"))["conv.weight"]
    torch.testing.assert_close(patch.flatten() @ matrix, torch.nn.functional.conv2d(patch, TENSORS["conv.weight"]).flatten())


def test_heads_one_by_one(weights: Weights) -> None:
    found = list(weights.heads())
    assert [(name, head, tuple(m.shape)) for name, head, m in found] == [
        ("blocks.0.attn.W_Q", 0, (D_MODEL, D_HEAD)),
        ("blocks.0.attn.W_Q", 1, (D_MODEL, D_HEAD)),
        ("blocks.0.attn.W_O", 0, (D_HEAD, D_MODEL)),
        ("blocks.0.attn.W_O", 1, (D_HEAD, D_MODEL)),
    ]
    assert torch.equal(found[1][2], TENSORS["blocks.0.attn.W_Q"][1])


def test_patterns_choose_parameters(weights: Weights) -> None:
    assert weights.named("blocks.*.W_*") == ["blocks.0.attn.W_Q", "blocks.0.attn.W_O", "blocks.0.mlp.W_in"]
    assert [name for name, _ in weights.matrices("embed.*")] == ["embed.W_E"]


# --- lazy and read-only --------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path: Path) -> Path:
    save_file(TENSORS, tmp_path / "step.safetensors")
    return tmp_path / "step.safetensors"


def test_only_what_is_touched_is_read_and_only_once(file: Path) -> None:
    weights = Weights.open(file)
    assert set(weights) == set(TENSORS)
    assert "embed.W_E" in weights
    assert weights.named("blocks.*")
    assert weights.bytes_read == 0
    assert torch.equal(weights["embed.W_E"], TENSORS["embed.W_E"])
    assert weights["embed.W_E"] is weights["embed.W_E"]
    assert weights.bytes_read == TENSORS["embed.W_E"].nbytes


def test_a_pattern_reads_only_what_it_matches(file: Path) -> None:
    weights = Weights.open(file)
    list(weights.matrices("*.W_in"))
    list(weights.heads("*.W_in"))
    assert weights.bytes_read == TENSORS["blocks.0.mlp.W_in"].nbytes
    assert weights.touched == {"blocks.0.mlp.W_in"}


def test_views_share_what_is_read_and_know_what_they_touched(file: Path) -> None:
    weights = Weights.open(file)
    one, other = weights.view(), weights.view()
    assert one["gain"] is other["gain"]
    one["scale"]
    assert (one.touched, other.touched) == ({"gain", "scale"}, {"gain"})


@pytest.mark.parametrize("source", ["file", "hand"])
def test_writing_into_a_tensor_raises(file: Path, source: str) -> None:
    weights = Weights.open(file) if source == "file" else Weights(TENSORS)
    before = TENSORS["embed.W_E"].clone()
    with pytest.raises(RuntimeError, match=r"[Ii]nplace update to inference tensor"):
        weights["embed.W_E"].mul_(2)
    for _, matrix in weights.matrices("embed.*"):
        with pytest.raises(RuntimeError, match=r"[Ii]nplace update to inference tensor"):
            matrix[0] = 0.0
    assert torch.equal(TENSORS["embed.W_E"], before)  # whoever made the weights keeps his
    before = weights["embed.W_E"].clone()  # torch raises only after it has written: the engine opens the checkpoint again
    own = weights["embed.W_E"].clone().requires_grad_()
    own.square().sum().backward()
    assert torch.equal(own.grad, 2 * before)  # type: ignore[arg-type]


def test_a_missing_tensor_names_the_source_and_the_nearest_name(file: Path) -> None:
    with pytest.raises(CheckpointError, match=r"step.safetensors: no tensor 'embed.W_e'; did you mean 'embed.W_E'"):
        Weights.open(file)["embed.W_e"]


def test_nan_and_infinity_are_counted_when_they_are_read(tmp_path: Path) -> None:
    bad = torch.tensor([1.0, float("nan"), float("inf")])
    save_file({"bad": bad, "worse": bad.clone(), "good": torch.ones(2), "index": torch.arange(3)}, tmp_path / "x.safetensors")
    weights = Weights.open(tmp_path / "x.safetensors")
    for name in ("bad", "good", "index"):
        weights[name]
    assert weights.nonfinite == {"bad": 2}


def test_reading_copies_into_memory_of_torch(file: Path) -> None:
    """Mapped tensors are aligned as the file happens to be, and float32 dot products then differ in the last bit."""
    weights = Weights.open(file)
    assert all(weights[name].data_ptr() % 64 == 0 for name in weights)


def test_unreadable_files_say_what_to_do(tmp_path: Path, file: Path) -> None:
    with pytest.raises(CheckpointError, match=r"gone.safetensors is missing: copy it back"):
        Weights.open(tmp_path / "gone.safetensors")
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(CheckpointError, match=r"truncated or corrupted \(100 bytes"):
        Weights.open(file)
