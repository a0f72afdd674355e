"""Training and forward of `modular_addition`: the structured path against the plain module, in one process.

    python benchmarks/training.py [--rounds 15] [--set p=113]

Prints CPU time per epoch (forward, loss, backward, AdamW; no evaluation) and per forward over the p*p grid, on one thread, and their ratios. The
variants take turns, so that whatever else the machine does hits all of them. Medians; the fastest round in parentheses.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable

import torch

from strobe import Tap, Training
from strobe.training.loop import Saved, train
from strobe_families.modular_addition import ModularAddition

Turn = Callable[[], object]


def naive_epoch(family: ModularAddition) -> Turn:
    """What a notebook does: the module over all positions, float64 cross-entropy at '=', torch's default AdamW."""
    module, probe, indices = family.build(), family.probes(family.split())["grid"](), family.split()["train"]
    inputs, targets = probe.inputs[indices], probe.targets[indices]
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-3, weight_decay=1.0, betas=(0.9, 0.98))

    def epoch() -> None:
        optimizer.zero_grad()
        family.loss(module(inputs)[:, -1].double(), targets).mean().backward()
        optimizer.step()

    return epoch


def our_epoch(family: ModularAddition) -> Turn:
    """The training loop of Strobe, without test evaluations."""
    stream = train(family, Training(epochs=10_000_000, eval_every=10_000_000, schedule="at:0"), family.split())
    next(event for event in stream if isinstance(event, Saved))
    return lambda: next(stream)


def forwards(family: ModularAddition) -> tuple[Turn, Turn]:
    """The module with its full cache, and the structured forward, over the whole grid."""
    module, weights, inputs = family.build(), family.initial(), family.probes(family.split())["grid"]().inputs

    def plain() -> None:
        with torch.inference_mode():
            module.run_with_cache(inputs)

    def structured() -> None:
        with torch.inference_mode():
            family.forward(weights, inputs, Tap())

    return plain, structured


def take_turns(turns: dict[str, Turn], rounds: int) -> dict[str, list[float]]:
    """CPU milliseconds of each turn in each round, after three rounds of warm-up."""
    spent: dict[str, list[float]] = {name: [] for name in turns}
    for _ in range(rounds + 3):
        for name, turn in turns.items():
            start = time.process_time()
            turn()
            spent[name].append(1e3 * (time.process_time() - start))
    return {name: times[3:] for name, times in spent.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--set", action="append", default=[], metavar="p=113", help="a parameter of the family")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    family = ModularAddition(**{name: value for name, _, value in (pair.partition("=") for pair in arguments.set)})
    plain, structured = forwards(family)
    turns = {"naive epoch": naive_epoch(family), "epoch": our_epoch(family), "module, grid": plain, "structured, grid": structured}
    spent = take_turns(turns, arguments.rounds)
    middle = {name: statistics.median(times) for name, times in spent.items()}
    for name, times in spent.items():
        print(f"{name:<18} {middle[name]:7.1f} ms CPU  ({min(times):.1f})")
    ratio = {"epoch": middle["naive epoch"] / middle["epoch"], "forward": middle["module, grid"] / middle["structured, grid"]}
    print(json.dumps({"ratio": ratio, "torch": torch.__version__, "parameters": family.model_dump()}))


if __name__ == "__main__":
    main()
