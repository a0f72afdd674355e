"""`strobe plugins new`: packages that pass their own check at once, from templates and from somebody's file; and names that are refused."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import fake_install
import pytest

from strobe import StrobeError
from strobe.cli.plugins_new import new
from strobe.scaffold.extract import extract
from strobe.scaffold.package import KINDS, bound, files
from strobe.testing.check import examine
from strobe.testing.packages import target

MINE = '''
"""What I tried today."""
import math
import torch
import numpy as np
import strobe
from strobe import Analyzer, Weights, dim, hookimpl, metric

ws = strobe.Workspace("nowhere")
print("never printed")
SCALE = 2.0


def unused():
    return np.zeros(3)


# Twice the norm.
def size(matrix):
    return SCALE * matrix.norm().item()


class Mine(Analyzer):
    """Twice the norm of each matrix."""

    class Row(strobe.Row):
        parameter: str = dim("canonical parameter name")
        norm: float = metric("twice the Frobenius norm", unit="1")

    @hookimpl
    def analyze_weights(self, weights: Weights):
        for name, matrix in weights.matrices():
            yield self.Row(parameter=name, norm=size(matrix))


ws.analyze("run", [Mine()])
'''


@pytest.fixture
def clean_modules() -> Iterator[None]:
    """What a check imports or puts on the path is gone afterwards."""
    modules, path = set(sys.modules), list(sys.path)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if name.startswith("strobe_"):
            del sys.modules[name]


def failures(folder: Path) -> list[str]:
    return [f"{f.plugin} {f.check}: {f.problem} ({f.place})" for f in examine(target(str(folder))) if f.state == "failed"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_package_passes_its_own_check(kind: str, tmp_path: Path, clean_modules: None, capsys: pytest.CaptureFixture[str]) -> None:
    new(f"my-{kind}", [kind], "", tmp_path)
    folder = tmp_path / f"strobe-my-{kind}"
    assert f"next: cd {folder} && pip install -e . && strobe plugins check ." in capsys.readouterr().out
    assert failures(folder) == []
    project = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["dependencies"] == [bound()]
    assert (folder / ".github/workflows/checks.yml").read_text("utf-8").count("${{ matrix.python }}") == 1
    for file in folder.rglob("*.py"):
        ast.parse(file.read_text("utf-8"))


def test_a_new_package_can_be_installed_and_its_tests_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clean_modules: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """As `pip install` would lay it out; the tests run as its author would run them."""
    new("sharp", ["outputs"], "", tmp_path)
    site = tmp_path / "site"
    fake_install.install(tmp_path / "strobe-sharp", site)
    monkeypatch.setenv("PYTHONPATH", str(site))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "."], cwd=tmp_path / "strobe-sharp", capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed" in done.stdout


# --- from somebody's file ----------------------------------------------------------------------------------------------------------------------


def written(tmp_path: Path, text: str = MINE, name: str = "mine.py") -> Path:
    file = tmp_path / name
    file.write_text(text, "utf-8")
    return file


def test_from_a_file_takes_the_analyzer_and_what_it_needs(tmp_path: Path, clean_modules: None, capsys: pytest.CaptureFixture[str]) -> None:
    new("twice", [], str(written(tmp_path)), tmp_path)
    source = (tmp_path / "strobe-twice" / "strobe_twice" / "analyzer.py").read_text("utf-8")
    assert all(kept in source for kept in ("# Twice the norm.\ndef size", "SCALE = 2.0", "import strobe\n", "class Mine"))
    assert all(gone not in source for gone in ("Workspace", "print", "unused", "numpy", "import torch", "ws.analyze"))
    assert failures(tmp_path / "strobe-twice") == []
    assert (tmp_path / "strobe-twice" / "strobe_twice" / "renderer.py").exists()
    assert capsys.readouterr().out.count("never printed") == 0


def test_from_a_notebook(tmp_path: Path, clean_modules: None, capsys: pytest.CaptureFixture[str]) -> None:
    imports, rest = MINE.split("ws = strobe")
    cells = [
        {"cell_type": "markdown", "source": ["# Try it"]},
        {"cell_type": "code", "source": ["%load_ext autoreload\n", "!pip install strobe\n", *imports.splitlines(keepends=True)]},
        {"cell_type": "code", "source": "ws = strobe" + rest},
    ]
    notebook = written(tmp_path, json.dumps({"cells": cells, "nbformat": 4}), "mine.ipynb")
    new("twice", ["weights"], f"{notebook}:Mine", tmp_path)
    assert failures(tmp_path / "strobe-twice") == []


def test_libraries_it_imports_become_dependencies(tmp_path: Path) -> None:
    text = MINE.replace("return SCALE", "torch.zeros(1); return math.pi * SCALE")
    assert extract(str(written(tmp_path, text))).dependencies == ("torch",)


REFUSED: dict[str, tuple[Callable[[str], str], str, str]] = {
    "no analyzer": (lambda t: t.partition("class Mine")[0], "", "defines no analyzer: no class with one of analyze_weights"),
    "two": (lambda t: t + t[t.index("class Mine") : t.index("ws.analyze")].replace("Mine", "Yours"), "", "defines Mine, Yours; say which one"),
    "misspelt": (lambda t: t, ":Mien", "defines no analyzer 'Mien'; did you mean 'Mine'"),
    "a file beside it": (
        lambda t: t.replace("import math", "from helper import size").replace("def size", "def size_"),
        "",
        "helper, which is not installed",
    ),
    "not Python": (lambda t: t + "class (", "", "cannot be read"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_from_says_what_it_cannot_take(case: str, tmp_path: Path) -> None:
    change, wanted, message = REFUSED[case]
    with pytest.raises(StrobeError, match=message):
        extract(f"{written(tmp_path, change(MINE))}{wanted}")


# --- names -------------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("my plugin", "has spaces; call it 'my_plugin'"),
        ("my.plugin", "has dots; call it 'my_plugin'"),
        ("../plugin", "call it 'plugin'"),
        ("MyPlugin", "call it 'my_plugin'"),
        ("metrics", "word of Strobe's own"),
        ("", "call it 'my_plugin'"),
    ],
)
def test_names_that_no_plugin_may_bear(name: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(StrobeError, match=message):
        new(name, [], "", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_there_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "strobe-mine").mkdir()
    with pytest.raises(StrobeError, match="is there already"):
        new("mine", [], "", tmp_path)
    with pytest.raises(StrobeError, match="one package, one kind: --weights or --family"):
        new("other", ["weights", "family"], "", tmp_path)
    with pytest.raises(StrobeError, match="is an analyzer of weights, not of outputs"):
        new("other", ["outputs"], str(written(tmp_path)), tmp_path)


def test_the_bound_goes_up_to_the_next_major_version() -> None:
    assert [bound(v) for v in ("0.1.0", "1.4.2", "2.0.0rc1")] == ["strobe>=0.1,<1", "strobe>=1.4,<2", "strobe>=2.0,<3"]


def test_templates_fit_in_a_line() -> None:
    assert [line for kind in KINDS for text in files("some-name", kind).values() for line in text.splitlines() if len(line) > 150] == []
