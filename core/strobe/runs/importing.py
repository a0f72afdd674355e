"""Checkpoints that someone else made become a run: names, orientation, train indices and losses kept.

`folders` says what a folder holds, `state_dicts` what its files do, and `recorded` what lies beside them: `run.json` (a description whose leaves name
the family's parameters), `losses.safetensors` (losses, and `train_index`, the inputs that were trained on), the history of a trainer, and losses in a
CSV file (`--metrics`). A mapping (`--map FILE`, YAML or JSON) says once what foreign tensors are called and how they are turned, and is kept in the
run:

    embed.W_E: transformer.wte.weight
    blocks.0.mlp.W_in: {from: h.0.fc1.weight, transpose: true}
    blocks.0.attn.W_O: {from: h.0.proj.weight, transpose: true, reshape: [4, 32, 128]}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from .. import checkpoints
from ..errors import CheckpointError, PluginError, StrobeError, UsageError, did_you_mean
from .folders import LOSSES, Found, look
from .recorded import leaves, metric_rows
from .run import Run, RunRecord, check_new, create, versions, write_metrics
from .state_dicts import apart, read, unwrapped

if TYPE_CHECKING:
    import torch

    from ..family import Family
    from ..registration.registry import Plugin, Registry
    from ..workspace import Workspace

SPLITS = ("train_index", "train_indices")


class Source(BaseModel):
    """Where a canonical tensor comes from: `transpose` first, then `reshape`, then `permute`."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    tensor: str
    transpose: bool = False
    reshape: tuple[int, ...] | None = None
    permute: tuple[int, ...] | None = None

    def take(self, tensors: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """The canonical tensor. Raises `CheckpointError` when the mapping does not fit the checkpoint."""
        if self.tensor not in tensors:
            raise CheckpointError(f"the mapping reads tensor {self.tensor!r}, which the checkpoint lacks{did_you_mean(self.tensor, tensors)}")
        t = tensors[self.tensor]
        try:
            t = t.T if self.transpose else t
            t = t.reshape(self.reshape) if self.reshape is not None else t
            return (t.permute(self.permute) if self.permute is not None else t).contiguous()
        except RuntimeError as e:
            how = ", ".join(f"{k} {list(v) if isinstance(v, tuple) else v}" for k, v in self if k != "tensor" and v)
            raise CheckpointError(f"the mapping cannot turn tensor {self.tensor!r} {tuple(tensors[self.tensor].shape)}: {how}: {e}") from e


def import_folder(
    workspace: Workspace,
    folder: Path,
    family_name: str | type[Family] = "",
    *,
    name: str = "",
    mapping: str | Path | None = None,
    metrics: str | Path | None = None,
    parameters: Mapping[str, Any] | None = None,
) -> Run:
    """Copy a folder of checkpoints into the workspace as a run. An error says which key or shape is missing, and leaves nothing behind."""
    from ..analysis.request import configured

    plugin = workspace.family_plugin(family_name) if family_name else of_weights_only(workspace.registry)
    found = look(folder)
    cls: type[Family] = plugin.load()
    sources = read_mapping(Path(mapping)) if mapping else {}
    told = {**told_by_tensors(cls, found, sources), **described_parameters(cls, found.description), **(parameters or {})}
    family: Family = configured(cls, plugin.who, told)
    record = RunRecord(
        name=name or folder.resolve().name,
        family=plugin.name,
        parameters=family.model_dump(mode="json"),
        state="imported",
        source={
            "folder": folder.resolve().name,
            "description": _without_series(found.description),
            "mapping": {k: s.model_dump() for k, s in sources.items()},
            **({"passed_over": list(found.passed_over)} if found.passed_over else {}),
        },
        versions=versions(),
    )
    if record.name in {p.name for p in workspace.registry.all("family")}:
        raise UsageError(f"a run may not bear a family's name ({record.name}); choose another with --name")
    return _placed(workspace, record, family, found, sources, metric_rows(found, Path(metrics) if metrics else None))


def _placed(
    workspace: Workspace, record: RunRecord, family: Family, found: Found, sources: Mapping[str, Source], rows: Sequence[Mapping[str, Any]]
) -> Run:
    """The run, whole or not at all: an import that is killed can be repeated."""
    import shutil

    target = workspace.root / "runs" / record.name
    check_new(target, record.name)
    staging = workspace.root / ".importing" / record.name
    shutil.rmtree(staging, ignore_errors=True)
    try:
        adopt(create(staging, record, stored_split(family, found), workspace.registry), family, found, sources)
        if rows:
            write_metrics(staging / "metrics", rows, 0)
        target.parent.mkdir(parents=True, exist_ok=True)
        staging.rename(target)
    finally:
        shutil.rmtree(staging.parent, ignore_errors=True)
    return Run(target, workspace.registry)


def of_weights_only(registry: Registry) -> Plugin:
    """The family of checkpoints that nobody gives a model for; Strobe's own before a stranger's."""
    for plugin in sorted(registry.all("family"), key=lambda p: p.package != "strobe"):
        try:
            if plugin.load().weights_only:
                return plugin
        except PluginError:  # a broken family: it is listed with its reason, and is not asked for here
            continue
    raise UsageError("no family here takes checkpoints without a model; give one with --family (`strobe plugins list --kind family`)")


def told_by_tensors(cls: type[Family], found: Found, sources: Mapping[str, Source]) -> dict[str, Any]:
    """What the first checkpoint says of the family's parameters."""
    from ..family import Family

    if cls.of_tensors.__func__ is Family.of_tensors.__func__:  # type: ignore[attr-defined]  # nothing to ask, and no file to read twice
        return {}
    files = next(iter(found.files.values()))
    return cls.of_tensors(_taken(sources, read(files)) if sources else unwrapped(read(files)))


def described_parameters(cls: type[Family], description: Mapping[str, Any]) -> dict[str, Any]:
    """The family's parameters among the leaves of a run description, by name or by the family's aliases; null leaves are left to the defaults."""
    told = dict(leaves(description))
    names = {**cls.aliases, **{field: field for field in cls.model_fields}}
    return {field: told[key] for key, field in names.items() if told.get(key) is not None}


def _without_series(description: Mapping[str, Any]) -> dict[str, Any]:
    """A description without the losses, which go into metrics."""
    return {k: v for k, v in description.items() if not k.endswith(("_loss", "_accuracy"))}


def read_mapping(file: Path) -> dict[str, Source]:
    """Canonical name -> source, from YAML or JSON."""
    import yaml

    try:
        data = yaml.safe_load(file.read_text())
        return {name: _source(name, v) for name, v in data.items()}
    except FileNotFoundError:
        raise UsageError(f"mapping {file} does not exist") from None
    except (yaml.YAMLError, ValidationError, AttributeError, TypeError) as e:
        problem = str(e).replace("\n", " ")
        raise UsageError(
            f"mapping {file}: {problem}; each line is `canonical.name: foreign.name` or `canonical.name: {{from: foreign.name, transpose: true}}`"
        ) from e


def _source(name: str, value: Any) -> Source:
    if isinstance(value, str):
        return Source(tensor=value)
    if "from" not in value:
        raise TypeError(f"{name} does not say `from` which tensor")
    return Source(tensor=value.pop("from"), **value)


def adopt(run: Run, family: Family, found: Found, sources: Mapping[str, Source]) -> None:
    """Copy every checkpoint under its canonical names, checked against the family's shapes."""
    digests = {}
    for step, files in found.files.items():
        file = str(files[0].relative_to(found.folder))
        try:
            tensors = canonical_tensors(family, files, sources)
        except CheckpointError as e:
            raise CheckpointError(str(e) if files[0].name in str(e) else f"{file}: {e}") from e
        if problems := family.problems({n: tuple(t.shape) for n, t in tensors.items()}):
            raise CheckpointError(f"{file}: {'; '.join(problems[:3])}{' ...' if len(problems) > 3 else ''}; {_hint(family, found)}")
        digests[step] = checkpoints.write(run.path(step), apart(tensors), {"step": step})
    run.adopt_checkpoints(digests)


def _hint(family: Family, found: Found) -> str:
    if family.weights_only:
        first = next(iter(found.files.values()))[0].relative_to(found.folder)
        return f"the tensors of a run are those of its first checkpoint, {first}: keep the checkpoints of one model in the folder"
    return "give the parameters with --set (for example --set p=97), or a mapping of names and orientation with --map FILE"


def canonical_tensors(family: Family, files: Sequence[Path], sources: Mapping[str, Source]) -> dict[str, torch.Tensor]:
    """The tensors of one checkpoint under canonical names and in `x @ W` orientation: by the mapping when there is one, else by the family."""
    tensors = read(files)
    if sources:
        return _taken(sources, tensors)
    known = {**family.parameters(), **family.buffers()}
    return family.load(tensors if any(name in known for name in tensors) else unwrapped(tensors))


def _taken(sources: Mapping[str, Source], tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: source.take(tensors) for name, source in sources.items()}


def stored_split(family: Family, found: Found) -> dict[str, torch.Tensor]:
    """The split the run was trained on, from its train indices; the family's own when the folder keeps none."""
    import torch

    index = next((found.arrays[n] for n in SPLITS if n in found.arrays), None)
    if index is None or family.weights_only:
        return dict(family.split())
    train = index.long()
    n = sum(len(v) for v in family.split().values())
    if len(train) and (int(train.min()) < 0 or int(train.max()) >= n):
        raise StrobeError(
            f"{found.folder / LOSSES}: train_index holds {int(train.max())}, but the family has {n} inputs; check its parameters (--set)"
        )
    held_out = torch.ones(n, dtype=torch.bool)
    held_out[train] = False
    return {"train": train, "test": held_out.nonzero().squeeze(1)}
