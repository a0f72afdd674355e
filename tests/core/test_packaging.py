"""The distribution: what it declares, what it contains, and what importing it costs."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import time
import tomllib
import urllib.request
import zipfile
from collections.abc import Callable
from importlib.metadata import EntryPoint, distribution
from pathlib import Path

import pytest
from reading import free_port
from small import small_workspace

from strobe.reports.files import save
from strobe.reports.library import file_of
from strobe.reports.model import Panel, Report, Section
from strobe_app.routes import script

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


@pytest.fixture(scope="module")
def wheel(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(root))
    (built,) = folder.glob("strobe-*.whl")
    return built


@pytest.mark.slow
def test_the_wheel_holds_the_five_packages(root: Path, wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as z:
        names = set(z.namelist())
    for package, folder in ROOTS.items():
        wanted = {
            f"{package}/{p.relative_to(root / folder).as_posix()}" for p in (root / folder).rglob("*") if p.is_file() and "__pycache__" not in p.parts
        }
        assert wanted <= names, f"missing from the wheel: {sorted(wanted - names)}"
    assert {n.partition("/")[0] for n in names if not n.startswith("strobe-")} == set(ROOTS)
    assert any(n.endswith(".dist-info/licenses/LICENSE") for n in names)


@pytest.fixture
def installed_wheel(wheel: Path, tmp_path: Path) -> Path:
    """Commands of an environment with nothing of its own but the wheel: what it depends on is borrowed, and not the editable installation."""
    home = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(home)], check=True, timeout=120)
    pip("--python", str(home / "bin" / "python"), "install", "--no-deps", str(wheel))
    (site,) = home.glob("lib/python*/site-packages")
    borrowed = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    (site / "borrowed.pth").write_text("\n".join(borrowed))  # of folders named here Python reads no .pth
    return home / "bin"


def read(address: str) -> bytes:
    with urllib.request.urlopen(address, timeout=30) as answer:
        return bytes(answer.read())


@pytest.mark.slow
def test_the_app_runs_from_the_wheel(installed_wheel: Path, tmp_path: Path) -> None:
    """The page, the board's script, and a frame of a run, all by what was installed."""
    workspace, run = small_workspace(tmp_path / "w", ["weight_norms"])
    panel = Panel(renderer="norms_over_steps")
    save(Report(title="One", sections=[Section(title="Only", panels=[panel])]), file_of(workspace, "one"))
    where = [installed_wheel / "python", "-c", "import strobe_app, strobe_renderers; print(strobe_app.__file__, strobe_renderers.__file__)"]
    homes = subprocess.run(where, capture_output=True, text=True, check=True, timeout=60, cwd=tmp_path).stdout.split()
    assert all(Path(home).is_relative_to(tmp_path) for home in homes)
    port = free_port()
    command = [installed_wheel / "strobe", "app", "--workspace", workspace.root, "--port", str(port), "--headless"]
    app = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd=tmp_path)
    address = f"http://localhost:{port}"
    try:
        until(lambda: read(f"{address}/_stcore/health") == b"ok", app)
        assert b"<html" in read(f"{address}/")
        name, content = script()
        assert read(f"{address}/{name}") == content
        stamp = json.loads(read(f"{address}/api/stamp?run={run.name}&report=one"))["stamp"]
        frame = json.loads(read(f"{address}/api/frames/{stamp}?run={run.name}&report=one&theme=strobe&cards=1&step=10"))
        rows = frame["rows"][frame["shots"]["1"]["datasets"]["cursor"]]
        assert rows == [{"step": 10, "label": "10"}]
    finally:
        app.terminate()
        app.communicate(timeout=120)


def until(ready: Callable[[], bool], app: subprocess.Popen[str]) -> None:
    """Wait for what is true soon; an app that ended instead says why."""
    for _ in range(600):
        assert app.poll() is None, app.communicate()[1]
        try:
            if ready():
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError("the app did not start within a minute")


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
