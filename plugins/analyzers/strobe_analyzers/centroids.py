"""Where each class lies, at every checkpoint: what the planes and principal components of the classes are made of."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

import strobe
from strobe import Activations, Analyzer, Last, Probe, array, dim, hookimpl, maths, metric

from .representation_geometry import centred_classes, unmeasurable


class Centroids(Analyzer):
    """The mean activation of each class r = (a + b) mod p at '=', less the mean over classes, at every site of the residual stream's width.

    Stored as float16 in units of `scale`, the largest absolute entry, so that an untrained model keeps as many digits as a trained one (3); `scale`
    grows with the circles. 0 is the mean of the classes. `centroid_planes` and `centroid_pca` are derived from it. The neurons' own centroids
    (mlp.post) are measured by `representation_geometry`; what they become in the stream is mlp.out.
    A site with the same vector for every input (resid_pre at '=') has a null and a reason. Cost at p=113: 5 ms and 29 KB per site.
    """

    sites = {f"blocks.*.{site}": Last() for site in ("resid_pre", "resid_mid", "mlp.out", "resid_post")}
    families = ("modular_addition",)
    where = {"operation": ("a+b",)}

    class Row(strobe.Row):
        layer: int = dim("layer")
        site: str = dim("where in the block: resid_pre, resid_mid, mlp.out, resid_post")
        reason: str | None = dim("why there are no centroids; null when there are")
        scale: float | None = metric("largest absolute entry: what the stored centroids are to be multiplied with", unit="activation")
        centroids: np.ndarray | None = array("class means less their mean, over scale", dims=["class", "feature"], dtype="float16", unit="scale")

    @hookimpl
    def analyze_activations(self, activations: Activations, probe: Probe) -> Iterator[Row]:
        p = maths.grid_modulus(probe.inputs)
        for name, h in activations.items():  # [p*p, d_model]
            _, layer, site = name.split(".", 2)
            if reason := unmeasurable(h):
                yield self.Row(layer=int(layer), site=site, reason=reason, scale=None, centroids=None)
                continue
            _, means = centred_classes(h, p)
            centred = means - means.mean(0)  # [p, d_model]
            scale = centred.abs().max().item()
            yield self.Row(layer=int(layer), site=site, reason=None, scale=scale, centroids=(centred / scale if scale else centred).half().numpy())
