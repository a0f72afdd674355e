"""The forward of modular_addition that training on a GPU captures: the same function and the same gradients as the forward."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from strobe import StrobeError, Tap
from strobe_families.modular_addition import ModularAddition

FAMILIES = [
    {"p": 7, "d_model": 8, "n_heads": 2, "d_mlp": 12},
    {"p": 13, "d_model": 12, "n_heads": 1, "d_mlp": 10, "activation": "gelu", "seed": 3},
    {"p": 5, "d_model": 16, "n_heads": 4, "d_mlp": 6, "activation": "square"},
    {"p": 7, "d_model": 8, "n_heads": 2, "d_mlp": 12, "n_layers": 2},
]


def doubles(family: ModularAddition) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return {n: torch.randn(w.shape, generator=generator, dtype=torch.float64).requires_grad_() for n, w in family.initial().items()}


@pytest.mark.parametrize("parameters", FAMILIES, ids=str)
def test_logits_and_gradients_are_those_of_the_forward(parameters: dict[str, Any]) -> None:
    family = ModularAddition(**parameters)
    inputs = family.probes(family.split())["grid"]().inputs[family.split()["train"].repeat(2)]  # inputs may repeat
    weights = doubles(family)
    logits, expected = family.fixed_forward(inputs)(weights), family.forward(weights, inputs, Tap())
    torch.testing.assert_close(logits, expected, rtol=1e-10, atol=1e-10)
    along = torch.randn(logits.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    both = (torch.autograd.grad((x * along).sum(), list(weights.values())) for x in (logits, expected))
    for name, mine, other in zip(weights, *both, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-9, atol=1e-9, msg=lambda m, name=name: f"{name}: {m}")


def test_in_float32_it_agrees_to_1e5() -> None:
    family = ModularAddition(p=31)
    inputs, weights = family.probes(family.split())["grid"]().inputs, family.initial()
    torch.testing.assert_close(family.fixed_forward(inputs)(weights), family.forward(weights, inputs, Tap()), rtol=1e-5, atol=1e-5)


def test_inputs_are_checked_when_it_is_made() -> None:
    with pytest.raises(StrobeError, match="out of range"):
        ModularAddition(p=7).fixed_forward(torch.tensor([[1, 2, 8]]))
