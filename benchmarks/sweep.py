"""A sweep of small runs, one of them degraded on purpose: `nice python benchmarks/sweep.py WORKSPACE [KEEP]`.

Trains `modular_addition` with p = 31 (a model of 32 dimensions and 128 neurons): two fractions, six seeds each, and once more the first run of the
second fraction with an intervention that takes one of its key frequencies out of the embedding after it has generalised. Then `run_summary`,
`anomalies`, `run_groups` and `run_correlations` over all of them. Prints what makes the degraded run anomalous. With KEEP, writes the run profiles
and parameters there, which `tests/data/sweep` holds. About 7 CPU minutes; a workspace that has some of it already goes on from there.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

import fake_install  # noqa: E402

import strobe  # noqa: E402

SMALL = {"p": 31, "d_model": 32, "n_heads": 4, "d_mlp": 128}
TRAINING = {"epochs": 5000, "lr": 3e-3, "schedule": "every:250", "eval_every": 10}
FRACTIONS, SEEDS = (0.5, 0.7), range(6)
DEGRADED_FROM = 3000
ACROSS = ("run_summary", "anomalies", "run_groups", "run_correlations")


def main(root: str, keep: str = "") -> int:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as site:
        fake_install.install(ROOT / "tests" / "plugins" / "strobe-remove-frequency", Path(site))
        sys.path.insert(0, site)
        workspace, began = strobe.Workspace(root), time.process_time()
        runs = [_trained(workspace, fraction, seed) for fraction in FRACTIONS for seed in SEEDS]
        twin = runs[len(SEEDS)]
        workspace.analyze(twin, ["run_profile"])
        frequency = int(workspace.table("run_profile", runs=twin)["key_frequencies"].iloc[0].split(", ")[0])
        act = f"remove_frequency:frequency={frequency},start={DEGRADED_FROM}"
        degraded = _trained(workspace, FRACTIONS[1], SEEDS[0], name="degraded", interventions=[act])
        runs.append(degraded)
        print(f"trained in {time.process_time() - began:.0f} CPU s; {act}", flush=True)
        report = workspace.analyze(runs, list(ACROSS))
        print(f"analyzed, {time.process_time() - began:.0f} CPU s altogether; failures: {len(report.failures)}")
        odd = workspace.table("anomalies", runs=runs).query("anomalous")
        print(odd.sort_values(["run", "rank"])[["run", "rank", "column", "z", "null_rate", "why"]].to_string())
        if keep:
            _keep(workspace, runs, Path(keep))
        lost = str(workspace.table("run_profile", runs=degraded)["frequencies_lost"].iloc[0]).split(", ")
        found = str(frequency) in lost and "n_lost" in set(odd[odd["run"] == degraded.name]["column"])
        print(f"degraded: {'found' if found else 'NOT found'} for the loss of frequency {frequency}")
        return 0 if found else 1


def _trained(workspace: strobe.Workspace, fraction: float, seed: int, **how: object) -> strobe.workspace.Run:
    name = str(how.pop("name", f"f{round(100 * fraction)}-s{seed}"))
    run = workspace.train("modular_addition", name=name, training=TRAINING, fraction=fraction, seed=seed, **SMALL, **how)
    print(f"{run.name}", flush=True)
    return run


def _keep(workspace: strobe.Workspace, runs: list[strobe.workspace.Run], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    names = [run.name for run in runs]
    workspace.table("run_profile", runs=runs).to_parquet(folder / "run_profile.parquet", compression="zstd", index=False)
    made = json.loads(workspace.table("run_summary", runs=runs).set_index("run").loc[names, "parameters"].to_json())
    (folder / "parameters.json").write_text(json.dumps({run: json.loads(text) for run, text in made.items()}, indent=1, sort_keys=True), "utf-8")


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
