"""Wrappers and observers from other packages: called where they should be, and harmless when they fail."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from strobe import Workspace, hookimpl
from strobe.registration.registry import Plugin


def with_hook(root: Path, hook: object, name: str = "mine") -> Workspace:
    """A workspace with this hook, as if a package had brought it."""
    ws = Workspace(root)
    ws.registry.put(Plugin(name, "hook", "", None, "strobe-mine", "1.0", given=hook))
    return ws


def rows(ws: Workspace) -> list[dict[str, Any]]:
    return ws.table("weight_norms").to_dict("records")


@pytest.fixture
def expected(trained: Path, tmp_path: Path) -> list[dict[str, Any]]:
    import shutil

    ws = Workspace(shutil.copytree(trained, tmp_path / "plain"))
    ws.analyze("toy", ["weight_norms"])
    return rows(ws)


class Clumsy:
    """Observers that all raise."""

    calls = 0

    @hookimpl
    def checkpoint_done(self, step: int) -> None:
        type(self).calls += 1
        raise ValueError(f"at {step}")

    @hookimpl
    def table_written(self, path: str) -> None:
        raise OSError("disk is full")


def test_observers_that_raise_break_nothing_and_are_named_once(toy: Path, expected: list[dict[str, Any]]) -> None:
    heard: list[int] = []

    class Ear:
        @hookimpl
        def checkpoint_done(self, step: int) -> None:
            heard.append(step)

    ws = with_hook(toy, Ear(), "ear")
    ws.registry.put(Plugin("clumsy", "hook", "", None, "strobe-clumsy", "1.0", given=Clumsy()))
    report = ws.analyze("toy", ["weight_norms"])
    assert report.ok
    assert rows(ws) == expected
    assert heard == [0, 5, 10, 15, 20]  # whoever comes before or after
    assert Clumsy.calls == 5
    assert report.warnings == [
        "hook checkpoint_done of strobe-clumsy:clumsy failed and was passed over: ValueError: at 0; mend it, or `strobe plugins disable clumsy`",
        "hook table_written of strobe-clumsy:clumsy failed and was passed over: OSError: disk is full; mend it, or `strobe plugins disable clumsy`",
    ]


class RaisesBefore:
    @hookimpl(wrapper=True)
    def run_analyzer(self, call: Any) -> Iterator[None]:
        raise RuntimeError("no GPU")
        yield


class RaisesAfter:
    @hookimpl(wrapper=True)
    def run_analyzer(self, call: Any) -> Iterator[None]:
        yield
        raise RuntimeError("no GPU")


class ForgetsTheRows:
    @hookimpl(wrapper=True)
    def run_analyzer(self, call: Any) -> Iterator[None]:
        yield


@pytest.mark.parametrize(("wrapper", "says"), [(RaisesBefore, "no GPU"), (RaisesAfter, "no GPU"), (ForgetsTheRows, "returns what its `yield`")])
def test_a_wrapper_that_fails_is_passed_over(toy: Path, expected: list[dict[str, Any]], wrapper: type, says: str) -> None:
    ws = with_hook(toy, wrapper())
    report = ws.analyze("toy", ["weight_norms"])
    assert report.ok
    assert rows(ws) == expected
    (warning,) = report.warnings
    assert "hook run_analyzer of strobe-mine:mine" in warning
    assert says in warning


FICKLE = '''
import strobe
from strobe import Analyzer, hookimpl, metric


class Fickle(Analyzer):
    """Raises at step 5."""

    class Row(strobe.Row):
        value: float = metric("value", unit="1")

    @hookimpl
    def analyze_weights(self, context):
        if context.step == 5:
            raise ValueError("not today")
        yield self.Row(value=1.0)
'''


def test_what_the_analyzer_raises_is_its_own_also_through_a_wrapper_that_hides_it(toy: Path, tmp_path: Path) -> None:
    class Renames:
        @hookimpl(wrapper=True)
        def run_analyzer(self, call: Any) -> Iterator[None]:
            try:
                return (yield)
            except Exception as e:
                raise KeyError("something else") from e

    (tmp_path / "fickle.py").write_text(FICKLE)
    report = with_hook(toy, Renames()).analyze("toy", [f"{tmp_path}/fickle.py:Fickle"])
    assert [(f.step, f.kind, f.message) for f in report.failures] == [(5, "error", "ValueError: not today")]
    assert "KeyError" in report.warnings[0]


def test_a_wrapper_may_answer_from_a_cache(toy: Path) -> None:
    kept: dict[Any, Any] = {}

    class Cache:
        """Knows a call by what it would compute; the second time the analyzer is not called."""

        @hookimpl
        def run_analyzer(self, call: Any) -> Any:
            key = (call.name, call.arguments["weights"].source)
            if key not in kept:
                kept[key] = call()
            return kept[key]

    ws = with_hook(toy, Cache())
    ws.analyze("toy", ["weight_norms"])
    first = rows(ws)
    before = dict(kept)
    import shutil

    shutil.rmtree(toy / "results")
    again = with_hook(toy, Cache())
    again.analyze("toy", ["weight_norms"])
    assert rows(again) == first
    assert {k: id(v) for k, v in kept.items()} == {k: id(v) for k, v in before.items()}


class NoSuchHook:
    @hookimpl
    def run_analyser(self, call: Any) -> None:
        """Misspelt."""


class WrongArgument:
    @hookimpl
    def checkpoint_done(self, epoch: int) -> None:
        """`epoch` is no argument."""


class CannotBeMade:
    def __init__(self) -> None:
        raise OSError("no licence file")


@pytest.mark.parametrize(
    ("hook", "says"),
    [(NoSuchHook, "unknown hook 'run_analyser'"), (WrongArgument, "'epoch'"), (CannotBeMade, "OSError: no licence file")],
)
def test_hooks_that_cannot_be_used_are_left_out_and_named(toy: Path, expected: list[dict[str, Any]], hook: type, says: str) -> None:
    ws = with_hook(toy, hook)
    report = ws.analyze("toy", ["weight_norms"])
    assert report.ok
    assert rows(ws) == expected
    (warning,) = report.warnings
    assert warning.startswith("left out: hook 'mine' (strobe-mine 1.0): ")
    assert says in warning
    assert "strobe plugins disable mine" in warning


def test_a_hook_is_left_out_where_it_is_disabled(toy: Path, installed: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from strobe.registration.settings import set_disabled

    installed("strobe-tally")
    monkeypatch.setenv("STROBE_TALLY", str(tmp_path / "tally"))
    set_disabled("tally", off=True, root=toy)
    assert Workspace(toy).analyze("toy", ["weight_norms"]).ok
    assert not (tmp_path / "tally").exists()
    set_disabled("tally", off=False, root=toy)
    assert Workspace(toy).analyze("toy", ["effective_dimensionality"]).ok
    assert (tmp_path / "tally").read_text().splitlines() == [f"toy {step}" for step in (0, 5, 10, 15, 20)]
