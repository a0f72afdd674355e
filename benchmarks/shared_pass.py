"""What k = 1..10 activation analyzers add to one bare forward of the p=113 grid, engine and rows included.

    python benchmarks/shared_pass.py [--rounds 7]

Each analyzer declares a site and returns one row, so that what is measured is the sharing: capture, clones, calls, tables. Budget: at most 1.15.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import torch
from ground import imported, machine, medians, ready

import strobe
from strobe import Activations, Analyzer, Last, Tap, dim, hookimpl, metric
from strobe.analysis.plan import Cell
from strobe.analysis.request import recipes
from strobe.analysis.work import Bench, Task

SITES = ("mlp.post", "resid_mid", "resid_post", "mlp.out", "attn.out", "mlp.post", "resid_mid", "resid_post", "mlp.out", "attn.out")


def analyzer(i: int, site: str) -> type[Analyzer]:
    """An analyzer of one site that costs next to nothing."""

    class Looks(Analyzer):
        """The first value at a site."""

        sites = {f"blocks.*.{site}": Last()}

        class Row(strobe.Row):
            site: str = dim("site")
            value: float = metric("first value", unit="1")

        @hookimpl
        def analyze_activations(self, activations: Activations) -> Iterator[strobe.Row]:
            for name, x in activations.items():
                yield self.Row(site=name, value=x[0, 0].item())

    Looks.__name__ = Looks.__qualname__ = f"Looks{i}"
    return Looks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    ready()
    with imported() as (workspace, name):
        run = workspace.run(name)
        step, bench = run.steps[-1], Bench(workspace.registry)
        found = recipes(workspace.registry, [analyzer(i, site) for i, site in enumerate(SITES)])
        names = list(found)

        def bare() -> None:
            with torch.inference_mode():
                run.family.forward(dict(run.weights(step)), run.probe().inputs, Tap())

        def shared(k: int) -> object:
            cells = tuple(Cell(n, run.name, "grid", step, "0" * 63 + str(i)) for i, n in enumerate(names[:k]))
            return bench.do(Task((Path(run.folder),), cells, {n: found[n] for n in names[:k]}, step, "grid"))

        times = medians({"bare": bare, **{str(k): (lambda k=k: shared(k)) for k in range(1, 11)}}, rounds)
    print(machine())
    print(f"bare forward {times['bare']:.1f} ms CPU")
    for k in range(1, 11):
        print(f"k = {k:2d}  {times[str(k)]:6.1f} ms  {times[str(k)] / times['bare']:.3f} x")


if __name__ == "__main__":
    main()
