"""What examples/ shows works as it says."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch

from strobe import Checkpoints, Weights, Workspace
from strobe.registration.registry import Registry
from strobe.schema import to_arrow


def test_cosine_to_final_of_a_rotating_weight(root: Path) -> None:
    plugin = Registry([]).add_file(f"{root / 'examples' / 'cosine_to_final.py'}:CosineToFinal")
    assert (plugin.name, plugin.category) == ("cosine_to_final", "trajectory")
    weights = {0: torch.zeros(2, 2), 1: torch.tensor([[0.0, -2.0], [2.0, 0.0]]), 2: torch.eye(2), 3: 5 * torch.eye(2)}
    checkpoints = Checkpoints(tuple(weights), lambda step: Weights({"embed.W_E": weights[step]}))
    analyzer = plugin.load()()
    rows = to_arrow(analyzer.Row, analyzer.analyze_trajectory(checkpoints)).table.to_pylist()
    assert [(r["step"], r["cosine"]) for r in rows] == [(0, None), (1, 0.0), (2, pytest.approx(1.0)), (3, pytest.approx(1.0))]


@pytest.mark.slow
def test_train_and_look(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = importlib.util.spec_from_file_location("train_and_look", root / "examples" / "train_and_look.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.main(str(tmp_path), epochs=200)
    assert "0 forward passes" in capsys.readouterr().out
    assert (tmp_path / "weight_norms.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(set(Workspace(tmp_path).table("weight_norms")["step"])) == [0, 100, 200]
