"""`modular_mlp`: forward, module and sites agree; Gromov's closed form; what it trains to; which analyzers apply to it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from strobe import Activations, Checkpoints, Context, Last, Outputs, Positions, StrobeError, Tap, Training, Weights, Workspace, maths
from strobe.reports.files import load
from strobe.schema import to_arrow
from strobe.sites import Stop, select
from strobe.training.loop import Evaluated, train
from strobe_analyzers.dominant_frequencies import DominantFrequencies
from strobe_analyzers.key_frequencies import KeyFrequencies
from strobe_analyzers.loss_and_accuracy import LossAndAccuracy
from strobe_analyzers.neuron_frequency import NeuronFrequency
from strobe_analyzers.token_views import token_views
from strobe_families.modular_mlp import ModularMLP

SMALL = {"p": 7, "d_model": 6, "d_mlp": 10}
VARIANTS = [
    {**SMALL},
    {**SMALL, "activation": "relu", "seed": 3},
    {**SMALL, "inputs": "summed", "activation": "relu"},
    {**SMALL, "inputs": "concatenated", "activation": "gelu", "p": 11},
    {**SMALL, "inputs": "concatenated", "d_model": 7},  # d_model = p
    {"p": 113},
]


def weights_of(family: ModularMLP) -> dict[str, torch.Tensor]:
    """Initial weights with biases that are not zero, so that no path can forget one."""
    generator = torch.Generator().manual_seed(1)
    return {n: t + 0.1 * torch.randn(t.shape, generator=generator) if ".b_" in n else t for n, t in family.initial().items()}


def grid(family: ModularMLP) -> torch.Tensor:
    return family.probes(family.split())["grid"]().inputs


def gromov(p: int, d_mlp: int, frequencies: list[int]) -> dict[str, torch.Tensor]:
    """The closed-form solution: neuron n has a frequency k and phases f, g: W_in = cos(2 pi k a/p + f), cos(2 pi k b/p + g), and
    W_U = cos(2 pi k c/p + f + g). Phases lie on a grid of 8 x 8, which cancels everything but the answer exactly."""
    x = torch.arange(p).double()
    k = torch.tensor(frequencies).repeat_interleave(d_mlp // len(frequencies)).double()
    n = torch.arange(d_mlp // len(frequencies)).repeat(len(frequencies))
    f, g = (n // 8) * 2 * math.pi / 8, (n % 8) * 2 * math.pi / 8
    wave = 2 * math.pi * x[:, None] * k / p
    inward = torch.cat([torch.cos(wave + f), torch.cos(wave + g)])
    outward = torch.cos(-wave - f - g).T
    return {"blocks.0.mlp.W_in": inward.float(), "unembed.W_U": outward.float()}


@pytest.mark.parametrize("parameters", VARIANTS, ids=str)
def test_forward_and_module_agree(parameters: dict) -> None:
    family = ModularMLP(**parameters)
    weights, inputs, module = weights_of(family), grid(family), family.build()
    assert {name: tuple(t.shape) for name, t in weights.items()} == family.parameters()
    assert set(module.state_dict()) == set(family.parameters())
    module.load_state_dict(weights)
    logits = family.forward(weights, inputs, Tap())
    assert logits.shape == (family.p**2, family.p)
    torch.testing.assert_close(logits, module(inputs), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("parameters", VARIANTS[:-1], ids=str)
def test_the_forward_for_a_gpu_has_the_same_logits_and_gradients(parameters: dict) -> None:
    family = ModularMLP(**parameters)
    inputs = grid(family)[family.split()["train"].repeat(2)]  # inputs may repeat
    weights = {name: tensor.double().requires_grad_() for name, tensor in weights_of(family).items()}
    both = family.fixed_forward(inputs)(weights), family.forward(weights, inputs, Tap())
    torch.testing.assert_close(*both, rtol=1e-10, atol=1e-10)
    gradients = [torch.autograd.grad(logits.square().sum(), list(weights.values())) for logits in both]
    torch.testing.assert_close(*gradients, rtol=1e-9, atol=1e-9)
    single = {name: tensor.detach().float() for name, tensor in weights.items()}
    torch.testing.assert_close(family.fixed_forward(inputs)(single), family.forward(single, inputs, Tap()), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("parameters", VARIANTS[:-1], ids=str)
@pytest.mark.parametrize("where", [Positions(), Last()], ids=str)
def test_every_site_is_the_modules_and_has_its_declared_shape(parameters: dict, where: Positions) -> None:
    family = ModularMLP(**parameters)
    weights, inputs, module = weights_of(family), grid(family), family.build()
    module.load_state_dict(weights)
    cache = module.run_with_cache(inputs)[1]
    tap = Tap({site: frozenset({where}) for site in family.sites()}, stop=False)
    logits = family.forward(weights, inputs, tap)
    assert [site for site, _ in tap.captured] == list(family.sites()) == list(cache)
    for site, shape in family.sites().items():
        named = {"batch": family.p**2, "pos": 2 if site == "embed" else 1}
        assert cache[site].shape == tuple(named.get(n, n) for n in shape), site
        torch.testing.assert_close(tap.captured[site, where], select(site, cache[site], where), rtol=1e-5, atol=1e-5)
    assert torch.equal(logits, family.forward(weights, inputs, Tap()))


def test_the_forward_stops_at_the_last_site_that_is_wanted() -> None:
    family = ModularMLP(**SMALL)
    tap = Tap({"blocks.0.mlp.pre": frozenset({Last()})})
    with pytest.raises(Stop):
        family.forward(family.initial(), grid(family), tap)


@settings(max_examples=20)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=9))
def test_any_pairs_in_any_order(pairs: list[tuple[int, int]]) -> None:
    family = ModularMLP(**SMALL, inputs="concatenated")
    weights, whole = weights_of(family), [a * 7 + b for a, b in pairs]
    logits = family.forward(weights, torch.tensor(pairs), Tap())
    torch.testing.assert_close(logits, family.forward(weights, grid(family), Tap())[whole], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        (torch.tensor([[0, 1], [2, 7]]), "modular_mlp: 7 at input 1, position 1 is out of range: residues are 0..6 with p=7"),
        (torch.tensor([[-1, 1]]), "modular_mlp: -1 at input 0, position 0"),
        (torch.zeros(4, 3, dtype=torch.int64), r"\[4, 3\], expected \[batch, 2\]"),
    ],
)
def test_inputs_that_are_no_pairs_of_residues(inputs: torch.Tensor, said: str) -> None:
    family = ModularMLP(**SMALL)
    with pytest.raises(StrobeError, match=said):
        family.forward(family.initial(), inputs, Tap())


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"p": 3, "fraction": 0.1}, "nothing to train on"),
        ({"inputs": "embedding"}, "'one_hot', 'concatenated' or 'summed'"),
        ({"objective": "l1"}, "'cross_entropy' or 'mse'"),
        ({"fraction": 0.0}, "greater than 0"),
        ({"n_heads": 4}, "Extra inputs"),
    ],
)
def test_parameters_are_checked(parameters: dict, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        ModularMLP(**parameters)


# --- Gromov's closed form ------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def closed() -> tuple[ModularMLP, dict[str, torch.Tensor]]:
    family = ModularMLP(p=31, d_mlp=15 * 64)
    return family, gromov(31, 15 * 64, list(range(1, 16)))


def test_the_closed_form_answers_everything(closed) -> None:
    family, weights = closed
    probe = family.probes(family.split())["grid"]()
    logits = family.forward(weights, probe.inputs, Tap())
    rows = list(LossAndAccuracy().analyze_outputs(Outputs(logits, probe.targets, probe.splits)))
    assert [row.accuracy for row in rows] == [1.0] * 3
    # 2 cos cos makes 64/4 * 2 per frequency and phase grid: 32 sum_k cos(2 pi k (a + b - c)/p), which is 32 * 15 at the answer and -16 elsewhere
    a, b = probe.inputs.T
    expected = torch.where((torch.arange(31) - (a + b)[:, None]) % 31 == 0, 480.0, -16.0)
    torch.testing.assert_close(logits, expected, atol=1e-2, rtol=0)


@pytest.mark.parametrize(("harmonics", "fraction"), [(1, 0.8), (2, 1.0)])
def test_a_squaring_neuron_holds_four_fifths_at_its_frequency_and_the_rest_at_twice_that(closed, harmonics: int, fraction: float) -> None:
    family, weights = closed
    probe = family.probes(family.split())["grid"]()
    tap = Tap({"blocks.0.mlp.post": frozenset({Last()})}, stop=False)
    family.forward(weights, probe.inputs, tap)
    activations = Activations({"blocks.0.mlp.post": tap.captured["blocks.0.mlp.post", Last()]})
    rows = list(NeuronFrequency(harmonics=harmonics).analyze_activations(activations, probe))
    assert [row.frequency for row in rows] == [k for k in range(1, 16) for _ in range(64)]
    assert [row.fraction for row in rows] == pytest.approx([fraction] * 960, abs=1e-6)


def test_frequencies_of_the_closed_form_are_read_off_its_weights() -> None:
    weights = Weights(gromov(31, 3 * 64, [2, 7, 11]))
    context = Context(family=ModularMLP(p=31, d_mlp=192))
    table = to_arrow(DominantFrequencies.Row, DominantFrequencies().analyze_weights(weights, context)).table.to_pandas()
    assert list(table["view"].unique()) == ["W_U", "W_in.a", "W_in.b", "W_L"]
    shares = table[table["frequency"] > 0].groupby(["view", "frequency"])["share"].sum()
    for view in table["view"].unique():
        assert shares[view][[2, 7, 11]].to_numpy() == pytest.approx([1 / 3] * 3, abs=1e-6)
    keys = KeyFrequencies().analyze_trajectory(Checkpoints((0,), lambda _: weights), None, context)
    assert [list(row.frequencies) for row in keys] == [[2, 7, 11]] * 3


def test_views_of_embedded_inputs() -> None:
    family = ModularMLP(**SMALL, inputs="concatenated")
    w = {name: tensor.double() for name, tensor in weights_of(family).items()}
    views = {view.name: view.table for view in token_views(Weights(w), 7)}
    assert list(views) == ["W_E", "W_U", "W_E.W_in.a", "W_E.W_in.b", "W_L"]
    torch.testing.assert_close(views["W_E.W_in.b"], w["embed.W_E"] @ w["blocks.0.mlp.W_in"][6:])
    torch.testing.assert_close(views["W_L"], w["unembed.W_U"].T)
    summed = ModularMLP(**SMALL, inputs="summed")
    assert [v.name for v in token_views(Weights(weights_of(summed)), 7)] == ["W_E", "W_U", "W_E.W_in", "W_L"]


def test_the_rule_for_embeddings_says_that_there_is_none(closed) -> None:
    family, weights = closed
    with pytest.raises(StrobeError, match="no embedding; use --set key_frequencies"):
        list(KeyFrequencies(rule="W_E").analyze_trajectory(Checkpoints((0,), lambda _: Weights(weights)), None, Context(family=family)))


# --- training ------------------------------------------------------------------------------------------------------------------------------


def test_mean_squared_error_by_hand() -> None:
    family = ModularMLP(p=3, objective="mse")
    losses = family.loss(torch.tensor([[1.0, 0, 0], [0, 0, 0], [1, 1, -1]]), torch.tensor([0, 1, 2]))
    assert losses.tolist() == [0, 1, 6]
    assert family.loss_unit == "squared error"
    assert ModularMLP(p=3).loss(torch.zeros(1, 3), torch.tensor([0])).item() == pytest.approx(math.log(3))


@pytest.mark.parametrize("inputs", ["one_hot", "concatenated", "summed"])
def test_training_is_bitwise_repeatable(inputs: str) -> None:
    family, training = ModularMLP(**SMALL, inputs=inputs), Training(epochs=20, schedule="at:20")
    ends = [[e for e in train(family, training, family.split()) if not isinstance(e, Evaluated)][-1].tensors for _ in range(2)]
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in family.parameters())


def test_the_demo_groks() -> None:
    """It memorises long before it generalises."""
    parameters, training = ModularMLP.demo()
    family = ModularMLP(**parameters)
    rows = [e for e in train(family, training.model_copy(update={"epochs": 800}), family.split(), keep=[]) if isinstance(e, Evaluated)]
    memorised = next(e.step for e in rows if e.train_accuracy == 1)
    accurate = next(e.step for e in rows if e.test_accuracy is not None and e.test_accuracy > 0.95)
    assert memorised < 60
    assert next(e for e in rows if e.step == 60).test_accuracy < 0.1
    assert 300 < accurate < 800
    assert rows[-1].test_loss < 0.1


# --- analyzers and report ------------------------------------------------------------------------------------------------------------------

RUNS = [
    "weight_norms", "effective_dimensionality", "dominant_frequencies", "axis_ratio", "gini", "neuron_frequency", "activation_maps",
    "loss_and_accuracy", "margins", "progress_measures", "logit_fourier", "key_frequencies", "parameter_trajectory", "phases", "neuron_dynamics",
    "neuron_timeline",
]  # fmt: skip
NOT = {
    "attention_maps": "made for modular_addition", "head_frequency": "made for modular_addition", "query_frequency": "made for modular_addition",
    "coarseness": "made for modular_addition", "logit_lens": "has no site", "neural_collapse": "has no site",
    "direct_logit_attribution": "has no site",
}  # fmt: skip


@pytest.fixture(scope="module")
def analyzed(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    ws = Workspace(tmp_path_factory.mktemp("mlp"))
    training = {"epochs": 6, "schedule": "every:3"}
    ws.train("modular_mlp", name="one", p=7, d_mlp=8, training=training)
    ws.train("modular_mlp", name="embedded", p=7, d_mlp=8, d_model=6, inputs="concatenated", activation="relu", training=training)
    ws.train("modular_mlp", name="squares", p=7, d_mlp=8, objective="mse", training=training)
    ws.analyze(ws.runs(), RUNS)
    return ws


@pytest.mark.parametrize("run", ["one", "embedded", "squares"])
def test_measures_run_or_say_why_they_do_not_apply(analyzed: Workspace, run: str) -> None:
    report = analyzed.analyze(run, [*RUNS, *NOT])
    assert report.ok
    states = {t.analyzer: t for t in report.tables}
    without = {"progress_measures"} if run == "squares" else set()
    assert {name for name in RUNS if states[name].state != "stored"} == without
    assert {name: states[name].why.partition(why)[1] for name, why in NOT.items()} == NOT
    if without:
        assert states["progress_measures"].why == "made for objective cross_entropy, this run has objective mse"


def test_neurons_that_square_have_no_dead_ones(analyzed: Workspace) -> None:
    table = analyzed.table("neuron_frequency", runs=["one"])
    assert not table["dead"].any()
    assert np.isfinite(table["fraction"].astype(float)).all()


def test_recorded_losses_are_those_of_the_checkpoints(analyzed: Workspace) -> None:
    """Also for the squared error, which analyzers do not report: they say cross-entropy."""
    for name in ("one", "squares"):
        run = analyzed.run(name)
        probe = run.probe()
        losses = run.family.loss(run.family.forward(run.weights(6), probe.inputs, Tap()).double(), probe.targets)
        recorded = run.metrics.query("step == 6").iloc[0]
        assert losses[probe.splits["train"]].mean().item() == pytest.approx(recorded["train_loss"], rel=1e-6)


def test_the_default_report_draws_and_has_no_attention(analyzed: Workspace) -> None:
    report = load(ModularMLP.report())
    panels = [panel for section in report.sections for panel in section.panels]
    assert not [p.renderer for p in panels if "head" in p.renderer or "attention" in p.renderer]
    for panel in panels:
        view = analyzed.view(analyzed.renderer(panel.renderer, panel.settings), "embedded", table=panel.table or None, step=6)
        assert view.chart.to_dict(validate=False), panel.renderer


def test_grid_order() -> None:
    family = ModularMLP(**SMALL)
    assert maths.grid_modulus(grid(family)) == 7
    assert grid(family).dtype == torch.int64
