"""Interventions: hooks that act on a training, with settings."""

from __future__ import annotations

import pytest
import torch

from strobe import Training, Workspace
from strobe.errors import UsageError
from strobe.training.interventions import named, parted, whole

TOY = {"p": 7, "d_model": 8, "n_heads": 2, "d_mlp": 8, "fraction": 0.5}


def power(run, step, frequency):
    """Squared amplitude of a frequency in the token embedding."""
    tokens = run.weights(step)["embed.W_E"][:-1].double()
    return float(torch.fft.rfft(tokens, dim=0)[frequency].abs().square().sum())


def test_a_frequency_is_removed_from_a_step_on(installed, tmp_path):
    installed("strobe-remove-frequency")
    workspace, training = Workspace(tmp_path), Training(epochs=8, schedule="every:4", lr=1e-3)
    free = workspace.train("modular_addition", name="free", training=training, **TOY)
    act = ["remove_frequency:start=4,frequency=2"]
    held = workspace.train("modular_addition", name="held", training=training, interventions=act, **TOY)
    assert held.record.interventions == ["remove_frequency:frequency=2,start=4"]
    assert held.record.identity != free.record.identity
    assert power(held, 4, 2) == power(free, 4, 2)  # nothing before its start
    assert power(held, 8, 2) < 0.01 * power(free, 8, 2)
    assert power(held, 8, 3) > 0.5 * power(free, 8, 3)
    longer = workspace.train("held", training={"epochs": 12})
    assert power(longer, 12, 2) < 0.01 * power(free, 8, 2)  # a run that goes on goes on with it


def test_a_branch_takes_interventions_along(installed, tmp_path):
    installed("strobe-remove-frequency")
    workspace = Workspace(tmp_path)
    workspace.train("modular_addition", name="a", training=Training(epochs=4, schedule="every:2"), interventions=["remove_frequency"], **TOY)
    branch = workspace.train("a@2", name="b", interventions=["remove_frequency", "remove_frequency:frequency=3"])
    assert branch.record.interventions == ["remove_frequency", "remove_frequency:frequency=3"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("remove_frequency:frequncy=5", "no setting 'frequncy'; did you mean 'frequency'"),
        ("remove_frequency:frequency=none", "frequency = 'none'"),
        ("remove_frequency:frequency", "write NAME or NAME:SETTING=VALUE"),
        ("remove_frequency:", "write NAME or NAME:SETTING=VALUE"),
        ("remove_frequencies:frequency=5", "no hook 'remove_frequencies'"),
    ],
)
def test_mistakes_are_named(installed, tmp_path, given, message):
    installed("strobe-remove-frequency")
    with pytest.raises(UsageError, match=message.replace("(", r"\(")):
        named(Workspace(tmp_path).registry, [given])


def test_text_and_settings_are_each_other():
    assert parted("clip") == ("clip", {})
    assert whole(*parted("clip:b=2,a=1")) == "clip:a=1,b=2"
