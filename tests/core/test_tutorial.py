"""The plugin tutorial: its files and commands do what the page says, type checkers accept them, and a wrong row is a type error.

`make tutorial` does the same as a stranger would, with pip and in an environment of its own; here it is done in this process.
"""

from __future__ import annotations

import base64
import importlib.util
import os
import re
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from typer.testing import CliRunner

from strobe.cli import app
from strobe.deprecation import HOOK_ARGUMENTS, Deprecation, deprecated
from strobe.errors import StrobeError

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "writing-a-plugin.md"


@pytest.fixture(scope="module")
def tutorial() -> ModuleType:
    spec = importlib.util.spec_from_file_location("tutorial", ROOT / "scripts" / "tutorial.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["tutorial"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def followed(tutorial: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder after everything on the page was done: `strobe` commands in this process; `pip install -e .` as a folder on the path."""
    import fake_install

    folder, before, path = tmp_path_factory.mktemp("tutorial"), Path.cwd(), list(sys.path)
    try:
        for deed in tutorial.deeds(PAGE.read_text("utf-8")):
            if deed.what == "write":
                (folder / deed.where).write_text(deed.text, "utf-8")
                continue
            for line in deed.text.splitlines():
                os.chdir(folder / deed.where)
                if line.startswith("pip install"):
                    fake_install.install(folder / deed.where, folder / "site", editable=True)
                    sys.path[:0] = [str(f) for f in fake_install.folders(folder / "site")]
                elif line.startswith("strobe "):
                    done = CliRunner().invoke(app, line.split()[1:])
                    assert done.exit_code == 0, f"{line}\n{done.output}{done.exception!r}"
        yield folder
    finally:
        os.chdir(before)
        sys.path[:] = path
        for name in [n for n in sys.modules if n.partition(".")[0] == "strobe_participation"]:
            del sys.modules[name]


def test_from_an_empty_folder_to_a_report(followed: Path) -> None:
    html = (followed / "participation.html").read_text("utf-8")
    packed = (base64.b64decode(block + "=" * (-len(block) % 4)) for block in re.findall(r"[A-Za-z0-9+/]{100,}", html))
    assert any(b"participation ratio" in zlib.decompress(block) for block in packed if block[:1] == b"x")
    assert "Participation" in html


def test_the_page_says_what_the_script_runs(tutorial: ModuleType) -> None:
    found = tutorial.deeds(PAGE.read_text("utf-8"))
    commands = [line for d in found if d.what == "run" for line in d.text.splitlines()]
    for needed in ("strobe plugins new", "pip install -e .", "strobe plugins check .", "pytest", "strobe analyze", "strobe report render"):
        assert any(line.startswith(needed) for line in commands), needed
    assert "make tutorial" in PAGE.read_text("utf-8")
    assert "\ntutorial:" in (ROOT / "Makefile").read_text("utf-8")


BAD = """
from collections.abc import Iterator

import strobe
from strobe import Analyzer, Weights, dim, hookimpl, metric


class Mine(Analyzer):
    class Row(strobe.Row):
        parameter: str = dim("parameter")
        ratio: float = metric("ratio", unit="1")

    @hookimpl
    def analyze_weights(self, weights: Weights) -> Iterator[Row]:
        yield self.Row(parameter="a", ratio=1.0)
        yield self.Row(parameter="a")
        yield self.Row(parameter="a", ratio="high")
        yield self.Row(parameter="a", ratio=1.0, other=2)
"""


def test_mypy_accepts_the_tutorial_and_refuses_wrong_rows(followed: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.py"
    bad.write_text(BAD, "utf-8")
    sources = followed / "strobe-participation" / "strobe_participation"
    command = [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml"), str(sources), str(bad)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    errors = [line.partition("bad.py:")[2] for line in done.stdout.splitlines() if ": error: " in line]
    assert errors == [
        '16: error: Missing named argument "ratio" for "Row"  [call-arg]',
        '17: error: Argument "ratio" to "Row" has incompatible type "str"; expected "float"  [arg-type]',
        '18: error: Unexpected keyword argument "other" for "Row"  [call-arg]',
    ], done.stdout


# --- how something goes ------------------------------------------------------------------------------------------------------------------------


def test_a_deprecated_function_works_and_warns_its_caller() -> None:
    from strobe import StrobeDeprecation

    @deprecated("0.3", "1.0", "call `new`")
    def old(x: int) -> int:
        return x + 1

    with pytest.warns(StrobeDeprecation, match=r"old is deprecated since strobe 0.3 and will be gone in 1.0; call `new`") as caught:
        assert old(1) == 2
    assert caught[0].filename == __file__


def test_a_deprecated_argument_of_a_hook_names_the_plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    from strobe import StrobeDeprecation
    from strobe.registration.contract import analyzer_contract
    from strobe_analyzers.weight_norms import WeightNorms

    going = Deprecation("argument 'weights' of analyze_weights", "0.2", "1.0", "ask for `tensors`")
    monkeypatch.setitem(HOOK_ARGUMENTS, ("analyze_weights", "weights"), going)
    with pytest.warns(StrobeDeprecation, match=r"analyzer 'x': argument 'weights' of analyze_weights is deprecated since strobe 0.2"):
        analyzer_contract(WeightNorms, "analyzer 'x'")


@pytest.mark.parametrize(("since", "gone"), [("0.3", "0.4"), ("1.2", "1.3"), ("1.2", "2.1"), ("2.0", "1.0")])
def test_nothing_goes_within_a_major_version(since: str, gone: str) -> None:
    with pytest.raises(ValueError, match="may go in"):
        Deprecation("x", since, gone, "y")


def test_errors_of_the_command_are_one_line(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["plugins", "new", "my plugin", "-o", str(tmp_path)])
    assert isinstance(done.exception, StrobeError)
    assert "\n" not in str(done.exception)
