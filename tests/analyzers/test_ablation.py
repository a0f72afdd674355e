"""`ablation`: against a second forward through changed activations, and against the definition of a neuron's frequency."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn import functional as F

from strobe import Activations, Context, Last, Outputs, Results, Weights, maths
from strobe.schema import to_arrow
from strobe.sites import Tap
from strobe_analyzers.ablation import Ablation, key_fractions
from strobe_families.modular_addition import ModularAddition

SITES = ("blocks.0.mlp.post", "blocks.0.resid_mid", "blocks.0.attn.z")


def setup(p=7, activation="relu", weights=None):
    family = ModularAddition(p=p, d_model=16, d_mlp=24, n_heads=2, fraction=0.5, activation=activation)
    weights = {name: w * 3 for name, w in family.initial().items()} if weights is None else weights
    probe = family.probes(family.split())["grid"]()
    tap = Tap({site: frozenset([Last()]) for site in (*SITES, "logits")}, stop=False)
    with torch.inference_mode():
        family.forward(weights, probe.inputs, tap)
    activations = Activations({site: x for (site, _), x in tap.captured.items()})
    return family, weights, probe, activations


def rows(made, keys, **settings):
    family, weights, probe, activations = made
    outputs = Outputs(activations["logits"], probe.targets, probe.splits)
    results = Results(key_frequencies=pd.DataFrame([{"set": "union", "frequencies": keys if keys is None else np.array(keys, int)}]))
    found = list(Ablation(**settings).analyze_outputs(outputs, activations, Weights(weights), probe, results, Context(family=family)))
    to_arrow(Ablation.Row, found)
    return found


@pytest.mark.parametrize("activation", ["relu", "gelu", "square"])
def test_heads_agree_with_running_the_model_with_the_head_replaced(activation):
    made = setup(activation=activation)
    _, weights, probe, activations = made
    act = {"relu": F.relu, "gelu": F.gelu, "square": torch.square}[activation]
    found = {(r.head, r.split): r.loss for r in rows(made, [], inputs=None) if r.part == "head"}
    z = activations["blocks.0.attn.z"]
    embedded = activations["blocks.0.resid_mid"] - torch.einsum("bhe,hed->bd", z, weights["blocks.0.attn.W_O"])
    for head in range(2):
        changed = z.clone()
        changed[:, head] = z[:, head].mean(0)
        stream = embedded + torch.einsum("bhe,hed->bd", changed, weights["blocks.0.attn.W_O"])
        post = act(stream @ weights["blocks.0.mlp.W_in"] + weights["blocks.0.mlp.b_in"])
        logits = (stream + post @ weights["blocks.0.mlp.W_out"] + weights["blocks.0.mlp.b_out"]) @ weights["unembed.W_U"]
        losses = F.cross_entropy(logits.double(), probe.targets, reduction="none")
        for split in ("train", "test", "all"):
            mask = probe.splits.get(split, torch.ones(49).bool())
            assert found[head, split] == pytest.approx(float(losses[mask].mean()), rel=1e-5)


def test_clusters_agree_with_running_the_model_with_the_neurons_replaced():
    made = setup()
    _, weights, probe, activations = made
    found = [r for r in rows(made, [1, 2, 3], inputs=None, threshold=0.3) if r.split == "all" and r.part != "head"]
    h = activations["blocks.0.mlp.post"]
    fractions = maths.map_fractions(maths.grid_maps(h))
    leading, held = fractions.argmax(1) + 1, fractions.max(1).values
    assert {r.part for r in found} == {"cluster", "committed"}
    for r in found:
        members = (held >= 0.3) & ((leading == r.frequency) if r.part == "cluster" else True)
        assert r.neurons == int(members.sum())
        changed = torch.where(members, h.mean(0), h)
        stream = activations["blocks.0.resid_mid"] + changed @ weights["blocks.0.mlp.W_out"] + weights["blocks.0.mlp.b_out"]
        logits = stream @ weights["unembed.W_U"]
        assert r.loss == pytest.approx(float(F.cross_entropy(logits.double(), probe.targets)), rel=1e-5)
        assert r.full_loss == pytest.approx(float(Outputs(activations["logits"], probe.targets).loss.mean()), rel=1e-5)


@pytest.mark.parametrize("p", [5, 6, 11])
def test_key_fractions_are_those_of_the_maps(p):
    h = torch.randn(p * p, 9, generator=torch.Generator().manual_seed(p)).relu()
    h[:, 3] = 2.5
    keys = list(range(1, (p - 1) // 2 + 1))
    found, expected = key_fractions(h, keys, p).T, maths.map_fractions(maths.grid_maps(h))
    assert torch.allclose(found, expected, rtol=1e-4, atol=1e-6, equal_nan=True)
    assert found[3].isnan().all()


def test_an_even_modulus_has_a_frequency_without_a_sine():
    p = 6
    x = torch.arange(p)
    signs = (1.0 - 2.0 * ((x[:, None] + x) % 2)).reshape(-1, 1)  # (-1)^(a + b)
    assert key_fractions(signs, [1, 3], p).flatten().tolist() == pytest.approx([0, 1], abs=1e-6)


def test_on_some_inputs_the_full_loss_is_of_the_same_inputs():
    made = setup()
    found = rows(made, [1, 2, 3], inputs=20, threshold=0.3)
    assert {r.inputs for r in found if r.split == "all"} == {20}
    assert sum(r.inputs for r in found if r.part == "committed" and r.split != "all") == 20
    again = rows(made, [1, 2, 3], inputs=20, threshold=0.3)
    assert [r.loss for r in found] == [r.loss for r in again]


def test_without_keys_or_members_there_are_only_heads():
    assert {r.part for r in rows(setup(), None)} == {"head"}
    assert {r.part for r in rows(setup(), [1], threshold=1.0)} == {"head"}


def test_dead_neurons_and_nan_weights():
    family = setup()[0]
    dead = {name: torch.zeros_like(w) for name, w in family.initial().items()}
    assert all(r.loss == pytest.approx(np.log(7)) for r in rows(setup(weights=dead), [1]))
    broken = {**family.initial(), "embed.W_E": torch.full((8, 16), torch.nan)}
    assert all(np.isnan(r.loss) for r in rows(setup(weights=broken), [1]))
