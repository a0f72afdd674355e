"""Plugins: listed from package metadata alone, imported on first use. A broken one is listed with its package, the reason and the fix.

Listing imports neither torch nor pydantic nor pluggy: names, categories and versions all stand in entry points and distribution metadata.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..errors import PluginError, StrobeError, UsageError, did_you_mean
from . import names
from .code import digest_of, is_editable, module_files, source_of
from .discovery import Entry, entries
from .requirements import incompatible, remark
from .settings import Disabled, disabled

if TYPE_CHECKING:
    from ..analyzer import Analyzer
    from ..family import Family
    from ..renderer import Renderer
    from .contract import Contract

Kind = Literal["analyzer", "renderer", "family", "hook", "report"]
KINDS: dict[str, Kind] = {
    "strobe.analyzers": "analyzer",
    "strobe.renderers": "renderer",
    "strobe.families": "family",
    "strobe.hooks": "hook",
    "strobe.reports": "report",
}
FILES = "files.json"
"""Where a workspace notes which plugins came from files."""
LISTED_BY = "strobe plugins list"
"""The command that names all plugins."""
CATEGORIES = ("weights", "activations", "attention", "outputs", "landscape", "trajectory", "results")


@dataclass(frozen=True)
class Listing:
    """One line of `strobe plugins list`. `state`: `ready` (found, not imported yet), `loaded`, `broken`, `incompatible`, `clash`, `disabled`."""

    name: str
    kind: Kind
    category: str
    package: str
    version: str
    state: str
    why: str = ""


@dataclass(frozen=True, eq=False)
class Plugin:
    """A plugin as its metadata describes it; `load()` imports and checks it."""

    name: str
    kind: Kind
    category: str
    entry: Entry | None
    package: str
    version: str
    state: str = "ready"
    why: str = ""
    given: Any = None
    file: str = ""

    @property
    def who(self) -> str:
        return f"{self.kind} {self.name!r} ({self.package} {self.version})".replace(" )", ")")

    def load(self) -> Any:
        """The plugin's class, imported and checked once. Raises `PluginError` naming package, reason and fix."""
        if self.state in ("broken", "clash", "incompatible", "disabled"):
            raise PluginError(f"{self.who}: {self.why}")
        return self._loaded

    @cached_property
    def _loaded(self) -> Any:
        found = self._imported(self.entry) if self.entry is not None else self.given or self._read_again()
        check(self, found)
        return found

    def _read_again(self) -> Any:
        try:
            return class_in(self.file)
        except UsageError as e:
            raise PluginError(f"{self.who}: {e}; put the file back, or leave this plugin out") from e

    def _imported(self, entry: Entry) -> Any:
        if self.package == "strobe":
            return self._load(entry)
        from ..isolation.imports import tried_first

        with tried_first(self, entry.module, partial(module_files, entry.module.partition(".")[0], whole=True)):
            return self._load(entry)

    def _load(self, entry: Entry) -> Any:
        try:
            return entry.load()
        except StrobeError as e:
            raise PluginError(f"{self.who}: {e}") from e
        except Exception as e:  # the plugin boundary: whatever a stranger's module does on import
            raise PluginError(
                f"{self.who}: cannot be imported: {type(e).__name__}: {e}; mend {entry.value}, or `pip uninstall {self.package}`"
            ) from e

    @cached_property
    def contract(self) -> Contract:
        """What an analyzer promises (its hook, category and arguments)."""
        from .contract import analyzer_contract

        return analyzer_contract(self.load(), self.who, self.category or None)

    @cached_property
    def code(self) -> str:
        """What stands for the code in keys: a digest of a built-in's module, of an editable package's sources, else the version."""
        if self.file:
            return f"file+{digest_of([Path(self.file.rpartition(':')[0])])}"
        if self.entry is None:
            return f"{self.package}+{hashlib.sha256(source_of(self.given).encode()).hexdigest()[:16]}"
        if self.package == "strobe":
            from ..version import RESULTS_VERSION

            return f"strobe:{RESULTS_VERSION}+{digest_of(module_files(self.entry.module, whole=False))}"
        if is_editable(self.entry.package):
            return f"{self.package}=={self.version}+{digest_of(module_files(self.entry.module.partition('.')[0], whole=True))}"
        return f"{self.package}=={self.version}"

    def listing(self) -> Listing:
        state = "loaded" if "_loaded" in self.__dict__ else self.state
        return Listing(self.name, self.kind, self.category, self.package, self.version, state, self.why)


def check(plugin: Plugin, found: Any) -> None:
    """That a loaded object is what its entry point says; raises `PluginError`."""
    from ..analyzer import Analyzer
    from ..family import Family
    from ..renderer import Renderer

    if plugin.kind == "report":
        if not (isinstance(found, Path) and found.suffix == ".yaml" and found.is_file()):
            raise PluginError(f"{plugin.who}: {found!r} is no report; let it be the pathlib.Path of a YAML file in the package")
        return
    base = {"analyzer": Analyzer, "renderer": Renderer, "family": Family}.get(plugin.kind)
    if base is None:
        return
    if not (isinstance(found, type) and issubclass(found, base)):
        what = found.__qualname__ if isinstance(found, type) else f"a {type(found).__name__}"
        where = plugin.entry.value if plugin.entry else "it"
        raise PluginError(f"{plugin.who}: {where} is {what}, no plugin; derive it from strobe.{base.__name__}")
    if issubclass(found, Analyzer):
        from .contract import analyzer_contract

        analyzer_contract(found, plugin.who, plugin.category or None)
    if issubclass(found, Renderer):
        from .contract import renderer_contract

        renderer_contract(found, plugin.who)


class Registry:
    """Every plugin that is installed, or was added by hand. Made anew for each workspace: nothing is global."""

    def __init__(self, plugins: Iterable[Plugin]) -> None:
        self._plugins = {(p.kind, p.name): p for p in plugins}

    @classmethod
    def discover(cls, root: Path | None = None) -> Registry:
        """From the metadata of installed packages; imports none of them. `root`: the workspace whose disabled plugins are left out too, and whose
        plugins from files are known."""
        registry = cls(_discovered(disabled(root)))
        for known in files_of(root) if root is not None else ():
            registry.recall(**known)
        return registry

    def all(self, kind: Kind | None = None) -> list[Plugin]:
        order = {k: i for i, k in enumerate(KINDS.values())}
        plugins = [p for p in self._plugins.values() if kind in (None, p.kind)]
        return sorted(plugins, key=lambda p: (order[p.kind], CATEGORIES.index(p.category) if p.category in CATEGORIES else -1, p.name))

    def get(self, kind: Kind, name: str) -> Plugin:
        """The plugin of that name, not imported yet. Raises `UsageError` with the nearest name."""
        if (kind, name) not in self._plugins:
            raise UsageError(f"no {kind} {name!r}{did_you_mean(name, [n for k, n in self._plugins if k == kind], LISTED_BY)}")
        return self._plugins[kind, name]

    def analyzer(self, name: str) -> type[Analyzer]:
        return self.get("analyzer", name).load()  # type: ignore[no-any-return]

    def renderer(self, name: str) -> type[Renderer]:
        return self.get("renderer", name).load()  # type: ignore[no-any-return]

    def family(self, name: str) -> type[Family]:
        return self.get("family", name).load()  # type: ignore[no-any-return]

    def find(self, name: str) -> list[Plugin]:
        """Plugins of that name, of any kind. Raises `UsageError` when there is none."""
        found = [p for p in self.all() if p.name == name]
        if not found:
            raise UsageError(f"no plugin {name!r}{did_you_mean(name, [n for _, n in self._plugins], LISTED_BY)}")
        return found

    def add(self, cls: type[Any], name: str = "", package: str = "notebook", file: str = "") -> Plugin:
        """Register an analyzer, renderer or family class from a notebook or a file, without packaging. Replaces an earlier one of that name."""
        kind = _kind_of(cls)
        if why := names.problem(name or snake_case(cls.__name__)):
            raise UsageError(f"{cls.__qualname__}: {why}")
        plugin = Plugin(name or snake_case(cls.__name__), kind, "", None, package, "", given=cls, file=file)
        check(plugin, cls)
        if kind == "family" and (known := self._plugins.get((kind, plugin.name))) and known.entry is not None:
            raise UsageError(f"{cls.__qualname__}: {known.who} bears the name {plugin.name!r} already; give the class another name")
        category = plugin.contract.category if kind == "analyzer" else ""
        plugin = replace(plugin, category=category)
        self._plugins[kind, plugin.name] = plugin
        return plugin

    def put(self, plugin: Plugin) -> Plugin:
        """Take a plugin in as it is, over an installed one of its name: a package that is being written, and may not be installed yet."""
        self._plugins[plugin.kind, plugin.name] = plugin
        return plugin

    def add_file(self, spec: str) -> Plugin:
        """Register `./mine.py:Mine`; its code digest is its source."""
        return self.add(class_in(spec), package=spec.rpartition(":")[0], file=spec)

    def recall(self, name: str, kind: Kind, category: str, file: str) -> None:
        """Register a plugin from a file that was used before; the file is read when someone asks for it. An installed one of that name stays."""
        self._plugins.setdefault((kind, name), Plugin(name, kind, category, None, file.rpartition(":")[0], "", file=file))


def _kind_of(cls: Any) -> Kind:
    """What a class from a notebook or a file is. Raises `UsageError` for what is no plugin."""
    from ..analyzer import Analyzer
    from ..family import Family
    from ..renderer import Renderer

    bases: dict[type[Any], Kind] = {Analyzer: "analyzer", Renderer: "renderer", Family: "family"}
    found = next((kind for base, kind in bases.items() if isinstance(cls, type) and issubclass(cls, base)), None)
    if found is None:
        hint = "; of a torch module, derive a strobe.ModuleFamily whose `build` returns it" if hasattr(cls, "state_dict") else ""
        raise UsageError(f"{cls!r} is no plugin class: derive it from strobe.Analyzer, strobe.Renderer or strobe.Family{hint}")
    return found


def class_in(spec: str) -> Any:
    """What `./mine.py:Mine` names."""
    path, _, attribute = spec.rpartition(":")
    file = Path(path)
    if not attribute or not file.is_file():
        raise UsageError(f"{spec!r}: no such file; write PATH.py:ClassName")
    from ..isolation.imports import tried_first

    with tried_first(Plugin(attribute, "analyzer", "", None, path, "", file=f"{file}:{attribute}"), "", lambda: [file]):
        module = module_from(file)
    if not hasattr(module, attribute):
        known = [n for n, v in vars(module).items() if isinstance(v, type)]
        raise UsageError(f"{spec!r}: {file} defines no {attribute!r}{did_you_mean(attribute, known)}")
    return getattr(module, attribute)


def files_of(root: Path) -> list[dict[str, Any]]:
    """Plugins from files that were used in a workspace: name, kind, category, and the file as `/path/mine.py:Mine`."""
    file = root / FILES
    return json.loads(file.read_text()) if file.is_file() else []


def remember_files(root: Path, plugins: Iterable[Plugin]) -> None:
    """Note which plugins came from files, so that another process finds them by name."""
    from ..checkpoints import write_atomically

    known = {(f["kind"], f["name"]): f for f in files_of(root)}
    new = dict(known)
    for plugin in (p for p in plugins if p.file):
        path, _, attribute = plugin.file.rpartition(":")
        file = f"{Path(path).resolve()}:{attribute}"
        new[plugin.kind, plugin.name] = {"name": plugin.name, "kind": plugin.kind, "category": plugin.category, "file": file}
    if new != known:
        write_atomically(root / FILES, json.dumps(list(new.values()), indent=1).encode())


def snake_case(name: str) -> str:
    """`ParticipationRatio` -> `participation_ratio`: the public name of a class that has no entry point."""
    return "".join("_" + c.lower() if c.isupper() and i and not name[i - 1].isupper() else c.lower() for i, c in enumerate(name))


def module_from(file: Path) -> Any:
    """The module that a file makes, its own each time; raises `PluginError` when it cannot be imported."""
    import sys

    name = f"strobe_file_{hashlib.sha256(str(file.resolve()).encode()).hexdigest()[:8]}_{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # so that inspect finds the source of its classes
    try:
        spec.loader.exec_module(module)
    except Exception as e:  # the plugin boundary
        raise PluginError(f"{file}: cannot be imported: {type(e).__name__}: {e}") from e
    return module


def _discovered(off: Disabled) -> list[Plugin]:
    by_name: dict[tuple[str, str], list[Plugin]] = {}
    for entry in entries("strobe."):
        base = next((g for g in KINDS if entry.group == g or entry.group.startswith(g + ".")), None)
        if base is not None:
            plugin = _described(entry, KINDS[base], entry.group[len(base) + 1 :], off)
            by_name.setdefault((plugin.kind, plugin.name), []).append(plugin)
    owners = {names.module_name(p.package) for plugins in by_name.values() for p in plugins}
    return [_named(_resolved(plugins), owners) for plugins in by_name.values()]


def _named(plugin: Plugin, owners: set[str]) -> Plugin:
    """The plugin, broken when its name is not one that it may bear."""
    why = names.problem(plugin.name, plugin.package, owners) if plugin.state == "ready" and plugin.package != "strobe" else ""
    return replace(plugin, state="broken", why=f"{why} in [project.entry-points] of its pyproject.toml") if why else plugin


def _described(entry: Entry, kind: Kind, category: str, off: Disabled) -> Plugin:
    package = entry.package
    plugin = Plugin(entry.name, kind, category, entry, package.name, package.version)
    if why := off.why(package.name, entry.name):
        return replace(plugin, state="disabled", why=why)
    if kind == "analyzer" and category not in CATEGORIES:
        group = f"strobe.analyzers.{category}".rstrip(".")
        why = f"entry-point group {group} is no category; use strobe.analyzers.<category>, one of {', '.join(CATEGORIES)}"
        return replace(plugin, state="broken", why=why)
    if package.name != "strobe" and (why := incompatible(package.name, package.requirements)):
        return replace(plugin, state="incompatible", why=why)
    return replace(plugin, why="" if package.name == "strobe" else remark(package.requirements))


def _resolved(plugins: list[Plugin]) -> Plugin:
    """One plugin per name: two packages with the same name are both refused until one is disabled."""
    active = [p for p in plugins if p.state != "disabled"]
    if len(active) <= 1:
        return (active or plugins)[0]
    packages = " and ".join(sorted({p.package for p in active}))
    fix = f"`strobe plugins disable {active[-1].package}:{active[-1].name}`"
    return replace(active[0], state="clash", why=f"{active[0].name!r} is registered by {packages}; {fix}", package=packages, version="")
