"""`key_frequencies`: planted frequencies are found, the union follows the test loss, and the real run's sets agree."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pandas as pd
import pytest
import torch

from strobe import Checkpoints, StrobeError, Weights
from strobe.schema import to_arrow
from strobe_analyzers.key_frequencies import KeyFrequencies

P = 13


def writes(strengths: dict[int, float]) -> Weights:
    """A model that writes exactly these frequencies, each with this strength, and embeds their mirror: all of them alike."""
    x = torch.arange(P).double()
    pairs = [s * wave(2 * torch.pi * k * x / P) for k, s in strengths.items() for wave in (torch.cos, torch.sin)]
    columns = torch.stack(pairs)  # [d, p]
    alike = torch.stack([wave(2 * torch.pi * k * x / P) for k in strengths for wave in (torch.cos, torch.sin)])
    extra = torch.full((len(columns), 1), 50.0)  # the class and the token of "="
    return Weights(
        {
            "embed.W_E": torch.cat([alike, extra], 1).T,
            "blocks.0.mlp.W_out": torch.eye(len(columns)).double(),
            "unembed.W_U": torch.cat([columns, extra], 1),
        }
    )


def analyze(models: dict[int, Weights], losses: dict[int, float] | None = None, **settings):
    metrics = pd.DataFrame({"step": list(losses), "test_loss": list(losses.values())}) if losses is not None else pd.DataFrame()
    context = SimpleNamespace(family=SimpleNamespace(p=P))
    rows = list(KeyFrequencies(**settings).analyze_trajectory(Checkpoints(tuple(models), models.__getitem__), metrics, context))
    to_arrow(KeyFrequencies.Row, rows)
    return {(row.set, row.step): row for row in rows}


def keys(row):
    return row.frequencies.tolist()


def test_planted_frequencies_above_the_threshold_are_found_also_the_last():
    found = analyze({0: writes({2: 1.0, 6: 0.3, 4: 0.2})})
    assert keys(found["own", 0]) == [2, 6]
    assert found["own", 0].n_keys == 2
    assert keys(analyze({0: writes({2: 1.0, 6: 0.3, 4: 0.2})}, threshold=0.1)["own", 0]) == [2, 4, 6]


def test_the_rule_may_read_the_embedding():
    assert keys(analyze({0: writes({2: 1.0, 6: 0.3, 4: 0.2})}, rule="W_E")["own", 0]) == [2, 4, 6]


def test_the_union_is_over_checkpoints_that_generalise_and_last_is_last():
    models = {0: writes({1: 1.0}), 10: writes({2: 1.0, 3: 1.0}), 20: writes({2: 1.0}), 30: writes({5: 1.0})}
    found = analyze(models, {0: 4.0, 10: 0.05, 15: 0.01, 20: 0.09, 30: 0.1})
    assert keys(found["union", None]) == [2, 3]
    assert found["union", None].flag is None
    assert keys(found["last", None]) == [5]
    assert [key for key in found if key[0] == "own"] == [("own", step) for step in models]
    assert keys(analyze(models, {0: 0.5, 10: 0.5}, union_below=1.0)["union", None]) == [1, 2, 3]


@pytest.mark.parametrize(("losses", "why"), [(None, "no test loss recorded"), ({0: 3.0, 10: 2.0}, "no checkpoint with test loss below 0.1")])
def test_without_a_generalising_checkpoint_the_union_is_the_last_and_flagged(losses, why):
    found = analyze({0: writes({1: 1.0}), 10: writes({2: 1.0})}, losses)
    assert keys(found["union", None]) == [2]
    assert why in found["union", None].flag


def test_nan_weights_have_no_keys_and_spare_the_union():
    broken = dict(writes({4: 1.0})) | {"unembed.W_U": torch.full((2, P), torch.nan)}
    found = analyze({0: writes({1: 1.0}), 10: Weights(broken)}, {0: 0.01, 10: 0.01})
    assert found["own", 10].frequencies is None
    assert found["own", 10].flag == "weights are not finite"
    assert keys(found["union", None]) == [1]


def test_a_model_without_mlp_is_told_about_the_other_rule():
    bare = Weights({"embed.W_E": torch.randn(P + 1, 4), "unembed.W_U": torch.randn(4, P)})
    with pytest.raises(StrobeError, match="rule=W_E"):
        analyze({0: bare})


def test_a_real_run(data):
    folder = data / "modadd_p113_seed999"
    reference = json.loads((folder / "reference.json").read_text())
    losses = {int(step): loss for step, loss in json.loads((folder / "run.json").read_text())["test_loss"].items()}
    steps = tuple(int(step) for step in reference if step.isdigit())
    checkpoints = Checkpoints(steps, lambda step: Weights.open(folder / f"epoch_{step:05d}.safetensors"))
    metrics = pd.DataFrame({"step": list(losses), "test_loss": list(losses.values())})
    rows = list(KeyFrequencies().analyze_trajectory(checkpoints, metrics, SimpleNamespace(family=SimpleNamespace(p=113))))
    found = {(row.set, row.step): keys(row) for row in rows}
    for step in steps:
        assert found["own", step] == reference[str(step)]["key_frequencies"]
    assert found["union", None] == [24, 36, 39, 41, 54]
    assert found["last", None] == [24, 36, 39, 41]
