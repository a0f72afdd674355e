"""Paths of known shape through weight space, and tables of results."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch

from strobe import Checkpoints, Results, Weights
from strobe.schema import to_arrow, to_pandas
from strobe_analyzers.checkpoint_products import CheckpointProducts
from strobe_analyzers.parameter_trajectory import ParameterTrajectory


def table(analyzer: Any, result: Any) -> pd.DataFrame:
    """What a hook returned, as it would be stored and read back."""
    return to_pandas(to_arrow(analyzer.Row, result).table)


def checkpoints(points: Any, steps: Any = None, *, dimensions: int = 0) -> Checkpoints:
    """A run whose only parameter `W` is at these points [n, d]; with `dimensions`, turned into a space of so many by a seeded rotation."""
    x = torch.as_tensor(np.asarray(points, float))
    if dimensions:
        normal = torch.randn(dimensions, x.shape[1], generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        x = x @ torch.linalg.qr(normal).Q.T
    steps = tuple(range(len(x))) if steps is None else tuple(steps)
    return Checkpoints(steps, lambda step: Weights({"W": x[steps.index(step)]}))


def products(run: Checkpoints, group: str = "all") -> pd.DataFrame:
    analyzer = CheckpointProducts(groups=(group,))
    return table(analyzer, analyzer.analyze_trajectory(run))


def path_results(run: Checkpoints, group: str = "all") -> Results:
    """The tables that derived path measures read."""
    trajectory = ParameterTrajectory(groups=(group,))
    return Results(checkpoint_products=products(run, group), parameter_trajectory=table(trajectory, trajectory.analyze_trajectory(run)))
