"""`logit_lens`: the last site is the model, KL against torch, constant sites, models it does not apply to."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from strobe import Activations, Context, Last, Outputs, StrobeError, Weights
from strobe.schema import to_arrow
from strobe.sites import Tap
from strobe_analyzers.logit_lens import LogitLens
from strobe_families.modular_addition import ModularAddition


def setup(layers=1, scale=3.0):
    family = ModularAddition(p=7, d_model=16, d_mlp=24, n_heads=2, fraction=0.5, n_layers=layers)
    weights = {name: w * scale for name, w in family.initial().items()}
    probe = family.probes(family.split())["grid"]()
    tap = Tap({site: frozenset([Last()]) for site in family.sites() if ".resid_" in site or site == "logits"}, stop=False)
    with torch.inference_mode():
        family.forward(weights, probe.inputs, tap)
    return family, weights, probe, Activations({site: x for (site, _), x in tap.captured.items()})


def rows(family, weights, probe, activations):
    outputs = Outputs(activations["logits"], probe.targets, probe.splits)
    found = list(LogitLens().analyze_outputs(outputs, activations, Weights(weights), Context(family=family)))
    to_arrow(LogitLens.Row, found)
    return {(r.site, r.split): r for r in found}


@pytest.mark.parametrize("layers", [1, 2])
def test_the_last_site_is_the_model(layers):
    made = setup(layers, scale=3.0 if layers == 1 else 1.0)
    found = rows(*made)
    row = found[f"blocks.{layers - 1}.resid_post", "all"]
    loss = Outputs(made[3]["logits"], made[2].targets).loss.mean().item()
    assert (row.loss, row.divergence, row.agreement) == (pytest.approx(loss, rel=1e-5), pytest.approx(0, abs=1e-5), 1.0)
    assert len({site for site, _ in found}) == 3 * layers


def test_every_site_agrees_with_torch():
    family, weights, probe, activations = setup()
    found = rows(family, weights, probe, activations)
    final = activations["logits"].double()
    for (site, split), row in found.items():
        mask = probe.splits.get(split, torch.ones(49).bool())
        logits = activations[site].double() @ weights["unembed.W_U"].double()
        kl = F.kl_div(logits.log_softmax(1), final.log_softmax(1), log_target=True, reduction="none").sum(1)
        assert row.divergence == pytest.approx(float(kl[mask].mean()), abs=1e-5, rel=1e-5)
        assert row.loss == pytest.approx(float(F.cross_entropy(logits[mask], probe.targets[mask])), rel=1e-5)
        assert row.agreement == pytest.approx(float((logits.argmax(1) == final.argmax(1))[mask].double().mean()))
        own = logits.gather(1, probe.targets[:, None])
        assert row.target_rank == pytest.approx(float((logits > own).sum(1)[mask].double().mean()))


def test_what_has_seen_neither_operand_is_constant():
    found = rows(*setup())
    assert {site: r.constant for (site, split), r in found.items() if split == "all"} == {
        "blocks.0.resid_pre": True,
        "blocks.0.resid_mid": False,
        "blocks.0.resid_post": False,
    }


def test_zero_weights_are_a_uniform_guess_and_nan_ones_are_null():
    assert all(r.loss == pytest.approx(math.log(7)) for r in rows(*setup(scale=0.0)).values())
    family, weights, probe, activations = setup()
    broken = Activations({site: torch.full_like(x, torch.nan) for site, x in activations.items()})
    assert all(math.isnan(x) for r in rows(family, weights, probe, broken).values() for x in (r.loss, r.divergence, r.agreement, r.target_rank))


def test_any_model_with_these_names_has_a_lens_and_others_a_reason():
    stream = torch.eye(3)
    outputs, sites = Outputs(stream, torch.arange(3)), Activations({"blocks.0.resid_post": stream, "logits": stream})
    (row,) = LogitLens().analyze_outputs(outputs, sites, Weights({"unembed.W_U": torch.eye(3)}), Context())
    assert (row.agreement, row.target_rank) == (1, 0)
    with pytest.raises(StrobeError, match=r"unembed\.W_U"):
        list(LogitLens().analyze_outputs(outputs, sites, Weights({}), Context()))

    class Normed:
        def sites(self):
            return {"blocks.0.resid_post": (), "final_norm": (), "logits": ()}

    with pytest.raises(StrobeError, match="final norm"):
        list(LogitLens().analyze_outputs(outputs, sites, Weights({"unembed.W_U": torch.eye(3)}), Context(family=Normed())))
