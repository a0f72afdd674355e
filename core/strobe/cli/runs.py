"""import, runs, sites."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..analysis.request import configured
from ..errors import UsageError, did_you_mean
from ..runs.labels import label_of, unarchived
from ..workspace import Workspace
from .output import parse_settings, print_json, print_table

if TYPE_CHECKING:
    from ..runs.run import Run


def import_run(root: Path, path: Path, family: str, given: Sequence[str], name: str, mapping: str, metrics: str) -> None:
    run = Workspace(root).import_run(path, family, name=name, map=mapping or None, metrics=metrics or None, **parse_settings(given))
    tensors = f"{len(run.family.parameters()):,} parameters" + (f" and {len(b):,} buffers" if (b := run.family.buffers()) else "")
    steps = f"steps {run.steps[0]:,} to {run.steps[-1]:,}"
    print(f"{run.name}: {len(run.steps)} checkpoints ({steps}) of {tensors}, {len(run.metrics):,} rows of metrics")
    if odd := run.record.source.get("passed_over"):
        print(f"passed over, no step in the name: {', '.join(odd)}")
    if run.family.weights_only:
        print("weights only: what needs activations, outputs or a loss needs a model too; give it with --family ./mine.py:Mine (docs/families.md)")
    print(f"next: strobe analyze {run.name}")


def list_runs(root: Path, every: bool, as_json: bool) -> None:
    """Archived runs only when `every` is asked for."""
    found = Workspace(root).runs()
    runs = [described(run) for run in (found if every else unarchived(found))]
    if as_json:
        print_json(runs)
        return
    rows = [{**r, "steps": len(r["steps"]), "last": r["steps"][-1] if r["steps"] else None, **r["last_metrics"]} for r in runs]
    rows = [{**r, "tags": ", ".join(r["tags"])} for r in rows]
    said = [c for c in ("label", "tags") if any(r[c] for r in rows)]
    columns = ["name", *said, "family", "steps", "last", "train_loss", "test_loss", "test_accuracy", *(["archived"] if every else [])]
    hidden = f"; {len(found)} archived: `strobe runs --all`" if found else ": `strobe demo`, `strobe train` or `strobe import` makes one"
    print_table(rows, columns, f"{root} has no runs{hidden}")


def described(run: Run) -> dict[str, Any]:
    """A run as `strobe runs --json` lists it."""
    return {
        "name": run.name,
        "family": run.record.family,
        "parameters": run.record.parameters,
        **label_of(run).model_dump(mode="json", include={"label", "tags", "note", "archived"}),
        "steps": list(run.steps),
        "last_metrics": last_metrics(run),
    }


def last_metrics(run: Run) -> dict[str, Any]:
    """The latest recorded value of each metric."""
    frame = run.metrics
    return {str(n): (None if (v := frame[n].dropna()).empty else v.iloc[-1].item()) for n in frame.columns}


def last_metrics_text(run: Run) -> str:
    last = last_metrics(run)
    losses = [f"{n.replace('_', ' ')} {last[n]:.3g}" for n in ("train_loss", "test_loss") if last.get(n) is not None]
    return ", ".join(losses) or "no metrics"


def sites(root: Path, model: str, given: Sequence[str], as_json: bool) -> None:
    workspace = Workspace(root)
    families = [p.name for p in workspace.registry.all("family")]
    if ".py:" in model or model in families:
        plugin = workspace.family_plugin(model)
        family = configured(plugin.load(), plugin.who, parse_settings(given))
    elif model in (names := [run.name for run in workspace.runs()]):
        family = workspace.run(model).family
    else:
        raise UsageError(f"{model!r} is neither a run nor a family{did_you_mean(model, [*names, *families])}")
    rows = [{"what": "site", "name": n, "shape": list(s)} for n, s in family.sites().items()]
    rows += [{"what": "parameter", "name": n, "shape": list(s)} for n, s in family.parameters().items()]
    rows += [{"what": "buffer", "name": n, "shape": list(s)} for n, s in family.buffers().items()]
    if as_json:
        print_json(rows)
    else:
        print_table([{**r, "shape": " x ".join(map(str, r["shape"]))} for r in rows], ["what", "name", "shape"], "no sites")
