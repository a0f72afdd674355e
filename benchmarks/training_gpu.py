"""Training of `modular_addition` on a GPU: one run, several at once, and the plain module's loop, on the same device.

    python benchmarks/training_gpu.py [--runs 8] [--set p=113]

Prints wall-clock milliseconds per epoch (forward, loss, backward, AdamW; with the test split looked at every 10 epochs, as a training does, and
without), medians of 5 rounds of 500 epochs; how far the losses of the first 200 epochs are from those of the CPU path, beside what the plain module
on the CPU is from it; and whether a run comes out bitwise the same twice, in a stack, and after a resume. Without a GPU it says so and ends.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import time
from collections.abc import Callable, Iterator, Sequence

import torch

from strobe import Training
from strobe.training.cuda import train_stack
from strobe.training.loop import Evaluated, Saved, train
from strobe_families.modular_addition import ModularAddition

ROUNDS, EPOCHS, COMPARED = 5, 500, 200


def families(count: int, parameters: dict[str, str]) -> list[ModularAddition]:
    """The same model and task from `count` seeds."""
    return [ModularAddition(**{**parameters, "seed": seed}) for seed in range(count)]


def per_epoch(stack: Sequence[ModularAddition], eval_every: int) -> float:
    """Milliseconds from row to row of the last run of a stack, in steady state: every loss has been read by then."""
    training = Training(epochs=10_000_000, eval_every=eval_every, schedule="at:0", device="cuda")
    rows = (event for run, event in train_stack(stack, training, [f.split() for f in stack], keep=[]) if run == len(stack) - 1)
    next(itertools.islice(rows, EPOCHS, None))
    return statistics.median(clocked(lambda: next(itertools.islice(rows, EPOCHS - 1, None))) for _ in range(ROUNDS))


def clocked(turn: Callable[[], object]) -> float:
    """Milliseconds of one of the `EPOCHS` that a turn takes."""
    torch.cuda.synchronize()
    start = time.perf_counter()
    turn()
    torch.cuda.synchronize()
    return 1e3 * (time.perf_counter() - start) / EPOCHS


def naive(family: ModularAddition, device: str) -> Iterator[float]:
    """What a notebook does: the module over all positions, float64 cross-entropy at '=', torch's default AdamW. Loss before each update."""
    module, probe, indices = family.build().to(device), family.probes(family.split())["grid"](), family.split()["train"]
    inputs, targets = probe.inputs[indices].to(device), probe.targets[indices].to(device)
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-3, weight_decay=1.0, betas=(0.9, 0.98))
    for step in itertools.count():
        for group in optimizer.param_groups:
            group["lr"] = Training().lr_at(step)
        optimizer.zero_grad()
        loss = family.loss(module(inputs)[:, -1].double(), targets).mean()
        loss.backward()
        optimizer.step()
        yield loss.item()


def naive_per_epoch(family: ModularAddition) -> float:
    losses = naive(family, "cuda")
    next(losses)
    return statistics.median(clocked(lambda: next(itertools.islice(losses, EPOCHS - 1, None))) for _ in range(ROUNDS))


def saved(stack: Sequence[ModularAddition], resume: Sequence[Saved] | None = None) -> list[dict[int, Saved]]:
    """Run -> step -> checkpoint, in the middle and at the end of a short training."""
    training, found = Training(epochs=COMPARED, schedule=f"at:{COMPARED // 2}", device="cuda"), [dict[int, Saved]() for _ in stack]
    for run, event in train_stack(stack, training, [f.split() for f in stack], resume=resume):
        if isinstance(event, Saved):
            found[run][event.step] = event
    return found


def same(a: Saved, b: Saved) -> bool:
    both = [(a.tensors, b.tensors), (a.state, b.state)]
    return all(one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one) for one, other in both)


def bitwise(stack: Sequence[ModularAddition]) -> dict[str, bool]:
    """Whether weights and optimizer state after 200 epochs are the same ones."""
    alone, together = [saved([family])[0] for family in stack], saved(stack)
    again, resumed = saved(stack[:1])[0], saved(stack[:1], [alone[0][COMPARED // 2]])[0]
    return {
        "twice": same(again[COMPARED], alone[0][COMPARED]),
        f"alone and in a stack of {len(stack)}": all(same(a[COMPARED], b[COMPARED]) for a, b in zip(alone, together, strict=True)),
        "resumed": same(resumed[COMPARED], alone[0][COMPARED]),
    }


def apart(family: ModularAddition) -> dict[str, dict[str, float]]:
    """Largest relative distance of the training loss from that of the CPU path, up to some epochs."""

    def losses(device: str) -> list[float]:
        training = Training(epochs=COMPARED, schedule="at:0", device=device)  # type: ignore[arg-type]
        return [
            event.train_loss for event in train(family, training, family.split()) if isinstance(event, Evaluated) and event.train_loss is not None
        ]

    reference, module = losses("cpu"), list(itertools.islice(naive(family, "cpu"), COMPARED + 1))
    others = {"this path": losses("cuda"), "plain module on the CPU": module}
    return {
        who: {
            f"epochs 0-{until}": max(abs(a / b - 1) for a, b in zip(found[: until + 1], reference, strict=False)) for until in (20, 50, 100, COMPARED)
        }
        for who, found in others.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=8)
    parser.add_argument("--set", action="append", default=[], metavar="p=113", help="a parameter of the family")
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        print("no GPU here: nothing to measure")
        return
    parameters = {name: value for name, _, value in (pair.partition("=") for pair in arguments.set)}
    stack = families(arguments.runs, parameters)
    slow = naive_per_epoch(stack[0])
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, float32 products, float64 loss; ms per run and epoch")
    print(f"{'plain module, its loop':<28} {slow:7.3f}")
    for count in sorted({1, arguments.runs}):
        with_tests, without = (per_epoch(stack[:count], every) / count for every in (10, 10_000_000))
        what = f"{count} run{'s at once' if count > 1 else ''}"
        print(f"{what:<28} {without:7.3f} without evaluation, {with_tests:7.3f} with; {slow / without:5.1f} times", flush=True)
    print(json.dumps({"bitwise equal": bitwise(stack)}))
    print(json.dumps({"relative distance of the training loss from the CPU path": apart(stack[0])}, indent=1))


if __name__ == "__main__":
    main()
