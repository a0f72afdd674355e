"""`Run`: one trained model as a folder: run.json, checkpoints with a manifest of digests, metrics, and the split it was trained on."""

from __future__ import annotations

import hashlib
import json
import platform
import re
from collections.abc import Iterable, Mapping
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from .. import checkpoints
from ..analysis.counters import count
from ..analysis.plan import NO_MODEL
from ..arguments import Checkpoints, Probe
from ..errors import CheckpointError, StrobeError, UsageError, did_you_mean
from ..version import __version__
from ..weights import Weights

if TYPE_CHECKING:
    import pandas as pd
    import torch

    from ..family import Family
    from ..registration.registry import Registry

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
METRICS = ("step", "train_loss", "test_loss", "train_accuracy", "test_accuracy", "lr", "weight_decay")


class RunRecord(BaseModel):
    """What run.json holds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = 1
    strobe_version: str = __version__
    name: str
    family: str
    parameters: dict[str, Any]
    training: dict[str, Any] = Field(default_factory=dict)
    identity: str = ""
    interventions: list[str] = Field(default_factory=list)
    parent: dict[str, Any] | None = None
    state: Literal["training", "complete", "imported"] = "complete"
    source: dict[str, Any] = Field(default_factory=dict)
    versions: dict[str, str] = Field(default_factory=dict)


def readable(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters that pages and listings print: single values and lists of numbers, not a model's tensors and their names."""
    return {name: value for name, value in parameters.items() if not isinstance(value, Mapping) and not _names(value)}


def _names(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and (not value or any(isinstance(entry, str) for entry in value))


def versions() -> dict[str, str]:
    """The versions that move a trajectory."""
    return {"strobe": __version__, "python": platform.python_version(), "torch": _version("torch"), "numpy": _version("numpy")}


@cache
def _version(package: str) -> str:
    """Looked up once: 3 ms each, and a sweep asks for every run."""
    from importlib.metadata import version

    return version(package)


class Run:
    """A run on disk. Opening one reads run.json; everything else is read when it is first asked for."""

    def __init__(self, folder: Path, registry: Registry) -> None:
        self.folder = folder
        self.registry = registry
        self.record = _record(folder)
        self.name = self.record.name
        self._read: set[int] = set()

    def __repr__(self) -> str:
        return f"Run({self.name!r}, {len(self.steps)} checkpoints)"

    @cached_property
    def family(self) -> Family:
        """The family with this run's parameters."""
        return self.registry.family(self.record.family)(**self.record.parameters)

    @property
    def manifest(self) -> dict[int, dict[str, Any]]:
        """Step -> digest, bytes and modification time of its checkpoint."""
        file = self.folder / "checkpoints" / "manifest.json"
        return {int(s): entry for s, entry in json.loads(file.read_text())["checkpoints"].items()} if file.is_file() else {}

    @property
    def steps(self) -> tuple[int, ...]:
        return tuple(sorted(self.manifest))

    @property
    def digests(self) -> dict[int, str]:
        return {step: entry["digest"] for step, entry in sorted(self.manifest.items())}

    def path(self, step: int) -> Path:
        return self.folder / "checkpoints" / f"step_{step:08d}.safetensors"

    def weights(self, step: int) -> Weights:
        """The weights at a step, checked against the manifest. Raises `CheckpointError`."""
        entry = self.manifest.get(step)
        if entry is None:
            raise CheckpointError(f"run {self.name} has no checkpoint at step {step}{did_you_mean(str(step), map(str, self.steps))}")
        path = self.path(step)
        weights = Weights.open(path, source=f"run {self.name}, step {step}", buffers=lambda: self.family.buffers())
        self._verify(path, entry, step)
        if step not in self._read:  # a trajectory that reads tensor by tensor opens a file many times, and reads it once
            self._read.add(step)
            count("checkpoints_read")
        return weights

    def _verify(self, path: Path, entry: Mapping[str, Any], step: int) -> None:
        stat = path.stat()
        if (stat.st_size, stat.st_mtime_ns) != (entry["bytes"], entry["modified"]) and checkpoints.digest(path) != entry["digest"]:
            raise CheckpointError(
                f"run {self.name}, step {step}: {path.name} is not the file that was recorded (its digest differs); "
                "copy the original back, or import the run again"
            )

    def checkpoints(self) -> Checkpoints:
        """All checkpoints, lazily, for a trajectory."""
        return Checkpoints(self.steps, self.weights)

    @cached_property
    def split(self) -> dict[str, torch.Tensor]:
        """Split name -> int64 indices, as stored when the run was made."""
        file = self.folder / "split.safetensors"
        return checkpoints.read_all(file) if file.is_file() else {}

    @cached_property
    def probes(self) -> dict[str, Any]:
        return dict(self.family.probes(self.split))

    def probe(self, name: str = "") -> Probe:
        """A probe by name, the family's first when no name is given."""
        name = name or next(iter(self.probes), "")
        if not self.probes:
            raise UsageError(f"run {self.name} has no probe{f' {name!r}' if name else ''}: {NO_MODEL.partition(': ')[2]}")
        if name not in self.probes:
            raise UsageError(f"run {self.name} has no probe {name!r}{did_you_mean(name, self.probes)}")
        return self.probes[name]()  # type: ignore[no-any-return]

    @property
    def metrics(self) -> pd.DataFrame:
        """What training recorded: step, losses in nats, accuracies, lr, weight_decay; null where nothing was recorded."""
        return read_metrics(self.folder / "metrics")

    def add_checkpoint(self, step: int, tensors: Mapping[str, torch.Tensor]) -> None:
        """Write a checkpoint and enter it in the manifest."""
        digest = checkpoints.write(self.path(step), tensors, {"version": __version__, "step": step})
        self._enter({step: digest})

    def adopt_checkpoints(self, digests: Mapping[int, str]) -> None:
        """Enter checkpoints that are already in place."""
        self._enter(digests)

    def _enter(self, digests: Mapping[int, str]) -> None:
        entries = self.manifest
        for step, digest in digests.items():
            stat = self.path(step).stat()
            entries[step] = {"digest": digest, "bytes": stat.st_size, "modified": stat.st_mtime_ns}
        data = {"schema_version": 1, "checkpoints": {str(s): entries[s] for s in sorted(entries)}}
        checkpoints.write_atomically(self.folder / "checkpoints" / "manifest.json", json.dumps(data, indent=1).encode())

    def save(self, **changes: Any) -> None:
        """Write run.json, with changes."""
        self.record = self.record.model_copy(update=changes)
        write_record(self.folder, self.record)


def check_new(folder: Path, name: str) -> None:
    """That a name can be a run's, and is not one's yet."""
    if not NAME.fullmatch(name):
        raise UsageError(f"run name {name!r}: letters, digits, '.', '_' and '-' only, starting with a letter or digit")
    if (folder / "run.json").exists():
        raise UsageError(f"there is a run {name!r} already; choose another name with --name")


def create(folder: Path, record: RunRecord, split: Mapping[str, torch.Tensor], registry: Registry) -> Run:
    """A new run folder. Raises `UsageError` when there is one already."""
    check_new(folder, record.name)
    folder.mkdir(parents=True, exist_ok=True)
    if split:
        checkpoints.write(folder / "split.safetensors", split)
    write_record(folder, record)
    return Run(folder, registry)


def write_record(folder: Path, record: RunRecord) -> None:
    checkpoints.write_atomically(folder / "run.json", (record.model_dump_json(indent=1) + "\n").encode())


def _record(folder: Path) -> RunRecord:
    file = folder / "run.json"
    try:
        return RunRecord.model_validate_json(file.read_text())
    except FileNotFoundError:
        raise StrobeError(f"{folder} has no run.json; `strobe import {folder} --family ...` makes a run of a folder of checkpoints") from None
    except ValueError as e:
        raise StrobeError(f"{file} cannot be read: {str(e).splitlines()[-1]}") from e


def write_metrics(folder: Path, rows: Iterable[Mapping[str, Any]], part: int) -> None:
    """Append a part of metrics; a part of the same number is replaced."""
    import io

    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = list(rows)
    names = [*METRICS, *sorted({k for r in rows for k in r} - set(METRICS))]
    table = pa.table({n: pa.array([r.get(n) for r in rows], pa.int64() if n == "step" else pa.float64()) for n in names})
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    checkpoints.write_atomically(folder / f"part-{part:08d}.parquet", sink.getvalue())


def merge_metrics(folder: Path) -> None:
    """Make one part of all of them."""
    frame = read_metrics(folder)
    parts = sorted(folder.glob("part-*.parquet"))
    if len(parts) > 1:
        write_metrics(folder, records(frame), 0)
        for part in parts:
            if part.name != "part-00000000.parquet":
                part.unlink()


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as dictionaries, missing values as None."""
    return [{str(k): (None if v != v else v) for k, v in row.items()} for row in frame.to_dict("records")]


def read_metrics(folder: Path) -> pd.DataFrame:
    """All parts, sorted by step; of a step that stands in two parts, the later part counts."""
    import pandas as pd

    parts = sorted(folder.glob("part-*.parquet"))
    if not parts:
        return pd.DataFrame({name: pd.Series(dtype="int64" if name == "step" else "float64") for name in METRICS})
    frame = pd.concat([pd.read_parquet(p) for p in parts], ignore_index=True) if len(parts) > 1 else pd.read_parquet(parts[0])
    return frame.drop_duplicates("step", keep="last").sort_values("step", ignore_index=True)


def metrics_digest(frame: pd.DataFrame) -> str:
    """SHA-256 of the values, whatever parts they lie in."""
    h = hashlib.sha256()
    for name in frame.columns:
        h.update(str(name).encode() + b"\0" + frame[name].to_numpy().tobytes())
    return h.hexdigest()
