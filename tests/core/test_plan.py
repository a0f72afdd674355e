"""The plan: which analyzers run when, and keys that change with exactly what moves a result. Pure: no torch."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from strobe.analysis.plan import Bound, RunFacts, capture, chunks, derived_cell, not_applicable, probe_of, result_key, site_bytes, stages, step_cells
from strobe.errors import UsageError
from strobe.sites import Last, Positions


def analyzer(name: str, category: str, *upstream: str, **more: object) -> Bound:
    return Bound(name, category, f"code of {name}", "{}", "{}", upstream=upstream, **more)  # type: ignore[arg-type]


def bound(*analyzers: Bound) -> dict[str, Bound]:
    return {b.name: b for b in analyzers}


FACTS = RunFacts(
    name="run",
    family="toy",
    identity={"parameters": {"p": 7}, "compute_path": "fast"},
    family_code="family code",
    checkpoints={0: "d0", 10: "d10"},
    metrics="metrics",
    probe="grid",
    probe_digest="probe digest",
    sites={
        "embed": ("batch", "pos", 4),
        "blocks.0.mlp.post": ("batch", "pos", 8),
        "blocks.0.attn.pattern": ("batch", 2, "query", "key"),
        "logits": ("batch", "pos", 7),
    },
)
CHAIN = bound(
    analyzer("norms", "weights"),
    analyzer("keys", "trajectory"),
    analyzer("maps", "activations", sites=(("blocks.*.mlp.post", Last()),)),
    analyzer("progress", "outputs", "keys", arguments=("outputs", "results")),
    analyzer("summary", "results", "progress", arguments=("results",)),
    analyzer("events", "results", arguments=("metrics",)),
)


def test_it_imports_without_torch() -> None:
    code = "import sys, strobe.analysis.plan; assert not {'torch', 'pandas', 'pyarrow', 'numpy'} & set(sys.modules), sorted(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


# --- stages --------------------------------------------------------------------------------------------------------------------------------


def test_stages_before_on_and_after_the_forward() -> None:
    found = stages(CHAIN)
    assert found.before == ("keys",)  # because progress reads it
    assert set(found.steps) == {"norms", "maps", "progress"}
    assert set(found.after) == {"summary", "events"}


def test_everything_comes_after_what_it_reads() -> None:
    chain = bound(analyzer("c", "results", "b"), analyzer("a", "weights"), analyzer("b", "results", "a"))
    assert stages(chain).after == ("b", "c")


def test_a_weights_analyzer_that_a_step_analyzer_reads_runs_first() -> None:
    found = stages(bound(analyzer("norms", "weights"), analyzer("reader", "activations", "norms"), analyzer("other", "weights")))
    assert (found.before, set(found.steps)) == (("norms",), {"reader", "other"})


def test_analyzers_in_a_circle_are_refused() -> None:
    with pytest.raises(UsageError, match=r"in a circle: (a -> b -> a|b -> a -> b); drop one `consumes`"):
        stages(bound(analyzer("a", "results", "b"), analyzer("b", "results", "a")))


@pytest.mark.parametrize("category", ["activations", "attention", "outputs", "landscape"])
def test_a_step_analyzer_cannot_read_another_forward(category: str) -> None:
    chain = bound(analyzer("first", category), analyzer("between", "results", "first"), analyzer("second", "outputs", "between"))
    with pytest.raises(
        UsageError, match=r"'second' .outputs. consumes 'first', which needs a forward pass of its own; make 'second' a results analyzer"
    ):
        stages(chain)


# --- keys ----------------------------------------------------------------------------------------------------------------------------------

ABOUT_FAMILY = replace(FACTS, identity={"parameters": {"p": 11}, "compute_path": "fast"})
CHANGES = {
    "its code": (lambda b: replace(b, code="other"), FACTS, {"weights", "outputs"}),
    "its settings": (lambda b: replace(b, settings='{"k": 1}'), FACTS, {"weights", "outputs"}),
    "its Row": (lambda b: replace(b, signature="other"), FACTS, {"weights", "outputs"}),
    "the family's parameters": (lambda b: b, ABOUT_FAMILY, {"weights", "outputs"}),
    "the family": (lambda b: b, replace(FACTS, family="other"), {"weights", "outputs"}),
    "the compute path": (lambda b: b, replace(FACTS, identity={"parameters": {"p": 7}, "compute_path": "plain"}), {"outputs"}),
    "the family's code": (lambda b: b, replace(FACTS, family_code="other"), {"outputs"}),
    "the probe": (lambda b: b, replace(FACTS, probe_digest="other"), {"outputs"}),
    "the run's name": (lambda b: b, replace(FACTS, name="other"), set()),
    "the checkpoints": (lambda b: b, replace(FACTS, checkpoints={0: "other"}), set()),
    "the metrics": (lambda b: b, replace(FACTS, metrics="other"), set()),
}  # fmt: skip


@pytest.mark.parametrize("what", CHANGES)
@pytest.mark.parametrize("category", ["weights", "outputs"])
def test_a_result_key_changes_with_exactly_what_moves_the_result(what: str, category: str) -> None:
    change, facts, moved = CHANGES[what]
    before = bound(analyzer("x", category))
    after = bound(change(before["x"]))
    assert (result_key(before, "x", FACTS) != result_key(after, "x", facts)) == (category in moved)


def test_a_key_changes_with_whatever_it_reads_and_nothing_else() -> None:
    after = {**CHAIN, "keys": replace(CHAIN["keys"], code="edited")}
    changed = {name for name in CHAIN if result_key(CHAIN, name, FACTS) != result_key(after, name, FACTS)}
    assert changed == {"keys", "progress", "summary"}


def test_keys_are_the_same_in_every_process() -> None:
    code = """
from strobe.analysis.plan import Bound, RunFacts, result_key
facts = RunFacts("run", "toy", {"parameters": {"p": 7, "q": [1, 2]}}, "code", {0: "d"}, "metrics", "grid", "digest")
print(result_key({"x": Bound("x", "outputs", "code", "{}", "{}")}, "x", facts))
"""
    keys = {subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, env={"PYTHONHASHSEED": seed}).stdout for seed in "12"}
    assert len(keys) == 1


# --- cells ---------------------------------------------------------------------------------------------------------------------------------


def keys_of(facts: RunFacts, rows: str = "rows", name: str = "progress") -> dict[int | None, str]:
    return {c.step: c.key for c in step_cells(CHAIN, [name], facts, lambda upstream, step: f"{rows} {upstream} {step}")}


def test_one_cell_per_checkpoint() -> None:
    cells = step_cells(CHAIN, ["maps"], FACTS, lambda *_: "")
    assert [(c.analyzer, c.run, c.probe, c.step) for c in cells] == [("maps", "run", "grid", 0), ("maps", "run", "grid", 10)]
    assert len({c.key for c in cells}) == 2


def test_a_checkpoint_changes_its_own_cell_only() -> None:
    before, after = keys_of(FACTS), keys_of(replace(FACTS, checkpoints={0: "d0", 5: "new", 10: "d10"}))
    assert {s: after[s] for s in before} == before
    assert keys_of(replace(FACTS, checkpoints={0: "d0", 10: "other"}))[0] == before[0]
    assert keys_of(replace(FACTS, checkpoints={0: "d0", 10: "other"}))[10] != before[10]


def test_rows_that_a_cell_is_given_are_part_of_its_key() -> None:
    assert keys_of(FACTS, "rows") != keys_of(FACTS, "other rows")
    assert keys_of(FACTS, "rows", "maps") == keys_of(FACTS, "other rows", "maps")


def test_metrics_are_part_of_the_key_of_those_who_ask_for_them() -> None:
    asks = bound(replace(analyzer("x", "weights"), arguments=("metrics",)), analyzer("y", "weights", arguments=("weights",)))
    other = replace(FACTS, metrics="other")
    cells = {name: [step_cells(asks, [name], facts, lambda *_: "") for facts in (FACTS, other)] for name in asks}
    assert cells["x"][0] != cells["x"][1]
    assert cells["y"][0] == cells["y"][1]


def test_a_trajectory_cell_covers_every_checkpoint() -> None:
    more = replace(FACTS, checkpoints={0: "d0", 5: "d5", 10: "d10"})
    assert derived_cell(CHAIN, "keys", [FACTS], {}).key != derived_cell(CHAIN, "keys", [more], {}).key


def test_a_results_cell_covers_what_it_reads_and_not_the_checkpoints() -> None:
    more = replace(FACTS, checkpoints={0: "d0", 5: "d5", 10: "d10"}, metrics="other")
    one = derived_cell(CHAIN, "summary", [FACTS], {"progress": ["a", "b"]})
    assert one == derived_cell(CHAIN, "summary", [more], {"progress": ["b", "a"]})
    assert one != derived_cell(CHAIN, "summary", [FACTS], {"progress": ["a", "c"]})
    assert derived_cell(CHAIN, "events", [FACTS], {}) != derived_cell(CHAIN, "events", [more], {})


def test_a_cell_over_several_runs_covers_their_names() -> None:
    over = bound(analyzer("x", "results", scope="runs"))
    one, two = derived_cell(over, "x", [FACTS], {}), derived_cell(over, "x", [FACTS, replace(FACTS, name="second")], {})
    assert one.run is None
    assert one.key != two.key


def test_only_those_that_look_at_a_probe_name_one() -> None:
    assert {name: probe_of(b, FACTS) for name, b in CHAIN.items()} == {
        "norms": None, "keys": None, "maps": "grid", "progress": "grid", "summary": None, "events": None,
    }  # fmt: skip


# --- not applicable ------------------------------------------------------------------------------------------------------------------------


def test_why_an_analyzer_does_not_apply() -> None:
    chain = bound(
        analyzer("other_family", "weights", families=("char_lm", "images")),
        analyzer("reads_it", "results", "other_family"),
        analyzer("no_site", "activations", sites=(("blocks.*.attn.z", Last()), ("embed", Last()))),
        analyzer("fits", "activations", sites=(("blocks.*.mlp.hook_post", Last()),), families=("toy",)),
    )
    assert not_applicable(chain, "other_family", FACTS) == "made for char_lm, images, this run is toy"
    assert not_applicable(chain, "reads_it", FACTS) == "it reads other_family, which does not apply: made for char_lm, images, this run is toy"
    assert not_applicable(chain, "no_site", FACTS) == "toy has no site blocks.*.attn.z"
    assert not_applicable(chain, "fits", FACTS) == ""


def test_a_run_without_checkpoints_still_has_metrics() -> None:
    empty = replace(FACTS, checkpoints={})
    assert not_applicable(CHAIN, "norms", empty) == "the run has no checkpoints"
    assert not_applicable(CHAIN, "events", empty) == ""


# --- capture -------------------------------------------------------------------------------------------------------------------------------


def test_one_forward_keeps_the_union_of_what_was_asked_for() -> None:
    chain = bound(
        analyzer("a", "activations", sites=(("blocks.*.mlp.post", Last()),)),
        analyzer("b", "activations", sites=(("blocks.0.mlp.post", Positions()),)),
        analyzer("c", "attention", arguments=("attention",)),
        analyzer("d", "outputs", arguments=("outputs",)),
        analyzer("e", "attention", arguments=("attention",), sites=(("blocks.*.attn.pattern", Last()),)),
        analyzer("f", "weights"),
    )
    plan = capture(chain, chain, FACTS.sites, FACTS.read_out)
    assert plan.wanted == {
        "blocks.0.mlp.post": {Last(), Positions()},
        "blocks.0.attn.pattern": {Positions(), Last()},
        "logits": {Last()},
    }
    assert plan.takes["c"] == {"blocks.0.attn.pattern": Positions()}
    assert plan.takes["e"] == {"blocks.0.attn.pattern": Last()}
    assert "f" not in plan.takes


def test_bytes_are_known_before_anything_runs() -> None:
    sizes = {"batch": 49, "pos": 3, "query": 3, "key": 3}
    assert site_bytes(("batch", "pos", 8), sizes, Positions(), query=False) == 4 * 49 * 3 * 8
    assert site_bytes(("batch", "pos", 8), sizes, Last(), query=False) == 4 * 49 * 8
    assert site_bytes(("batch", 2, "query", "key"), sizes, Last(), query=True) == 4 * 49 * 2 * 3


def test_chunks_of_steps() -> None:
    assert chunks([0, 1, 2, 3, 4], 2) == [(0, 1), (2, 3), (4,)]
    assert chunks([], 2) == []
