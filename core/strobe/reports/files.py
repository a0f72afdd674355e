"""Report files: YAML read with every mistake named by file, line and field, and written without what is default."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from ..errors import UsageError, did_you_mean
from .model import Panel, PanelGroup, Report, Section

if TYPE_CHECKING:
    import yaml

LARGEST = 2**20
"""Bytes of a report file."""
MOST_NODES = 50_000
"""Values in a report file, those that aliases repeat counted each time: a few lines of aliases could otherwise stand for billions."""
Place = Sequence[str | int]
"""Where in the YAML: `("sections", 0, "panels", 1, "renderer")`."""
MODELS: dict[str, type[BaseModel]] = {"sections": Section, "groups": PanelGroup, "panels": Panel}


@dataclass(frozen=True, eq=False)
class Read:
    """A report file as it was found: the report, or why it is none, one sentence per mistake."""

    source: str
    report: Report | None
    problems: list[str] = field(default_factory=list)
    root: yaml.Node | None = None

    def where(self, at: Place) -> str:
        """`reports/mine.yaml, line 7, sections[0].panels[1].renderer`."""
        name = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in at).removeprefix(".")
        return f"{self.source}, line {_line(self.root, at)}{f', {name}' if name else ''}"


def load(path: str | Path) -> Report:
    """A report from a YAML file. Raises `UsageError` with every wrong field: file, line, path, and the nearest known key.

    Renderers and tables that are not there are no reason to fail: their cards say what is missing. `check` names them beforehand.
    """
    found = read(Path(path))
    if found.report is None:
        raise UsageError("\n".join(found.problems))
    return found.report


def save(report: Report, path: str | Path) -> Path:
    """Write a report as YAML, leaving out what is default."""
    from ..checkpoints import write_atomically

    Path(path).parent.mkdir(parents=True, exist_ok=True)
    write_atomically(Path(path), as_yaml(report).encode())
    return Path(path)


def as_yaml(report: Report) -> str:
    """A report as the text of its file."""
    import yaml

    content = {"schema_version": 1, **report.model_dump(exclude_defaults=True)}
    return str(yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100))


def read(path: Path) -> Read:
    """A report file with its mistakes; raises nothing."""
    try:
        if path.stat().st_size > LARGEST:
            return Read(str(path), None, [f"{path}: has {path.stat().st_size:,} bytes; a report has at most {LARGEST:,}"])
        return read_text(path.read_text("utf-8"), str(path))
    except OSError as e:
        return Read(str(path), None, [f"{path}: cannot be read: {e.strerror}"])
    except UnicodeDecodeError:
        return Read(str(path), None, [f"{path}: is not UTF-8 text"])


def read_text(text: str, source: str) -> Read:
    """The same for text that is not in a file yet; `source` stands for the file in what is said of it."""
    import yaml

    try:
        root = yaml.compose(text, yaml.SafeLoader)
        if _size(root) > MOST_NODES:
            return Read(source, None, [f"{source}: stands for more than {MOST_NODES:,} values; a report is smaller"])
        content = yaml.safe_load(text)
    except yaml.MarkedYAMLError as e:
        line = e.problem_mark.line + 1 if e.problem_mark else 1
        return Read(source, None, [f"{source}, line {line}: is no YAML: {e.problem}"])
    except (yaml.YAMLError, RecursionError, ValueError) as e:  # characters that YAML does not have, a thousand brackets, the 31st of February
        return Read(source, None, [f"{source}: is no YAML: {str(e).splitlines()[0]}"])
    if not isinstance(content, dict):
        return Read(source, None, [f"{source}: a report is a mapping with title and sections, not {type(content).__name__}"], root)
    found = Read(source, None, [], root)
    if twice := [f"{source}, line {line}: {key!r} stands here a second time; keep one" for key, line in _twice(root)]:
        return Read(source, None, twice, root)
    try:
        return Read(source, Report.model_validate(content), [], root)
    except ValidationError as e:
        errors = sorted(e.errors(), key=lambda error: error["type"] == "missing")  # a misspelt key first: it is why another is missing
        return Read(source, None, [f"{found.where(_place(error['loc']))}: {_said(error)}" for error in errors], root)


# --- mistakes ----------------------------------------------------------------------------------------------------------------------------------


def _place(at: Sequence[str | int]) -> Place:
    """A path of pydantic's without the names of a union's members."""
    return [part for part in at if isinstance(part, int) or part.isidentifier()]


def _said(error: Any) -> str:
    """What pydantic found, in words; an unknown key with the nearest known one."""
    if error["type"] == "extra_forbidden":
        model = next((MODELS[part] for part in reversed(error["loc"][:-1]) if part in MODELS), Report)
        return f"unknown key {error['loc'][-1]!r}{did_you_mean(str(error['loc'][-1]), model.model_fields)}"
    if error["type"] == "missing":
        return "is missing"
    message = str(error["msg"]).removeprefix("Value error, ")
    return f"{message[:1].lower()}{message[1:]}, not {error['input']!r}"


def _line(node: yaml.Node | None, at: Place) -> int:
    """The line of a field, or of the nearest enclosing one that is there; counted from 1."""
    import yaml

    line = node.start_mark.line + 1 if node is not None else 1
    for part in at:
        if isinstance(node, yaml.MappingNode):
            pair = next(((key, value) for key, value in node.value if key.value == str(part)), None)
            if pair is None:
                break
            line, node = pair[0].start_mark.line + 1, pair[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
    return line


def _twice(node: yaml.Node | None) -> Iterator[tuple[str, int]]:
    """Keys that a mapping has twice, of which YAML would silently keep the last; with their lines."""
    import yaml

    if isinstance(node, yaml.MappingNode):
        seen = set[str]()
        for key, value in node.value:
            if str(key.value) in seen:
                yield str(key.value), key.start_mark.line + 1
            seen.add(str(key.value))
            yield from _twice(value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from _twice(value)


def _size(root: yaml.Node | None) -> int:
    """How many values a document stands for; what an alias repeats is looked at once and counted each time."""
    import yaml

    known: dict[int, int] = {}

    def size(node: yaml.Node) -> int:
        if id(node) not in known:
            known[id(node)] = MOST_NODES + 1  # a node within itself
            inner = [part for pair in node.value for part in pair] if isinstance(node, yaml.MappingNode) else node.value
            known[id(node)] = 1 + sum(size(part) for part in inner) if isinstance(node, yaml.CollectionNode) else 1
        return known[id(node)]

    return size(root) if root is not None else 0
