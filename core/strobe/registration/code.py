"""What stands for a plugin's code in keys: the files it is made of, and a digest of them."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import inspect
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import PluginError
from .discovery import Package


def source_of(cls: type[Any]) -> str:
    try:
        return inspect.getsource(cls)
    except (OSError, TypeError):
        return repr(sorted((k, repr(getattr(v, "__code__", v))) for k, v in vars(cls).items() if callable(v)))


def is_editable(package: Package) -> bool:
    text = package.read("direct_url.json")
    info: Mapping[str, Any] = json.loads(text) if text else {}
    return bool(info.get("dir_info", {}).get("editable"))


def module_files(module: str, *, whole: bool) -> list[Path]:
    """The file of a module and those of its package that it imports, or with `whole` every file of its package."""
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise PluginError(f"module {module} cannot be found")
    origin = Path(spec.origin)
    if whole:
        return sorted(origin.parent.rglob("*.py")) if origin.name == "__init__.py" else [origin]
    return _with_siblings(origin)


def _with_siblings(file: Path) -> list[Path]:
    """A module and the modules of the same package that it imports, by whatever way."""
    found, queue = {file}, [file]
    while queue:
        for name in _imported(queue.pop(), file.parent.name):
            sibling = file.parent / f"{name}.py"
            if sibling.is_file() and sibling not in found:
                found.add(sibling)
                queue.append(sibling)
    return sorted(found)


def _imported(file: Path, package: str) -> set[str]:
    """Names that a module imports from its own package, read from its source."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.ImportFrom) and (node.level == 1 or (node.level == 0 and node.module == package)):
            names |= {node.module.partition(".")[0]} if node.level and node.module else {a.name for a in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"{package}."):
            names.add(str(node.module).split(".")[1])
        elif isinstance(node, ast.Import):
            names |= {a.name.split(".")[1] for a in node.names if a.name.startswith(f"{package}.")}
    return names


def digest_of(files: list[Path]) -> str:
    """What stands for the contents of these files."""
    h = hashlib.sha256()
    for file in files:
        h.update(file.name.encode() + b"\0" + file.read_bytes())
    return h.hexdigest()[:16]
