"""An analysis from end to end on a small model: one plan, at most one forward per checkpoint, failures as rows, nothing computed twice."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

import strobe
from strobe import Analyzer, Context, Last, Positions, Workspace, array, hookimpl, metric
from strobe.analysis.engine import Report
from strobe.errors import UsageError
from strobe.runs.run import Run

STEPS = (0, 5, 10, 15, 20)
PASS = ("neuron_frequency", "activation_maps", "attention_maps", "head_frequency", "loss_and_accuracy", "progress_measures")


def computed(report: Report) -> dict[str, int]:
    """Analyzer -> cells computed over all runs, of those where there were any."""
    return dict(sum((Counter({t.analyzer: t.computed}) for t in report.tables), Counter()))


def counters(report: Report) -> dict[str, int]:
    return report.to_json()["counters"]  # type: ignore[no-any-return]


def files(ws: Workspace) -> dict[str, bytes]:
    """Every result file, by its path in the workspace."""
    return {str(f.relative_to(ws.root)): f.read_bytes() for f in sorted((ws.root / "results").rglob("*.parquet"))}


def failures(ws: Workspace) -> dict[tuple[str, int | None], tuple[str, str]]:
    """(analyzer, step) -> (kind, message)."""
    table = ws.table("_failures")
    steps = [None if pd.isna(s) else int(s) for s in table["step"]]
    return {(a, s): (k, m) for a, s, k, m in zip(table["analyzer"], steps, table["kind"], table["message"], strict=True)}


def overwrite(run: Run, step: int, tensors: dict[str, torch.Tensor]) -> None:
    """Another checkpoint in place of the one at this step, entered in the manifest."""
    run.add_checkpoint(step, tensors)


def tensors(run: Run, step: int) -> dict[str, torch.Tensor]:
    return load_file(run.path(step))


class Value(strobe.Row):
    value: float = metric("value", unit="1")


# --- counters ------------------------------------------------------------------------------------------------------------------------------


def test_weights_alone_need_no_forward_and_no_model(toy: Path) -> None:
    report = Workspace(toy).analyze("toy", ["weight_norms", "effective_dimensionality", "dominant_frequencies"])
    assert counters(report) == {
        "forwards": 0, "backwards": 0, "models_built": 0, "checkpoints_read": 5, "bytes_captured": 0, "landscape_forwards": 0,
    }  # fmt: skip
    assert computed(report) == {"weight_norms": 5, "effective_dimensionality": 5, "dominant_frequencies": 5}


def test_everything_needs_one_forward_per_checkpoint_and_the_second_time_none(toy: Path, analyzers: list[str]) -> None:
    ws = Workspace(toy)
    first = ws.analyze("toy", analyzers)
    assert first.ok
    assert (first.counters["forwards"], first.counters["models_built"]) == (5, 0)
    assert all(n == (1 if t.category in ("trajectory", "results") else 5) for t in first.tables for n in [t.computed])
    before = files(ws)
    second = Workspace(toy).analyze("toy", analyzers)
    assert set(counters(second).values()) == {0}
    assert computed(second) == {}
    assert {t.state for t in second.tables} == {"stored"}
    assert files(ws) == before


def test_captured_bytes_are_those_of_the_requested_sites_and_positions(toy: Path) -> None:
    ws = Workspace(toy)
    expected = ws.plan("toy", PASS).bytes_per_forward * len(STEPS)
    report = ws.analyze("toy", PASS)
    assert 0 < report.counters["bytes_captured"] <= 1.1 * expected
    pattern, post, logits = 49 * 2 * 3 * 3, 49 * 16, 49 * 7  # at most: every query of the pattern
    assert report.counters["bytes_captured"] <= 5 * 4 * (pattern + post + logits)


def test_one_forward_serves_analyzers_that_want_different_positions(toy: Path) -> None:
    seen: dict[str, tuple[int, ...]] = {}

    class AllPositions(Analyzer):
        Row = Value
        sites = {"blocks.*.mlp.hook_post": Positions()}

        @hookimpl
        def analyze_activations(self, activations: Any) -> Iterator[Value]:
            seen["all"] = tuple(activations["blocks.0.mlp.post"].shape)
            yield self.Row(value=1.0)

    class LastPosition(Analyzer):
        Row = Value
        sites = {"blocks.*.mlp.post": Last()}

        @hookimpl
        def analyze_activations(self, activations: Any) -> Iterator[Value]:
            seen["last"] = tuple(activations["blocks.0.mlp.post"].shape)
            yield self.Row(value=1.0)

    report = Workspace(toy).analyze("toy", [AllPositions, LastPosition])
    assert report.ok
    assert report.counters["forwards"] == 5
    assert seen == {"all": (49, 3, 16), "last": (49, 16)}


def test_the_plan_says_beforehand_what_analyze_then_does(toy: Path) -> None:
    ws = Workspace(toy)
    plan = ws.plan("toy", ["weight_norms", "loss_and_accuracy"])
    assert (plan.forwards, plan.checkpoints_read) == (5, 5)
    assert {(f.analyzer, f.state, f.missing) for f in plan.forecasts} == {("weight_norms", "computed", 5), ("loss_and_accuracy", "computed", 5)}
    assert ws.analyze("toy", ["weight_norms"]).counters["forwards"] == 0
    plan = ws.plan("toy", ["weight_norms"])
    assert [(f.state, f.missing) for f in plan.forecasts] == [("stored", 0)]
    assert (plan.forwards, plan.checkpoints_read) == (0, 0)


def test_the_report_is_json_of_a_stable_shape(toy: Path) -> None:
    ws = Workspace(toy)
    shape = json.loads(json.dumps(ws.analyze("toy", ["weight_norms"]).to_json()))
    assert set(shape) == {"run", "tables", "failures", "warnings", "counters", "seconds"}
    assert shape["run"] == ["toy"]
    assert set(shape["counters"]) >= {"forwards", "backwards", "models_built", "checkpoints_read", "bytes_captured"}
    assert {k: shape["tables"][0][k] for k in ("analyzer", "run", "state", "computed")} == {
        "analyzer": "weight_norms", "run": "toy", "state": "computed", "computed": 5,
    }  # fmt: skip
    (stored,) = ws.stored()
    assert set(stored) == {"analyzer", "key", "run", "probe", "steps", "rows", "bytes", "package"}
    assert (stored["analyzer"], stored["run"], stored["steps"], stored["rows"]) == ("weight_norms", "toy", 5, 55)


def test_tables_hold_run_step_and_probe(toy: Path) -> None:
    ws = Workspace(toy)
    ws.analyze("toy", ["weight_norms", "loss_and_accuracy", "key_frequencies"])
    norms = ws.table("weight_norms")
    assert list(norms.columns[:3]) == ["run", "step", "probe"]
    assert (set(norms["run"]), set(norms["step"]), norms["probe"].isna().all()) == ({"toy"}, set(STEPS), True)
    assert set(ws.table("loss_and_accuracy", steps=10)["step"]) == {10}
    assert set(ws.table("loss_and_accuracy")["probe"]) == {"grid"}
    keys = ws.table("key_frequencies", steps=[5])
    assert keys["set"].tolist() == ["own", "last", "union"]  # rows of no step belong to every step
    assert (keys["step"][0], keys["step"].isna().tolist()) == (5, [False, True, True])


def test_sql_names_tables_after_analyzers(toy: Path) -> None:
    ws = Workspace(toy)
    ws.analyze("toy", ["weight_norms"])
    found = ws.sql("select step, count(*) as n from weight_norms group by step order by step")
    assert found["n"].tolist() == [11] * 5


# --- what is computed again ----------------------------------------------------------------------------------------------------------------


def test_a_checkpoint_in_the_middle_costs_one_cell_and_what_is_derived(toy: Path, analyzers: list[str]) -> None:
    ws = Workspace(toy)
    ws.analyze("toy", analyzers)
    run = ws.run("toy")
    run.add_checkpoint(12, tensors(run, 10))
    report = ws.analyze("toy", analyzers)
    steps = {t.analyzer: 1 for t in report.tables if t.category not in ("trajectory", "results")}
    # test loss is recorded at no step 12, so the union of key frequencies stays, and with it every old cell of progress_measures
    assert computed(report) == {**steps, "key_frequencies": 1, "parameter_trajectory": 1}
    assert (report.counters["forwards"], report.ok) == (1, True)
    assert set(ws.table("weight_norms")["step"]) == {*STEPS, 12}


def test_a_changed_checkpoint_costs_its_own_cells(toy: Path) -> None:
    ws = Workspace(toy)
    ws.analyze("toy", ["weight_norms", "loss_and_accuracy"])
    run = ws.run("toy")
    overwrite(run, 10, tensors(run, 15))
    report = ws.analyze("toy", ["weight_norms", "loss_and_accuracy"])
    assert computed(report) == {"weight_norms": 1, "loss_and_accuracy": 1}
    table = ws.table("weight_norms")
    assert table[table["step"] == 10]["frobenius"].tolist() == table[table["step"] == 15]["frobenius"].tolist()


def test_the_result_is_the_same_whether_a_checkpoint_came_early_or_late(toy: Path, analyzers: list[str], tmp_path: Path) -> None:
    late, early = Workspace(toy), Workspace(shutil.copytree(toy, tmp_path / "early", copy_function=shutil.copy2))
    late.analyze("toy", analyzers)
    for ws in (late, early):
        ws.run("toy").add_checkpoint(12, tensors(ws.run("toy"), 10))
        ws.analyze("toy", analyzers)
    assert files(late) == files(early)


def test_rows_of_a_checkpoint_that_is_gone_go_too(toy: Path) -> None:
    ws = Workspace(toy)
    ws.analyze("toy", ["weight_norms"])
    manifest = toy / "runs" / "toy" / "checkpoints" / "manifest.json"
    data = json.loads(manifest.read_text())
    del data["checkpoints"]["10"]
    manifest.write_text(json.dumps(data))
    assert computed(ws.analyze("toy", ["weight_norms"])) == {}
    assert set(ws.table("weight_norms")["step"]) == {0, 5, 15, 20}


def test_other_settings_are_another_result(toy: Path) -> None:
    ws = Workspace(toy)
    ws.analyze("toy", ["weight_norms"])
    narrow = {"weight_norms": {"parameters": "embed.*"}}
    assert computed(ws.analyze("toy", ["weight_norms"], settings=narrow)) == {"weight_norms": 5}
    assert len({r["key"] for r in ws.stored()}) == 2
    assert (len(ws.table("weight_norms")), len(ws.table("weight_norms", settings=narrow["weight_norms"]))) == (55, 5)
    assert computed(ws.analyze("toy", ["weight_norms"])) == {}


def test_settings_reach_those_who_read_the_result(toy: Path) -> None:
    ws = Workspace(toy)
    wanted = ["progress_measures", "weight_norms", "loss_and_accuracy"]
    ws.analyze("toy", wanted)
    again = ws.analyze("toy", wanted, settings={"key_frequencies": {"threshold": 0.5}})
    assert computed(again) == {"key_frequencies": 1, "progress_measures": 5}


def test_edited_code_is_computed_again_with_what_depends_on_it_and_nothing_else(installed, toy: Path) -> None:
    folder = installed("strobe-sparsity", "strobe-participation", editable=True)
    wanted = ["sparsity", "participation_ratio", "weight_norms"]
    Workspace(toy).analyze("toy", wanted)
    module = folder / "strobe_sparsity" / "analyzer.py"
    module.write_text(module.read_text() + "\n# edited\n")
    assert computed(Workspace(toy).analyze("toy", wanted)) == {"sparsity": 5}


def test_the_same_settings_said_otherwise_are_the_same_result(toy: Path) -> None:
    ws = Workspace(toy)
    ws.analyze("toy", ["key_frequencies"])
    assert computed(ws.analyze("toy", ["key_frequencies"], settings={"key_frequencies": {"threshold": 0.25, "rule": "W_L"}})) == {}


# --- wrong requests ------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "message"),
    {
        ("wieght_norms", ""): "no analyzer 'wieght_norms'; did you mean 'weight_norms'",
        ("weight_norms", "weight_norms.parameter"): r"analyzer 'weight_norms' \(strobe .*\) has no setting 'parameter'; did you mean 'parameters'",
        ("weight_norms", "wieght_norms.parameters"): "no analyzer 'wieght_norms' to set; did you mean 'weight_norms'",
        ("neuron_frequency", "neuron_frequency.harmonics"): "harmonics = '\\*': Input should be 1 or 2",
    }.items(),
)
def test_a_wrong_request_says_what_was_meant(toy: Path, request_: tuple[str, str], message: str) -> None:
    name, setting = request_
    analyzer, _, field = setting.partition(".")
    with pytest.raises(UsageError, match=message):
        Workspace(toy).analyze("toy", [name], settings={analyzer: {field: "*"}} if setting else None)


def test_wrong_runs_probes_executors_and_workspaces(toy: Path, tmp_path: Path) -> None:
    ws = Workspace(toy)
    with pytest.raises(UsageError, match=r"no run 'tyo' in .*; did you mean 'toy'"):
        ws.analyze("tyo")
    with pytest.raises(UsageError, match=r"run toy has no probe 'gird'; did you mean 'grid'"):
        ws.analyze("toy", probe="gird")
    with pytest.raises(UsageError, match=r"no executor 'dusk'"):
        ws.analyze("toy", ["weight_norms"], executor="dusk")
    with pytest.raises(UsageError, match=r"has no runs: `strobe demo`, `strobe train` or `strobe import` makes one"):
        Workspace(tmp_path / "empty").analyze()
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"workspace .*file is a file; give a folder with --workspace DIR"):
        Workspace(tmp_path / "file")


def test_an_analyzer_for_another_family_is_not_applicable_and_says_why(toy: Path) -> None:
    class Elsewhere(Analyzer):
        Row = Value
        families = ("char_lm",)

        @hookimpl
        def analyze_weights(self, weights: Any) -> Iterator[Value]:
            yield self.Row(value=1.0)

    class NoSite(Analyzer):
        Row = Value
        sites = {"blocks.*.moe.gate": Last()}

        @hookimpl
        def analyze_activations(self, activations: Any) -> Iterator[Value]:
            yield self.Row(value=1.0)

    report = Workspace(toy).analyze("toy", [Elsewhere, NoSite, "weight_norms"])
    assert {(t.analyzer, t.state, t.why) for t in report.tables if t.analyzer != "weight_norms"} == {
        ("elsewhere", "not applicable", "made for char_lm, this run is modular_addition"),
        ("no_site", "not applicable", "modular_addition has no site blocks.*.moe.gate"),
    }
    assert report.ok


# --- failures are rows ---------------------------------------------------------------------------------------------------------------------


class Fickle(Analyzer):
    """Yields a row, then raises at steps 5 and 15 until they are mended."""

    Row = Value

    @hookimpl
    def analyze_weights(self, weights: Any, context: Context) -> Iterator[Value]:
        yield self.Row(value=0.0)
        if context.step in (5, 15) and context.step not in Ledger.mended:
            raise RuntimeError(f"half-way at {context.step}")
        yield self.Row(value=1.0)


class Ledger:
    mended: set[int] = set()


class Reads(Analyzer):
    """Reads what Fickle gave."""

    Row = Value
    consumes = "fickle"
    sites = {"logits": Last()}

    @hookimpl
    def analyze_activations(self, activations: Any, results: Any) -> Iterator[Value]:
        yield self.Row(value=float(len(results["fickle"])))


@pytest.fixture
def ledger() -> Iterator[set[int]]:
    Ledger.mended.clear()
    yield Ledger.mended
    Ledger.mended.clear()


def test_a_generator_that_fails_half_way_stores_a_failure_and_no_rows(toy: Path, ledger: set[int]) -> None:
    ws = Workspace(toy)
    report = ws.analyze("toy", [Fickle, "weight_norms"])
    assert [(f.analyzer, f.step, f.kind, f.message) for f in report.failures] == [
        ("fickle", 5, "error", "RuntimeError: half-way at 5"),
        ("fickle", 15, "error", "RuntimeError: half-way at 15"),
    ]
    assert "half-way at 5" in ws.table("_failures")["traceback"][0]
    assert ws.table("fickle").groupby("step").size().to_dict() == {0: 2, 10: 2, 20: 2}
    assert len(ws.table("weight_norms")) == 55  # the others go on


def test_a_retry_touches_only_what_failed_and_clears_its_row(toy: Path, ledger: set[int]) -> None:
    ws = Workspace(toy)
    ws.analyze("toy", [Fickle, "weight_norms"])
    ledger.add(5)
    report = ws.analyze("toy", [Fickle, "weight_norms"])
    assert (computed(report), report.counters["checkpoints_read"]) == ({"fickle": 1}, 2)
    assert set(failures(ws)) == {("fickle", 15)}
    ledger.add(15)
    assert ws.analyze("toy", [Fickle, "weight_norms"]).ok
    assert failures(ws) == {}
    assert len(ws.table("fickle")) == 10


def test_who_reads_a_failed_cell_fails_at_that_step_only_and_recovers(toy: Path, ledger: set[int]) -> None:
    ws = Workspace(toy)
    ws.analyze("toy", [Fickle, Reads])
    assert failures(ws)["reads", 5] == ("upstream", "it reads fickle, which gave no result at step 5; mend that first (see its own failure)")
    assert ws.table("reads")["value"].tolist() == [2.0, 2.0, 2.0]
    ledger.update((5, 15))
    assert computed(ws.analyze("toy", ["reads"])) == {"fickle": 2, "reads": 2}
    assert failures(ws) == {}


class Hopeless(Analyzer):
    """Fails until it is mended."""

    Row = Value

    @hookimpl
    def analyze_trajectory(self, checkpoints: Any) -> Iterator[Value]:
        if not Ledger.mended:
            raise ValueError("not yet")
        yield self.Row(value=float(len(checkpoints)))


class ReadsHopeless(Analyzer):
    Row = Value
    consumes = "hopeless"

    @hookimpl
    def analyze_outputs(self, outputs: Any, results: Any) -> Iterator[Value]:
        yield self.Row(value=results["hopeless"]["value"].item())


def test_who_reads_a_result_that_failed_is_told_so_and_recovers(toy: Path, ledger: set[int]) -> None:
    ws = Workspace(toy)
    report = ws.analyze("toy", [Hopeless, ReadsHopeless])
    assert failures(ws)["reads_hopeless", None][0] == "upstream"
    assert report.counters["forwards"] == 0
    ledger.add(0)
    assert ws.analyze("toy", ["reads_hopeless"]).ok
    assert failures(ws) == {}
    assert ws.table("reads_hopeless")["value"].tolist() == [5.0] * 5


def test_failures_of_other_settings_are_not_reported_for_these(toy: Path) -> None:
    ws = Workspace(toy)
    wrong = {"progress_measures": {"keys": "[50]"}}  # p=7 has frequencies 1..3
    assert len(ws.analyze("toy", ["progress_measures"], settings=wrong).failures) == 5
    assert ws.analyze("toy", ["progress_measures"]).ok


def test_an_analyzer_that_writes_into_shared_tensors_spoils_nothing_for_others(toy: Path, tmp_path: Path) -> None:
    class Vandal(Analyzer):
        Row = Value
        sites = {"blocks.*.mlp.post": Last()}

        @hookimpl
        def analyze_activations(self, activations: Any, weights: Any) -> Iterator[Value]:
            for tensor in (*activations.values(), weights["embed.W_E"]):
                tensor.zero_()
            yield self.Row(value=0.0)

    wanted = ["neuron_frequency", "activation_maps", "loss_and_accuracy", "weight_norms"]
    clean = Workspace(shutil.copytree(toy, tmp_path / "clean", copy_function=shutil.copy2))
    clean.analyze("toy", wanted)
    ws = Workspace(toy)
    ws.analyze("toy", [Vandal, *wanted])
    assert {kind for kind, _ in failures(ws).values()} == {"error"}
    assert {f: data for f, data in files(ws).items() if "_failures" not in f} == files(clean)


# --- bad checkpoints -----------------------------------------------------------------------------------------------------------------------


def test_nan_weights_are_flagged_null_with_the_reason_and_the_rest_is_computed(toy: Path, analyzers: list[str]) -> None:
    ws = Workspace(toy)
    run = ws.run("toy")
    bad = tensors(run, 10)
    bad["blocks.0.mlp.W_in"][0, :2] = float("nan")
    overwrite(run, 10, bad)
    report = ws.analyze("toy", analyzers)
    found = failures(ws)
    assert {kind for kind, _ in found.values()} == {"not_finite"}
    assert {s for _, s in found if s is not None} == {10}
    assert "blocks.0.mlp.W_in holds 2 NaN or infinite values" in found["weight_norms", 10][1]
    assert "step 10: blocks.0.mlp.W_in holds 2 NaN or infinite values" in found["parameter_trajectory", None][1]
    assert "weight_norms" in computed(report)
    norms = ws.table("weight_norms").set_index(["step", "parameter"])["frobenius"]
    assert np.isnan(norms[10, "blocks.0.mlp.W_in"])
    assert norms.drop((10, "blocks.0.mlp.W_in")).notna().all()
    loss = ws.table("loss_and_accuracy").set_index(["step", "split"])["loss"]
    assert loss[10].isna().all()
    assert loss.drop(10).notna().all()
    assert ws.analyze("toy", analyzers).failures == report.failures  # still reported, nothing computed again
    assert computed(ws.analyze("toy", analyzers)) == {}


@pytest.mark.parametrize("how", ["truncated", "deleted", "other bytes", "empty"])
def test_a_damaged_checkpoint_fails_alone(toy: Path, how: str) -> None:
    ws = Workspace(toy)
    path = ws.run("toy").path(10)
    data = path.read_bytes()
    if how == "deleted":
        path.unlink()
    else:
        path.write_bytes({"truncated": data[: len(data) // 2], "other bytes": data[:-1] + bytes([data[-1] ^ 1]), "empty": b""}[how])
    ws.analyze("toy", ["weight_norms", "loss_and_accuracy"])
    found = failures(ws)
    assert set(found) == {("weight_norms", 10), ("loss_and_accuracy", 10)}
    expected = {"deleted": "is missing: copy it back", "other bytes": "is not the file that was recorded"}.get(how, "is truncated or corrupted")
    for kind, message in found.values():
        assert kind == "checkpoint"
        assert expected in message
        assert "\n" not in message
    assert set(ws.table("loss_and_accuracy")["step"]) == {0, 5, 15, 20}
    path.write_bytes(data)
    assert computed(ws.analyze("toy", ["weight_norms", "loss_and_accuracy"])) == {"weight_norms": 1, "loss_and_accuracy": 1}
    assert failures(ws) == {}


def test_a_missing_tensor_and_a_wrong_shape_are_named(toy: Path) -> None:
    ws = Workspace(toy)
    run = ws.run("toy")
    for step, change in ((5, None), (10, torch.zeros(3, 3))):
        changed = tensors(run, step)
        del changed["blocks.0.mlp.W_in"]
        if change is not None:
            changed["blocks.0.mlp.W_in"] = change
        overwrite(run, step, changed)
    ws.analyze("toy", ["loss_and_accuracy", "dominant_frequencies", "weight_norms"])
    found = failures(ws)
    assert "tensor blocks.0.mlp.W_in (8, 16) is missing" in found["loss_and_accuracy", 5][1]
    assert "tensor blocks.0.mlp.W_in has shape (3, 3), expected (8, 16)" in found["loss_and_accuracy", 10][1]
    assert not [step for name, step in found if name == "weight_norms"]  # needs no model, so it measures what is there
    assert set(ws.table("loss_and_accuracy")["step"]) == {0, 15, 20}


def test_a_probe_with_tokens_out_of_range(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ws = Workspace(toy)
    family = ws.registry.family("modular_addition")
    grid = family._grid

    def beyond(self: Any, split: Any) -> Any:
        probe = grid(self, split)
        probe.inputs[3, 0] = 99
        return probe

    monkeypatch.setattr(family, "_grid", beyond)
    ws.analyze("toy", ["loss_and_accuracy", "weight_norms"])
    kind, message = failures(ws)["loss_and_accuracy", 0]
    assert kind == "error"
    assert "token 99 at input 3, position 0 is out of range: tokens are 0..7 with p=7" in message
    assert len(ws.table("weight_norms")) == 55


# --- the other categories ------------------------------------------------------------------------------------------------------------------


def test_a_landscape_analyzer_has_its_own_forwards_counted_apart(installed, toy: Path) -> None:
    installed("strobe-gradient-norm")
    ws = Workspace(toy)
    report = ws.analyze("toy", ["gradient_norm"])
    assert counters(report) | {"checkpoints_read": 5} == {
        "forwards": 0, "backwards": 5, "models_built": 0, "checkpoints_read": 5, "bytes_captured": 0, "landscape_forwards": 5,
    }  # fmt: skip
    run = ws.run("toy")
    module = run.family.build()
    module.load_state_dict(tensors(run, 15))
    probe = run.probe()
    train = probe.splits["train"]
    logits = module(probe.inputs[train])[:, -1]
    torch.nn.functional.cross_entropy(logits.double(), probe.targets[train]).backward()
    expected = {name: p.grad.double().norm().item() for name, p in module.named_parameters() if p.grad is not None}
    found = ws.table("gradient_norm", steps=15).set_index("parameter")["norm"]
    for name, norm in expected.items():
        assert found[name] == pytest.approx(norm, rel=1e-4, abs=1e-9), name


def test_a_hessian_vector_product_in_an_analysis(toy: Path) -> None:
    class Curvature(Analyzer):
        Row = Value

        @hookimpl
        def analyze_landscape(self, loss: Any) -> Iterator[Value]:
            v = loss.grad()
            hv = loss.hvp(v)
            shifted = loss.at({n: w + 1e-3 * v[n] for n, w in loss.weights.items()})
            difference = (torch.cat([(shifted.grad()[n] - v[n]).flatten() for n in v]) / 1e-3).double()
            exact = torch.cat([hv[n].flatten() for n in v]).double()
            yield self.Row(value=((difference - exact).norm() / exact.norm()).item())

    ws = Workspace(toy)
    report = ws.analyze("toy", [Curvature])
    assert report.ok
    assert report.counters["forwards"] == 0
    assert ws.table("curvature")["value"].median() < 0.01  # median: a difference may step over a kink of a ReLU


def test_results_over_several_runs(installed, toy: Path) -> None:
    installed("strobe-final-norm")
    ws = Workspace(toy)
    ws.train("modular_addition", name="other", p=7, d_model=8, n_heads=2, d_mlp=16, seed=1, training={"epochs": 2, "schedule": "every:1"})
    assert computed(ws.analyze(None, ["final_norm"])) == {"weight_norms": 8, "final_norm": 1}
    table = ws.table("final_norm")
    assert sorted(table["run"]) == ["other", "toy"]
    assert computed(ws.analyze(None, ["final_norm"])) == {}
    run = ws.run("other")
    overwrite(run, 2, tensors(run, 0))
    assert computed(ws.analyze(None, ["final_norm"])) == {"weight_norms": 1, "final_norm": 1}
    assert computed(ws.analyze(["other"], ["final_norm"])) == {"final_norm": 1}  # other runs, other result


def test_an_analyzer_may_give_no_rows(toy: Path) -> None:
    class Silent(Analyzer):
        class Row(strobe.Row):
            grid: np.ndarray = array("map", dims=["a", "b"], unit="1")

        @hookimpl
        def analyze_weights(self, weights: Any) -> Iterator[Row]:
            yield from ()

    ws = Workspace(toy)
    assert ws.analyze("toy", [Silent]).ok
    assert len(ws.table("silent")) == 0
    assert computed(ws.analyze("toy", [Silent])) == {}


def test_random_numbers_are_those_of_the_cell(toy: Path, tmp_path: Path) -> None:
    class Dice(Analyzer):
        Row = Value

        @hookimpl
        def analyze_weights(self, context: Context) -> Iterator[Value]:
            yield self.Row(value=float(context.rng.random()))

    found = []
    for name in ("one", "two"):
        ws = Workspace(shutil.copytree(toy, tmp_path / name, copy_function=shutil.copy2))
        ws.analyze("toy", [Dice])
        found.append(ws.table("dice")["value"].tolist())
    assert found[0] == found[1]
    assert len(set(found[0])) == 5


# --- hooks around the core -----------------------------------------------------------------------------------------------------------------


def test_hooks_wrap_every_call_and_hear_of_everything(toy: Path, ledger: set[int]) -> None:
    from strobe.registration.registry import Plugin

    heard: dict[str, list[Any]] = {"run": [], "failed": [], "written": [], "done": []}

    class Ear:
        @hookimpl(wrapper=True)
        def run_analyzer(self, call: Any) -> Any:
            heard["run"].append(call.name)
            made = yield
            assert made.table.num_rows
            return made

        @hookimpl
        def analyzer_failed(self, analyzer: str, step: int, kind: str) -> None:
            heard["failed"].append((analyzer, step, kind))

        @hookimpl
        def table_written(self, analyzer: str, rows: int, path: str) -> None:
            assert Path(path).exists()
            heard["written"].append((analyzer, rows))

        @hookimpl
        def checkpoint_done(self, step: int, seconds: float) -> None:
            heard["done"].append(step)

    ws = Workspace(toy)
    ws.registry._plugins["hook", "ear"] = Plugin("ear", "hook", "", None, "notebook", "", given=Ear())
    ws.analyze("toy", [Fickle, "key_frequencies"])
    assert heard["run"] == ["fickle"] * 5 + ["key_frequencies"]
    assert heard["failed"] == [("fickle", 5, "error"), ("fickle", 15, "error")]
    assert heard["written"] == [("fickle", 6), ("key_frequencies", 7)]
    assert heard["done"] == list(STEPS)


# --- executors -----------------------------------------------------------------------------------------------------------------------------

DEADLY = '''
import os
from strobe import Analyzer, Row, hookimpl, metric

class Deadly(Analyzer):
    """Takes its process with it at step 10."""

    class Row(Row):
        value: float = metric("value", unit="1")

    @hookimpl
    def analyze_weights(self, weights, context):
        if context.step == 10:
            os._exit(9)
        yield self.Row(value=1.0)
'''


@pytest.mark.slow
def test_processes_give_the_same_bytes_as_this_process(toy: Path, analyzers: list[str], tmp_path: Path) -> None:
    here, there = Workspace(toy), Workspace(shutil.copytree(toy, tmp_path / "there", copy_function=shutil.copy2))
    one = here.analyze("toy", analyzers)
    other = there.analyze("toy", analyzers, executor="processes", workers=2)
    assert other.ok
    assert counters(one) == counters(other)
    assert files(here) == files(there)


@pytest.mark.slow
def test_an_analyzer_that_kills_its_worker_is_found_and_everyone_else_is_served(toy: Path, tmp_path: Path) -> None:
    (tmp_path / "deadly.py").write_text(DEADLY)
    ws = Workspace(toy)
    report = ws.analyze("toy", [f"{tmp_path}/deadly.py:Deadly", "weight_norms", "loss_and_accuracy"], executor="processes", workers=1, isolate="none")
    assert [(f.analyzer, f.step, f.kind) for f in report.failures] == [("deadly", 10, "worker")]
    assert "worker process died" in report.failures[0].message
    assert set(ws.table("deadly")["step"]) == {0, 5, 15, 20}
    for name in ("weight_norms", "loss_and_accuracy"):
        assert set(ws.table(name)["step"]) == set(STEPS)


def test_an_analyzer_of_this_session_cannot_travel(toy: Path) -> None:
    with pytest.raises(UsageError, match=r"'fickle' was defined in this session and cannot travel to other processes; use executor='local'"):
        Workspace(toy).analyze("toy", [Fickle], executor="processes")
