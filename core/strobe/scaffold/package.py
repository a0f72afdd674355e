"""The files of a new plugin package. Pure: a plan of texts, that the command writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template

from ..errors import UsageError
from ..hookspecs import CATEGORIES
from ..registration import names
from ..version import __version__

TEMPLATES = Path(__file__).parent / "templates"
KINDS = (*CATEGORIES, "renderer", "family")


@dataclass(frozen=True)
class Drawn:
    """What the renderer of a template draws: a metric, its axis title, and the dimension that gives it a colour."""

    metric: str
    title: str
    colour: str = ""


DRAWN = {
    "weights": Drawn("size", "root mean square", "parameter"),
    "activations": Drawn("active", "share of activations", "layer"),
    "attention": Drawn("strongest", "largest attention weight", "head"),
    "outputs": Drawn("confidence", "probability of the answer", "split"),
    "landscape": Drawn("gradient", "norm of the gradient (nats)", "parameter"),
    "trajectory": Drawn("distance", "distance from the start", "parameter"),
    "results": Drawn("norm", "norm of all weights"),
}
HANDED = {
    "weights": "Weights",
    "activations": "Activations",
    "attention": "Attention",
    "outputs": "Outputs",
    "landscape": "Loss",
    "trajectory": "Checkpoints, Weights",
    "results": "Results",
}


@dataclass(frozen=True)
class Extracted:
    """An analyzer taken from a file: its class, category, the source it needs, what that imports, and what a line over steps could show."""

    cls: str
    category: str
    source: str
    summary: str
    dependencies: tuple[str, ...] = ()
    drawn: Drawn | None = None


@dataclass(frozen=True)
class Names:
    """A package's names, all made of one."""

    package: str
    module: str
    name: str
    cls: str


def named(name: str, cls: str = "") -> Names:
    """`participation` -> package strobe-participation, module strobe_participation, plugin participation, class Participation."""
    plain = name.removeprefix("strobe-").removeprefix("strobe_")
    word = plain.replace("-", "_")
    if why := names.problem(word):
        raise UsageError(why.replace("name ", f"{name!r} cannot be a plugin: name ", 1) if word != name else why)
    return Names(f"strobe-{word.replace('_', '-')}", f"strobe_{word}", word, cls or "".join(part.capitalize() for part in word.split("_")))


def files(name: str, kind: str, extracted: Extracted | None = None) -> dict[str, str]:
    """Path within the package's folder -> text."""
    called = named(name, extracted.cls if extracted else "")
    if kind == "renderer":
        return _renderer_only(called)
    if kind == "family":
        return _family(called)
    return _analyzer(called, kind, extracted)


def _analyzer(called: Names, category: str, extracted: Extracted | None) -> dict[str, str]:
    values, drawn = _values(called), extracted.drawn if extracted else DRAWN[category]
    entries = {f"strobe.analyzers.{category}": f'{called.name} = "{called.module}.analyzer:{called.cls}"'}
    summary = extracted.summary if extracted else f"An analyzer of {category} for Strobe."
    made = {
        f"{called.module}/analyzer.py": extracted.source if extracted else _filled(f"analyzer_{category}.py", values),
        "tests/test_analyzer.py": _filled("test_analyzer.py", {**values, **_known(category, values, extracted)}),
    }
    if drawn is not None:
        renderer = f"{called.name}_over_steps"
        entries["strobe.renderers"] = f'{renderer} = "{called.module}.renderer:{called.cls}OverSteps"'
        colour = f'\n                color=alt.Color("{drawn.colour}:N", title="{drawn.colour.replace("_", " ")}"),' if drawn.colour else ""
        by = f", one line per {drawn.colour.replace('_', ' ')}" if drawn.colour else ""
        shown = {**values, "metric": drawn.metric, "title": drawn.title, "color": colour, "by": by}
        made[f"{called.module}/renderer.py"] = _filled("renderer.py", shown)
        made["tests/test_renderer.py"] = _filled("test_renderer.py", {**values, "renderer": renderer, "Renderer": f"{called.cls}OverSteps"})
    try_it = f"strobe analyze my-run -a {called.name}" + (f"\nstrobe view {called.name}_over_steps my-run -o {called.name}.png" if drawn else "")
    return {**_frame(called, summary, entries, try_it, extracted.dependencies if extracted else ()), **made}


def _known(category: str, values: Mapping[str, str], extracted: Extracted | None) -> dict[str, str]:
    """The test with a known answer, and what the test module imports."""
    if extracted:
        return {"known": "", "imports": "from strobe.testing import AnalyzerConformance\n"}
    library = "import pandas as pd\nimport pytest" if category == "results" else "import pytest\nimport torch"
    imports = f"{library}\nfrom strobe import {HANDED[category]}\nfrom strobe.testing import AnalyzerConformance, run_analyzer\n"
    return {"known": _filled(f"known_{category}.py", values).rstrip("\n"), "imports": imports}


def _renderer_only(called: Names) -> dict[str, str]:
    values = _values(called)
    entries = {"strobe.renderers": f'{called.name} = "{called.module}.renderer:{called.cls}"'}
    return {
        **_frame(
            called, "A renderer for Strobe that draws any table.", entries, f"strobe view {called.name} my-run --table weight_norms -o chart.png"
        ),
        f"{called.module}/renderer.py": _filled("renderer_only.py", values),
        "tests/test_renderer.py": _filled("test_renderer.py", {**values, "renderer": called.name, "Renderer": called.cls}),
    }


def _family(called: Names) -> dict[str, str]:
    values = _values(called)
    entries = {"strobe.families": f'{called.name} = "{called.module}.family:{called.cls}"'}
    return {
        **_frame(called, "A family for Strobe: a model and its task.", entries, f"strobe train {called.name}\nstrobe analyze"),
        f"{called.module}/family.py": _filled("family.py", values),
        "tests/test_family.py": _filled("test_family.py", values),
    }


def _frame(called: Names, summary: str, entries: Mapping[str, str], try_it: str, dependencies: tuple[str, ...] = ()) -> dict[str, str]:
    """What every package has."""
    required = ", ".join(f'"{line}"' for line in (bound(), *dependencies))
    points = "\n".join(f'[project.entry-points."{group}"]\n{line}\n' for group, line in entries.items())
    values = {**_values(called), "summary": summary.replace('"', "'"), "dependencies": required, "entry_points": points, "try_it": try_it}
    return {
        "pyproject.toml": _filled("pyproject.toml", values),
        "README.md": _filled("README.md", values),
        ".github/workflows/checks.yml": _filled("ci.yml", values),
        f"{called.module}/__init__.py": _filled("init.py", values),
        f"{called.module}/py.typed": "",
    }


def bound(version: str = __version__) -> str:
    """`strobe>=0.1,<1`: from this version on, until arguments may change."""
    major, minor = (int(part) for part in version.split(".")[:2])
    return f"strobe>={major}.{minor},<{major + 1}"


def _values(called: Names) -> dict[str, str]:
    return {"package": called.package, "module": called.module, "name": called.name, "Class": called.cls}


def _filled(template: str, values: Mapping[str, str]) -> str:
    return Template((TEMPLATES / f"{template}.tmpl").read_text("utf-8")).substitute(values)
