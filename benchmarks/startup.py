"""CPU of `strobe --help` and `strobe plugins list` over a bare Python, also with 100 and 1,000 more plugins.

    python benchmarks/startup.py [--rounds 15]

Budgets: at most 150 ms over a bare Python; `--help` within 10 % with 100 plugins more; discovery of 1,000 at most 150 ms more. Discovery
is timed without what the list prints.
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
DISCOVER = "import strobe.registration.registry as r, packaging.specifiers; r.Registry.discover()"
IMPORT = "import strobe.registration.registry, packaging.specifiers"


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
    with tempfile.TemporaryDirectory() as hundred, tempfile.TemporaryDirectory() as thousand:
        install_fakes(Path(hundred), 100)
        install_fakes(Path(thousand), 1000)
        variants = {"bare python": (["-c", "pass"], ""), "the registry imported": (["-c", IMPORT], "")}
        for n, path in ((0, ""), (100, hundred), (1000, thousand)):
            more = f", {n:,} plugins more" if n else ""
            variants[f"strobe --help{more}"] = (["-c", STROBE, "--help"], path)
            variants[f"strobe plugins list{more}"] = (["-c", STROBE, "plugins", "list"], path)
            variants[f"discovery{more}"] = (["-c", DISCOVER], path)
        times: dict[str, list[float]] = {name: [] for name in variants}
        for _ in range(rounds + 1):
            for name, (arguments, path) in variants.items():
                times[name].append(cpu_ms(arguments, path))
    medians = {name: statistics.median(values[1:]) for name, values in times.items()}
    for name, ms in medians.items():
        print(f"{name:42s} {ms:7.1f} ms CPU   {ms - medians['bare python']:+7.1f} over bare")
    print(f"--help with 100 more: {medians['strobe --help, 100 plugins more'] / medians['strobe --help'] - 1:+.1%}")
    print(f"discovery of 1,000 more: {medians['discovery, 1,000 plugins more'] - medians['discovery']:+.1f} ms")


if __name__ == "__main__":
    main()
