"""Checkpoints that someone else made become a run; what cannot be read says which key, shape or column is missing, and nothing is left behind."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from strobe import Workspace
from strobe.errors import CheckpointError, StrobeError, UsageError

TOY = {"p": 7, "d_model": 8, "n_heads": 2, "d_mlp": 16, "fraction": 0.5}
REFERENCE_STEPS = (0, 1000, 2000, 4000, 5000, 5500, 6000, 8000, 25000)


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "workspace")


@pytest.fixture
def initial(ws: Workspace) -> dict[str, torch.Tensor]:
    """Canonical tensors of a small model."""
    return ws.registry.family("modular_addition")(**TOY).initial()  # type: ignore[no-any-return]


@pytest.fixture
def folder(tmp_path: Path, initial: dict[str, torch.Tensor]) -> Path:
    """Two bare checkpoints."""
    (tmp_path / "theirs").mkdir()
    for step in (0, 500):
        save_file(initial, tmp_path / "theirs" / f"model-{step}.safetensors")
    return tmp_path / "theirs"


# --- the two real folders ------------------------------------------------------------------------------------------------------------------


def test_the_real_run(ws: Workspace, data: Path) -> None:
    source = data / "modadd_p113_seed999"
    run = ws.import_run(source, "modular_addition")
    assert run.name == "modadd_p113_seed999"
    assert run.steps == REFERENCE_STEPS
    assert (run.family.p, run.family.d_model, run.family.fraction, run.family.seed, run.family.data_seed) == (113, 128, 0.3, 999, 598)
    theirs, ours = load_file(source / "epoch_05500.safetensors"), run.weights(5500)
    assert set(ours) == set(theirs)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    index = load_file(source / "losses.safetensors")["train_index"]
    assert torch.equal(run.split["train"], index.long())
    assert len(run.split["train"]) + len(run.split["test"]) == 113**2
    assert not set(run.split["train"].tolist()) & set(run.split["test"].tolist())


def test_the_losses_of_the_real_run_are_kept(ws: Workspace, data: Path) -> None:
    source = data / "modadd_p113_seed999"
    metrics = ws.import_run(source, "modular_addition").metrics.set_index("step")
    series = load_file(source / "losses.safetensors")["train_loss"].double().numpy()
    recorded = json.loads((source / "run.json").read_text())
    assert metrics["train_loss"].notna().sum() >= len(series)
    for epoch in (1, 1234, len(series) - 2):
        assert metrics["train_loss"][epoch] == pytest.approx(series[epoch], rel=1e-6)
    assert metrics["test_loss"].dropna().to_dict() == pytest.approx({int(s): v for s, v in recorded["test_loss"].items()})


def test_the_published_model(ws: Workspace, data: Path) -> None:
    source = data / "progress_measures_wd01"
    run = ws.import_run(source, "modular_addition", name="published")
    assert (run.name, run.steps) == ("published", (107_791,))
    assert run.weights(107_791)["unembed.W_U"].shape == (128, 114)
    losses = load_file(source / "losses.safetensors")
    metrics = run.metrics.set_index("step")
    assert metrics["test_loss"].dropna().index[1] == 10  # every ten epochs
    assert metrics["test_loss"][1000] == pytest.approx(losses["test_loss"][100].item())
    assert metrics["train_loss"].notna().sum() >= len(losses["train_loss"])


def test_an_imported_run_is_listed_described_and_analyzed(ws: Workspace, folder: Path) -> None:
    run = ws.import_run(folder, "modular_addition", **TOY)
    assert (run.record.state, run.record.source["folder"]) == ("imported", "theirs")
    assert [r.name for r in ws.runs()] == ["theirs"]
    assert ws.analyze(run, ["weight_norms", "loss_and_accuracy"]).ok
    assert set(ws.table("loss_and_accuracy")["step"]) == {0, 500}


# --- bare files, mappings, metrics ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrapped", [None, "state_dict", "model"])
def test_pt_files_hold_a_state_dict_or_a_dictionary_with_one(
    ws: Workspace, tmp_path: Path, initial: dict[str, torch.Tensor], wrapped: str | None
) -> None:
    (tmp_path / "pt").mkdir()
    for step in (0, 20):
        torch.save({wrapped: initial, "epoch": step} if wrapped else initial, tmp_path / "pt" / f"ckpt_{step:04d}.pt")
    run = ws.import_run(tmp_path / "pt", "modular_addition", **TOY)
    assert run.steps == (0, 20)
    assert torch.equal(run.weights(20)["embed.W_E"], initial["embed.W_E"])


def foreign(initial: dict[str, torch.Tensor]) -> tuple[dict[str, torch.Tensor], str]:
    """The same model as someone else keeps it, and the mapping that says so."""
    theirs = {
        "wte": initial["embed.W_E"],
        "wpe": initial["pos_embed.W_pos"],
        "head": initial["unembed.W_U"].T.contiguous(),
        "fc.weight": initial["blocks.0.mlp.W_in"].T.contiguous(),
        "fc.bias": initial["blocks.0.mlp.b_in"],
        "proj.weight": initial["blocks.0.mlp.W_out"].T.contiguous(),
        "proj.bias": initial["blocks.0.mlp.b_out"],
        "out": initial["blocks.0.attn.W_O"].reshape(8, 8).T.contiguous(),  # d_model, heads * d_head
    }
    for letter in "QKV":
        theirs[f"attn.{letter}"] = initial[f"blocks.0.attn.W_{letter}"].permute(1, 0, 2).reshape(8, 8).contiguous()  # d_model, heads * d_head
    attention = "".join(f"blocks.0.attn.W_{x}: {{from: attn.{x}, reshape: [8, 2, 4], permute: [1, 0, 2]}}\n" for x in "QKV")
    mapping = f"""
embed.W_E: wte
pos_embed.W_pos: wpe
unembed.W_U: {{from: head, transpose: true}}
blocks.0.mlp.W_in: {{from: fc.weight, transpose: true}}
blocks.0.mlp.b_in: fc.bias
blocks.0.mlp.W_out: {{from: proj.weight, transpose: true}}
blocks.0.mlp.b_out: proj.bias
blocks.0.attn.W_O: {{from: out, transpose: true, reshape: [2, 4, 8]}}
{attention}"""
    return theirs, mapping


def test_a_mapping_says_once_what_tensors_are_called_and_how_they_lie(ws: Workspace, tmp_path: Path, initial: dict[str, torch.Tensor]) -> None:
    theirs, mapping = foreign(initial)
    (tmp_path / "theirs").mkdir()
    save_file(theirs, tmp_path / "theirs" / "step_7.safetensors")
    (tmp_path / "map.yaml").write_text(mapping)
    run = ws.import_run(tmp_path / "theirs", "modular_addition", map=tmp_path / "map.yaml", **TOY)
    weights = run.weights(7)
    assert set(weights) == set(initial)
    for name, tensor in initial.items():
        assert torch.equal(weights[name], tensor), name
    assert run.record.source["mapping"]["unembed.W_U"]["tensor"] == "head"  # kept


def test_metrics_from_csv(ws: Workspace, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("step,train_loss,test_loss,grad_norm\n0,2.0,2.1,9\n10,1.5,,8\n500,0.1,0.2,\n")
    metrics = ws.import_run(folder, "modular_addition", metrics=tmp_path / "log.csv", **TOY).metrics
    assert metrics["step"].tolist() == [0, 10, 500]
    assert metrics["train_loss"].tolist() == [2.0, 1.5, 0.1]
    assert np.isnan(metrics["test_loss"][1])
    assert metrics["grad_norm"][0] == 9


# --- what cannot be read -------------------------------------------------------------------------------------------------------------------


def drop(name: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        tensors = load_file(folder / "model-500.safetensors")
        tensors.pop(name)
        save_file(tensors, folder / "model-500.safetensors")

    return change


def unlink_all(folder: Path) -> None:
    for file in folder.iterdir():
        file.unlink()


def outside(folder: Path) -> None:
    save_file({"train_index": torch.tensor([0, 49])}, folder / "losses.safetensors")


UNREADABLE: dict[str, tuple[Callable[[Path], object], type[StrobeError], str]] = {
    "a missing tensor": (
        drop("blocks.0.mlp.W_in"),
        CheckpointError,
        r"model-500.safetensors: tensor blocks.0.mlp.W_in \(8, 16\) is missing.*--map FILE",
    ),
    "no checkpoints": (
        unlink_all,
        UsageError,
        r"holds no checkpoints: expected .safetensors or .pt files whose name ends in the step, such as step_00500",
    ),
    "two files of one step": (
        lambda f: shutil.copy(f / "model-0.safetensors", f / "other-0.safetensors"),
        UsageError,
        r"model-0.safetensors and other-0.safetensors both look like step 0; keep one per step",
    ),
    "a truncated file": (
        lambda f: (f / "model-500.safetensors").write_bytes((f / "model-500.safetensors").read_bytes()[:99]),
        CheckpointError,
        r"model-500.safetensors is truncated or corrupted \(99 bytes",
    ),
    "a .pt that is none": (
        lambda f: (f / "more-600.pt").write_bytes(b"junk"),
        CheckpointError,
        r"more-600.pt cannot be loaded as weights only \(.*state_dict",
    ),
    "a .pt with code in it": (lambda f: torch.save(Path("/"), f / "more-600.pt"), CheckpointError, r"more-600.pt cannot be loaded as weights only"),
    "a .pt without tensors": (lambda f: torch.save({"epoch": 3}, f / "more-600.pt"), CheckpointError, r"more-600.pt holds no dictionary of tensors"),
    "a description that is no JSON": (lambda f: (f / "run.json").write_text("{"), UsageError, r"run.json is not valid JSON"),
    "train indices of another task": (outside, StrobeError, r"losses.safetensors: train_index holds 49, but the family has 49 inputs"),
}


@pytest.mark.parametrize("what", UNREADABLE)
def test_a_folder_that_cannot_be_read_says_why_and_leaves_nothing(ws: Workspace, folder: Path, what: str) -> None:
    change, error, message = UNREADABLE[what]
    change(folder)
    with pytest.raises(error, match=message) as caught:
        ws.import_run(folder, "modular_addition", **TOY)
    assert "\n" not in str(caught.value)
    assert ws.runs() == []
    assert not [f for f in ws.root.rglob("*") if f.is_file()]


def test_other_parameters_than_the_checkpoints_have(ws: Workspace, folder: Path) -> None:
    with pytest.raises(CheckpointError, match=r"model-0.safetensors: tensor embed.W_E has shape \(8, 8\), expected \(12, 8\); .*--set p=97"):
        ws.import_run(folder, "modular_addition", **{**TOY, "p": 11})
    assert ws.runs() == []


def test_wrong_paths_names_and_parameters(ws: Workspace, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nowhere is not a folder of checkpoints; give the folder that holds"):
        ws.import_run(tmp_path / "nowhere", "modular_addition")
    with pytest.raises(UsageError, match=r"no family 'modular_additon'; did you mean 'modular_addition'"):
        ws.import_run(folder, "modular_additon")
    with pytest.raises(UsageError, match=r"has no setting 'd_modle'; did you mean 'd_model'"):
        ws.import_run(folder, "modular_addition", d_modle=8)
    with pytest.raises(UsageError, match=r"a run may not bear a family's name \(modular_addition\); choose another with --name"):
        ws.import_run(folder, "modular_addition", name="modular_addition", **TOY)
    with pytest.raises(UsageError, match=r"run name '../up': letters, digits"):
        ws.import_run(folder, "modular_addition", name="../up", **TOY)
    ws.import_run(folder, "modular_addition", **TOY)
    with pytest.raises(UsageError, match=r"there is a run 'theirs' already; choose another name with --name"):
        ws.import_run(folder, "modular_addition", **TOY)
    assert ws.run("theirs").steps == (0, 500)  # which is untouched


@pytest.mark.parametrize(
    ("text", "message"),
    {
        None: r"map.yaml does not exist",
        "embed.W_E: [": r"mapping .*map.yaml: .*each line is `canonical.name: foreign.name`",
        "embed.W_E: {from: x, transposed: true}": r"transposed",
        "just words": r"each line is `canonical.name: foreign.name`",
        "embed.W_E: {transpose: true}": r"embed.W_E.*from",
        "embed.W_E: embed.W_e": r"model-0.safetensors: the mapping reads tensor 'embed.W_e', which the checkpoint lacks; did you mean 'embed.W_E'",
        "embed.W_E: {from: embed.W_E, reshape: [5, 5]}": r"model-0.safetensors: .*embed.W_E.*\(8, 8\).*\[5, 5\]",
        "embed.W_E: embed.W_E": r"tensor pos_embed.W_pos \(3, 8\) is missing",
    }.items(),
)
def test_mappings_that_do_not_work(ws: Workspace, folder: Path, tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / "map.yaml").write_text(text)
    with pytest.raises(StrobeError, match=message) as caught:
        ws.import_run(folder, "modular_addition", map=tmp_path / "map.yaml", **TOY)
    assert "\n" not in str(caught.value)
    assert ws.runs() == []


@pytest.mark.parametrize(
    ("text", "message"),
    {
        None: r"log.csv cannot be read",
        "": r"log.csv cannot be read",
        "steps,train_loss\n0,1\n": r"log.csv has no column 'step'; did you mean 'steps'",
        "step,train_loss\n0,1\n0.5,2\n": r"log.csv: step 0.5 is no whole number",
        "step,train_loss\nx,1\n": r"log.csv: step 'x' is no whole number",
        "step,train_loss\n0,much\n": r"log.csv: train_loss 'much' at step 0 is no number",
    }.items(),
)
def test_metrics_that_do_not_work(ws: Workspace, folder: Path, tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / "log.csv").write_text(text)
    with pytest.raises(UsageError, match=message):
        ws.import_run(folder, "modular_addition", metrics=tmp_path / "log.csv", **TOY)
    assert ws.runs() == []


class Killed(BaseException):
    """Nothing after this point happens."""


@pytest.mark.parametrize("nth", range(5))
def test_an_import_that_was_killed_can_be_repeated(ws: Workspace, folder: Path, monkeypatch: pytest.MonkeyPatch, nth: int) -> None:
    import os

    original, calls = os.replace, iter(range(100))

    def last(*args: object) -> None:
        if next(calls) >= nth:
            raise Killed
        original(*args)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", last)
        patch.setattr(shutil, "rmtree", lambda *args, **kwargs: None)  # a killed process does not clean up
        try:
            ws.import_run(folder, "modular_addition", **TOY)
        except Killed:
            assert ws.runs() == []
    if not ws.runs():
        ws.import_run(folder, "modular_addition", **TOY)
    assert ws.run("theirs").steps == (0, 500)
    assert [f.name for f in ws.root.iterdir()] == ["runs"]
