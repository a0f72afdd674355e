"""plugins new: write a package's files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..errors import UsageError
from ..scaffold.extract import extract
from ..scaffold.package import files, named


def new(name: str, kinds: Sequence[str], source: str, output: Path) -> None:
    """Make the folder, refuse one that is there, and say what to type next."""
    if len(kinds) > 1:
        raise UsageError(f"one package, one kind: --{' or --'.join(kinds)}; make two packages, or add the second by hand")
    extracted = extract(source) if source else None
    if extracted and kinds and kinds[0] != extracted.category:
        raise UsageError(f"{source} is an analyzer of {extracted.category}, not of {kinds[0]}: leave --{kinds[0]} out")
    kind = extracted.category if extracted else next(iter(kinds), "weights")
    folder = output / named(name).package
    if folder.exists():
        raise UsageError(f"{folder} is there already; choose another name, or delete it")
    made = files(name, kind, extracted)
    for path, text in made.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")
    print("\n".join(str(folder / path) for path in sorted(made)))
    print(f"\nnext: cd {folder} && pip install -e . && strobe plugins check .")
