"""The Python API from end to end: train a small model, analyze it, read tables, save a chart. Half a minute on one core.

python examples/train_and_look.py my-workspace
"""

from __future__ import annotations

import sys
from pathlib import Path

import strobe


def main(folder: str, epochs: int = 1000) -> None:
    """Train, analyze and look, in the workspace `folder`."""
    ws = strobe.Workspace(folder)
    run = ws.train(
        "modular_addition", name="small", p=31, d_model=64, d_mlp=128, fraction=0.5, training={"epochs": epochs, "lr": 1e-2, "schedule": "every:100"}
    )
    here = Path(__file__).parent
    report = ws.analyze(run, ["weight_norms", "dominant_frequencies", "phases", f"{here / 'cosine_to_final.py'}:CosineToFinal"])
    print(f"{report.counters['forwards']} forward passes")  # none: all of these look at weights or at metrics

    phases = ws.table("phases", runs=run)
    print(phases[["event", "at_step"]].to_string(index=False))
    print(ws.sql("select step, avg(cosine) as cosine from cosine_to_final group by step order by step").to_string(index=False))
    print(ws.view("line_over_steps", run, "weight_norms").save(Path(folder) / "weight_norms.png"))


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "strobe-workspace")
