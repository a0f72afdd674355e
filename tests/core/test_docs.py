"""The documentation is what it documents: pages made from the source are fresh, nothing public is missing, and links lead somewhere."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

import strobe
from strobe.hookspecs import CATEGORY_OF_HOOK, AnalyzerSpecs, EngineSpecs, RendererSpecs

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
LINK = re.compile(r"(?<!!)\[[^\]]+\]\(([^)\s]+)\)")


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_docs", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_generated_pages_are_fresh(generate: ModuleType) -> None:
    stale = [page.name for page, text in generate.pages().items() if page.read_text("utf-8") != text]
    assert not stale, f"run `make docs` and commit {', '.join(stale)}"


def test_every_hook_and_its_arguments_are_in_the_reference(generate: ModuleType) -> None:
    reference = (ROOT / "docs" / "reference.md").read_text("utf-8")
    for specs in (AnalyzerSpecs, RendererSpecs, EngineSpecs):
        for name in generate.hooks(specs):
            section = reference.partition(f"### `{name}`\n")[2].partition("\n##")[0]
            arguments = [a for a in getattr(specs, name).__annotations__ if a != "return"]
            assert arguments
            assert [a for a in arguments if f"- `{a}`: " not in section] == [], f"{name}: an argument has no `:param` line"


def test_every_command_is_in_the_readme_and_every_option_on_its_page(generate: ModuleType) -> None:
    readme, page = ((ROOT / name).read_text("utf-8") for name in ("README.md", "docs/commands.md"))
    for name, command in generate.leaves("strobe", generate.typer.main.get_command(generate.app)):
        assert f"`{name}" in readme, f"README.md does not name `{name}`"
        section = page.partition(f"## `{name}`\n")[2].partition("\n## ")[0]
        options = [o for p in command.params if p.param_type_name == "option" and p.name != "help" for o in p.opts]
        assert [o for o in options if o not in section] == []


def test_help_says_of_every_command_what_it_does_without_cutting_it_short_and_no_default_twice(generate: ModuleType) -> None:
    for name, command in generate.leaves("strobe", generate.typer.main.get_command(generate.app)):
        first = command.get_short_help_str(limit=63)  # what is left beside the names on 80 columns
        assert first, name
        assert not first.endswith("..."), f"{name}: let its first sentence be shorter than {first!r}"
        page = command.get_help(generate.typer.Context(command, info_name=name))
        assert "].  [default:" not in " ".join(page.split("\n")), name


def test_every_category_is_on_the_tutorial_page() -> None:
    page = (ROOT / "docs" / "writing-an-analyzer.md").read_text("utf-8")
    assert [hook for hook in CATEGORY_OF_HOOK if f"| `{hook}` |" not in page] == []


def test_every_public_name_is_in_the_reference() -> None:
    reference = (ROOT / "docs" / "reference.md").read_text("utf-8")
    assert [name for name in strobe.__all__ if not name.startswith("_") and not re.search(rf"`(strobe\.)?{name}`", reference)] == []


def test_every_room_of_core_is_on_the_map() -> None:
    core = ROOT / "core" / "strobe"
    rooms = {p.stem if p.is_file() else p.name for p in core.iterdir() if p.suffix == ".py" or (p / "__init__.py").is_file()}
    floor, *sections = re.split(r"^### ", (ROOT / "ARCHITECTURE.md").read_text("utf-8"), flags=re.MULTILINE)
    named = {heading[1] for s in sections if (heading := re.match(r"`(\w+)`$", s.partition("\n")[0]))}
    assert rooms - {"__init__"} == _first_column(floor) | named
    for section in sections:
        room = section.partition("\n")[0].strip("`")
        if room in named:
            assert _first_column(section) == {p.stem for p in (core / room).iterdir() if p.suffix == ".py" or (p / "__init__.py").is_file()} - {
                "__init__"
            }, room


def _first_column(page: str) -> set[str]:
    return {name for line in page.splitlines() if line.startswith("| `") for name in re.findall(r"`(\w+)`", line.split("|")[1])}


def test_the_readme_shows_the_package_that_is_tested() -> None:
    module = (ROOT / "tests" / "plugins" / "strobe-participation" / "strobe_participation.py").read_text("utf-8")
    assert "class " + module.partition("class ")[2] in (ROOT / "README.md").read_text("utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text("utf-8")):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{page.name} links to {target}"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", file.read_text("utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", h).strip().lower().replace(" ", "-") for h in headings}, f"{page.name} links to {target}"
