"""`persistent_homology` and its diagram: shapes whose holes are known, and everything that Strobe expects of plugins."""

from __future__ import annotations

import math

import pandas as pd
import pytest
import torch
from strobe_topology.analyzer import PersistentHomology
from strobe_topology.renderer import PersistenceDiagram

from strobe import Activations, Probe
from strobe.testing import AnalyzerConformance, RendererConformance, run_analyzer


class TestPersistentHomology(AnalyzerConformance):
    analyzer = PersistentHomology


class TestPersistenceDiagram(RendererConformance):
    renderer = PersistenceDiagram


def bars_of(points: torch.Tensor, *, copies: int = 1, **settings: int) -> pd.DataFrame:
    """The bars of classes that lie at these points, each class with several inputs around its centroid."""
    n = len(points)
    spread = torch.randn(n, copies, points.shape[1], generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    h = (points[:, None] + 0.1 * (spread - spread.mean(1, keepdim=True))).reshape(n * copies, -1)
    probe = Probe("shape", torch.zeros(n * copies, 1, dtype=torch.long), torch.arange(n).repeat_interleave(copies))
    return run_analyzer(PersistentHomology(**settings), activations=Activations({"blocks.2.resid_post": h}), probe=probe)


def circle(n: int, radius: float = 1.0) -> torch.Tensor:
    angle = 2 * math.pi * torch.arange(n, dtype=torch.float64) / n
    return radius * torch.stack([angle.cos(), angle.sin()], 1)


def test_a_circle_has_one_long_loop_born_at_the_side_of_its_polygon() -> None:
    bars = bars_of(circle(24, radius=3.0), copies=4)
    loops = bars[bars["dimension"] == 1]
    assert len(loops) == 1
    assert loops["birth"].item() == pytest.approx(6 * math.sin(math.pi / 24), rel=1e-6)
    assert loops["death"].item() == pytest.approx(6 * math.sin(math.pi / 3), rel=0.02)  # the largest triangle that fits: sqrt(3) radii
    assert loops["persistence"].item() > 0.7
    assert set(bars["layer"]) == {2}
    assert set(bars["site"]) == {"resid_post"}


def test_two_clusters_are_two_lasting_bars_of_dimension_0() -> None:
    corners = torch.tensor([[0.0, 0.0], [0.1, 0.0], [0.0, 0.1], [9.0, 0.0], [9.1, 0.0], [9.0, 0.1]], dtype=torch.float64)
    bars = bars_of(corners)
    clusters = bars[bars["dimension"] == 0].sort_values("bar")
    assert (clusters["persistence"] > 0.9).sum() == 2
    assert clusters["death"].isna().tolist() == [True, *[False] * 5]
    assert not (bars["dimension"] == 1).any()


def test_a_torus_has_two_loops_and_a_cavity() -> None:
    u = circle(8, 2.0)
    points = torch.cat([u[:, None].expand(-1, 8, -1), u[None].expand(8, -1, -1)], -1).reshape(64, 4)  # a flat torus in four dimensions
    bars = bars_of(points, max_dimension=2)
    long = bars[bars["persistence"] > 0.2]
    assert long.loc[long["dimension"] > 0, "dimension"].value_counts().to_dict() == {1: 2, 2: 1}


def test_only_the_longest_bars_are_kept() -> None:
    kept, every = bars_of(circle(30), most=3), bars_of(circle(30), most=100)
    assert (kept["dimension"] == 0).sum() == 3
    assert (every["dimension"] == 0).sum() == 30


@pytest.mark.parametrize(
    ("points", "says"),
    [
        (torch.zeros(2, 3), "a loop needs three"),
        (torch.ones(5, 3), "the same vector"),
        (torch.full((5, 3), float("nan")), "not finite"),
    ],
)
def test_what_has_no_shape_says_so(points: torch.Tensor, says: str) -> None:
    probe = Probe("shape", torch.zeros(len(points), 1, dtype=torch.long), torch.arange(len(points)))
    rows = run_analyzer(PersistentHomology, activations=Activations({"blocks.0.resid_post": points}), probe=probe)
    assert says in rows["reason"].item()
    assert rows["persistence"].isna().all()
