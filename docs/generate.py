"""`make docs`: writes reference.md from the docstrings of the contract, commands.md from the command line, and the files that other pages show.

A test fails when a page is not what this makes.
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import typer

import strobe
from strobe.cli import app
from strobe.hookspecs import CATEGORY_OF_HOOK, AnalyzerSpecs, EngineSpecs, RendererSpecs
from strobe.testing import analyzers, families, packages, renderers

PARAMETER = re.compile(r":param (\w+): (.*?)(?=\n:param |\Z)", re.DOTALL)
SHOWN = re.compile(r"(<!-- file: (?P<path>\S+) -->\n)(```\w+)\n.*?```\n", re.DOTALL)
DOCS = Path(__file__).resolve().parent
HEAD = """# Reference

Made from the docstrings by `make docs`. How to use it: [writing an analyzer](writing-an-analyzer.md).

Everything here is imported from `strobe`. A hook method names only the arguments it wants, without defaults; it is passed those and no others.
"""
BASES = ("Analyzer", "Renderer", "Family", "ModuleFamily", "Row")
REST = ("Workspace", "Training", "Tap", "StrobeError", "StrobeDeprecation")
TESTING = ("run_analyzer", "AnalyzerConformance", "RendererConformance", "FamilyConformance", "TinyRun", "tiny_run")
FIXTURES = ("weights", "activations", "attention", "outputs", "probe", "loss", "checkpoints", "metrics", "results", "context", "frame")
FIELDS = ("dim", "metric", "array", "Last", "Positions", "Pick", "Dim", "Number")
ARGUMENTS = ("Weights", "Activations", "Attention", "Outputs", "Probe", "Loss", "Checkpoints", "Results", "Context", "Frame")


def main() -> None:
    """Write the pages."""
    for page, text in pages().items():
        page.write_text(text, "utf-8")


def pages() -> dict[Path, str]:
    """Page -> what it should hold."""
    made = {page: embedded(page.read_text("utf-8")) for page in sorted(DOCS.glob("*.md"))}
    return {**made, DOCS / "reference.md": reference(), DOCS / "commands.md": commands()}


def embedded(text: str) -> str:
    """The text of a page, with the code block after each `<!-- file: PATH -->` replaced by that file."""
    return SHOWN.sub(lambda m: f"{m[1]}{m[3]}\n{(DOCS.parent / m['path']).read_text('utf-8')}```\n", text)


def reference() -> str:
    """The whole page."""
    parts = [
        HEAD,
        "## Base types\n",
        *(documented(name) for name in BASES),
        "## What a row, a site and a renderer are declared with\n",
        *(documented(name) for name in FIELDS),
        "## Hooks of analyzers\n",
        "The hook that an analyzer implements is its category, and the entry-point group it is registered in: `strobe.analyzers.<category>`.\n",
        *(hook(AnalyzerSpecs, name, f"Group `strobe.analyzers.{category}`.") for name, category in CATEGORY_OF_HOOK.items()),
        "## Hook of renderers\n",
        hook(RendererSpecs, "render", "Group `strobe.renderers`."),
        "## Hooks around the core\n",
        "Group `strobe.hooks`: a class with any of these methods, each marked `@hookimpl`.\n",
        *(hook(EngineSpecs, name) for name in hooks(EngineSpecs)),
        "## What hooks are handed\n",
        *(documented(name) for name in ARGUMENTS),
        "## For tests: `strobe.testing`\n",
        TESTED,
        *(documented(name, strobe.testing) for name in TESTING),
        checks(),
        *(documented(name, strobe.testing) for name in FIXTURES),
        "## Everything else\n",
        *(documented(name) for name in REST),
        "`strobe.maths` and `strobe.charts` hold what analyzers and renderers share; `hookimpl` marks a hook.\n",
    ]
    return "\n".join(parts)


COMMANDS = """# Commands

Made from the command line itself by `make docs`. Exit status: 0 done, 1 something failed and the rest is stored, 2 wrong usage.

`--set` takes settings of the family and of the training, and of analyzers as `analyzer.setting=value`. Lists are JSON. For `strobe train`, a
comma makes a sweep.
"""


def commands() -> str:
    """The page of all commands."""
    return "\n".join([COMMANDS, *(command(name, c) for name, c in leaves("strobe", typer.main.get_command(app)))])


def leaves(name: str, command: Any) -> list[tuple[str, Any]]:
    """(full name, command) of everything that can be run, in the order of the help."""
    below = getattr(command, "commands", None)
    return [(name, command)] if below is None else [leaf for n, c in below.items() for leaf in leaves(f"{name} {n}", c)]


def command(name: str, command: Any) -> str:
    """A command: how it is called, what it does, its options."""
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option" and p.name != "help"]
    call = " ".join([name, *(p.metavar or p.name.upper() for p in arguments)])
    lines = [f"- `{', '.join([*p.opts, *p.secondary_opts])}{value(p)}`: {p.help}\n" for p in options]
    return f"## `{name}`\n\n```\n{call}\n```\n\n{' '.join(inspect.cleandoc(command.help).split())}\n\n{''.join(lines)}"


def value(option: Any) -> str:
    """What follows an option: nothing for a flag."""
    return "" if option.is_flag else f" {option.metavar or option.name.strip('_').upper()}"


def hooks(specs: type[Any]) -> list[str]:
    """Hook names of a specification class, in its order."""
    return [name for name, member in vars(specs).items() if not name.startswith("_") and callable(member)]


def hook(specs: type[Any], name: str, group: str = "") -> str:
    """A hook: signature, text, arguments."""
    method = getattr(specs, name)
    doc = inspect.cleandoc(method.__doc__ or "")
    arguments = ", ".join(inspect.signature(method).parameters)
    listed = "".join(f"- `{argument}`: {' '.join(text.split())}\n" for argument, text in PARAMETER.findall(doc))
    text = doc.partition(":param ")[0].strip()
    return f"### `{name}`\n\n```python\n@hookimpl\ndef {name}({arguments}): ...\n```\n\n{text} {group}".rstrip() + f"\n\n{listed}"


TESTED = """The same checks run as `strobe plugins check`. Each fixture below is also one of pytest, with the prefix `strobe_`: `strobe_weights`, ...,
and `strobe_run` (the tiny run), `strobe_run_analyzer`, `strobe_results` (call it with names of analyzers).
"""


def checks() -> str:
    """What each suite asks for, check by check."""
    suites = {"an analyzer": analyzers.CHECKS, "a renderer": renderers.CHECKS, "a family": families.CHECKS, "a package": packages.CHECKS}
    return "\n".join(f"What is asked of {kind}:\n\n{listed(found)}" for kind, found in suites.items())


def listed(found: dict[str, Any]) -> str:
    """Names and docstrings as a list."""
    return "".join(f"- {name.replace('_', ' ')}: {' '.join(inspect.cleandoc(check.__doc__ or '').split())}\n" for name, check in found.items())


def documented(name: str, home: Any = strobe) -> str:
    """A public class or function: its docstring, and those of its public methods."""
    thing = getattr(home, name)
    return f"### `{name}`\n\n{inspect.cleandoc(thing.__doc__)}\n" + (members(thing) if isinstance(thing, type) else "")


def members(cls: type[Any]) -> str:
    """Public methods and properties that a class defines itself, as a list."""
    lines = []
    for name, member in vars(cls).items():
        plain = getattr(member, "__func__", None) or getattr(member, "func", None) or getattr(member, "fget", None) or member
        if name.startswith("_") or not inspect.isfunction(plain) or not plain.__doc__:
            continue
        call = name if plain is not member and not isinstance(member, (classmethod, staticmethod)) else f"{name}({', '.join(parameters(plain))})"
        lines.append(f"- `.{call}`: {' '.join(inspect.cleandoc(plain.__doc__).split())}")
    return "\n" + "\n".join(lines) + "\n" if lines else ""


def parameters(function: Any) -> list[str]:
    """Parameters as a definition writes them, without types and defaults: those after `*` are passed by name."""
    names = [p for p in inspect.signature(function).parameters.values() if p.name not in ("self", "cls")]
    written = [{p.VAR_KEYWORD: "**", p.VAR_POSITIONAL: "*"}.get(p.kind, "") + p.name for p in names]
    first = next((i for i, p in enumerate(names) if p.kind is p.KEYWORD_ONLY), None)
    return written if first is None else [*written[:first], "*", *written[first:]]


if __name__ == "__main__":
    main()
