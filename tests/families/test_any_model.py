"""Checkpoints of any PyTorch model, as people save them: with weights only, and with the module. Known answers from PyTorch itself."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from typer.testing import CliRunner

from strobe import Last, Loss, ModuleFamily, Positions, StrobeError, Tap, Weights, Workspace
from strobe.cli import app
from strobe.registration.registry import class_in
from strobe.reports.library import find
from strobe.sites import Stop
from strobe.testing.families import CHECKS, Subject
from strobe.testing.findings import NotMeant

MINE = Path(__file__).resolve().parents[1] / "data" / "any_model" / "mine.py"
STEPS = (0, 10, 20)


def test_the_docs_show_this_very_family() -> None:
    assert MINE.read_text() in (MINE.parents[3] / "docs" / "families.md").read_text("utf-8")


@pytest.fixture(scope="module")
def mine() -> Any:
    return class_in(f"{MINE}:Mine")


def trained(net: nn.Module, inputs: torch.Tensor, targets: torch.Tensor) -> Iterator[tuple[int, nn.Module, torch.optim.Optimizer]]:
    """The net at each of `STEPS`, trained by hand in train mode."""
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)
    for step in range(STEPS[-1] + 1):
        if step in STEPS:
            yield step, net, optimizer
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(inputs), targets).backward()
        optimizer.step()


@pytest.fixture(scope="module")
def folder(mine: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoints as a training script writes them: under DDP's prefix, beside an optimizer and the script's arguments; and what is no checkpoint."""
    folder, family = tmp_path_factory.mktemp("checkpoints"), mine()
    torch.manual_seed(0)
    for step, net, optimizer in trained(family.build().train(), *family.data()):
        state = {f"module.{n}": t for n, t in net.state_dict().items()}
        about = {"optimizer": optimizer.state_dict(), "epoch": step, "args": argparse.Namespace(lr=1e-2), "best": np.float64(0.5)}
        torch.save({"model_state_dict": state, **about}, folder / f"step_{step:03d}.pt")
    torch.save(optimizer.state_dict(), folder / "optimizer_020.pt")
    torch.save(net.state_dict(), folder / "best.pt")
    return folder


@pytest.fixture(scope="module")
def ws(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Both runs of these checkpoints, analyzed with everything that applies."""
    workspace = Workspace(tmp_path_factory.mktemp("any") / "ws")
    workspace.import_run(folder, name="bare")
    workspace.import_run(folder, f"{MINE}:Mine", name="whole")
    report = workspace.analyze(["bare", "whole"])
    assert report.failures == []
    workspace.__dict__["said"] = {(t.run, t.analyzer): t for t in report.tables}
    return workspace


def at(folder: Path, mine: Any, step: int) -> nn.Module:
    net = mine().build().eval()
    state = torch.load(folder / f"step_{step:03d}.pt", weights_only=False)["model_state_dict"]
    net.load_state_dict({n.removeprefix("module."): t for n, t in state.items()})
    return net


# --- weights only --------------------------------------------------------------------------------------------------------------------------


def test_a_run_of_weights_is_what_the_checkpoints_hold(ws: Workspace, folder: Path, mine: Any) -> None:
    run, net = ws.run("bare"), at(folder, mine, 20)
    assert run.steps == STEPS
    assert run.family.parameters() == {n: tuple(p.shape) for n, p in net.named_parameters()}
    assert set(run.family.buffers()) == {"1.running_mean", "1.running_var", "1.num_batches_tracked"}
    assert all(torch.equal(run.weights(20)[name], tensor) for name, tensor in net.state_dict().items())
    assert run.record.source["passed_over"] == ["best.pt"]


def test_norms_and_spectra_are_those_of_the_tensors(ws: Workspace, folder: Path, mine: Any) -> None:
    net = at(folder, mine, 20)
    norms = ws.table("weight_norms", runs="bare", steps=20).set_index("parameter")["frobenius"]
    assert norms.to_dict() == pytest.approx({n: p.double().norm().item() for n, p in net.named_parameters()})
    spectra = ws.table("effective_dimensionality", runs="bare", steps=20).set_index("parameter")["singular_values"]
    assert set(spectra.index) == {"0.weight", "5.weight", "8.weight"}
    np.testing.assert_allclose(spectra["0.weight"], torch.linalg.svdvals(net[0].weight.double().flatten(1)).detach().numpy())  # out x in*k*k
    moved = ws.table("parameter_velocity", runs="bare").set_index("step")["velocity"][20] * 10
    before = dict(at(folder, mine, 10).named_parameters())
    assert moved == pytest.approx(sum((p - before[n]).double().square().sum().item() for n, p in net.named_parameters()) ** 0.5)


def test_what_needs_a_model_or_losses_says_so_and_what_to_type(ws: Workspace) -> None:
    said = ws.__dict__["said"]
    for name in ("loss_and_accuracy", "dormant_neurons", "attention_entropy", "flatness"):
        assert "weights only, no model to run" in said["bare", name].why
        assert "--family ./mine.py:Mine" in said["bare", name].why
    assert said["bare", "phases"].why.endswith("import its losses with --metrics FILE.csv")
    with pytest.raises(StrobeError, match=r"run bare has no probe 'grid'.*--family"):
        ws.analyze("bare", ["weight_norms"], probe="grid")
    preview = ws.plan(["bare", "whole"])
    assert preview.forwards == 0  # of the whole one all is stored


def test_its_report_has_no_card_without_something_in_it(ws: Workspace) -> None:
    from strobe.panels.cards import cards_of, resolve

    for run in ("bare", "whole"):
        report = find(ws, "any_model", run)
        assert find(ws, "default", run) == report
        cards = cards_of(resolve(ws, report, run))
        titles = [card.title for card in cards]
        assert {"Norms", "Directions in use", "Singular values", "Path", "How fast the weights move"} <= set(titles)
        assert ("Measured loss" in titles) == (run == "whole")
        assert not {"Loss", "What happened when", "Circuit eigenvalues", "Checkpoint products", "Explained variance"} & set(titles)
        for card in cards:
            drawing = card.draw({"step": 20})
            assert not drawing.problem
            assert any(drawing.datasets.values()) or "scene" in drawing.spec, card.title


def test_weights_alone_are_not_trained_and_bear_no_checks_of_a_model(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "ws")
    with pytest.raises(StrobeError, match="weights only: no model to train"):
        workspace.train("state_dict")
    subject = Subject(workspace.registry.family("state_dict"))
    not_meant = []
    for name, check in CHECKS.items():
        try:
            check(subject)
        except NotMeant:
            not_meant.append(name)
    assert set(CHECKS) - set(not_meant) == {"is_documented", "names_its_files"}


def test_the_command_says_what_it_took_and_what_not(folder: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["import", str(folder), "-w", str(tmp_path / "ws"), "--name", "any"])
    assert done.exit_code == 0, done.output
    assert "any: 3 checkpoints (steps 0 to 20) of 8 parameters and 3 buffers" in done.output
    assert "passed over, no step in the name: best.pt" in done.output
    done = CliRunner().invoke(app, ["plan", "-w", str(tmp_path / "ws")])
    assert done.output.count("no model to run") == 1  # one line for all of them
    assert "they are made for other families" in done.output


# --- what people save ----------------------------------------------------------------------------------------------------------------------


def test_the_folders_of_trainers_shards_halves_and_tied_weights(tmp_path: Path) -> None:
    wte, mask = torch.randn(6, 4), torch.tril(torch.ones(1, 1, 3, 3))
    theirs = {"transformer.wte.weight": wte, "h.0.attn.bias": mask, "h.0.mlp.c_fc.weight": torch.randn(4, 8).bfloat16(), "lm_head.weight": wte}
    for step in (500, 1000):
        own = tmp_path / "gpt2" / f"checkpoint-{step}"
        own.mkdir(parents=True)
        torch.save(theirs, own / "pytorch_model.bin")
        torch.save({"state": {}}, own / "optimizer.pt")
        (tmp_path / "sharded" / f"step_{step}").mkdir(parents=True)
        for i, name in enumerate(theirs, 1):
            shard = tmp_path / "sharded" / f"step_{step}" / f"model-{i:05d}-of-00004.safetensors"
            save_file({name: theirs[name].contiguous()}, shard)
    workspace = Workspace(tmp_path / "ws")
    run = workspace.import_run(tmp_path / "gpt2")
    assert run.steps == (500, 1000)
    assert list(run.family.parameters()) == ["transformer.wte.weight", "h.0.mlp.c_fc.weight"]
    assert list(run.family.buffers()) == ["h.0.attn.bias", "lm_head.weight"]
    assert run.weights(500)["h.0.mlp.c_fc.weight"].dtype == torch.float32
    assert torch.equal(run.weights(500)["h.0.mlp.c_fc.weight"], theirs["h.0.mlp.c_fc.weight"].float())
    assert workspace.import_run(tmp_path / "sharded").steps == (500, 1000)
    assert workspace.import_run(tmp_path / "gpt2" / "checkpoint-500", name="one").steps == (500,)


HISTORY = [
    {"epoch": 0.5, "grad_norm": 2.5, "learning_rate": 5e-05, "loss": 3.25, "step": 250},
    {"epoch": 1.0, "grad_norm": float("nan"), "learning_rate": 4e-05, "loss": 2.5, "step": 500},
    {"epoch": 1.0, "eval_loss": 2.75, "eval_f1": 0.5, "eval_runtime": 1.2, "eval_samples_per_second": 9.0, "step": 500},
]
LATER = [{"epoch": 2.0, "learning_rate": 3e-05, "loss": 1.5, "step": 1000}, {"eval_loss": 2.0, "eval_accuracy": 0.75, "epoch": 2.0, "step": 1000}]
SUMMARY = {"epoch": 2.0, "step": 1000, "total_flos": 1e12, "train_loss": 2.4, "train_runtime": 60.0, "train_steps_per_second": 16.0}


def trainer_output(folder: Path, *, shards: bool = False) -> Path:
    """As the Hugging Face Trainer leaves it: a folder per checkpoint with the history until then."""
    for step, history in ((500, HISTORY), (1000, HISTORY + LATER)):
        own = folder / f"checkpoint-{step}"
        own.mkdir(parents=True)
        tensors = {"wte.weight": torch.full((6, 4), step / 500), "ln_f.bias": torch.ones(4)}
        parts = [{name: tensor} for name, tensor in tensors.items()] if shards else [tensors]
        for i, part in enumerate(parts, 1):
            save_file(part, own / ("model.safetensors" if not shards else f"model-{i:05d}-of-00002.safetensors"))
        if shards:
            names = {name: f"model-{i:05d}-of-00002.safetensors" for i, name in enumerate(tensors, 1)}
            (own / "model.safetensors.index.json").write_text(json.dumps({"metadata": {"total_size": 112}, "weight_map": names}))
        torch.save({}, own / "optimizer.pt")
        (own / "trainer_state.json").write_text(json.dumps({"global_step": step, "log_history": history}))
    return folder


def test_a_trainers_history_becomes_metrics_without_a_forward(tmp_path: Path) -> None:
    folder = trainer_output(tmp_path / "out")
    workspace = Workspace(tmp_path / "ws")
    metrics = workspace.import_run(folder, name="run").metrics
    assert metrics["step"].tolist() == [250, 500, 1000]
    assert metrics["train_loss"].tolist() == [3.25, 2.5, 1.5]  # not the mean over all of training
    assert metrics["test_loss"].tolist()[1:] == [2.75, 2.0]
    assert metrics["test_accuracy"].tolist()[2] == 0.75
    assert metrics["lr"].tolist() == [5e-05, 4e-05, 3e-05]
    assert (metrics["grad_norm"][0], np.isnan(metrics["grad_norm"][1]), metrics["eval_f1"][1]) == (2.5, True, 0.5)
    assert not [c for c in metrics if "runtime" in c or "per_second" in c or "flos" in c]
    assert drawn_series(workspace, "run") == {"train", "test"}
    (folder / "trainer_state.json").write_text(json.dumps({"log_history": [*HISTORY, *LATER, SUMMARY, {"loss": 1.25, "step": 1200}]}))
    assert workspace.import_run(folder, name="whole").metrics["train_loss"].tolist() == [3.25, 2.5, 1.5, 1.25]
    csv = tmp_path / "mine.csv"
    csv.write_text("step,train_loss\n500,9.0\n")
    assert workspace.import_run(folder, name="both", metrics=csv).metrics["train_loss"].tolist() == [3.25, 9.0, 1.5, 1.25]


def drawn_series(workspace: Workspace, run: str) -> set[str]:
    return {row["series"] for row in workspace.view("loss_curves", run).chart.to_dict()["datasets"]["lines"]}


def test_shards_are_those_of_the_index_and_all_of_them(tmp_path: Path) -> None:
    folder = trainer_output(tmp_path / "out", shards=True)
    save_file({"stray": torch.ones(1)}, folder / "checkpoint-500" / "model-00003-of-00003.safetensors")
    workspace = Workspace(tmp_path / "ws")
    run = workspace.import_run(folder)
    assert (list(run.family.parameters()), run.weights(1000)["wte.weight"][0, 0].item()) == (["wte.weight", "ln_f.bias"], 2.0)
    (folder / "checkpoint-1000" / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(StrobeError, match=r"checkpoint-1000 holds model without model-00002-of-00002.safetensors: the checkpoint is not whole"):
        workspace.import_run(folder, name="again")
    (folder / "checkpoint-1000" / "model.safetensors.index.json").unlink()
    with pytest.raises(StrobeError, match=r"1 of 2 shards"):
        workspace.import_run(folder, name="again")


def test_a_state_that_is_no_trainers_says_which_file(tmp_path: Path) -> None:
    folder = trainer_output(tmp_path / "out")
    (folder / "checkpoint-1000" / "trainer_state.json").write_text('{"log_history": {"loss": 1}}')
    with pytest.raises(StrobeError, match=r"checkpoint-1000.trainer_state.json has no list `log_history`"):
        Workspace(tmp_path / "ws").import_run(folder)


def test_checkpoints_with_and_without_the_second_name_of_tied_weights_are_one_run(tmp_path: Path) -> None:
    wte = torch.randn(6, 4)
    (tmp_path / "tied").mkdir()
    torch.save({"wte.weight": wte, "head": wte}, tmp_path / "tied" / "step_1.pt")
    save_file({"wte.weight": wte + 1}, tmp_path / "tied" / "step_2.safetensors")
    run = Workspace(tmp_path / "ws").import_run(tmp_path / "tied")
    assert (run.steps, list(run.family.buffers())) == ((1, 2), ["head"])
    many = {f"block{i:03d}": torch.ones(1) for i in range(200)}
    torch.save(many, tmp_path / "tied" / "step_3.pt")
    with pytest.raises(StrobeError, match=r"tensor wte.weight \(6, 4\) is missing; there are: block000.* and 181 more; the tensors of a run are"):
        Workspace(tmp_path / "ws").import_run(tmp_path / "tied", name="again")


def test_several_models_in_one_file_keep_their_keys(tmp_path: Path) -> None:
    (tmp_path / "gan").mkdir()
    both = {"generator": nn.Linear(2, 3).state_dict(), "discriminator": nn.Linear(3, 1).state_dict(), "logs": {"loss": torch.tensor(1.0)}}
    torch.save({**both, "optim_g": {"w": torch.ones(2)}}, tmp_path / "gan" / "it_1.pth")
    run = Workspace(tmp_path / "ws").import_run(tmp_path / "gan")
    assert list(run.family.parameters()) == ["generator.weight", "generator.bias", "discriminator.weight", "discriminator.bias"]


def test_checkpoints_of_two_models_are_no_run(tmp_path: Path) -> None:
    (tmp_path / "mixed").mkdir()
    for step, width in ((0, 3), (1, 4)):
        torch.save(nn.Linear(2, width).state_dict(), tmp_path / "mixed" / f"m-{step}.pt")
    with pytest.raises(StrobeError, match=r"m-1.pt: tensor weight has shape \(4, 2\), expected \(3, 2\).*those of its first checkpoint, m-0.pt"):
        Workspace(tmp_path / "ws").import_run(tmp_path / "mixed")


def test_embeddings_of_positions_are_matrices_and_single_tokens_are_not() -> None:
    weights = Weights(
        {"pos": torch.randn(1, 5, 4), "cls": torch.randn(1, 1, 4), "conv": torch.randn(2, 3, 3, 3), "n": torch.tensor(1)}, buffers=("n",)
    )
    assert {name: tuple(m.shape) for name, m in weights.matrices()} == {"pos": (5, 4), "conv": (27, 2)}
    assert weights.named() == ["pos", "cls", "conv"]
    assert weights.view().named() == ["pos", "cls", "conv"]


# --- a module as a family ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
def test_it_keeps_to_what_a_family_must(mine: Any, check: Any) -> None:
    check(Subject(mine))


def test_activations_are_those_of_a_hook_and_logits_those_of_the_module(ws: Workspace, folder: Path, mine: Any) -> None:
    net, family, seen = at(folder, mine, 20), mine(), {}
    for name, module in net.named_modules():
        module.register_forward_hook(lambda _, __, out, name=name: seen.update({name: out.detach()}))
    inputs, _ = family.data()
    expected = net(inputs)
    tap = Tap({site: frozenset({Positions()}) for site in family.sites()}, stop=False)
    with torch.inference_mode():
        logits = family.forward(ws.run("whole").weights(20), inputs, tap)
    torch.testing.assert_close(logits, expected)
    torch.testing.assert_close(tap.captured["blocks.0.mlp.post", Positions()], seen["6"][:, None])
    torch.testing.assert_close(tap.captured["0", Positions()], seen["0"].flatten(2).transpose(1, 2))  # an image: places are positions
    loss = ws.table("loss_and_accuracy", runs="whole", steps=20).set_index("split")["loss"]["all"]
    assert loss == pytest.approx(nn.functional.cross_entropy(expected.double(), family.data()[1]).item(), rel=1e-5)


def test_a_forward_stops_early_and_hooks_are_gone_after_it(mine: Any) -> None:
    family = mine()
    last = family._model.module[8]
    with pytest.raises(Stop):
        family.forward(family.initial(), family.data()[0], Tap({"0": frozenset({Last()})}))
    assert not any(m._forward_hooks for m in family._model.module.modules())
    assert torch.equal(family.initial()["8.weight"], last.weight)  # the module has its own tensors again


def test_gradients_leave_buffers_alone(mine: Any) -> None:
    from strobe.testing.fixtures import loss
    from strobe.testing.tiny import tiny_run

    landscape: Loss = loss(tiny_run(mine()))
    assert set(landscape.weights) == set(mine().parameters())
    assert landscape.double()("train") == pytest.approx(landscape("train"), rel=1e-6)


def test_it_is_trained_and_goes_on_with_the_same_bits(mine: Any, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "ws")
    part = workspace.train(f"{MINE}:Mine", name="part", training={"epochs": 4, "schedule": "every:2"})
    whole = workspace.train("mine", name="whole", training={"epochs": 8, "schedule": "every:2"})
    part = Workspace(tmp_path / "ws").train("part", training={"epochs": 8})  # another process finds the family by its name
    assert all(torch.equal(whole.weights(8)[n], part.weights(8)[n]) for n in whole.weights(8))
    assert not torch.equal(whole.weights(8)["0.weight"], whole.weights(0)["0.weight"])
    assert [whole.weights(step)["1.num_batches_tracked"].item() for step in whole.steps] == [0, 2, 4, 6, 8]
    assert not torch.equal(whole.weights(2)["1.running_var"], whole.weights(4)["1.running_var"])
    assert whole.metrics["train_loss"].notna().any()
    assert whole.metrics["batch_loss"].notna().all()
    assert workspace.train("part", add="at:3").steps == (0, 2, 3, 4, 6, 8)  # trained again: bitwise what is stored, buffers too
    analyzed = workspace.analyze(whole, ["loss_and_accuracy"])
    assert analyzed.failures == []
    losses = workspace.table("loss_and_accuracy", runs=whole).query("split == 'train'").set_index("step")["loss"]
    assert losses[8] == pytest.approx(whole.metrics.set_index("step")["train_loss"][8], rel=1e-6)  # in eval mode, with its statistics


def test_an_update_is_that_of_the_module_in_train_mode(mine: Any, tmp_path: Path) -> None:
    settings = {"epochs": 1, "optimizer": "sgd", "betas": (0.0, 0.9), "weight_decay": 0.0, "warmup": 0, "lr": 0.1, "batch_size": None}
    run = Workspace(tmp_path / "ws").train(f"{MINE}:Mine", training={**settings, "loss_dtype": "float32", "batch_seed": 3})
    net, rows = mine().build().train(), run.split["train"]
    net.load_state_dict({n: run.weights(0)[n] for n in net.state_dict()})
    inputs, targets = mine().data()
    torch.manual_seed(3 * 1_000_003)  # what is drawn depends on the seed and the step
    nn.functional.cross_entropy(net(inputs.float()[rows]), targets[rows]).backward()
    for name, p in net.named_parameters():
        torch.testing.assert_close(run.weights(1)[name], (p - 0.1 * p.grad).detach(), rtol=0, atol=1e-7)
    for name, b in net.named_buffers():
        torch.testing.assert_close(run.weights(1)[name], b)


def test_train_mode_leaves_weights_module_and_randomness_as_they_were(mine: Any) -> None:
    family, inputs = mine(), mine().data()[0]
    weights = family.initial()
    before, state = {n: t.clone() for n, t in weights.items()}, torch.get_rng_state()
    one, buffers = family.training_forward(weights, inputs, 7)
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(weights[n], t) for n, t in before.items())
    assert {n: t.item() for n, t in buffers.items() if not t.ndim} == {"1.num_batches_tracked": 1}
    assert torch.equal(one, family.training_forward(weights, inputs, 7)[0])
    assert not torch.equal(one, family.training_forward(weights, inputs, 8)[0])
    assert torch.equal(family.forward(weights, inputs, Tap()), family.forward(weights, inputs, Tap()))
    assert not torch.equal(one, family.forward(weights, inputs, Tap()))


def test_eval_mode_is_still_there_and_families_without_train_mode_say_so(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "ws")
    run = workspace.train(f"{MINE}:Mine", training={"epochs": 2, "mode": "eval"})
    assert torch.equal(run.weights(2)["1.running_var"], torch.ones(4))
    assert run.name != workspace.train("mine", training={"epochs": 2}).name
    with pytest.raises(StrobeError, match=r"family ModularMLP has no train mode.*mode=eval"):
        workspace.train("modular_mlp", training={"epochs": 1, "mode": "train"}, p=7, d_mlp=4)
    assert len(workspace.runs()) == 2


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(5, 8)
        self.positions = nn.Embedding(4, 8)
        self.register_buffer("mask", nn.Transformer.generate_square_subsequent_mask(4), persistent=False)
        self.encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, dropout=0.1), 2, enable_nested_tensor=False)
        self.out = nn.Linear(8, 5, bias=False)
        self.out.weight = self.embed.weight

    def forward(self, tokens: torch.Tensor) -> dict[str, torch.Tensor]:
        x = (self.embed(tokens) + self.positions(torch.arange(4))).transpose(0, 1)  # [pos, batch, d], as PyTorch has it by default
        return {"logits": self.out(self.encoder(x, mask=self.mask)).transpose(0, 1)}


class Sums(ModuleFamily):
    """The last of four tokens, from those before."""

    site_names = {"blocks.*.resid_post": "encoder.layers.*", "embed": "embed"}

    def build(self) -> nn.Module:
        return Encoder()

    def data(self) -> Any:
        tokens = torch.randint(5, (24, 4), generator=torch.Generator().manual_seed(0))
        return {"train": (tokens[:16], tokens[:16].sum(1) % 5), "test": (tokens[16:], tokens[16:].sum(1) % 5)}


def test_a_transformer_with_its_batch_second_and_tied_weights(tmp_path: Path) -> None:
    family = Sums()
    for check in CHECKS.values():
        check(Subject(family))
    assert family.sites()["blocks.1.resid_post"] == ("batch", 4, 8)
    assert "positions" not in family.sites()  # the same for every input
    assert "out.weight" not in family.parameters()
    assert {n: len(i) for n, i in family.split().items()} == {"train": 16, "test": 8}
    net, seen = family.build().eval(), {}
    net.encoder.layers[1].register_forward_hook(lambda _, __, out: seen.update(out=out.detach()))
    tokens = family.data()["train"][0]
    expected = net(tokens)["logits"][:, -1]
    tap = Tap({"blocks.1.resid_post": frozenset({Last()})}, stop=False)
    (tmp_path / "theirs").mkdir()
    torch.save({"state_dict": {f"model.{n}": t for n, t in net.state_dict().items()}}, tmp_path / "theirs" / "epoch=1-step=7.ckpt")
    workspace = Workspace(tmp_path / "ws")
    run = workspace.import_run(tmp_path / "theirs", Sums)
    torch.testing.assert_close(run.family.forward(run.weights(7), tokens, tap), expected)
    torch.testing.assert_close(tap.captured["blocks.1.resid_post", Last()], seen["out"][-1])
    assert workspace.analyze(run, ["activation_rank", "neural_collapse", "loss_and_accuracy"]).failures == []


# --- what can be wrong ---------------------------------------------------------------------------------------------------------------------


def wrong(**members: Any) -> Any:
    """A family of one linear layer, something of which is as given."""
    made = {"build": lambda self: nn.Sequential(nn.Linear(4, 3)), "data": lambda self: (torch.randn(6, 4), torch.arange(6) % 3)}
    return type("Wrong", (ModuleFamily,), {"__module__": __name__, "__annotations__": {}, **made, **members})()


class Odd(nn.Linear):
    def forward(self, x: torch.Tensor) -> Any:
        return "no tensor"


MISTAKES = {
    "no such submodule": (
        {"site_names": {"blocks.0.mlp.post": "1"}},
        r"site_names: 'blocks.0.mlp.post' is said to be '1', and build\(\) has no such",
    ),
    "no module": ({"build": lambda self: nn.Linear(4, 3).state_dict()}, r"build\(\) returned a OrderedDict"),
    "no tensor": ({"build": lambda self: Odd(4, 3)}, r"the module returns a str; override `logits\(self, output\)`"),
    "next tokens": ({"data": lambda self: (torch.zeros(6, 4), torch.zeros(6, 4).long())}, r"give the token after the last, targets\[:, -1\]"),
    "too many classes": ({"data": lambda self: (torch.randn(6, 4), torch.arange(6))}, "targets go up to 5, and the module answers 3 classes"),
    "no pair": ({"data": lambda self: torch.randn(6, 4)}, r"data\(\) returned a Tensor; return \(inputs, targets\)"),
    "no training part": ({"data": lambda self: {"test": (torch.randn(6, 4), torch.arange(6))}}, "gives the parts test, and no 'train'"),
    "an image": ({"build": lambda self: nn.Sequential(nn.Linear(4, 4), nn.Unflatten(1, (2, 2, 1)))}, r"answers \[2, 2, 2, 1\] for 2 inputs"),
}


@pytest.mark.parametrize("what", MISTAKES)
def test_a_mistake_is_said_with_what_to_write(what: str) -> None:
    members, message = MISTAKES[what]
    with pytest.raises(StrobeError, match=message):
        wrong(**members).sites()


def test_checkpoints_of_another_module_name_the_tensor(folder: Path, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "ws")
    with pytest.raises(StrobeError, match=r"step_000.pt: tensor 5.weight has shape \(8, 16\), expected \(9, 16\).*--set"):
        workspace.import_run(folder, f"{MINE}:Mine", hidden=9)
    with pytest.raises(StrobeError, match="defines no 'Nine'"):
        workspace.import_run(folder, f"{MINE}:Nine")
    with pytest.raises(StrobeError, match=r"is no plugin class.*of a torch module, derive a strobe.ModuleFamily"):
        workspace.import_run(folder, f"{MINE}:Net")
    assert not (tmp_path / "ws" / "runs").exists()
