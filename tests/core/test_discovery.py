"""Entry points read from metadata folders are those that `importlib.metadata` finds."""

from __future__ import annotations

import importlib.metadata
import sys
from pathlib import Path

import pytest

from strobe.registration.discovery import entries
from strobe.registration.requirements import excludes


def found() -> set[tuple[str, str, str]]:
    return {(e.group, e.name, e.value) for e in entries("strobe.")}


def expected() -> set[tuple[str, str, str]]:
    return {(e.group, e.name, e.value) for d in importlib.metadata.distributions() for e in d.entry_points if e.group.startswith("strobe.")}


def package(folder: Path, name: str, text: str) -> None:
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\nRequires-Dist: strobe>=0.1\n\nRequires-Dist: no header\n")
    (info / "entry_points.txt").write_text(text)


def test_what_is_installed_here() -> None:
    assert found() == expected() != set()


def test_comments_spaces_extras_and_other_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package(tmp_path, "strobe_odd", "# a comment\n[strobe.renderers]\n one = odd.one:One \n\n[console_scripts]\nodd = odd:main\n")
    package(tmp_path, "other", "[other.group]\nx = other:X\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), str(tmp_path / "missing")])
    [odd] = entries("strobe.")
    assert (odd.module, odd.attr, odd.package.name, odd.package.version) == ("odd.one", "One", "strobe_odd", "1.0")
    assert odd.package.requirements == ["strobe>=0.1"]


def test_the_first_package_of_a_name_on_the_path_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for place in ("early", "late"):
        package(tmp_path / place, "strobe_twice", f"[strobe.renderers]\n{place} = twice:One\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path / "early"), str(tmp_path / "late")])
    assert found() == {("strobe.renderers", "early", "twice:One")}


def test_packages_of_another_import_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package(tmp_path, "strobe_elsewhere", "[strobe.renderers]\nfar = elsewhere:One\n")

    class Finder(importlib.metadata.DistributionFinder):
        def find_distributions(self, context: object = None) -> list[importlib.metadata.Distribution]:
            return [importlib.metadata.PathDistribution(tmp_path / "strobe_elsewhere-1.0.dist-info")]

    monkeypatch.setattr(sys, "path", [])
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Finder()])
    assert found() == {("strobe.renderers", "far", "elsewhere:One")}


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("strobe>=0.1,<1", ""),
        ("strobe", ""),
        ("strobe-topology>=9", ""),
        ("strobe @ https://example.org/strobe.zip", ""),
        ("Strobe (>=9)", "needs strobe>=9, this is strobe 0.1.0"),
        ("strobe[hf]>=9; python_version > '3'", "needs strobe>=9, this is strobe 0.1.0"),
        ("strobe >= nonsense", "its requirement 'strobe >= nonsense' cannot be read"),
    ],
)
def test_requirements(line: str, says: str) -> None:
    said = excludes(line, "0.1.0")
    assert said.startswith(says)
    assert bool(said) == bool(says)
