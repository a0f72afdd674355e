"""Bad input to the registry: names, consumption in a circle, rows that cannot be stored, rows changed under one version."""

from __future__ import annotations

from pathlib import Path

import pytest

from strobe import Workspace
from strobe.errors import PluginError, StrobeError
from strobe.registration import names
from strobe.registration.registry import Registry

NAMES = {
    "with spaces": "has spaces; call it 'with_spaces'",
    "with.dots": "has dots; call it 'with_dots'",
    "with/separators": "has path separators; call it 'with_separators'",
    "CamelCase": "is not in lower case.*call it 'camel_case'",
    "metrics": "is a word of Strobe's own",
    "strobe_participation_too": "begins with strobe_participation_, which is another package's; call it 'too'",
    "strobe_own": "begins with strobe_, which is another package's; call it 'own'",
}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_no_plugin_may_bear(installed, name: str) -> None:
    installed("strobe-names", "strobe-participation")
    with pytest.raises(PluginError, match=NAMES[name]) as caught:
        Registry.discover().analyzer(name)
    assert "strobe-names 0.1" in str(caught.value)


def test_its_own_package_is_a_prefix_it_may_have(installed) -> None:
    installed("strobe-names", "strobe-participation")
    registry = Registry.discover()
    assert registry.analyzer("strobe_names_fine").__name__ == "Fine"
    assert registry.analyzer("participation_ratio").__name__ == "ParticipationRatio"


def test_every_suggestion_is_a_name_that_is_allowed() -> None:
    for name in ["a b", "a.b", "a/b", "9lives", "Ünïcode", "_x", "HTTPServer", ":", ""]:
        assert names.problem(name)
        assert not names.problem(names.suggestion(name)), name


ROWS = {
    "row_of_lists": r"Row.values: list\[float\] is not str, int, float, bool.*several numbers per row are an array",
    "row_of_objects": r"Row.values: an array\(...\) is annotated np.ndarray or np.ndarray \| None, not dict\[str, float\]",
    "row_of_strings": r"dtype='str' cannot be stored; use float16, float32",
}


@pytest.mark.parametrize("name", ROWS)
def test_a_row_that_cannot_be_stored_says_which_types_can(installed, name: str) -> None:
    installed("strobe-circle")
    with pytest.raises(PluginError, match=ROWS[name]):
        Registry.discover().analyzer(name)


def test_a_circle_is_refused_to_who_asks_for_it_and_left_out_for_everyone_else(installed, toy: Path) -> None:
    from strobe.analysis.request import recipes

    installed("strobe-circle")
    workspace = Workspace(toy)
    with pytest.raises(StrobeError, match=r"in a circle: (chicken -> egg -> chicken|egg -> chicken -> egg)"):
        workspace.analyze("toy", ["chicken"])
    with pytest.raises(StrobeError, match="no analyzer 'weight_norm'; did you mean 'weight_norms'"):
        workspace.analyze("toy", ["orphan"])
    assert not {"chicken", "egg", "orphan"} & set(recipes(workspace.registry, None))


def test_check_says_of_a_circle_which_line_to_change() -> None:
    from strobe.testing.check import examine
    from strobe.testing.packages import target

    found = {f.plugin: f for f in examine(target(str(Path(__file__).parents[1] / "plugins" / "strobe-circle"))) if f.check == "registers"}
    assert "in a circle" in found["chicken"].problem
    assert found["chicken"].fix == "drop one `consumes`"
    assert found["chicken"].place is not None
    assert 'consumes = "egg"' in Path(found["chicken"].place.file).read_text().splitlines()[found["chicken"].place.line - 1]
    assert "no analyzer 'weight_norm'" in found["orphan"].problem


def test_a_row_that_changes_under_one_version_is_said(installed, toy: Path) -> None:
    """Installed plainly, a package is keyed by its version: its author has to raise it."""
    import importlib
    import sys

    module = installed("strobe-participation") / "strobe_participation.py"
    first = Workspace(toy).analyze("toy", ["participation_ratio"])
    assert (first.warnings, first.failures) == ([], [])
    text = module.read_text("utf-8").replace("ratio: float", "share: float").replace("ratio=(", "share=(")
    module.write_text(text, "utf-8")
    del sys.modules["strobe_participation"]
    importlib.invalidate_caches()
    second = Workspace(toy).analyze("toy", ["participation_ratio"])
    assert second.failures == []
    (note,) = second.warnings
    assert note.startswith("participation_ratio: strobe-participation 1.0 has stored rows that are declared otherwise (without share, with ratio)")
    assert "Raise the version of strobe-participation" in note
    assert [t.computed for t in second.tables] == [5]
