"""`direct_logit_attribution`: contributions add up to the logits, each by its definition, top neurons by brute force."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from strobe import Activations, Context, Last, Outputs, Weights
from strobe.schema import to_arrow
from strobe.sites import Tap
from strobe_analyzers.direct_logit_attribution import DirectLogitAttribution
from strobe_families.modular_addition import ModularAddition

SITES = ("attn.z", "mlp.post", "resid_pre")


def setup(layers=1):
    family = ModularAddition(p=7, d_model=16, d_mlp=24, n_heads=2, fraction=0.5, n_layers=layers)
    weights = {name: w + 0.1 for name, w in family.initial().items()}
    probe = family.probes(family.split())["grid"]()
    wanted = [s for s in family.sites() if s.endswith(SITES) or s == "logits"]
    tap = Tap({site: frozenset([Last()]) for site in wanted}, stop=False)
    with torch.inference_mode():
        family.forward(weights, probe.inputs, tap)
    return family, weights, probe, Activations({site: x for (site, _), x in tap.captured.items()})


def rows(made, **settings):
    family, weights, probe, activations = made
    outputs = Outputs(activations["logits"], probe.targets, probe.splits)
    found = list(DirectLogitAttribution(**settings).analyze_outputs(outputs, activations, Weights(weights), Context(family=family)))
    to_arrow(DirectLogitAttribution.Row, found)
    return found


@pytest.mark.parametrize("layers", [1, 2])
def test_contributions_add_up_to_the_logits(layers):
    made = setup(layers)
    _, _, probe, activations = made
    logits = activations["logits"].double()
    above = logits.gather(1, probe.targets[:, None])[:, 0] - logits.mean(1)
    found = rows(made)
    assert len(found) == 3 * (1 + 3 * layers)
    for split in ("train", "test", "all"):
        mask = probe.splits.get(split, torch.ones(49).bool())
        parts = [r for r in found if r.split == split]
        assert sum(r.contribution for r in parts) == pytest.approx(float(above[mask].mean()), abs=1e-5)
        assert [r.total for r in parts] == pytest.approx([float(above[mask].mean())] * len(parts), abs=1e-5)


def test_a_head_and_the_neurons_by_definition():
    made = setup()
    _, weights, probe, activations = made
    unembed = (weights["unembed.W_U"] - weights["unembed.W_U"].mean(1, keepdim=True)).double()
    found = {(r.component, r.head): r for r in rows(made, top=5) if r.split == "test"}
    test = probe.splits["test"]
    written = activations["blocks.0.attn.z"][:, 1].double() @ weights["blocks.0.attn.W_O"][1].double() @ unembed
    own = written[torch.arange(49), probe.targets]
    assert found["head", 1].contribution == pytest.approx(float(own[test].mean()), rel=1e-5)
    each = activations["blocks.0.mlp.post"].double() * (weights["blocks.0.mlp.W_out"].double() @ unembed).T[probe.targets]
    best = each[test].mean(0).sort(descending=True)
    assert found["mlp", None].neurons.tolist() == best.indices[:5].tolist()
    assert found["mlp", None].neuron_contributions.tolist() == pytest.approx(best.values[:5].tolist(), rel=1e-5)
    assert found["head", 0].neurons is None


def test_overlapping_and_empty_splits():
    family, weights, probe, activations = setup()
    masks = {"some": torch.arange(49) < 20, "more": torch.arange(49) < 30, "none": torch.zeros(49).bool()}
    outputs = Outputs(activations["logits"], probe.targets, masks)
    found = list(DirectLogitAttribution().analyze_outputs(outputs, activations, Weights(weights), Context(family=family)))
    logits = activations["logits"].double()
    above = logits.gather(1, probe.targets[:, None])[:, 0] - logits.mean(1)
    totals = {r.split: r.total for r in found}
    assert totals == {s: pytest.approx(float(above[:n].mean()), abs=1e-6) for s, n in (("some", 20), ("more", 30), ("all", 49))}


def test_activations_that_are_not_finite_make_contributions_that_are_not():
    family, weights, probe, activations = setup()
    broken = Activations({site: torch.full_like(x, torch.nan) for site, x in activations.items()})
    found = rows((family, weights, probe, broken))
    assert all(math.isnan(r.contribution) for r in found)
    assert not np.isfinite(found[-1].neuron_contributions).any()
