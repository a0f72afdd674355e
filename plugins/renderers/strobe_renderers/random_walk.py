"""What a path on its principal components is held against: random walks with steps of the same lengths."""

from __future__ import annotations

import numpy as np
import pandas as pd


def random_walk(table: pd.DataFrame) -> pd.DataFrame:
    """Random walks with the steps of `table` (coordinates [step, component]), on their first components; its columns, a row per known step.

    Steps of a walk in many dimensions are orthogonal, so that <x_i, x_j> is the sum of squared lengths up to the earlier of both, and its components
    follow from that (Antognini and Sohl-Dickstein 2018: cosines, when all lengths are equal). Lengths are those on the stored components. Each
    component is turned and stretched to lie over the path's.
    """
    own = table.dropna().to_numpy(float)
    lengths = (np.diff(own, axis=0) ** 2).sum(1)
    reached = np.concatenate([[0.0], lengths.cumsum()])
    products = np.minimum(reached[:, None], reached)
    centred = products - products.mean(0) - products.mean(1)[:, None] + products.mean()
    waves = np.linalg.eigh(centred)[1][:, ::-1]
    return pd.DataFrame({component: _over(own[:, c], waves[:, c]) for c, component in enumerate(table.columns[: len(own)])})


def _over(own: np.ndarray, wave: np.ndarray) -> np.ndarray:
    """The wave with the range of `own`, and the sign with which it follows it best."""
    sign = -1.0 if (own - own.mean()) @ (wave - wave.mean()) < 0 else 1.0
    share = (sign * wave - (sign * wave).min()) / (np.ptp(wave) or 1.0)
    return own.min() + share * np.ptp(own)
