"""How straight the path through weight space is."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

import strobe
from strobe import Analyzer, Results, dim, hookimpl, metric

from .paths import Path, paths


class UpdateGeometry(Analyzer):
    """How straight training moves: the angle of each move with the one before, the distance from the start, the length of the path, its efficiency.

    Per group and checkpoint from the second on. cosine: of this move and the one before; 1 straight on, 0 at a right angle, -1 back. from_start:
    ||theta_i - theta_0||; to_last: ||theta_i - theta_last||. path_length: the sum of the moves so far (a lower bound of the true path, for the moves
    between checkpoints are not seen). efficiency = from_start / path_length: 1 a straight line, 0 back at the start. Its null, stored beside it: a
    random walk with the same moves has sqrt(sum of squared moves) / path_length, and a mean cosine of 0. Null where nothing has moved.
    Velocities are in parameter_velocity. Cost: reads checkpoint_products, no weights.
    """

    consumes = "checkpoint_products"

    class Row(strobe.Row):
        group: str = dim("parameter group")
        step: int = dim("training step of the checkpoint")
        previous_step: int = dim("training step of the checkpoint before")
        distance: float = metric("distance moved since then, in weight units", unit="1")
        cosine: float | None = metric("cosine of this move and the one before, -1..1", unit="1")
        from_start: float = metric("distance from the first checkpoint", unit="1")
        to_last: float = metric("distance to the last checkpoint", unit="1")
        path_length: float = metric("sum of the distances moved so far", unit="1")
        efficiency: float | None = metric("from_start over path_length, 0..1", unit="1")
        efficiency_null: float | None = metric("the same of a random walk with the same moves", unit="1")

    @hookimpl
    def analyze_results(self, results: Results) -> Iterator[Row]:
        for path in paths(results["checkpoint_products"]):
            yield from self._rows(path)

    def _rows(self, path: Path) -> Iterator[Row]:
        distances = path.distances
        moves = np.diagonal(distances, 1)
        inner = np.diff(np.diff(path.products, axis=0), axis=1)  # of moves: <theta_(i+1) - theta_i, theta_(j+1) - theta_j>
        length, square = np.cumsum(moves), np.cumsum(moves**2)
        for i, moved in enumerate(moves):
            scale = moved * moves[i - 1] if i else 0.0
            yield self.Row(
                group=path.group,
                step=int(path.steps[i + 1]),
                previous_step=int(path.steps[i]),
                distance=float(moved),
                cosine=float(np.clip(inner[i, i - 1] / scale, -1, 1)) if scale > 0 else None,
                from_start=float(distances[0, i + 1]),
                to_last=float(distances[i + 1, -1]),
                path_length=float(length[i]),
                efficiency=float(distances[0, i + 1] / length[i]) if length[i] > 0 else None,
                efficiency_null=float(square[i] ** 0.5 / length[i]) if length[i] > 0 else None,
            )
