"""Stored samples of activations or logits, step by step."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch


class Sampled(NamedTuple):
    """One site over training: the samples that exist, in order of steps, and why others do not."""

    layer: int
    site: str
    steps: list[int]
    samples: list[torch.Tensor]  # [input, feature] float64 each
    missing: dict[int, str]


def sites(table: pd.DataFrame) -> Iterator[Sampled]:
    """The sites of an `activation_sample` table. Samples of other inputs than the last one's are left out, with the reason."""
    for (layer, site), rows in table.groupby(["layer", "site"], sort=True):
        rows = rows.sort_values("step")
        known, missing = [], {}
        for row in rows.to_dict("records"):
            if row["sample"] is None:
                missing[int(row["step"])] = str(row["reason"])
            else:
                known.append(row)
        same = [r for r in known if np.array_equal(r["indices"], known[-1]["indices"])]
        missing |= {int(r["step"]): "other inputs than at the last step" for r in known if not any(r is s for s in same)}
        samples = [torch.from_numpy(np.asarray(r["sample"], np.float64)) * float(r["scale"]) for r in same]
        yield Sampled(int(layer), str(site), [int(r["step"]) for r in same], samples, missing)
