"""The analyzer `sae_tracks`."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.optimize import linear_sum_assignment

import strobe
from strobe import Analyzer, Results, dim, hookimpl, metric


class SaeTracks(Analyzer):
    """Which feature of a step was which at the step before: dictionaries matched one to one so that the sum of their cosines is largest.

    A feature keeps its `track` while the cosine to its predecessor is at least `threshold`; below, a new track begins. `age` counts the steps a track
    has lasted: features that stay are what a network has settled on. The first step has no predecessors. Cost: no checkpoint is read.
    """

    consumes = "sae_features"
    threshold: float = 0.7
    """Least cosine for a feature to count as the same."""

    class Row(strobe.Row):
        step: int = dim("training step")
        layer: int = dim("layer")
        feature: int = dim("feature at this step")
        track: int = dim("number of the track, in order of its beginning")
        previous: int | None = dim("feature at the step before that it is matched to; null at the first step")
        cosine: float | None = metric("cosine between the two directions, -1 to 1; null at the first step", unit="1")
        age: int = metric("steps that the track has lasted, 0 where it begins", unit="1")
        active: float | None = metric("share of inputs on which the feature is active", unit="1")

    @hookimpl
    def analyze_results(self, results: Results) -> Iterator[Row]:
        rows = results["sae_features"]
        rows = rows[rows["direction"].notna()]
        for layer, found in rows.groupby("layer"):
            tracks = _Tracks(self.threshold)
            for step, features in found.groupby("step"):
                features = features.sort_values("feature")
                directions = np.stack([np.asarray(d, dtype=np.float64) for d in features["direction"]])  # [feature, neuron]
                for i, place in enumerate(tracks.follow(directions)):
                    number, previous, cosine, age = place
                    yield self.Row(
                        step=int(step),
                        layer=int(layer),
                        feature=int(features["feature"].iloc[i]),
                        track=number,
                        previous=previous,
                        cosine=cosine,
                        age=age,
                        active=features["active"].iloc[i],
                    )


class _Tracks:
    """The tracks of one layer, from one step to the next."""

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold
        self.before: np.ndarray | None = None
        self.tracks: list[tuple[int, int]] = []
        self.begun = 0

    def follow(self, directions: np.ndarray) -> list[tuple[int, int | None, float | None, int]]:
        """For each feature: number of its track, what it is matched to at the step before, their cosine, age of the track."""
        matched = _matches(self.before, directions) if self.before is not None else {}
        found: list[tuple[int, int | None, float | None, int]] = []
        for i in range(len(directions)):
            previous, cosine = matched.get(i, (None, None))
            if previous is not None and cosine is not None and cosine >= self.threshold:
                number, age = self.tracks[previous]
                found.append((number, previous, cosine, age + 1))
            else:
                found.append((self.begun, previous, cosine, 0))
                self.begun += 1
        self.before, self.tracks = directions, [(number, age) for number, _, _, age in found]
        return found


def _matches(before: np.ndarray, now: np.ndarray) -> dict[int, tuple[int, float]]:
    """Feature now -> feature before and their cosine: one to one, of the largest sum. Directions that are not finite match nothing."""
    cosines = _unit(now) @ _unit(before).T  # [now, before]
    rows, columns = linear_sum_assignment(-cosines)
    return {int(i): (int(j), float(cosines[i, j])) for i, j in zip(rows, columns, strict=True)}


def _unit(directions: np.ndarray) -> np.ndarray:
    finite = np.nan_to_num(directions)
    lengths = np.linalg.norm(finite, axis=1, keepdims=True)
    return finite / np.where(lengths > 0, lengths, 1)
