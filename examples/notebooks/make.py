"""Makes the notebooks of this folder: the cells of each `*.py` beside it (percent format), executed from an empty folder.

`make notebooks`, or `python examples/notebooks/make.py [NAME ...]`; needs `pip install 'strobe[notebooks]'`. A minute on one core.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
CELL = re.compile(r"^# %%(?P<markdown> \[markdown\])?\n", re.MULTILINE)
QUIET = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYDEVD_DISABLE_FILE_VALIDATION": "1"}


def sources() -> list[Path]:
    """The sources of the notebooks, by name."""
    return sorted(file for file in HERE.glob("*.py") if file.name != Path(__file__).name)


def cells(text: str) -> list[tuple[str, str]]:
    """Kind ("markdown" or "code") and source of every cell of a percent-format file."""
    _, *parts = CELL.split(text)
    pairs = zip(parts[::2], parts[1::2], strict=True)
    return [("markdown", _uncommented(source)) if markdown else ("code", source.strip()) for markdown, source in pairs]


def _uncommented(source: str) -> str:
    return "\n".join(line.removeprefix("#").removeprefix(" ") for line in source.strip().splitlines())


def notebook(text: str) -> Any:
    """The notebook of a source, not executed yet."""
    from nbformat import v4

    made = v4.new_notebook(metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}})
    new = {"markdown": v4.new_markdown_cell, "code": v4.new_code_cell}
    made.cells = [new[kind](source, id=f"cell-{i}") for i, (kind, source) in enumerate(cells(text))]  # ids that stay when it is made again
    return made


def execute(text: str) -> Any:
    """The notebook of a source with the outputs of its cells. A cell that raises ends it."""
    from nbclient import NotebookClient

    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, **QUIET, "STROBE_CONFIG": str(Path(folder) / "settings.json")}
        client = NotebookClient(notebook(text), timeout=120, record_timing=False, resources={"metadata": {"path": folder}})
        made = client.execute(env=environment)
    made.metadata.pop("language_info", None)  # names the version of whoever made it
    return made


def main(names: list[str]) -> None:
    """Make the notebooks of these names, or all."""
    import nbformat

    known = {file.stem: file for file in sources()}
    if odd := [name for name in names if name not in known]:
        sys.exit(f"no source {odd[0]}.py in {HERE}; there are {', '.join(known)}")
    for name in names or known:
        output = known[name].with_suffix(".ipynb")
        nbformat.write(execute(known[name].read_text("utf-8")), output)
        print(f"{output.name}: {output.stat().st_size:,} bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
