"""A weight-only analyzer against one that needs a forward pass, per checkpoint over a whole p=113 run.

    python benchmarks/weights_only.py [--rounds 5]

Budget: `dominant_frequencies` at least 10 times less CPU than `loss_and_accuracy` on the structured pass, 50 times less than on the plain module.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch
from ground import imported, machine, medians, ready

from strobe import Outputs, Workspace
from strobe.analysis.plan import Bound, Capture, capture
from strobe.analysis.work import forward
from strobe.sites import Tap
from strobe_analyzers.dominant_frequencies import DominantFrequencies
from strobe_analyzers.loss_and_accuracy import LossAndAccuracy


def rows(analyzer: object, hook: str, **arguments: object) -> None:
    from strobe.schema import to_arrow

    to_arrow(analyzer.Row, getattr(analyzer, hook)(**arguments))  # type: ignore[attr-defined]


def measure(workspace: Workspace, name: str, rounds: int) -> dict[str, float]:
    from strobe.arguments import Context

    run = workspace.run(name)
    family, probe = run.family, run.probe()
    bound = {"loss_and_accuracy": Bound("loss_and_accuracy", "outputs", "", "", "", ("outputs",))}
    plan: Capture = capture(bound, bound, family.sites(), family.read_out)
    module = family.build()

    def weight_only(step: int) -> None:
        rows(DominantFrequencies(), "analyze_weights", weights=run.weights(step), context=Context(run.name, step, family))

    def structured(step: int) -> None:
        captured = forward(run, run.weights(step), probe, Tap(plan.wanted))
        rows(LossAndAccuracy(), "analyze_outputs", outputs=Outputs(next(iter(captured.values())), probe.targets, probe.splits))

    def plain(step: int) -> None:
        with torch.inference_mode():
            module.load_state_dict(dict(run.weights(step)))
            logits = module(probe.inputs)[:, -1]
        rows(LossAndAccuracy(), "analyze_outputs", outputs=Outputs(logits, probe.targets, probe.splits))

    def over_run(look: Callable[[int], None]) -> Callable[[], None]:
        return lambda: [look(step) for step in run.steps] and None

    turns = {"dominant_frequencies": weight_only, "loss_and_accuracy, structured": structured, "loss_and_accuracy, plain module": plain}
    return {what: ms / len(run.steps) for what, ms in medians({what: over_run(look) for what, look in turns.items()}, rounds).items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    ready()
    with imported() as (workspace, name):
        times = measure(workspace, name, parser.parse_args().rounds)
    base = times["dominant_frequencies"]
    print(machine())
    for what, ms in times.items():
        print(f"{what:34s} {ms:8.1f} ms CPU per checkpoint   {ms / base:6.1f} x dominant_frequencies")


if __name__ == "__main__":
    main()
