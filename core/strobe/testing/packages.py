"""What `strobe plugins check` is pointed at: a folder with a pyproject.toml, a file, or something installed; and the checks of a package as such."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from ..errors import StrobeError, UsageError, did_you_mean
from ..registration import names
from ..registration.discovery import Entry
from ..registration.registry import CATEGORIES, KINDS, LISTED_BY, Plugin, Registry
from .findings import Place, Unfit


@dataclass(frozen=True, eq=False)
class Target:
    """Plugins to examine, where their package is described, and a registry that knows them."""

    title: str
    plugins: Sequence[Plugin]
    registry: Registry
    package: Package | None = None


@dataclass(frozen=True, eq=False)
class Package:
    """A package as it describes itself."""

    name: str
    version: str
    requires: Sequence[str]
    entries: Sequence[tuple[str, str, str]] = ()
    """(group, name, value), Strobe's groups only."""
    file: str = ""
    lines: Sequence[str] = field(default_factory=tuple)

    def line(self, *words: str) -> Place | None:
        """The first line of its pyproject.toml that holds one of these words."""
        found = (i for word in words for i, line in enumerate(self.lines, 1) if word in line)
        return Place(self.file, next(found, 1)) if self.file else None


def target(what: str) -> Target:
    """A folder, a file (`mine.py`, `mine.py:Mine`), a package or a plugin. Raises `UsageError` when it is none of them."""
    path = Path(what)
    if (path / "pyproject.toml").is_file():
        return _folder(path)
    if path.is_dir():
        raise UsageError(f"{what} has no pyproject.toml; `strobe plugins new NAME` makes a package")
    file = what.partition(".py:")[0] + ".py" if ".py:" in what else what
    if file.endswith(".py"):
        return _file(file, what.partition(".py:")[2])
    return _installed(what)


def _folder(path: Path) -> Target:
    """A package's folder. It need not be installed: its sources go on `sys.path`, its entry points into the registry."""
    file = path / "pyproject.toml"
    try:
        project = tomllib.loads(file.read_text("utf-8"))["project"]
    except (tomllib.TOMLDecodeError, KeyError) as e:
        raise UsageError(f"{file}: {'no [project] table' if isinstance(e, KeyError) else e}; see docs/writing-a-plugin.md") from e
    groups = project.get("entry-points", {})
    entries = [(g, n, v) for g, named in groups.items() for n, v in named.items() if _base(g)]
    lines = file.read_text("utf-8").splitlines()
    package = Package(project["name"], str(project.get("version", "0")), project.get("dependencies", []), entries, str(file), lines)
    for folder in (path / "src", path):
        if folder.is_dir() and str(folder.resolve()) not in sys.path:
            sys.path.insert(0, str(folder.resolve()))
    registry = Registry.discover()
    return Target(package.name, [registry.put(_plugin(package, *entry)) for entry in entries], registry, package)


def _base(group: str) -> str:
    return next((g for g in KINDS if group == g or group.startswith(g + ".")), "")


def _plugin(package: Package, group: str, name: str, value: str) -> Plugin:
    base = _base(group)
    plugin = Plugin(name, KINDS[base], group[len(base) + 1 :], Entry(name, value, group), package.name, package.version)
    if plugin.kind == "analyzer" and plugin.category not in CATEGORIES:
        why = f"entry-point group {group} is no category; use strobe.analyzers.<category>, one of {', '.join(CATEGORIES)}"
        return replace(plugin, state="broken", why=why)
    return plugin


def _file(file: str, wanted: str) -> Target:
    """Every plugin class that a file defines, or the one that is named."""
    from ..analyzer import Analyzer
    from ..family import Family
    from ..registration.registry import module_from, snake_case
    from ..renderer import Renderer

    if not Path(file).is_file():
        raise UsageError(f"{file}: no such file")
    module, registry = module_from(Path(file)), Registry.discover()
    kinds: dict[type[Any], Any] = {Analyzer: "analyzer", Renderer: "renderer", Family: "family"}
    found = [v for v in vars(module).values() if isinstance(v, type) and v.__module__ == module.__name__ and issubclass(v, tuple(kinds))]
    chosen = [cls for cls in found if wanted in ("", cls.__name__)]
    if not chosen:
        known = [cls.__name__ for cls in found]
        raise UsageError(f"{file} defines no plugin{f' {wanted!r}{did_you_mean(wanted, known)}' if wanted else ': derive one from strobe.Analyzer'}")
    plugins = []
    for cls in chosen:
        kind = next(kinds[base] for base in kinds if issubclass(cls, base))
        plugins.append(registry.put(Plugin(snake_case(cls.__name__), kind, "", None, file, "", given=cls, file=f"{file}:{cls.__name__}")))
    return Target(file, plugins, registry)


def _installed(what: str) -> Target:
    """Plugins of an installed package, or of that name."""
    registry = Registry.discover()
    of_package = [p for p in registry.all() if p.package and names.module_name(p.package) == names.module_name(what)]
    if of_package:
        return Target(what, of_package, registry, _described(what))
    try:
        return Target(what, registry.find(what), registry)
    except UsageError as e:
        known = [*{p.package for p in registry.all()}, *(p.name for p in registry.all())]
        raise UsageError(f"{what!r} is no folder, file, installed package or plugin{did_you_mean(what, known, LISTED_BY)}") from e


def _described(name: str) -> Package | None:
    try:
        dist = distribution(name)
    except PackageNotFoundError:
        return None
    entries = [(e.group, e.name, e.value) for e in dist.entry_points if _base(e.group)]
    return Package(dist.metadata["Name"], dist.version, dist.requires or [], entries)


# --- the package as such -----------------------------------------------------------------------------------------------------------------------


def registers_plugins(package: Package) -> None:
    """It has entry points in Strobe's groups."""
    if not package.entries:
        groups = ", ".join(["strobe.analyzers.<category>", "strobe.renderers", "strobe.families", "strobe.hooks"])
        raise Unfit(
            "it registers nothing: no entry point in a group of Strobe",
            f'add [project.entry-points."..."]; groups are {groups}',
            package.line("[project"),
        )


def has_good_names(package: Package) -> None:
    """Names are lower case, digits and underscores, and not another package's."""
    registry = Registry.discover()
    owners = {names.module_name(p.package) for p in registry.all()} | {names.module_name(package.name)}
    for group, name, _ in package.entries:
        if package.name != "strobe" and (why := names.problem(name, package.name, owners)):
            problem, _, fix = why.partition("; ")
            raise Unfit(problem, fix, package.line(f"{name} =", f'"{name}"', group))
        kind = KINDS[_base(group)]
        twin = next((p for p in registry.all(kind) if p.name == name and names.module_name(p.package) != names.module_name(package.name)), None)
        if twin is not None:
            raise Unfit(
                f"{kind} {name!r} is also registered by {twin.package}: nobody could use either", "choose another name", package.line(f"{name} =")
            )


def bounds_its_strobe(package: Package) -> None:
    """It requires `strobe` from a version on and below the next major one, and this version is within."""
    from packaging.requirements import InvalidRequirement, Requirement

    from ..version import __version__

    if package.name == "strobe":
        return
    major, minor = (int(part) for part in __version__.split(".")[:2])
    fix = f'write `"strobe>={major}.{minor},<{major + 1}"` under `dependencies`'
    line = next(
        (r for r in package.requires if names.module_name(r.split("[")[0].strip()).startswith("strobe") and "extra ==" not in r and _is_strobe(r)), ""
    )
    if not line:
        raise Unfit("it does not say which versions of strobe it works with", fix, package.line("dependencies", "[project]"))
    try:
        requirement = Requirement(line)
    except InvalidRequirement as e:
        raise Unfit(f"requirement {line!r} cannot be read: {e}", fix, package.line(line)) from e
    signs = {s.operator for s in requirement.specifier}
    if not signs & {"==", "~=", "==="} and not (signs & {">=", ">"} and signs & {"<", "<="}):
        raise Unfit(f"requirement {line!r} has no {'upper' if signs & {'>=', '>'} else 'lower'} bound", fix, package.line(line, "strobe"))
    if not requirement.specifier.contains(__version__, prereleases=True):
        raise Unfit(
            f"it needs strobe{requirement.specifier}, this is strobe {__version__}",
            f"try it with this version, then {fix}",
            package.line(line, "strobe"),
        )


def _is_strobe(requirement: str) -> bool:
    import re

    return bool(re.fullmatch(r"strobe\s*([<>=!~(\[;@].*)?", requirement.strip(), re.IGNORECASE))


def is_installed_as_written(package: Package) -> None:
    """Where it is installed, the installation has the entry points that pyproject.toml has now."""
    installed = _described(package.name) if package.file else None
    if installed is not None and set(installed.entries) != set(package.entries):
        raise Unfit("pyproject.toml has other entry points than the installed package", "run `pip install -e .` again", package.line("entry-points"))


def loads(plugin: Plugin) -> None:
    """It can be imported, and is what its entry point says."""
    try:
        plugin.load()
    except StrobeError as e:
        problem, _, fix = str(e).rpartition("; ")
        raise Unfit(problem or str(e), fix if problem else "", _entry_place(plugin, e)) from e


def _entry_place(plugin: Plugin, error: BaseException) -> Place | None:
    """Where an import went wrong: the innermost line of a file in the plugin's own module or package."""
    cause: BaseException | None = error
    while cause is not None and cause.__cause__ is not None:
        cause = cause.__cause__
    root = plugin.entry.module.partition(".")[0] if plugin.entry else ""
    traceback, found = cause.__traceback__ if cause else None, None
    while traceback is not None:
        if traceback.tb_frame.f_globals.get("__name__", "").partition(".")[0] == root:
            found = Place(traceback.tb_frame.f_code.co_filename, traceback.tb_lineno)
        traceback = traceback.tb_next
    return found


CHECKS = {check.__name__: check for check in (registers_plugins, has_good_names, bounds_its_strobe, is_installed_as_written)}
