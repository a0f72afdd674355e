"""The kit for authors: its fixtures, `run_analyzer`, and that each check finds what it is there to find, on the line that is to change."""

from __future__ import annotations

import importlib
import linecache
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import strobe
from strobe import Analyzer, Results, StrobeError, Weights, dim, hookimpl, metric, testing
from strobe.hookspecs import CATEGORY_OF_HOOK, AnalyzerSpecs
from strobe.registration.registry import Plugin, Registry
from strobe.testing import analyzers, check, conformance, families, renderers, state
from strobe.testing.packages import Target, target

# --- fixtures and run_analyzer -----------------------------------------------------------------------------------------------------------------


def test_the_tiny_run_is_the_same_each_time_and_a_fresh_copy() -> None:
    a, b = testing.weights(), testing.weights()
    assert a["embed.W_E"] is not b["embed.W_E"]
    assert torch.equal(a["embed.W_E"], b["embed.W_E"])
    with pytest.raises(RuntimeError, match="Inplace update"):
        a["embed.W_E"].zero_()


def test_the_tiny_run_learns() -> None:
    losses = testing.metrics()["train_loss"]
    assert losses.iloc[-1] < losses.iloc[0] - 0.1


def test_fixtures_agree_with_one_another() -> None:
    outputs, attention, probe = testing.outputs(), testing.attention(), testing.probe()
    assert len(outputs.logits) == len(probe.targets)
    assert torch.allclose(attention[0].sum(-1), torch.ones(()), atol=1e-5)
    assert torch.equal(testing.activations()["logits"], outputs.logits)
    assert testing.loss()("train") == pytest.approx(testing.metrics()["train_loss"].iloc[-1], rel=1e-5)
    assert testing.checkpoints().steps == (0, 5, 10, 15, 20)
    assert len(testing.results("weight_norms")["weight_norms"]) == 5 * len(testing.weights())
    assert (testing.context().step, testing.context().run) == (20, "tiny")


class Counted(Analyzer):
    """How many tensors there are, and rows of `weight_norms`."""

    consumes = "weight_norms"

    class Row(strobe.Row):
        what: str = dim("what is counted")
        number: int = metric("how many", unit="1")

    @hookimpl
    def analyze_weights(self, weights: Weights, results: Results) -> object:
        yield self.Row(what="tensors", number=len(weights))
        yield self.Row(what="rows", number=len(results["weight_norms"]))


def test_run_analyzer_takes_what_it_is_given_and_makes_the_rest() -> None:
    table = testing.run_analyzer(Counted, weights=Weights({"w": torch.ones(2)}))
    assert dict(zip(table["what"], table["number"], strict=True)) == {"tensors": 1, "rows": len(testing.weights())}
    with pytest.raises(StrobeError, match="analyze_weights has no argument 'weight'; did you mean 'weights'"):
        testing.run_analyzer(Counted, weight=None)


def test_the_pytest_plugin_has_a_fixture_for_every_argument(
    strobe_weights, strobe_activations, strobe_attention, strobe_outputs, strobe_probe, strobe_loss, strobe_checkpoints, strobe_metrics,
    strobe_results, strobe_context, strobe_run, strobe_run_analyzer,
) -> None:  # fmt: skip
    import inspect

    named = {a for hook in CATEGORY_OF_HOOK for a in inspect.signature(getattr(AnalyzerSpecs, hook)).parameters} - {"self"}
    here = {name.removeprefix("strobe_") for name in inspect.signature(test_the_pytest_plugin_has_a_fixture_for_every_argument).parameters}
    assert named <= here
    assert len(strobe_run_analyzer(Counted, weights=strobe_weights, results=strobe_results("weight_norms"))) == 2


def test_the_pytest_plugin_starts_without_torch() -> None:
    code = "import sys, strobe.testing.pytest_plugin; print(*({'torch', 'numpy', 'pandas', 'pydantic', 'pluggy.x'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == ""


@pytest.mark.parametrize(
    ("suite", "checks"),
    [
        (conformance.AnalyzerConformance, analyzers.CHECKS),
        (conformance.RendererConformance, renderers.CHECKS),
        (conformance.FamilyConformance, families.CHECKS),
    ],
)
def test_the_suites_have_a_test_for_every_check(suite: type, checks: dict) -> None:
    assert [n.removeprefix("test_it_") for n in vars(suite) if n.startswith("test_")] == list(checks)
    assert all(check.__doc__ for check in checks.values())


# --- what is wrong is found, on its line -------------------------------------------------------------------------------------------------------

UNFIT = {
    "writes_through_numpy": "leaves its inputs alone",
    "seeds_torch": "leaves the process alone",
    "sets_default_dtype": "leaves the process alone",
    "draws_globally": "is deterministic",
    "says_nothing": "is documented",
    "rows_alike": "gives what it declares",
    "asks_for_more": "registers",
    "fails_on_nan": "takes nan",
    "needs_an_embedding": "takes nothing",
    "wastes_memory": "is bounded in memory",
    "wrong_type": "gives what it declares",
    "runs_the_model": "declares what it reads",
    "undeclared_site": "declares what it reads",
    "looks_at_neighbours": "is independent of the batch split",
    "writes_the_step": "keeps the cursor out of the chart",
    "changes_its_frame": "leaves its frame alone",
    "needs_a_row": "takes no rows",
    "draws_rectangles": "draws large maps as images",
    "no_alt_text": "draws",
    "forgets_its_bias": "agrees with its module",
}


@pytest.fixture(scope="module")
def unfit() -> dict[str, list[check.Finding]]:
    """Plugin -> the checks that it failed. `never_ends` is left out: a million rows take a while."""
    folder = Path(__file__).parents[1] / "plugins" / "strobe-unfit"
    found = target(str(folder))
    failed: dict[str, list[check.Finding]] = {"": list(check.examine(Target(found.title, [], found.registry, found.package)))}
    for plugin in found.plugins:
        if plugin.name != "never_ends":
            failed[plugin.name] = [f for f in check.examine_plugin(plugin, found.registry) if f.state == "failed"]
    return failed


@pytest.mark.parametrize("name", UNFIT)
def test_each_failure_names_the_line_to_change(name: str, unfit: dict[str, list[check.Finding]]) -> None:
    found = {f.check: f for f in unfit[name]}
    assert UNFIT[name] in found, [f"{f.check}: {f.problem}" for f in unfit[name]]
    finding = found[UNFIT[name]]
    assert finding.problem
    assert finding.fix
    assert finding.place is not None
    assert linecache.getline(finding.place.file, finding.place.line).rstrip().endswith("# here"), str(finding.place)


def test_a_package_without_a_bound_on_strobe_is_told_which_to_write(unfit: dict[str, list[check.Finding]]) -> None:
    (finding,) = [f for f in unfit[""] if f.state == "failed"]
    assert (finding.check, finding.kind) == ("bounds its strobe", "package")
    assert 'write `"strobe>=0.1,<1"`' in finding.fix
    assert finding.place is not None
    assert "strobe" in linecache.getline(finding.place.file, finding.place.line)


def test_a_generator_without_an_end_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path(__file__).parents[1] / "plugins" / "strobe-unfit"
    found = target(str(folder))
    monkeypatch.setattr("strobe.testing.running.MAX_ROWS", 1000)
    (plugin,) = [p for p in found.plugins if p.name == "never_ends"]
    subject = analyzers.Subject(plugin.load(), registry=found.registry, name=plugin.name)
    with pytest.raises(testing.Unfit, match="1,000 rows from a tiny run and goes on"):
        analyzers.gives_what_it_declares(subject)


def test_checks_leave_the_process_as_it_was(unfit: dict[str, list[check.Finding]]) -> None:
    assert torch.get_default_dtype() is torch.float32


# --- the command -------------------------------------------------------------------------------------------------------------------------------


def test_check_exits_1_and_prints_the_line(capsys: pytest.CaptureFixture[str]) -> None:
    from strobe.cli.plugins_check import check as command

    folder = Path(__file__).parents[1] / "plugins" / "strobe-unfit" / "strobe_unfit.py"
    assert command(f"{folder}:SaysNothing", as_json=False, verbose=False) == 1
    out = capsys.readouterr().out
    assert "FAILED analyzer says_nothing: is documented: setting cutoff is described nowhere" in out
    assert "strobe_unfit.py:" in out
    assert command("weight_norms", as_json=False, verbose=False) == 0


@pytest.mark.parametrize(
    ("what", "message"), [("weight_norm", "did you mean 'weight_norms'"), ("nothing.py", "no such file"), (".", "plugins new NAME")]
)
def test_what_cannot_be_checked_is_said(what: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StrobeError, match=message):
        target(what)


# --- Strobe's own plugins ----------------------------------------------------------------------------------------------------------------------

REGISTRY = Registry.discover()
OWN = [p for p in REGISTRY.all() if p.package == "strobe" and p.kind in ("analyzer", "renderer", "family")]
NEEDS_A_CHOICE = ("full_activation_maps", "mode_connectivity", "connectivity_path")
"""Have results only for settings that nobody can guess."""
COSTLY = {
    "local_learning_coefficient",
    "trajectory_loops",
    "algebraic_connectivity",
    "sampling_chains",
    "loop_table",
    "gradient_alignment_over_steps",
}
"""Take seconds, on a tiny run too; so does what compares runs. Checked by `strobe plugins check NAME`, not here."""


def of_one_run(plugin: Plugin) -> bool:
    """Whether it, or the table it draws, is about one run: three runs take three times as long, and more."""
    cls = plugin.load()
    tables = cls.tables() if plugin.kind == "renderer" else ()
    scopes = {REGISTRY.analyzer(t).scope for t in tables if t != "metrics"} | {getattr(cls, "scope", "run")}
    return scopes == {"run"}


def sample(kind: str) -> list[Plugin]:
    """Some of a kind, spread over the categories: all of them take a minute (`strobe plugins check strobe`)."""
    own = [p for p in OWN if p.kind == kind and p.name not in (*NEEDS_A_CHOICE, *COSTLY) and of_one_run(p)]
    return own[:: {"analyzer": 4, "renderer": 9, "family": 1}[kind]]


@pytest.mark.parametrize("plugin", [p for kind in ("analyzer", "renderer", "family") for p in sample(kind)], ids=lambda p: f"{p.kind} {p.name}")
def test_built_in_plugins_pass_their_own_kit(plugin) -> None:
    failed = [f"{f.check}: {f.problem} ({f.place})" for f in check.examine_plugin(plugin, REGISTRY) if f.state == "failed"]
    assert failed == []


@pytest.mark.parametrize("plugin", OWN, ids=lambda p: f"{p.kind} {p.name}")
def test_every_setting_of_a_built_in_is_described(plugin) -> None:
    cls = plugin.load()
    assert [name for name in cls.model_fields if not cls.describe(name)] == []


def test_arrays_with_nan_are_equal_to_themselves() -> None:
    a = np.array([1.0, np.nan])
    assert analyzers._same(a, a.copy())
    assert not analyzers._same(a, np.array([1.0, 2.0]))


def test_the_module_of_unfit_plugins_is_not_left_behind() -> None:
    """What a folder brings in is importable only while it is examined by hand: nothing registers it."""
    importlib.invalidate_caches()
    with pytest.raises(StrobeError):
        Registry.discover().analyzer("writes_through_numpy")


def test_memory_that_others_have_freed_hides_nothing() -> None:
    """A heap with a gigabyte to give: an allocation would come from there, and the process would not grow."""
    rows = [bytearray(100_000) for _ in range(6000)]
    last = bytearray(100_000)
    del rows
    assert 250e6 < state.peak_bytes(lambda: np.ones(300 * 2**20, np.uint8).sum()) < 500e6
    assert last
