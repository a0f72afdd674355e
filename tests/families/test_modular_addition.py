"""`modular_addition`: three implementations that agree, sites as declared, data, validation, foreign checkpoints, real losses."""

from __future__ import annotations

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from strobe import Last, Positions, StrobeError, Tap, Weights
from strobe.sites import Stop, select
from strobe_families.modular_addition import ModularAddition

SMALL = {"p": 7, "d_model": 12, "n_heads": 3, "d_mlp": 10}
VARIANTS = [
    SMALL,
    {**SMALL, "p": 5, "seed": 3, "activation": "gelu"},
    {**SMALL, "p": 11, "n_heads": 1, "activation": "square"},
    {"p": 113},
    {**SMALL, "n_layers": 2},
    {**SMALL, "n_layers": 3, "activation": "square"},
]
ONE_LAYER = [variant for variant in VARIANTS if "n_layers" not in variant]


def weights_of(family: ModularAddition) -> dict[str, torch.Tensor]:
    """Initial weights with biases that are not zero, so that no path can forget one."""
    generator = torch.Generator().manual_seed(1)
    return {n: t + 0.1 * torch.randn(t.shape, generator=generator) if ".b_" in n else t for n, t in family.initial().items()}


def grid(family: ModularAddition) -> torch.Tensor:
    return family.probes(family.split())["grid"]().inputs


def every_site(family: ModularAddition, where: Positions) -> dict[str, frozenset[Positions]]:
    return {site: frozenset({where}) for site in family.sites()}


def capture(family: ModularAddition, weights: dict[str, torch.Tensor], inputs: torch.Tensor, where: Positions) -> dict[str, torch.Tensor]:
    tap = Tap(every_site(family, where), stop=False)
    family.forward(weights, inputs, tap)
    return {site: tensor for (site, _), tensor in tap.captured.items()}


def plain_logits(family: ModularAddition, weights: dict[str, torch.Tensor], inputs: torch.Tensor) -> torch.Tensor:
    """Wanting all positions of anything rules the structured path out."""
    return family.forward(weights, inputs, Tap({"embed": frozenset({Positions()})}, stop=False))


def close(a: torch.Tensor, b: torch.Tensor) -> None:
    torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("parameters", VARIANTS, ids=str)
def test_forward_plain_and_module_agree(parameters: dict) -> None:
    family = ModularAddition(**parameters)
    weights, inputs, module = weights_of(family), grid(family), family.build()
    module.load_state_dict(weights)
    fast = family.forward(weights, inputs, Tap())
    assert fast.shape == (family.p**2, family.p)
    close(fast, plain_logits(family, weights, inputs))
    close(fast, module(inputs)[:, -1])


@pytest.mark.parametrize("parameters", ONE_LAYER, ids=str)
def test_every_query_of_the_pattern_is_had_without_the_plain_path(parameters: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    """What analyzers of attention want beside the last position of everything else."""
    family, site = ModularAddition(**parameters), "blocks.0.attn.pattern"
    weights, inputs = weights_of(family), grid(family)
    inputs = inputs[torch.randperm(len(inputs), generator=torch.Generator().manual_seed(0))]
    plain = Tap({site: frozenset({Positions()}), "blocks.0.attn.scores": frozenset({Positions()})}, stop=False)
    family.forward(weights, inputs, plain)
    monkeypatch.setattr("strobe_families.plain.forward", None)
    tap = Tap({site: frozenset({Positions(), Last()}), "logits": frozenset({Last()})}, stop=False)
    logits = family.forward(weights, inputs, tap)
    close(tap.captured[site, Positions()], plain.captured[site, Positions()])
    assert torch.equal(tap.captured[site, Last()], tap.captured[site, Positions()][:, :, -1:])
    assert torch.equal(logits, family.forward(weights, inputs, Tap()))


@pytest.mark.parametrize("parameters", [variant for variant in VARIANTS if variant != {"p": 113}], ids=str)
def test_every_site_is_the_modules_and_has_its_declared_shape(parameters: dict) -> None:
    family = ModularAddition(**parameters)
    weights, inputs, module = weights_of(family), grid(family), family.build()
    module.load_state_dict(weights)
    cache = module.run_with_cache(inputs)[1]
    everywhere, at_last = capture(family, weights, inputs, Positions()), capture(family, weights, inputs, Last())
    sizes = {"batch": family.p**2, "pos": 3, "query": 3, "key": 3}
    assert list(everywhere) == list(at_last) == list(family.sites()), "declared in the order the forward reaches them"
    for site, shape in family.sites().items():
        assert everywhere[site].shape == tuple(sizes.get(size, size) for size in shape), site
        close(everywhere[site], cache[site])
        close(at_last[site], select(site, cache[site], Last()))


@settings(max_examples=30)
@given(st.data())
def test_any_tokens_in_any_order(data: st.DataObject) -> None:
    """Grid triples take the structured path, all others the plain one; nobody can tell."""
    family = ModularAddition(**SMALL)
    last = data.draw(st.sampled_from([st.just(7), st.integers(0, 7)]))
    residue = data.draw(st.sampled_from([st.integers(0, 6), st.integers(0, 7)]))
    inputs = torch.tensor(data.draw(st.lists(st.tuples(residue, residue, last), min_size=1, max_size=9)))
    weights = weights_of(family)
    close(family.forward(weights, inputs, Tap()), plain_logits(family, weights, inputs))


@pytest.mark.parametrize("where", [Last(), Positions()], ids=str)
def test_attention_rows_sum_to_one_and_see_no_later_token(where: Positions) -> None:
    family = ModularAddition(**SMALL)
    pattern = capture(family, weights_of(family), grid(family), where)["blocks.0.attn.pattern"]
    close(pattern.sum(-1), torch.ones(pattern.shape[:-1]))
    assert pattern.shape[2] == 3 or where == Last()
    assert pattern.shape[2] == 1 or not pattern.triu(1).any()


@pytest.mark.parametrize("parameters", ONE_LAYER, ids=str)
def test_gradients_agree(parameters: dict) -> None:
    family = ModularAddition(**parameters)
    generator = torch.Generator().manual_seed(0)
    inputs = grid(family)[torch.randperm(family.p**2, generator=generator)[:200]]  # repeats of a and of b: their gradients must add up
    targets = (inputs[:, 0] + inputs[:, 1]) % family.p

    def gradients(forward: object) -> dict[str, torch.Tensor]:
        leaves = {name: tensor.clone().requires_grad_() for name, tensor in weights_of(family).items()}
        loss = family.loss(forward(leaves).double(), targets).mean()  # type: ignore[operator]
        return dict(zip(leaves, torch.autograd.grad(loss, list(leaves.values())), strict=True))

    fast = gradients(lambda leaves: family.forward(leaves, inputs, Tap()))
    plain = gradients(lambda leaves: plain_logits(family, leaves, inputs))
    for name in fast:
        close(fast[name], plain[name])
        assert fast[name].any(), name


def test_hessian_vector_products_agree() -> None:
    """The structured path can be differentiated twice, as landscape analyzers need."""
    family = ModularAddition(**SMALL, activation="gelu")

    def product(forward: object) -> list[torch.Tensor]:
        leaves = {name: tensor.clone().requires_grad_() for name, tensor in weights_of(family).items()}
        inputs = grid(family)
        loss = family.loss(forward(leaves, inputs).double(), (inputs[:, 0] + inputs[:, 1]) % family.p).mean()  # type: ignore[operator]
        first = torch.autograd.grad(loss, list(leaves.values()), create_graph=True)
        return list(torch.autograd.grad(sum(g.sum() for g in first), list(leaves.values())))

    fast, plain = product(lambda w, x: family.forward(w, x, Tap())), product(lambda w, x: plain_logits(family, w, x))
    for a, b in zip(fast, plain, strict=True):
        close(a, b)


@pytest.mark.parametrize("where", [Last(), Positions()], ids=str)
def test_stops_after_the_last_needed_site(where: Positions) -> None:
    family = ModularAddition(**SMALL)
    weights = {name: t for name, t in weights_of(family).items() if ".mlp." not in name and "unembed" not in name}
    tap = Tap({"blocks.0.attn.pattern": frozenset({where})})
    with pytest.raises(Stop):
        family.forward(weights, grid(family), tap)
    assert [site for site, _ in tap.captured] == ["blocks.0.attn.pattern"]


def test_what_one_asks_for_does_not_move_anothers_last_bit() -> None:
    family = ModularAddition()
    weights, inputs = weights_of(family), grid(family)
    logits = family.forward(weights, inputs, Tap())
    together = capture(family, weights, inputs, Last())
    assert torch.equal(together["logits"], logits)
    tap = Tap({"blocks.0.mlp.pre": frozenset({Last()})}, stop=False)
    family.forward(weights, inputs, tap)
    assert torch.equal(tap.captured["blocks.0.mlp.pre", Last()], together["blocks.0.mlp.pre"])
    assert (together["blocks.0.mlp.pre"] < 0).any(), "captured before relu overwrites it"


def test_a_class_for_equals_is_dropped_everywhere() -> None:
    family = ModularAddition(**SMALL)
    weights, inputs, module = weights_of(family), grid(family), family.build()
    expected = family.forward(weights, inputs, Tap())
    wide = {**weights, "unembed.W_U": torch.cat([weights["unembed.W_U"], torch.full((12, 1), 9.0)], 1)}
    module.load_state_dict(wide)
    close(family.forward(wide, inputs, Tap()), expected)
    close(plain_logits(family, wide, inputs), expected)
    close(module(inputs)[:, -1], expected)
    assert family.problems({name: tuple(t.shape) for name, t in wide.items()}) == []


def test_problems_name_tensor_and_both_shapes() -> None:
    family = ModularAddition(**SMALL)
    shapes = {**family.parameters(), "unembed.W_U": (12, 9)}
    del shapes["blocks.0.mlp.b_in"]
    missing, misshapen = family.problems(shapes)
    assert "blocks.0.mlp.b_in" in missing
    assert "(12, 9)" in misshapen
    assert "(12, 7)" in misshapen


def test_reads_checkpoints_without_loading_a_module() -> None:
    family = ModularAddition(**SMALL)
    weights = Weights(family.initial())
    with torch.inference_mode():
        logits = family.forward(weights, grid(family), Tap())
    close(logits.clone(), family.build()(grid(family))[:, -1].detach())


def test_initial_weights_are_those_of_the_reference_run(data) -> None:
    """Drawn from the same seed by other code: equal to the last bit."""
    theirs = Weights.open(data / "modadd_p113_seed999" / "epoch_00000.safetensors")
    ours = ModularAddition(seed=999).initial()
    assert set(ours) == set(theirs)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert not torch.equal(ModularAddition(seed=0).initial()["embed.W_E"], ours["embed.W_E"])


def test_split_is_that_of_the_reference_run(data) -> None:
    theirs = Weights.open(data / "modadd_p113_seed999" / "losses.safetensors")["train_index"]
    split = ModularAddition(data_seed=598).split()
    assert torch.equal(split["train"], theirs.long())
    assert torch.cat([split["train"], split["test"]]).sort().values.equal(torch.arange(113**2))
    assert len(split["train"]) == 3830


@pytest.mark.parametrize("step", [0, 5000, 5500, 25000])
def test_losses_of_real_checkpoints(data, step: int) -> None:
    family, folder = ModularAddition(), data / "modadd_p113_seed999"
    probe = family.probes(family.split())["grid"]()
    weights = Weights.open(folder / f"epoch_{step:05d}.safetensors")
    with torch.inference_mode():
        losses = family.loss(family.forward(weights, probe.inputs, Tap()).double(), probe.targets)
    expected = json.loads((folder / "reference.json").read_text())[str(step)]["loss"]
    for name, mask in probe.splits.items():
        assert losses[mask].mean().item() == pytest.approx(expected[name], rel=2e-6)  # a float32 forward


def test_grid() -> None:
    family = ModularAddition(**SMALL)
    split = family.split()
    probe = family.probes(split)["grid"]()
    assert probe.inputs.dtype == torch.int64
    assert probe.inputs[7 * 2 + 6].tolist() == [2, 6, 7]
    assert probe.targets[7 * 2 + 6] == 1
    assert (probe.splits["train"] ^ probe.splits["test"]).all()
    assert probe.splits["train"].nonzero()[:, 0].equal(split["train"].sort().values)
    assert probe.table.iloc[7 * 2 + 6].to_dict() == {"a": 2, "b": 6, "target": 1}


@pytest.mark.parametrize(("token", "row", "position"), [(8, 2, 1), (-1, 0, 2), (113, 4, 0)])
def test_tokens_out_of_range(token: int, row: int, position: int) -> None:
    family = ModularAddition(**SMALL)
    inputs = grid(family)
    inputs[row, position] = token
    with pytest.raises(StrobeError, match=rf"modular_addition: token {token} at input {row}, position {position} .*0\.\.7 with p=7"):
        family.forward(family.initial(), inputs, Tap())


def test_inputs_of_another_length() -> None:
    with pytest.raises(StrobeError, match=r"\[4, 2\], expected \[batch, 3\]"):
        ModularAddition(**SMALL).forward({}, torch.zeros(4, 2, dtype=torch.int64), Tap())


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"d_model": 130}, "d_model=130 must be a multiple of n_heads=4: try d_model=128 or 132"),
        ({"d_model": 2}, "d_model=2 must be a multiple of n_heads=4: try d_model=4"),
        ({"p": 3, "fraction": 0.1}, "nothing to train on"),
        ({"p": 2}, "greater than or equal to 3"),
        ({"fraction": 1.1}, "less than or equal to 1"),
        ({"activation": "tanh"}, "'relu', 'gelu' or 'square'"),
        ({"heads": 4}, "Extra inputs"),
    ],
)
def test_parameters_are_checked(parameters: dict, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ModularAddition(**parameters)


def test_identity_tells_the_compute_path() -> None:
    assert ModularAddition().identity()["compute_path"] == "structured"
    assert ModularAddition(n_layers=2).identity()["compute_path"] == "plain"
    assert ModularAddition(seed=1).identity() != ModularAddition(seed=2).identity()
    assert ModularAddition(data_seed=1).identity() != ModularAddition(data_seed=2).identity()


def test_checkpoints_of_the_progress_measures_code() -> None:
    """Its transformers.py keeps weights as (out, in) and heads as (head, d_head, d_model)."""
    family = ModularAddition(**SMALL)
    weights = weights_of(family)
    turned = {
        n: t.flatten(0, 1).T if n.endswith("W_O") else t.mT if n.endswith(("W_E", "W_Q", "W_K", "W_V", "W_in", "W_out")) else t
        for n, t in weights.items()
    }
    loaded = family.load({**turned, "blocks.0.attn.mask": torch.ones(3, 3)})
    assert set(loaded) == set(weights)
    assert all(torch.equal(loaded[name], weights[name]) for name in weights)


def test_checkpoints_of_transformer_lens() -> None:
    family = ModularAddition(**SMALL)
    weights = weights_of(family)
    zero = {f"blocks.0.attn.b_{x}": torch.zeros(3, 4) for x in "QKV"} | {"blocks.0.attn.b_O": torch.zeros(12), "unembed.b_U": torch.zeros(7)}
    buffers = {"blocks.0.attn.mask": torch.ones(3, 3).bool(), "blocks.0.attn.IGNORE": torch.tensor(-torch.inf)}
    loaded = family.load({**weights, **zero, **buffers, "extra": torch.ones(1)})
    assert set(loaded) == {*weights, "extra"}
    assert all(torch.equal(loaded[name], weights[name]) for name in weights)


def test_a_trained_bias_that_the_family_lacks_is_refused() -> None:
    family = ModularAddition(**SMALL)
    with pytest.raises(StrobeError, match=r"blocks\.0\.attn\.b_Q: the checkpoint has a trained bias \(largest value 0\.5\)"):
        family.load({**family.initial(), "blocks.0.attn.b_Q": torch.full((3, 4), 0.5)})
