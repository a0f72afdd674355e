"""Install the hostile packages: one distribution for each way to misbehave, all of one source folder."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path

SOURCE = Path(__file__).parent / "plugins" / "hostile"
REQUIRES = {"wrong_version": "strobe>=99", "no_bound": "strobe"}


def entries() -> dict[str, str]:
    """Name of an analyzer -> where it is."""
    return {name: value for group in tomllib.loads((SOURCE / "packages.toml").read_text("utf-8")).values() for name, value in group.items()}


def install(site: Path) -> list[str]:
    """Into the folder `site`; returns the names of the analyzers."""
    shutil.copytree(SOURCE / "strobe_hostile", site / "strobe_hostile", ignore=shutil.ignore_patterns("__pycache__"))
    for name, value in entries().items():
        package = f"hostile-{name.replace('_', '-')}"
        info = site / f"{package.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        requires = REQUIRES.get(name, "strobe>=0.1,<1")
        (info / "METADATA").write_text(f"Metadata-Version: 2.3\nName: {package}\nVersion: 1.0\nRequires-Dist: {requires}\n", "utf-8")
        (info / "entry_points.txt").write_text(f"[strobe.analyzers.weights]\n{name} = {value}\n", "utf-8")
    return list(entries())
