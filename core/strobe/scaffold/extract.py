"""An analyzer out of a file or a notebook: its class, and of everything else at the top level only what it needs. Nothing is executed."""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Iterable
from importlib.metadata import packages_distributions
from pathlib import Path

from ..errors import UsageError, did_you_mean
from ..hookspecs import CATEGORY_OF_HOOK
from ..plugin import first_sentence
from .package import Drawn, Extracted

PROVIDED = {"strobe", "__future__"}
MAGIC = ("%", "!", "?")


def extract(spec: str) -> Extracted:
    """`mine.py`, `mine.py:Mine` or `mine.ipynb:Mine`. Raises `UsageError` when there is no analyzer, several, or one that needs a file beside it."""
    file, _, wanted = spec.rpartition(":") if spec.rpartition(":")[0].endswith((".py", ".ipynb")) else (spec, "", "")
    path = Path(file)
    if not path.is_file():
        raise UsageError(f"{file}: no such file; write --from mine.py, mine.py:Mine or mine.ipynb:Mine")
    try:
        text = notebook(path) if path.suffix == ".ipynb" else path.read_text("utf-8")
        tree = ast.parse(text)
    except (SyntaxError, ValueError, KeyError) as e:
        raise UsageError(f"{file} cannot be read: {e}") from e
    cls = _chosen(tree, file, wanted)
    nodes = _needed(tree, cls)
    return Extracted(cls.name, _category(cls), _source(text, nodes, cls), _summary(cls), _dependencies(nodes, path), _drawn(cls, nodes))


def notebook(path: Path) -> str:
    """The code cells of a notebook, without lines that are commands of the notebook."""
    cells = (cell for cell in json.loads(path.read_text("utf-8"))["cells"] if cell["cell_type"] == "code")
    sources = ("".join(cell["source"]) if isinstance(cell["source"], list) else cell["source"] for cell in cells)
    kept = ("\n".join("" if line.lstrip().startswith(MAGIC) else line for line in source.splitlines()) for source in sources)
    return "\n\n\n".join(kept) + "\n"


def _chosen(tree: ast.Module, file: str, wanted: str) -> ast.ClassDef:
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef) and _hooks(node)]
    found = [c for c in classes if wanted in ("", c.name)]
    names = [c.name for c in classes]
    if not classes:
        raise UsageError(f"{file} defines no analyzer: no class with one of {', '.join(CATEGORY_OF_HOOK)}")
    if not found:
        raise UsageError(f"{file} defines no analyzer {wanted!r}{did_you_mean(wanted, names)}")
    if len(found) > 1:
        raise UsageError(f"{file} defines {', '.join(names)}; say which one: --from {file}:{names[0]}")
    return found[0]


def _hooks(cls: ast.ClassDef) -> list[str]:
    return [node.name for node in cls.body if isinstance(node, ast.FunctionDef) and node.name in CATEGORY_OF_HOOK]


def _category(cls: ast.ClassDef) -> str:
    hooks = _hooks(cls)
    if len(hooks) > 1:
        raise UsageError(f"{cls.name} implements {' and '.join(hooks)}; an analyzer has exactly one hook: make two analyzers")
    return CATEGORY_OF_HOOK[hooks[0]]


def _needed(tree: ast.Module, cls: ast.ClassDef) -> list[ast.stmt]:
    """The class and every statement of the top level that defines a name it uses, directly or through others, in the order of the file."""
    givers = {name: node for node in tree.body for name in _given(node)}
    kept, queue = {id(cls)}, [cls]
    while queue:
        for name in sorted(_used(queue.pop())):
            node = givers.get(name)
            if node is not None and id(node) not in kept:
                kept.add(id(node))
                queue.append(node)  # type: ignore[arg-type]
    return [node for node in tree.body if id(node) in kept or _is_future(node)]


def _given(node: ast.stmt) -> list[str]:
    """Names that a statement of the top level defines."""
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return [alias.asname or alias.name.partition(".")[0] for alias in node.names]
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, (ast.AnnAssign, ast.AugAssign)) else []
    return [n.id for target in targets for n in ast.walk(target) if isinstance(n, ast.Name)]


def _used(node: ast.AST) -> set[str]:
    """Names it reads, those in annotations that are strings included."""
    names = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
    for n in ast.walk(node):
        if isinstance(n, ast.Constant) and isinstance(n.value, str) and n.value.isidentifier():
            names.add(n.value)
    return names


def _is_future(node: ast.stmt) -> bool:
    return isinstance(node, ast.ImportFrom) and node.module == "__future__"


def _source(text: str, nodes: list[ast.stmt], cls: ast.ClassDef) -> str:
    """The module: imports first, then definitions with the comments above them."""
    used = {name for node in nodes if not isinstance(node, (ast.Import, ast.ImportFrom)) for name in _used(node)}
    imports = [_import(node, used) for node in nodes if isinstance(node, (ast.Import, ast.ImportFrom)) and not _is_future(node)]
    lines = text.splitlines()
    bodies = [_text(lines, node) for node in nodes if not isinstance(node, (ast.Import, ast.ImportFrom))]
    head = f'"""The analyzer {cls.name}."""\n\nfrom __future__ import annotations\n\n'
    return head + "".join(f"{line}\n" for line in dict.fromkeys(imports)) + "\n\n" + "\n\n\n".join(bodies) + "\n"


def _import(node: ast.Import | ast.ImportFrom, used: set[str]) -> str:
    """The statement with those names only that are used."""
    names = [a for a in node.names if (a.asname or a.name.partition(".")[0]) in used]
    if isinstance(node, ast.Import):
        return ast.unparse(ast.Import(names))
    return ast.unparse(ast.ImportFrom(node.module, names, node.level))


def _text(lines: list[str], node: ast.stmt) -> str:
    decorators = getattr(node, "decorator_list", [])
    first = min([node.lineno, *(d.lineno for d in decorators)]) - 1
    while first and lines[first - 1].startswith("#"):
        first -= 1
    return "\n".join(lines[first : node.end_lineno])


def _summary(cls: ast.ClassDef) -> str:
    return first_sentence(ast.get_docstring(cls) or f"The analyzer {cls.name}.")


def _dependencies(nodes: Iterable[ast.stmt], path: Path) -> tuple[str, ...]:
    """Distributions of what is imported, besides Strobe and the standard library."""
    known, found = packages_distributions(), []
    for node in nodes:
        modules = [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        relative = isinstance(node, ast.ImportFrom) and node.level > 0
        for top in (module.partition(".")[0] for module in modules):
            if relative or (top not in PROVIDED and top not in sys.stdlib_module_names and top not in known):
                beside = f", which lies beside {path.name}" if (path.parent / f"{top}.py").is_file() or relative else ", which is not installed"
                raise UsageError(
                    f"{path} imports {'.' if relative else ''}{top}{beside}: put what the analyzer uses into {path.name}, or install it first"
                )
            if top in known and top not in PROVIDED:
                found.append(known[top][0])
    return tuple(sorted(set(found) - {"strobe"}))


def _drawn(cls: ast.ClassDef, nodes: list[ast.stmt]) -> Drawn | None:
    """What a line over steps could show: the first number of its `Row` by the first dim, where rows have a step."""
    fields = [f for f in _fields(cls, nodes) if isinstance(f.target, ast.Name) and isinstance(f.value, ast.Call)]
    kinds: dict[str, list[ast.AnnAssign]] = {"metric": [], "dim": []}
    for f in fields:
        if (name := _called(f.value)) in kinds:
            kinds[name].append(f)
    numbers = [f for f in kinds["metric"] if ast.unparse(f.annotation).split(" ")[0] in ("float", "int")]
    dims = [f.target.id for f in kinds["dim"] if isinstance(f.target, ast.Name)]
    if not numbers or (_category(cls) in ("trajectory", "results") and "step" not in dims):
        return None
    first = numbers[0]
    assert isinstance(first.target, ast.Name)
    return Drawn(first.target.id, first.target.id.replace("_", " "), next((d for d in dims if d not in ("step", "run")), ""))


def _fields(cls: ast.ClassDef, nodes: list[ast.stmt]) -> list[ast.AnnAssign]:
    """Fields of its nested row type, or of the one that `Row = ...` names."""
    rows = [n for n in cls.body if isinstance(n, ast.ClassDef)]
    named = {n.value.id for n in cls.body if isinstance(n, ast.Assign) and isinstance(n.value, ast.Name)}
    rows += [n for n in nodes if isinstance(n, ast.ClassDef) and n.name in named]
    return [f for row in rows[:1] for f in row.body if isinstance(f, ast.AnnAssign)]


def _called(value: ast.expr | None) -> str:
    """`metric` of `metric(...)` and of `strobe.metric(...)`."""
    function = value.func if isinstance(value, ast.Call) else None
    return function.id if isinstance(function, ast.Name) else function.attr if isinstance(function, ast.Attribute) else ""
