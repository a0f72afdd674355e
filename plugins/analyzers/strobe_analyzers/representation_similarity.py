"""How alike the representations at different steps are."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from pydantic import Field

import strobe
from strobe import Analyzer, Results, array, dim, hookimpl, metric

from .samples import Sampled, sites
from .similarity import leading, linear_cka, mean_correlation, unbiased_cka


class RepresentationSimilarity(Analyzer):
    """Linear CKA and SVCCA of the residual stream at each step against the last step and against the one before, on the same sampled inputs.

    CKA: 1 for the same geometry up to rotation and scale, 0 for unrelated. `cka_last` and `cka_previous` are unbiased (HSIC_1) unless `unbiased` is
    off: the biased form is up to 0.026 too high here where similarity is low. SVCCA: mean canonical correlation of the directions that hold `keep`
    of the variance; blind to any linear map, so it stays high while the geometry changes. Their nulls, beside them: the same against the last
    step with the inputs shuffled (seeded); SVCCA of unrelated representations is far from 0. `cka_all`: against every sampled step, for a map.
    Sensitive to a few large directions (Davari et al. 2210.16156). Null where activations are not finite or do not vary, and `reason` says so.
    Cost: reads activation_sample, no forward; p=113, 43 steps: 1.3 s (the map), and 6 ms per step.
    """

    consumes = "activation_sample"

    unbiased: bool = True
    keep: float = Field(0.99, gt=0, le=1)
    seed: int = Field(0, ge=0)

    class Row(strobe.Row):
        layer: int = dim("layer")
        site: str = dim("where in the block")
        step: int = dim("training step of the checkpoint")
        previous_step: int | None = dim("checkpoint before it that has a sample; null at the first")
        reason: str | None = dim("why there are nulls; null when there are none")
        cka_last: float | None = metric("linear CKA with the last step", unit="1")
        cka_previous: float | None = metric("linear CKA with the previous step", unit="1")
        svcca_last: float | None = metric("SVCCA with the last step, 0..1", unit="1")
        svcca_previous: float | None = metric("SVCCA with the previous step, 0..1", unit="1")
        cka_null: float | None = metric("CKA with the last step when its inputs are shuffled", unit="1")
        svcca_null: float | None = metric("SVCCA with the last step when its inputs are shuffled", unit="1")
        directions: int | None = metric("directions that hold `keep` of the variance", unit="1")
        steps: np.ndarray | None = array("sampled steps", dims=["checkpoint"], dtype="int64", unit="step")
        cka_all: np.ndarray | None = array("linear CKA with each of them", dims=["checkpoint"], dtype="float32", unit="1")

    @hookimpl
    def analyze_results(self, results: Results) -> Iterator[Row]:
        for found in sites(results["activation_sample"]):
            yield from self._rows(found)
            for step, reason in found.missing.items():
                yield self.Row(layer=found.layer, site=found.site, step=step, reason=reason, **dict.fromkeys(NUMBERS))

    def _rows(self, found: Sampled) -> Iterator[Row]:
        cka = self._all(found.samples)
        spans = [leading(x, self.keep) for x in found.samples]
        order = torch.randperm(len(spans[-1]), generator=torch.Generator().manual_seed(self.seed)) if spans else torch.zeros(0, dtype=torch.int64)
        for i, step in enumerate(found.steps):
            constant = not spans[i].shape[1]
            known = np.isfinite(cka[i])  # a step whose representation is the same for every input is like none
            yield self.Row(
                layer=found.layer,
                site=found.site,
                step=step,
                previous_step=found.steps[i - 1] if i else None,
                reason="the same for every input" if constant else None,
                cka_last=_known(cka[i, -1]),
                cka_previous=_known(cka[i, i - 1]) if i else None,
                svcca_last=_known(mean_correlation(spans[i], spans[-1])),
                svcca_previous=_known(mean_correlation(spans[i], spans[i - 1])) if i else None,
                cka_null=_known(self._cka(found.samples[i], found.samples[-1][order])),
                svcca_null=_known(mean_correlation(spans[i], spans[-1][order])),
                directions=spans[i].shape[1],
                steps=np.array(found.steps)[known],
                cka_all=cka[i][known].astype(np.float32),
            )

    def _cka(self, x: torch.Tensor, y: torch.Tensor) -> float:
        return unbiased_cka(x, y) if self.unbiased else linear_cka(x, y)

    def _all(self, samples: list[torch.Tensor]) -> np.ndarray:
        """CKA of every two samples, [sample, sample]."""
        values = np.full((len(samples), len(samples)), np.nan)
        for i, x in enumerate(samples):
            for j in range(i, len(samples)):
                values[i, j] = values[j, i] = self._cka(x, samples[j])
        return values


NUMBERS = (
    *("previous_step", "cka_last", "cka_previous", "svcca_last", "svcca_previous"),
    *("cka_null", "svcca_null", "directions", "steps", "cka_all"),
)


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
