"""Bundles: packed, read without Strobe, unpacked; and everything that must not be unpacked."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from small import small_workspace

from strobe import StrobeError, Workspace
from strobe.bundles.entries import BundleError
from strobe.bundles.manifest import MANIFEST, README, unit_of
from strobe.errors import UsageError

WITHOUT_STROBE = "import sys; sys.modules.update(strobe=None, torch=None)\n"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory):
    workspace, run = small_workspace(tmp_path_factory.mktemp("bundles") / "workspace", ["weight_norms", "loss_and_accuracy", "run_summary"])
    (workspace.root / "reports").mkdir()
    (workspace.root / "reports" / "mine.yaml").write_text("title: Mine\nsections: []\n")
    return workspace, run


@pytest.fixture(scope="module")
def bundle(small, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small[0].bundle(small[1], tmp_path_factory.mktemp("made") / "small.strobe.zip")


def files(root: Path) -> dict[str, bytes]:
    return {
        f.relative_to(root).as_posix(): f.read_bytes() for part in ("runs", "results", "reports") for f in root.glob(f"{part}/**/*") if f.is_file()
    }


# --- there and back ----------------------------------------------------------------------------------------------------------------------------


def test_there_and_back_is_the_same(small, bundle: Path, tmp_path: Path) -> None:
    workspace, run = small
    there = Workspace(tmp_path / "there")
    placed = there.unbundle(bundle)
    assert placed.runs == ("small",)
    assert "runs/small" in placed.placed
    assert files(there.root) == {k: v for k, v in files(workspace.root).items() if unit_of(k)}
    assert there.table("weight_norms").equals(workspace.table("weight_norms"))
    assert not there.plan("small", ["weight_norms", "loss_and_accuracy"]).forecasts[0].missing
    assert there.run("small").weights(0)["embed.W_E"].shape == run.weights(0)["embed.W_E"].shape
    assert not list(there.root.glob(".*"))


def test_the_second_time_everything_is_skipped(small, bundle: Path, tmp_path: Path) -> None:
    there = Workspace(tmp_path)
    first = there.unbundle(bundle)
    before = files(tmp_path)
    second = there.unbundle(bundle)
    assert (second.placed, set(second.skipped)) == ((), set(first.placed))
    assert files(tmp_path) == before


def test_without_checkpoints_a_run_can_be_looked_at_and_completed_later(small, bundle: Path, tmp_path: Path) -> None:
    light = small[0].bundle("small", tmp_path / "light.zip", without=["checkpoints"])
    assert light.stat().st_size < bundle.stat().st_size
    there = Workspace(tmp_path / "there")
    there.unbundle(light)
    assert there.run("small").steps == small[1].steps
    assert len(there.table("weight_norms")) == len(small[0].table("weight_norms"))
    with pytest.raises(StrobeError, match="missing"):
        there.run("small").weights(0)
    assert there.unbundle(bundle).placed == ("runs/small",)
    there.run("small").weights(0)


@pytest.mark.parametrize(("part", "folder"), [("results", "results"), ("reports", "reports")])
def test_a_part_is_left_out(small, tmp_path: Path, part: str, folder: str) -> None:
    with zipfile.ZipFile(small[0].bundle(small[1], tmp_path / "x.zip", without=[part])) as archive:
        assert not [name for name in archive.namelist() if name.startswith(f"{folder}/")]
        assert json.loads(archive.read(MANIFEST))["without"] == [part]


def test_tables_of_several_runs_come_along_only_with_all_of_them(small, bundle: Path) -> None:
    with zipfile.ZipFile(bundle) as archive:
        assert [n for n in archive.namelist() if n.startswith("results/run_summary/_runs/")]


def test_the_readme_shows_how_to_read_it_without_strobe(bundle: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(bundle) as archive:
        archive.extractall(tmp_path)
    readme = (tmp_path / README).read_text()
    examples = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    assert len(examples) == 3
    done = subprocess.run([sys.executable, "-c", WITHOUT_STROBE + "".join(examples)], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "small" in done.stdout
    assert "nats" in done.stdout
    assert "`weight_norms`: " in readme


# --- nothing is overwritten --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["runs/small/metrics/part-00000000.parquet", "reports/mine.yaml", "results/weight_norms"])
def test_other_content_is_refused_and_named(bundle: Path, tmp_path: Path, path: str) -> None:
    there = Workspace(tmp_path)
    there.unbundle(bundle)
    target = tmp_path / path if (tmp_path / path).is_file() else next((tmp_path / path).rglob("*.parquet"))
    target.write_bytes(target.read_bytes() + b" ")
    (tmp_path / "runs/small/split.safetensors").unlink()
    before = files(tmp_path)
    with pytest.raises(BundleError, match=re.escape(target.relative_to(tmp_path).as_posix())):
        there.unbundle(bundle)
    assert files(tmp_path) == before


def test_what_you_said_about_a_run_stays(bundle: Path, tmp_path: Path) -> None:
    there = Workspace(tmp_path)
    there.unbundle(bundle)
    (tmp_path / "runs/small/label.json").write_text('{"label": "mine"}')
    there.unbundle(bundle)
    assert "mine" in (tmp_path / "runs/small/label.json").read_text()


def test_a_table_of_several_runs_is_kept(bundle: Path, tmp_path: Path) -> None:
    there = Workspace(tmp_path)
    there.unbundle(bundle)
    whole = next((tmp_path / "results/run_summary/_runs").rglob("*.parquet"))
    whole.write_bytes(b"of other runs")
    assert there.unbundle(bundle).kept == (whole.parent.relative_to(tmp_path).as_posix(),)
    assert whole.read_bytes() == b"of other runs"


# --- what must not be unpacked -----------------------------------------------------------------------------------------------------------------


def rewritten(source: Path, target: Path, change: Callable[[dict[str, bytes]], None], link: str = "") -> Path:
    """The bundle with other entries, each with a right checksum."""
    with zipfile.ZipFile(source) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    change(entries)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = (0o120777 if name == link else 0o100644) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, data)
    return target


def listed(entries: dict[str, bytes], name: str, data: bytes) -> None:
    """Add an entry, and say so in the manifest."""
    manifest = json.loads(entries[MANIFEST])
    manifest["files"].append({"path": name, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest(), "modified": 0})
    entries |= {name: data, MANIFEST: json.dumps(manifest).encode()}


HOSTILE = {
    "../../outside.json": "climbs out",
    "runs/../../outside.json": "climbs out",
    "/tmp/outside.json": "absolute",
    "C:/outside.json": "absolute",
    "runs\\..\\outside.json": "climbs out",
    "runs/small/code.py": "nothing that belongs",
    "runs/small/.hidden.json": "nothing that belongs",
    "strobe.db": "nothing that belongs",
    "files.json": "nothing that belongs",
}


@pytest.mark.parametrize(("name", "said"), HOSTILE.items())
def test_a_path_that_has_no_business_there_is_refused_and_named(bundle: Path, tmp_path: Path, name: str, said: str) -> None:
    bad = rewritten(bundle, tmp_path / "bad.zip", lambda entries: listed(entries, name, b"x"))
    refused(bad, tmp_path, said, name)


def refused(bad: Path, folder: Path, *said: str) -> None:
    there = Workspace(folder / "there")
    with pytest.raises(BundleError) as error:
        there.unbundle(bad)
    for words in said:
        assert words in str(error.value) or repr(words).strip("'") in str(error.value)
    assert not list(there.root.iterdir())
    assert not (folder / "outside.json").exists()


def test_a_link_is_refused(bundle: Path, tmp_path: Path) -> None:
    name = "runs/small/link.json"
    bad = rewritten(bundle, tmp_path / "bad.zip", lambda entries: listed(entries, name, b"/etc/passwd"), link=name)
    refused(bad, tmp_path, "is a link", name)


def test_a_changed_byte_is_found_and_its_file_named(bundle: Path, tmp_path: Path) -> None:
    name = "runs/small/checkpoints/step_00000000.safetensors"

    def change(entries: dict[str, bytes]) -> None:
        entries[name] = entries[name][:-1] + bytes([entries[name][-1] ^ 1])

    refused(rewritten(bundle, tmp_path / "bad.zip", change), tmp_path, "digest differs", name)


@pytest.mark.parametrize("at", [0.001, 0.3, 0.6, 0.9, 0.9999])
def test_any_byte_that_is_changed_on_the_way_is_found_or_means_nothing(small, bundle: Path, tmp_path: Path, at: float) -> None:
    data = bytearray(bundle.read_bytes())
    data[int(at * len(data))] ^= 0xFF
    (tmp_path / "bad.zip").write_bytes(data)
    there = Workspace(tmp_path / "there")
    try:
        there.unbundle(tmp_path / "bad.zip")
    except StrobeError:
        assert not list(there.root.iterdir())
    else:  # a byte of the README, or of a time
        assert files(there.root) == {k: v for k, v in files(small[0].root).items() if unit_of(k)}


def test_an_archive_that_was_cut_is_refused(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.zip").write_bytes(bundle.read_bytes()[:-1000])
    refused(tmp_path / "bad.zip", tmp_path, "damaged")


def test_a_bomb_is_refused_before_it_is_written(bundle: Path, tmp_path: Path) -> None:
    name = "runs/small/huge.json"
    bad = rewritten(bundle, tmp_path / "bad.zip", lambda entries: listed(entries, name, bytes(100 * 2**20)))
    assert bad.stat().st_size < 10**6
    refused(bad, tmp_path, "no bundle does that")


def test_a_size_that_lies_is_refused(bundle: Path, tmp_path: Path) -> None:
    def change(entries: dict[str, bytes]) -> None:
        manifest = json.loads(entries[MANIFEST])
        manifest["files"][0]["bytes"] += 1
        entries[MANIFEST] = json.dumps(manifest).encode()

    refused(rewritten(bundle, tmp_path / "bad.zip", change), tmp_path, "were bundled")


def test_missing_unlisted_and_double_files_are_refused(bundle: Path, tmp_path: Path) -> None:
    refused(rewritten(bundle, tmp_path / "a.zip", lambda e: e.pop("runs/small/split.safetensors") and None), tmp_path, "is missing")
    refused(rewritten(bundle, tmp_path / "b.zip", lambda e: e.update({"runs/small/x.json": b"{}"})), tmp_path, "is not listed")
    refused(rewritten(bundle, tmp_path / "c.zip", lambda e: listed(e, "runs/small/Run.json", b"{}")), tmp_path, "twice")


def test_a_run_under_another_name_is_refused(bundle: Path, tmp_path: Path) -> None:
    def change(entries: dict[str, bytes]) -> None:
        manifest = json.loads(entries[MANIFEST])
        manifest["runs"][0]["name"] = "other"
        entries[MANIFEST] = json.dumps(manifest).encode()
        for name in [n for n in entries if n.startswith("runs/small/")]:
            listed(entries, name.replace("small", "other"), entries[name])

    refused(rewritten(bundle, tmp_path / "bad.zip", change), tmp_path, "calls itself 'small'")


@pytest.mark.parametrize(("content", "said"), [(b"hello", "damaged"), (b"", "damaged")])
def test_no_zip_is_no_bundle(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "x.zip").write_bytes(content)
    refused(tmp_path / "x.zip", tmp_path, said)


def test_a_zip_of_something_else_is_no_bundle(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("README.md", "hello")
    refused(tmp_path / "x.zip", tmp_path, "is no bundle")


def test_wrong_usage(small, tmp_path: Path) -> None:
    workspace = small[0]
    for runs, output, without, said in [
        ("small", tmp_path, [], "is a folder"),
        ("small", tmp_path / "x.tar", [], "is a .zip file"),
        ("smal", tmp_path / "x.zip", [], "did you mean 'small'"),
        ("small", tmp_path / "x.zip", ["checkpoint"], "did you mean 'checkpoints'"),
        ([], tmp_path / "x.zip", [], "which runs"),
    ]:
        with pytest.raises(UsageError, match=re.escape(said)):
            workspace.bundle(runs, output, without=without)
    with pytest.raises(UsageError, match="not there"):
        workspace.unbundle(tmp_path / "x.zip")
    with pytest.raises(UsageError, match="a folder"):
        workspace.unbundle(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_is_named(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"nothing can be written to .*file/theirs: .*--workspace"):
        Workspace(tmp_path / "file" / "theirs").unbundle(bundle)


def test_a_link_in_the_workspace_is_not_followed(small, tmp_path: Path) -> None:
    shutil.copytree(small[0].root, tmp_path / "w")
    (tmp_path / "w/runs/small/secret.json").symlink_to("/etc/passwd")
    with zipfile.ZipFile(Workspace(tmp_path / "w").bundle("small", tmp_path / "x.zip")) as archive:
        assert "runs/small/secret.json" not in archive.namelist()
