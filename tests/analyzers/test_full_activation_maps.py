from __future__ import annotations

import numpy as np
import pytest
import torch

from strobe import Activations, StrobeError
from strobe.schema import to_arrow
from strobe_analyzers.full_activation_maps import FullActivationMaps
from strobe_families.modular_addition import ModularAddition

SITE = "blocks.0.mlp.post"


def rows(h, p, neurons):
    probe = ModularAddition(p=p).probes({})["grid"]()
    return list(FullActivationMaps(neurons=neurons).analyze_activations(Activations({SITE: h}), probe))


def test_every_cell_of_the_chosen_neurons_with_a_down_the_rows():
    p = 40
    h = torch.rand(p * p, 6, generator=torch.Generator().manual_seed(0))
    found = rows(h, p, [4, 1, 4])
    assert [(r.layer, r.neuron) for r in found] == [(0, 1), (0, 4)]
    np.testing.assert_allclose(found[1].map, h[:, 4].reshape(p, p), atol=5e-4)
    assert to_arrow(FullActivationMaps.Row, found).table.schema.field("map").type.shape == [p, p]


def test_it_runs_only_when_asked_and_says_which_neurons_there_are():
    assert FullActivationMaps.opt_in
    with pytest.raises(StrobeError, match=r"name the neurons.*neurons=\[3,17\]"):
        rows(torch.zeros(9, 2), 3, [])
    with pytest.raises(StrobeError, match=r"no neuron 2 .*0\.\.1"):
        rows(torch.zeros(9, 2), 3, [0, 2])
