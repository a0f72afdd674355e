"""`make tutorial`: does what docs/writing-a-plugin.md says, in an empty folder, and says how long it took.

Files after `<!-- write: PATH -->` are written, commands after `<!-- run: FOLDER -->` are run, in an environment of its own that sees
the packages of this one. `pip` finds nothing but what is here: no network is needed.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import tempfile
import time
import venv
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).resolve().parents[1] / "docs" / "writing-a-plugin.md"
BLOCK = re.compile(r"<!-- (?P<what>run|write)(?:: (?P<where>\S+))? -->\n```\w*\n(?P<text>.*?)```", re.DOTALL)


@dataclass(frozen=True)
class Deed:
    """A file to write, or commands to run in a folder."""

    what: str
    where: str
    text: str


def deeds(page: str) -> list[Deed]:
    """What a page says to do, in order."""
    return [Deed(m["what"], m["where"] or "", m["text"]) for m in BLOCK.finditer(page)]


def environment(folder: Path) -> dict[str, str]:
    """A fresh environment in which `pip install -e .` harms nobody: it sees what is installed here, and keeps for itself what is added."""
    venv.create(folder, with_pip=False)
    paths = {"base": str(folder), "platbase": str(folder)}
    site, bin_ = Path(sysconfig.get_path("purelib", "venv", paths)), Path(sysconfig.get_path("scripts", "venv", paths))
    here = sysconfig.get_path("purelib")
    (site / "here.pth").write_text(f"import site; site.addsitedir({here!r})\n", "utf-8")
    for name, start in {"pip": "pip._internal.cli.main", "strobe": "strobe.cli", "pytest": "pytest"}.items():
        call = "console_main" if name == "pytest" else "main"
        script = bin_ / name
        script.write_text(f"#!{bin_ / 'python'}\nimport sys\nfrom {start} import {call}\nsys.exit({call}())\n", "utf-8")
        script.chmod(0o755)
    offline = {"PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_QUIET": "1"}
    return {**os.environ, **offline, "VIRTUAL_ENV": str(folder), "PATH": f"{bin_}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": ""}


def follow(page: str, folder: Path, env: dict[str, str]) -> None:
    """Do all of it; raises `SystemExit` at the first command that fails."""
    start = time.perf_counter()
    for deed in deeds(page):
        if deed.what == "write":
            (folder / deed.where).write_text(deed.text, "utf-8")
            continue
        for line in deed.text.splitlines():
            began = time.perf_counter()
            done = subprocess.run(line, shell=True, cwd=folder / deed.where, env=env, capture_output=True, text=True)
            print(f"{time.perf_counter() - began:6.1f} s  {line}")
            if done.returncode:
                raise SystemExit(f"{line}\n{done.stdout}{done.stderr}")
    print(f"{time.perf_counter() - start:6.1f} s  from an empty folder to a report")


def main() -> None:
    with tempfile.TemporaryDirectory() as root:
        folder = Path(sys.argv[1] if len(sys.argv) > 1 else root).resolve() / "work"
        folder.mkdir(parents=True)
        follow(PAGE.read_text("utf-8"), folder, environment(folder.parent / "environment"))
        (report,) = folder.glob("*.html")
        print(f"        {report.name}: {report.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
