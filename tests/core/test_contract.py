"""Registration: an analyzer or renderer that breaks the contract is refused with plugin, package, hook, and what to write instead."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import strobe
from strobe import Analyzer, Last, Number, Renderer, dim, hookimpl, metric
from strobe.errors import ContractError
from strobe.hookspecs import CATEGORY_OF_HOOK, AnalyzerSpecs
from strobe.registration.contract import analyzer_contract, renderer_contract

WHO = "analyzer 'mine' (some-package 1.2)"


class Value(strobe.Row):
    value: float = metric("value", unit="1")


def refused(cls: type[Analyzer], category: str | None = None) -> str:
    with pytest.raises(ContractError) as caught:
        analyzer_contract(cls, WHO, category)
    message = str(caught.value)
    assert message.startswith(WHO)
    assert "\n" not in message
    return message


# --- what is accepted ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hook", CATEGORY_OF_HOOK)
def test_the_hook_is_the_category(hook: str) -> None:
    def implementation(self: Any, context: Any, results: Any) -> Iterator[Value]:
        yield from ()

    cls = type("Mine", (Analyzer,), {"Row": Value, "__module__": __name__, hook: hookimpl(implementation)})
    contract = analyzer_contract(cls, WHO, CATEGORY_OF_HOOK[hook])
    assert (contract.hook, contract.category, contract.arguments) == (hook, CATEGORY_OF_HOOK[hook], ("context", "results"))


@pytest.mark.parametrize("hook", CATEGORY_OF_HOOK)
def test_every_hook_documents_every_argument(hook: str) -> None:
    import inspect

    spec = getattr(AnalyzerSpecs, hook)
    for argument in list(inspect.signature(spec).parameters)[1:]:
        assert f":param {argument}:" in spec.__doc__


def test_registering_constructs_nothing() -> None:
    class Explosive(Analyzer):
        Row = Value
        size: int = 1

        def __init__(self, **settings: Any) -> None:
            raise AssertionError("constructed")

        @hookimpl
        def analyze_weights(self, weights: Any) -> Iterator[Value]:
            yield from ()

    assert analyzer_contract(Explosive, WHO).category == "weights"


def test_any_nested_row_is_the_result_type() -> None:
    class Mine(Analyzer):
        class Ratio(strobe.Row):
            ratio: float = metric("ratio", unit="1")

        @hookimpl
        def analyze_weights(self, weights: Any) -> Iterator[Ratio]:
            yield self.Row(ratio=1.0)

    assert Mine.Row is Mine.Ratio
    assert analyzer_contract(Mine, WHO).hook == "analyze_weights"


def test_equal_instances_are_two_plugins() -> None:
    class Mine(Analyzer):
        Row = Value

    assert Mine() != Mine()
    assert len({Mine(), Mine()}) == 2


# --- arguments -----------------------------------------------------------------------------------------------------------------------------


def test_an_unknown_argument_names_the_one_that_is_meant() -> None:
    class Mine(Analyzer):
        Row = Value

        @hookimpl
        def analyze_weights(self, weight: Any) -> Iterator[Value]:
            yield from ()

    message = refused(Mine)
    assert "'weight' is not an argument of analyze_weights; did you mean 'weights'?" in message
    assert "analyze_weights may ask for weights, metrics, results, context" in message


def test_an_argument_of_another_category_is_unknown() -> None:
    class Mine(Analyzer):
        Row = Value

        @hookimpl
        def analyze_weights(self, weights: Any, activations: Any) -> Iterator[Value]:
            yield from ()

    assert "'activations' is not an argument of analyze_weights" in refused(Mine)


def test_a_default_would_hide_an_argument() -> None:
    class Mine(Analyzer):
        Row = Value

        @hookimpl
        def analyze_weights(self, weights: Any, metrics: Any = None) -> Iterator[Value]:
            yield from ()

    message = refused(Mine)
    assert "argument 'metrics' has a default or is keyword-only" in message
    assert "write `def analyze_weights(self, metrics)`" in message


def test_keyword_only_would_hide_an_argument() -> None:
    class Mine(Analyzer):
        Row = Value

        @hookimpl
        def analyze_weights(self, weights: Any, *, metrics: Any) -> Iterator[Value]:
            yield from ()

    assert "argument 'metrics' has a default or is keyword-only" in refused(Mine)


@pytest.mark.parametrize("star", ["*", "**"])
def test_starred_arguments_are_not_passed(star: str) -> None:
    space: dict[str, Any] = {}
    exec(f"def analyze_weights(self, {star}rest):\n    yield from ()", space)
    cls = type("Mine", (Analyzer,), {"Row": Value, "__module__": __name__, "analyze_weights": hookimpl(space["analyze_weights"])})
    assert "is not passed; name the arguments you want: weights, metrics, results, context" in refused(cls)


# --- hooks ---------------------------------------------------------------------------------------------------------------------------------


def test_a_hook_without_its_marker() -> None:
    class Mine(Analyzer):
        Row = Value

        def analyze_weights(self, weights: Any) -> Iterator[Value]:
            yield from ()

    assert "analyze_weights is not marked; write `@hookimpl` above it" in refused(Mine)


def test_two_hooks_on_one_class() -> None:
    class Mine(Analyzer):
        Row = Value

        @hookimpl
        def analyze_weights(self, weights: Any) -> Iterator[Value]:
            yield from ()

        @hookimpl
        def analyze_results(self, results: Any) -> Iterator[Value]:
            yield from ()

    assert "implements analyze_weights and analyze_results; an analyzer has exactly one hook: make two analyzers" in refused(Mine)


def test_two_hooks_of_which_one_is_unmarked() -> None:
    class Mine(Analyzer):
        Row = Value

        @hookimpl
        def analyze_weights(self, weights: Any) -> Iterator[Value]:
            yield from ()

        def analyze_results(self, results: Any) -> Iterator[Value]:
            yield from ()

    assert "analyze_weights and analyze_results" in refused(Mine)


def test_a_misspelt_hook() -> None:
    class Mine(Analyzer):
        Row = Value

        @hookimpl
        def analyze_weight(self, weights: Any) -> Iterator[Value]:
            yield from ()

    assert "implements no hook; did you mean 'analyze_weights'?" in refused(Mine)


def test_no_hook_at_all() -> None:
    class Mine(Analyzer):
        Row = Value

    assert "implements no hook; write one of analyze_weights, analyze_activations" in refused(Mine)


def test_a_category_that_differs_from_the_entry_point_group() -> None:
    class Mine(Analyzer):
        Row = Value

        @hookimpl
        def analyze_outputs(self, outputs: Any) -> Iterator[Value]:
            yield from ()

    message = refused(Mine, "weights")
    assert "analyze_outputs makes it a 'outputs' analyzer, but it is registered under strobe.analyzers.weights" in message
    assert "move its entry point to strobe.analyzers.outputs" in message


# --- settings and class attributes ---------------------------------------------------------------------------------------------------------


def test_a_setting_needs_a_default() -> None:
    with pytest.raises(ContractError, match=r"Mine: setting threshold has no default; write `threshold: ... = <default>`"):

        class Mine(Analyzer):
            threshold: float


def test_a_class_attribute_with_an_annotation_would_become_a_setting() -> None:
    with (
        pytest.warns(UserWarning, match=r"consumes"),
        pytest.raises(ContractError, match=r"Mine: consumes belong to the class, not to its settings: assign without an annotation"),
    ):

        class Mine(Analyzer):
            consumes: str = "weight_norms"


def test_no_result_type() -> None:
    class Mine(Analyzer):
        @hookimpl
        def analyze_weights(self, weights: Any) -> Any:
            yield from ()

    assert "no result type; nest `class Row(strobe.Row): ...` in" in refused(Mine)


def test_several_result_types_without_one_called_row() -> None:
    with pytest.raises(ContractError, match=r"Mine nests several row types \(A, B\); name the result `Row`"):

        class Mine(Analyzer):
            class A(strobe.Row):
                x: int = dim("x")

            class B(strobe.Row):
                x: int = dim("x")


@pytest.mark.parametrize(("hook", "column"), [("analyze_weights", "step"), ("analyze_outputs", "probe"), ("analyze_trajectory", "run")])
def test_a_row_may_not_declare_what_the_engine_adds(hook: str, column: str) -> None:
    row = type("Row", (strobe.Row,), {"__annotations__": {column: str}, column: dim(column), "__module__": __name__})
    cls = type("Mine", (Analyzer,), {"Row": row, "__module__": __name__, hook: hookimpl(lambda self, context: iter(()))})
    assert f"Row declares {column}, which the engine adds" in refused(cls)


def test_trajectory_rows_may_declare_step_and_rows_over_runs_also_run() -> None:
    class Trajectory(Analyzer):
        class Row(strobe.Row):
            step: int | None = dim("step")

        @hookimpl
        def analyze_trajectory(self, checkpoints: Any) -> Iterator[Row]:
            yield from ()

    class OverRuns(Analyzer):
        scope = "runs"

        class Row(strobe.Row):
            run: str = dim("run")
            step: int = dim("step")

        @hookimpl
        def analyze_results(self, results: Any) -> Iterator[Row]:
            yield from ()

    assert analyzer_contract(Trajectory, WHO).category == "trajectory"
    assert analyzer_contract(OverRuns, WHO).category == "results"
    assert (Trajectory.engine_columns(), OverRuns.engine_columns()) == (("run", "probe"), ("probe",))


def test_scope_runs_is_for_results() -> None:
    class Mine(Analyzer):
        Row = Value
        scope = "runs"

        @hookimpl
        def analyze_weights(self, weights: Any) -> Iterator[Value]:
            yield from ()

    assert 'scope = "runs" is for analyze_results and analyze_trajectory, not weights' in refused(Mine)


def test_sites_map_to_positions() -> None:
    class Mine(Analyzer):
        Row = Value
        sites = {"blocks.*.mlp.post": -1}

        @hookimpl
        def analyze_activations(self, activations: Any) -> Iterator[Value]:
            yield from ()

    assert "sites['blocks.*.mlp.post'] = -1 is not a position; write `Last()` or `Positions(...)`" in refused(Mine)


@pytest.mark.parametrize("hook", ["analyze_weights", "analyze_landscape", "analyze_trajectory", "analyze_results"])
def test_sites_of_an_analyzer_that_sees_no_shared_pass(hook: str) -> None:
    attributes = {"Row": Value, "sites": {"logits": Last()}, "__module__": __name__, hook: hookimpl(lambda self, context: iter(()))}
    assert "sees no forward pass; remove `sites`" in refused(type("Mine", (Analyzer,), attributes))


# --- renderers -----------------------------------------------------------------------------------------------------------------------------


def test_a_renderer_says_what_it_draws() -> None:
    class Mine(Renderer):
        @hookimpl
        def render(self, frame: Any) -> Any: ...

    with pytest.raises(ContractError, match='says nothing about what it draws; write `consumes = "<analyzer>"` or `slots'):
        renderer_contract(Mine, "renderer 'mine' (p 1)")


def test_a_renderer_without_render_or_marker() -> None:
    class Nothing(Renderer):
        slots = {"y": Number()}

    class Unmarked(Renderer):
        slots = {"y": Number()}

        def render(self, frame: Any) -> Any: ...

    with pytest.raises(ContractError, match=r"no render hook; write `@hookimpl def render"):
        renderer_contract(Nothing, "renderer 'mine' (p 1)")
    with pytest.raises(ContractError, match=r"render is not marked; write `@hookimpl`"):
        renderer_contract(Unmarked, "renderer 'mine' (p 1)")
