"""CPU of `strobe --help` and `strobe plugins list` over a bare Python, also with 100 more plugins installed of which one imports torch.

    python benchmarks/startup.py [--rounds 15]

Budget: at most 150 ms over a bare Python.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

STROBE = "from strobe.cli import main; main()"


def install_fakes(folder: Path, n: int = 100) -> None:
    """Metadata of n packages with one analyzer each; the first one's module imports torch."""
    for i in range(n):
        info = folder / f"strobe_fake{i}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: strobe-fake{i}\nVersion: 1.0\nRequires-Dist: strobe>=0.1,<1\n")
        (info / "entry_points.txt").write_text(f"[strobe.analyzers.weights]\nfake{i} = strobe_fake{i}:Fake\n")
        (folder / f"strobe_fake{i}.py").write_text("import torch\n" if i == 0 else "")


def cpu_ms(arguments: list[str], path: str = "") -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    env = {**os.environ, "PYTHONPATH": path}
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL, env=env)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as fakes:
        install_fakes(Path(fakes))
        help_, list_ = ["-c", STROBE, "--help"], ["-c", STROBE, "plugins", "list"]
        variants = {
            "bare python": (["-c", "pass"], ""),
            "strobe --help": (help_, ""),
            "strobe plugins list": (list_, ""),
            "strobe --help, 100 plugins more": (help_, fakes),
            "strobe plugins list, 100 plugins more": (list_, fakes),
        }
        times: dict[str, list[float]] = {name: [] for name in variants}
        for _ in range(rounds + 1):
            for name, (arguments, path) in variants.items():
                times[name].append(cpu_ms(arguments, path))
    bare = statistics.median(times["bare python"][1:])
    for name, values in times.items():
        ms = statistics.median(values[1:])
        print(f"{name:40s} {ms:7.1f} ms CPU   {ms - bare:+7.1f} over bare")


if __name__ == "__main__":
    main()
