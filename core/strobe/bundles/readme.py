"""The README of a bundle: what is in it, and how to read it without Strobe."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..errors import StrobeError
from .manifest import Manifest

if TYPE_CHECKING:
    from ..workspace import Workspace

TEXT = """# {title}

A bundle of Strobe {version}: training runs, what was measured of them, and reports.

| run | family | checkpoints |
|---|---|---|
{runs}

{left_out}`bundle.json` lists every file with its size and its SHA-256 digest.

## With Strobe

```
strobe unbundle FILE --workspace my-workspace
strobe app --workspace my-workspace
```

`unbundle` verifies every digest and overwrites nothing.

## Without Strobe

Unzip it. Results are plain Parquet: `results/<table>/<run>/<probe>/<key>/*.parquet`; the columns `run`, `step` and `probe` are in the files.
A table that was measured twice with other settings or code has one folder `<key>` for each. Checkpoints are safetensors, metrics are Parquet.
{example}
## Tables

{tables}
"""
EXAMPLE = """
With pandas:

```python
import pandas as pd

table = pd.read_parquet("{folder}")
print(table.head())
```

With DuckDB, every run at once:

```python
import duckdb

rows = duckdb.sql("select * from read_parquet('results/{table}/*/*/*/*.parquet', union_by_name=true)").df()
print(rows.groupby("run").size())
```

Units and descriptions travel in the files:

```python
import pyarrow.parquet as pq

for field in pq.read_schema("{file}"):
    print(field.name, field.type, {{k.decode(): v.decode() for k, v in (field.metadata or {{}}).items()}})
```
"""


def readme(workspace: Workspace, manifest: Manifest) -> str:
    """README.md of a bundle, its examples with paths that are in it."""
    results = sorted(f.path for f in manifest.files if f.path.startswith("results/"))
    tables = sorted({path.split("/")[1] for path in results})
    names = [run.name for run in manifest.runs]
    return TEXT.format(
        title=", ".join(names),
        version=manifest.strobe_version,
        runs="\n".join(f"| {r.name} | {r.family} | {r.checkpoints} |" for r in manifest.runs),
        left_out=f"Left out: {', '.join(manifest.without)}. " if manifest.without else "",
        example=_example(results, names),
        tables="\n".join(f"- `{name}`{_said(workspace, name)}" for name in tables) or "None.",
    )


def _example(results: Sequence[str], names: Sequence[str]) -> str:
    of_runs = [path for path in results if path.split("/")[2] in names]
    if not of_runs:
        return ""
    file = next((path for path in of_runs if path.startswith("results/loss_and_accuracy/")), of_runs[0])
    return EXAMPLE.format(file=file, folder=file.rpartition("/")[0], table=file.split("/")[1])


def _said(workspace: Workspace, table: str) -> str:
    """What a table holds, when its analyzer is installed and says so."""
    try:
        summary = workspace.registry.analyzer(table).summary()
    except StrobeError:
        return ""
    return f": {summary}" if summary else ""
