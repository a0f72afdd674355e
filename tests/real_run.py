"""The committed checkpoints of the real run, and what a forward over the whole grid gives at their sites."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors.torch import load_file

from strobe import Last, Outputs, Probe, Weights
from strobe.sites import Tap
from strobe_families.modular_addition import ModularAddition

FOLDER = Path(__file__).parent / "data" / "modadd_p113_seed999"


class Pass(NamedTuple):
    """One checkpoint's weights, probe, activations at '=' by site, and outputs; the split is the run's."""

    weights: Weights
    probe: Probe
    sites: dict[str, torch.Tensor]
    outputs: Outputs


@cache
def passed(step: int, *names: str) -> Pass:
    """The pass at a checkpoint; `names` are sites of block 0 such as `mlp.post`."""
    family = ModularAddition(seed=999)
    tensors = family.load(load_file(FOLDER / f"epoch_{step:05d}.safetensors"))
    train = load_file(FOLDER / "losses.safetensors")["train_index"]
    rest = torch.ones(family.p**2, dtype=torch.bool)
    rest[train.long()] = False
    probe = family.probes({"train": train, "test": rest.nonzero()[:, 0]})["grid"]()
    tap = Tap({f"blocks.0.{name}": frozenset([Last()]) for name in names}, stop=False)
    with torch.inference_mode():
        logits = family.forward(tensors, probe.inputs, tap)
    return Pass(Weights(tensors), probe, {site: x for (site, _), x in tap.captured.items()}, Outputs(logits, probe.targets, probe.splits))
