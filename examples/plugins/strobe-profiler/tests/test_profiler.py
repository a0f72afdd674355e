"""The profiler on a real analysis: every call has its line, results are as without it, and a summary can be read."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from strobe_profiler.summary import summary, totals

from strobe import Workspace

ASKED = ["weight_norms", "loss_and_accuracy", "key_frequencies"]


def read(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as f:
        return list(csv.DictReader(f))


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    ws = Workspace(tmp_path / "ws")
    training = {"epochs": 10, "schedule": "every:5", "lr": 1e-2}
    ws.train("modular_addition", name="toy", training=training, p=7, d_model=8, n_heads=2, d_mlp=16, fraction=0.5)
    return ws


def test_every_call_has_its_line(workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "profile.csv"
    monkeypatch.setenv("STROBE_PROFILE", str(file))
    report = workspace.analyze("toy", ASKED)
    assert report.ok
    assert report.warnings == []
    lines = read(file)
    calls = [line["analyzer"] for line in lines if line["event"] == "call"]
    assert sorted(calls) == sorted(["weight_norms"] * 3 + ["loss_and_accuracy"] * 3 + ["key_frequencies"])
    assert [int(line["step"]) for line in lines if line["event"] == "checkpoint"] == [0, 5, 10]
    written = {line["analyzer"]: int(line["rows"]) for line in lines if line["event"] == "written"}
    assert written["weight_norms"] == len(workspace.table("weight_norms"))
    found = totals(file)
    assert set(found) == set(ASKED)
    assert all(t.cpu > 0 and t.failed == 0 for t in found.values())
    first, *rest = summary(file).splitlines()
    assert str(file) in first
    assert len(rest) == 1 + len(ASKED)


def test_an_analyzer_in_a_worker_and_one_that_raises(workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.py").write_text(
        "import strobe\nfrom strobe import Analyzer, hookimpl, metric\n\n\nclass Fickle(Analyzer):\n"
        '    """Raises at step 5."""\n\n    class Row(strobe.Row):\n        value: float = metric("value", unit="1")\n\n    @hookimpl\n'
        "    def analyze_weights(self, weights, context):\n        if context.step == 5:\n            raise ValueError('not today')\n"
        "        yield self.Row(value=sum(range(300_000)))\n"
    )
    file = tmp_path / "profile.csv"
    monkeypatch.setenv("STROBE_PROFILE", str(file))
    assert not workspace.analyze("toy", [f"{tmp_path}/mine.py:Fickle"]).ok
    lines = read(file)
    assert [(line["where"], line["note"]) for line in lines if line["event"] == "call"] == [("worker", ""), ("worker", "it raised"), ("worker", "")]
    assert float(lines[0]["cpu_seconds"]) > 0.001
    assert any(line["event"] == "failed" and "not today" in line["note"] for line in lines)


def test_without_the_variable_nothing_is_written(workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STROBE_PROFILE", raising=False)
    assert workspace.analyze("toy", ["weight_norms"]).ok
    assert not list(tmp_path.glob("*.csv"))
