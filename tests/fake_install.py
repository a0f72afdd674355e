"""Lay a plugin package out as `pip install` would, without pip: modules, and a `.dist-info` folder made from its pyproject.toml."""

from __future__ import annotations

import json
import shutil
import tomllib
from pathlib import Path
from typing import Any

IGNORED = shutil.ignore_patterns("__pycache__", "*.egg-info")


def install(source: Path, site: Path, *, editable: bool = False) -> str:
    """Install the package in the folder `source` into the folder `site`; returns the name of its module."""
    project = tomllib.loads((source / "pyproject.toml").read_text("utf-8"))["project"]
    module = project["name"].replace("-", "_")
    _copy_module(source, module, _sources(site) if editable else site)
    info = site / f"{module}-{project['version']}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(_metadata(project), "utf-8")
    (info / "entry_points.txt").write_text(_entry_points(project), "utf-8")
    if editable:
        (info / "direct_url.json").write_text(json.dumps({"url": _sources(site).as_uri(), "dir_info": {"editable": True}}), "utf-8")
    (info / "RECORD").write_text("".join(f"{p.relative_to(site).as_posix()},,\n" for p in sorted(site.rglob("*")) if p.is_file()), "utf-8")
    return str(module)


def folders(site: Path) -> list[Path]:
    """What belongs on `sys.path`: the site folder, and the sources of editable packages, as a `.pth` file would add them."""
    return [site, _sources(site)] if _sources(site).is_dir() else [site]


def _sources(site: Path) -> Path:
    return site / "editable-sources"


def _copy_module(source: Path, module: str, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    if (source / module).is_dir():
        shutil.copytree(source / module, target / module, ignore=IGNORED)
    else:
        shutil.copy(source / f"{module}.py", target)


def _metadata(project: dict[str, Any]) -> str:
    requires = "".join(f"Requires-Dist: {line}\n" for line in project.get("dependencies", []))
    return f"Metadata-Version: 2.3\nName: {project['name']}\nVersion: {project['version']}\n{requires}"


def _entry_points(project: dict[str, Any]) -> str:
    lines = []
    for group, entries in project.get("entry-points", {}).items():
        lines += [f"[{group}]", *(f"{name} = {value}" for name, value in entries.items()), ""]
    return "\n".join(lines)
