"""The notebooks of examples/notebooks are what their sources give: valid, executed in order, without errors, without paths of a machine."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "examples" / "notebooks"
SOURCES = sorted(f for f in FOLDER.glob("*.py") if f.name != "make.py")
MOST = 400_000
PATHS = re.compile(r"(?<![\w.<])/(home|root|work|tmp|usr|opt|var|Users|private|mnt)/|[A-Z]:\\")


@pytest.fixture(scope="module")
def make() -> Any:
    spec = importlib.util.spec_from_file_location("make_notebooks", FOLDER / "make.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_notebook_has_a_source_and_is_linked_to() -> None:
    names = {f.stem for f in SOURCES}
    assert names == {f.stem for f in FOLDER.glob("*.ipynb")}
    assert len(names) >= 4
    readme = (ROOT / "README.md").read_text("utf-8")
    assert [name for name in names if f"(examples/notebooks/{name}.ipynb)" not in readme] == []


@pytest.mark.parametrize("source", SOURCES, ids=lambda f: f.stem)
def test_a_notebook_is_its_source_executed(source: Path, make: Any) -> None:
    file = source.with_suffix(".ipynb")
    assert file.stat().st_size < MOST
    notebook = nbformat.read(file, as_version=4)
    nbformat.validate(notebook)
    made = [(cell.cell_type, cell.source) for cell in notebook.cells]
    assert made == make.cells(source.read_text("utf-8")), f"run `make notebooks` and commit {file.name}"
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    for cell in code:
        compile(cell.source, file.name, "exec")
    outputs = [output for cell in code for output in cell.outputs]
    assert [o for o in outputs if o.output_type == "error" or o.get("name") == "stderr"] == []
    assert any({"image/png", "image/gif"} & set(o.get("data", ())) for o in outputs)
    assert [said for o in outputs for said in _texts(o) if PATHS.search(said)] == []


def _texts(output: Any) -> list[str]:
    return [output.get("text", ""), *(str(v) for k, v in output.get("data", {}).items() if not k.startswith("image/"))]


def test_cells_of_a_source(make: Any) -> None:
    text = "# %% [markdown]\n# # Title\n#\n# words\n\n# %%\nx = 1\n\n\nx  # last\n"
    assert make.cells(text) == [("markdown", "# Title\n\nwords"), ("code", "x = 1\n\n\nx  # last")]
    assert make.cells("") == []


@pytest.mark.parametrize(("said", "found"), [("/home/me/x", True), ("C:\\me", True), ("a/tmp/b", False), ("1/2 </div>", False)])
def test_a_path_of_a_machine_is_told_from_others(said: str, found: bool) -> None:
    assert bool(PATHS.search(said)) == found
