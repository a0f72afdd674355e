"""Discovery without imports, plugins that cannot be used, and the digests that decide what is computed again.

Packages from strangers, one for each way to be broken, are in test_third_party.py.
"""

from __future__ import annotations

import importlib
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import strobe
from strobe import Analyzer, Renderer, Weights, Workspace, dim, hookimpl
from strobe.errors import ContractError, PluginError, UsageError
from strobe.registration.registry import CATEGORIES, Registry, snake_case
from strobe.registration.settings import set_disabled

MINE = '''
from strobe import Analyzer, Row, dim, hookimpl

def names(weights):
    return list(weights)

class Mine(Analyzer):
    """Names of parameters."""

    class Row(Row):
        parameter: str = dim("parameter")

    @hookimpl
    def analyze_weights(self, weights):
        yield from (self.Row(parameter=name) for name in names(weights))
'''


class Notebook(Analyzer):
    """Written in a notebook."""

    class Row(strobe.Row):
        parameter: str = dim("parameter")

    @hookimpl
    def analyze_weights(self, weights: Weights) -> Any:
        yield from (self.Row(parameter=name) for name in weights)


# --- discovery -----------------------------------------------------------------------------------------------------------------------------


def test_listing_imports_neither_plugins_nor_heavy_libraries() -> None:
    code = """
import sys
from strobe.registration.registry import Registry
assert len([p.listing() for p in Registry.discover().all()]) > 20
heavy = {'torch', 'numpy', 'pandas', 'pyarrow', 'pydantic', 'pluggy', 'altair', 'strobe_analyzers', 'strobe_renderers', 'strobe_families'}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_built_ins_are_listed_by_kind_and_category() -> None:
    plugins = [p.listing() for p in Registry.discover().all() if p.package == "strobe"]
    assert {p.kind for p in plugins} >= {"analyzer", "renderer", "family"}
    analyzers = [p for p in plugins if p.kind == "analyzer"]
    assert [CATEGORIES.index(p.category) for p in analyzers] == sorted(CATEGORIES.index(p.category) for p in analyzers)
    assert {p.name: p.category for p in analyzers}["key_frequencies"] == "trajectory"
    assert {p.state for p in plugins} == {"ready"}
    assert {p.version for p in plugins} == {strobe.__version__}


def test_every_built_in_loads_and_keeps_its_promise() -> None:
    registry = Registry.discover()
    for plugin in registry.all():
        if plugin.package == "strobe":
            found = plugin.load()
            assert found.is_file() if plugin.kind == "report" else found.summary(), plugin.name
            assert plugin.listing().state == "loaded"
            if plugin.kind == "analyzer":
                assert plugin.contract.category == plugin.category


def test_an_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"no analyzer 'weight_norm'; did you mean 'weight_norms'"):
        Registry.discover().get("analyzer", "weight_norm")
    with pytest.raises(UsageError, match=r"no plugin 'loss_curve'; did you mean 'loss_curves'"):
        Registry.discover().find("loss_curve")
    assert UsageError.status == 2


# --- disabled ------------------------------------------------------------------------------------------------------------------------------


def test_a_disabled_plugin_says_how_to_bring_it_back() -> None:
    set_disabled("weight_norms", off=True)
    assert Registry.discover().get("analyzer", "weight_norms").listing().state == "disabled"
    with pytest.raises(PluginError, match=r"analyzer 'weight_norms' \(strobe .*\): disabled for this user; `.* enable weight_norms --user`"):
        Registry.discover().analyzer("weight_norms")
    set_disabled("weight_norms", off=False)
    assert Registry.discover().analyzer("weight_norms").__name__ == "WeightNorms"


def test_a_broken_plugin_raises_only_when_it_is_asked_for(installed, toy: Path) -> None:
    installed("strobe-broken", "strobe-future")
    ws = Workspace(toy)
    assert {p.name for p in ws.registry.all()} >= {"broken_import", "from_the_future"}
    assert ws.analyze("toy", ["weight_norms"]).ok
    with pytest.raises(PluginError, match=r"broken_import.*strobe-broken 0.1.*cannot be imported: ModuleNotFoundError"):
        ws.analyze("toy", ["broken_import"])


# --- from a file, from a notebook ----------------------------------------------------------------------------------------------------------


def test_a_file_needs_no_package(tmp_path: Path, toy: Path) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    ws = Workspace(toy)
    report = ws.analyze("toy", [f"{tmp_path}/mine.py:Mine"])
    assert [(t.analyzer, t.computed) for t in report.tables] == [("mine", 5)]
    assert len(ws.table("mine")) == 5 * 11


def test_a_file_is_keyed_by_its_whole_source(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"

    def code() -> str:
        return Registry.discover().add_file(f"{file}:Mine").code

    file.write_text(MINE)
    before = code()
    assert code() == before
    file.write_text(MINE.replace("return list(weights)", "return sorted(weights)"))  # a helper outside the class
    assert code() != before
    (tmp_path / "elsewhere").mkdir()
    shutil.move(file, file := tmp_path / "elsewhere" / "mine.py")
    file.write_text(MINE)
    assert code() == before


@pytest.mark.parametrize(
    ("spec", "message"),
    {
        "nowhere.py:Mine": "no such file; write PATH.py:ClassName",
        "mine.py:Mien": "defines no 'Mien'; did you mean 'Mine'",
        "mine.py:names": "is no plugin class: derive it from strobe.Analyzer",
        "broken.py:Mine": "broken.py: cannot be imported: ZeroDivisionError",
    }.items(),
)
def test_a_file_that_cannot_be_used(tmp_path: Path, spec: str, message: str) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    (tmp_path / "broken.py").write_text("1 / 0")
    with pytest.raises((UsageError, PluginError), match=message):
        Registry.discover().add_file(f"{tmp_path}/{spec}")


@pytest.mark.parametrize("given", [Notebook, Notebook()])
def test_a_class_or_an_instance_from_a_notebook(toy: Path, given: Any) -> None:
    ws = Workspace(toy)
    assert ws.analyze("toy", [given]).tables[0].analyzer == "notebook"
    assert set(ws.table("notebook")["step"]) == {0, 5, 10, 15, 20}
    plugin = ws.registry.get("analyzer", "notebook")
    assert (plugin.package, plugin.category) == ("notebook", "weights")


def test_a_class_from_a_notebook_is_checked_like_any_other() -> None:
    class Wrong(Analyzer):
        class Row(strobe.Row):
            parameter: str = dim("parameter")

        @hookimpl
        def analyze_weights(self, weigths: Weights) -> Any: ...

    with pytest.raises(
        ContractError, match=r"analyzer 'wrong' \(notebook\): 'weigths' is not an argument of analyze_weights; did you mean 'weights'"
    ):
        Registry.discover().add(Wrong)


def test_an_instance_of_a_built_in_is_that_built_in_with_settings(toy: Path) -> None:
    norms = Registry.discover().analyzer("weight_norms")
    ws = Workspace(toy)
    ws.analyze("toy", [norms(parameters="embed.*")])
    assert set(ws.table("weight_norms", settings={"parameters": "embed.*"})["parameter"]) == {"embed.W_E"}


def test_something_else_is_refused() -> None:
    with pytest.raises(UsageError, match=r"is no plugin class"):
        Registry.discover().add(Workspace)


@pytest.mark.parametrize(("name", "public"), [("ParticipationRatio", "participation_ratio"), ("PCA", "pca"), ("Mine", "mine")])
def test_public_names(name: str, public: str) -> None:
    assert snake_case(name) == public


def test_a_renderer_from_a_notebook() -> None:
    class Mine(Renderer):
        consumes = "weight_norms"

        @hookimpl
        def render(self, frame: Any) -> Any: ...

    assert Registry.discover().add(Mine).kind == "renderer"


# --- code digests --------------------------------------------------------------------------------------------------------------------------


def codes() -> dict[tuple[str, str], str]:
    return {(p.kind, p.name): p.code for p in Registry.discover().all() if p.package == "strobe" and p.kind != "renderer"}


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The built-in analyzers and families in a folder where they may be edited; only files are read from it, nothing is imported anew."""
    import importlib.util as util

    original = util.find_spec
    for package in ("strobe_analyzers", "strobe_families"):
        folder = Path(importlib.import_module(package).__file__ or "").parent
        shutil.copytree(folder, tmp_path / package)

    def found(name: str, *more: Any) -> Any:
        spec = original(name, *more)
        copy = tmp_path / (name.replace(".", "/") + ".py")
        if spec is not None and copy.exists():
            spec = util.spec_from_file_location(name, copy)
        return spec

    monkeypatch.setattr(util, "find_spec", found)
    return tmp_path


def edited(sources: Path, file: str) -> set[tuple[str, str]]:
    """The plugins whose key changes when a file does."""
    before = codes()
    (sources / file).write_text((sources / file).read_text() + "\n# edited\n")
    after = codes()
    return {plugin for plugin in before if before[plugin] != after[plugin]}


@pytest.mark.parametrize("name", ["weight_norms", "phases", "key_frequencies"])
def test_editing_a_built_in_changes_its_key_and_no_other(sources: Path, name: str) -> None:
    assert edited(sources, f"strobe_analyzers/{name}.py") == {("analyzer", name)}


@pytest.mark.parametrize("module", ["modular_addition", "structured", "activation"])
def test_a_built_in_is_keyed_by_the_modules_it_imports_too(sources: Path, module: str) -> None:
    """`structured` is what the family computes with, and `activation` is imported by that in turn (and by other families, which change with it)."""
    changed = edited(sources, f"strobe_families/{module}.py")
    assert ("family", "modular_addition") in changed
    assert {kind for kind, _ in changed} == {"family"}


def test_editing_an_editable_package_changes_its_keys_and_no_other(installed) -> None:
    folder = installed("strobe-sparsity", "strobe-participation", editable=True)

    def mine() -> dict[str, str]:
        importlib.invalidate_caches()
        return {p.name: p.code for p in Registry.discover().all("analyzer") if p.package != "notebook"}

    before = mine()
    (folder / "strobe_sparsity" / "__init__.py").write_text("# edited\n")
    after = mine()
    assert {name for name in before if before[name] != after[name]} == {"sparsity"}


def test_a_notebook_class_is_keyed_by_its_source() -> None:
    registry = Registry.discover()
    code = registry.add(Notebook).code
    assert code.startswith("notebook+")
    assert registry.add(Notebook).code == code
