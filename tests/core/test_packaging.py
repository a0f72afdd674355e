"""The distribution: what it declares, what it contains, and what importing it costs."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import EntryPoint, distribution
from pathlib import Path

import pytest

HEAVY = {"torch", "pandas", "pyarrow", "altair", "pydantic", "pluggy", "numpy", "duckdb", "streamlit", "rich"}
ROOTS = {
    "strobe": "core/strobe",
    "strobe_analyzers": "plugins/analyzers/strobe_analyzers",
    "strobe_renderers": "plugins/renderers/strobe_renderers",
    "strobe_families": "plugins/families/strobe_families",
    "strobe_app": "apps/streamlit/strobe_app",
}
PLUGIN_ROOTS = ("strobe_analyzers", "strobe_renderers", "strobe_families")


def declared(root: Path) -> set[tuple[str, str, str]]:
    """(group, name, value) of every line of entrypoints.toml."""

    def walk(table: dict[str, object], group: str) -> set[tuple[str, str, str]]:
        found: set[tuple[str, str, str]] = set()
        for key, value in table.items():
            found |= walk(value, f"{group}.{key}".lstrip(".")) if isinstance(value, dict) else {(group, key, str(value))}
        return found

    return walk(tomllib.loads((root / "entrypoints.toml").read_text("utf-8")), "")


def imports(file: Path) -> set[str]:
    """Absolute dotted names that a file imports: `from strobe import maths` gives `strobe` and `strobe.maths`."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {a.name for a in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module} | {f"{node.module}.{a.name}" for a in node.names}
    return names


def test_installed_entry_points_are_those_of_the_file(root: Path) -> None:
    installed = {(e.group, e.name, e.value) for e in distribution("strobe").entry_points}
    assert installed == declared(root), "entrypoints.toml was edited after the installation: run `pip install -e .` again"


def test_every_entry_point_loads(root: Path) -> None:
    failures = []
    for group, name, value in sorted(declared(root)):
        try:
            EntryPoint(name, value, group).load()
        except Exception as e:  # all of them are wanted, not the first alone
            failures.append(f"[{group}] {name} = {value}: {type(e).__name__}: {e}")
    assert not failures, "\n".join(failures)


def test_no_package_file_shadows_streamlit(root: Path) -> None:
    assert not (root / "apps" / "__init__.py").exists()
    assert not (root / "apps" / "streamlit" / "__init__.py").exists()


def test_import_name_is_the_folder_name(root: Path) -> None:
    """Renaming at build time breaks editable installs."""
    packages = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert sorted(packages) == sorted(ROOTS.values())
    assert all(Path(path).name == name and (root / path / "__init__.py").is_file() for name, path in ROOTS.items())


def test_core_knows_no_plugin_and_no_app(root: Path) -> None:
    offenders = {
        f"{file.relative_to(root)}: {name}"
        for file in (root / ROOTS["strobe"]).rglob("*.py")
        for name in imports(file)
        if name.partition(".")[0] in {*PLUGIN_ROOTS, "strobe_app"}
    }
    assert not offenders, "imports run one way: app -> core <- plugins"


@pytest.mark.parametrize("package", PLUGIN_ROOTS)
def test_plugins_import_only_the_public_api(root: Path, package: str) -> None:
    import strobe

    public = {"strobe", *(f"strobe.{name}" for name in strobe.__all__)}
    offenders = []
    for file in (root / ROOTS[package]).rglob("*.py"):
        foreign = {n for n in imports(file) if n.partition(".")[0] in {*PLUGIN_ROOTS, "strobe_app"} - {package}}
        private = {
            n
            for n in imports(file)
            if n.partition(".")[0] == "strobe" and n not in public and n.rpartition(".")[0] not in ("strobe.maths", "strobe.charts")
        }
        offenders += [f"{file.relative_to(root)}: {n}" for n in sorted(foreign | private)]
    assert not offenders, "\n".join(offenders)


def test_nothing_but_the_app_imports_the_app(root: Path) -> None:
    files = [f for package in PLUGIN_ROOTS for f in (root / ROOTS[package]).rglob("*.py")]
    assert not [f for f in files if any(n.partition(".")[0] == "strobe_app" for n in imports(f))]


STROBE = ("-c", "from strobe.cli import main; main()")


def modules_after(*arguments: str) -> set[str]:
    """Top-level modules that a fresh interpreter holds after running the arguments."""
    done = subprocess.run([sys.executable, "-X", "importtime", *arguments], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    return {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines() if line.startswith("import time:")}


@pytest.mark.parametrize("command", ["--help", "--version", "plugins list", "plugins list --json"])
def test_the_command_line_starts_light(command: str) -> None:
    heavy = modules_after(*STROBE, *command.split()) & HEAVY
    assert not heavy, f"`strobe {command}` imported {', '.join(sorted(heavy))}"


def test_importing_strobe_imports_nothing_heavy() -> None:
    assert not modules_after("-c", "import strobe; dir(strobe); strobe.__version__") & (HEAVY | {"typer"})


def test_listing_imports_no_plugin(installed) -> None:
    """Not even a broken one, and not one that runs code on import."""
    installed("strobe-participation", "strobe-broken", "strobe-future")
    loaded = modules_after(*STROBE, "plugins", "list")
    assert not {m for m in loaded if m.startswith("strobe_")}


def test_every_public_name_exists_and_is_documented() -> None:
    import strobe

    undocumented = [name for name in strobe.__all__ if name != "__version__" and not (getattr(strobe, name).__doc__ or "").strip()]
    assert undocumented in ([], ["hookimpl"])  # pluggy's marker documents itself


def test_a_misspelt_public_name_raises() -> None:
    import strobe

    with pytest.raises(AttributeError, match="Analyser"):
        strobe.Analyser  # noqa: B018


def test_version_is_the_changelog_s_newest(root: Path) -> None:
    newest = re.search(r"^## \[(\d[^\]]*)\]", (root / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert newest is not None
    assert newest[1] == distribution("strobe").version


def test_constraints_pin_every_direct_dependency(root: Path) -> None:
    from packaging.requirements import Requirement

    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]
    lines = [line for line in (root / "constraints.txt").read_text("utf-8").splitlines() if line and not line.startswith("#")]
    pins = {Requirement(line).name.lower(): Requirement(line) for line in lines}
    for text in [*project["dependencies"], *project["optional-dependencies"]["dev"]]:
        wanted = Requirement(text)
        assert wanted.name.lower() in pins, f"{wanted.name} is not pinned in constraints.txt"
        (pin,) = pins[wanted.name.lower()].specifier
        assert wanted.specifier.contains(pin.version), f"{text} refuses the tested version {pin.version}"


def pip(*arguments: str) -> None:
    done = subprocess.run([sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_the_wheel_holds_the_five_packages(root: Path, tmp_path: Path) -> None:
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(tmp_path), str(root))
    (wheel,) = tmp_path.glob("strobe-*.whl")
    with zipfile.ZipFile(wheel) as z:
        names = set(z.namelist())
    for package, folder in ROOTS.items():
        wanted = {
            f"{package}/{p.relative_to(root / folder).as_posix()}" for p in (root / folder).rglob("*") if p.is_file() and "__pycache__" not in p.parts
        }
        assert wanted <= names, f"missing from the wheel: {sorted(wanted - names)}"
    assert {n.partition("/")[0] for n in names if not n.startswith("strobe-")} == set(ROOTS)
    assert any(n.endswith(".dist-info/licenses/LICENSE") for n in names)


@pytest.mark.slow
def test_a_third_party_package_installs_with_pip(root: Path, tmp_path: Path) -> None:
    """The real thing, once: pip builds it, and a new process lists and loads it."""
    pip("install", "--no-deps", "--no-build-isolation", "--target", str(tmp_path / "site"), str(root / "tests" / "plugins" / "strobe-participation"))
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from importlib.metadata import entry_points\n"
        "(entry,) = [e for e in entry_points(group='strobe.analyzers.weights') if e.name == 'participation_ratio']\n"
        "print(entry.dist.name, entry.dist.version, entry.load().__name__)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "site")], capture_output=True, text=True, timeout=120)
    assert done.stdout == "strobe-participation 1.0 ParticipationRatio\n", done.stderr
