"""The curvature of the loss at a checkpoint."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import fmean, stdev

import numpy as np
import torch
from pydantic import Field, model_validator

import strobe
from strobe import Analyzer, Loss, Probe, array, dim, hookimpl, metric

from .inputs import splits_of
from .lanczos import Ritz, Space, lanczos


class Hessian(Analyzer):
    """Largest eigenvalues, trace and spectral density of the Hessian of the mean loss over all parameters, without weight decay.

    `top` eigenvalues by Lanczos with full re-orthogonalisation; `residuals` bound their errors (a value seen once may be several: Lanczos from one
    vector finds each distinct eigenvalue once). On a grokking run 10 steps give the first to 1e-3 and the third to some per cent. `lambda_min` below
    0 by more than its residual: a saddle. Trace by Hutchinson: mean of z^T H z over `probes` seeded vectors of signs, with its standard error, from
    which comparisons should start. Density by stochastic Lanczos quadrature over the first `density_probes` of them: nodes on the axis of eigenvalues
    and the share of all eigenvalues that each stands for (shares add up to 1; a trained model has nearly all of them at 0).
    For plain gradient descent lambda_max is stable below 2 / learning rate; for Adam only the preconditioned Hessian can be compared.
    Null where a loss is not finite. Cost: lanczos_steps * density_probes + probes - density_probes Hessian-vector products and one gradient:
    14 with the defaults, 2.5 s at p = 113, so it runs when asked for by name; `float64` 2.3 times as much, for curvatures below 1e-6 of the largest.
    Source: Ghorbani, Krishnan, Xiao 1901.10159; Hutchinson 1990; Golub & Welsch 1969.
    """

    opt_in = True

    top: int = Field(3, ge=1, description="eigenvalues to keep")
    lanczos_steps: int = Field(10, ge=2, description="steps of each Lanczos run")
    probes: int = Field(5, ge=2, description="vectors of the trace")
    density_probes: int = Field(1, ge=1, description="how many of them run through Lanczos, for the density")
    seed: int = Field(0, ge=0, description="of the vectors")
    splits: tuple[str, ...] = ("train",)
    float64: bool = Field(False, description="forwards and backwards in double precision")

    class Row(strobe.Row):
        split: str = dim("inputs the loss is taken on")
        lambda_max: float | None = metric("largest eigenvalue", unit="nats")
        lambda_max_residual: float | None = metric("bound on the error of lambda_max", unit="nats")
        lambda_min: float | None = metric("smallest Ritz value: at or above the smallest eigenvalue", unit="nats")
        lambda_min_residual: float | None = metric("bound on the distance of lambda_min to an eigenvalue", unit="nats")
        trace: float | None = metric("sum of the eigenvalues, estimated", unit="nats")
        trace_se: float | None = metric("standard error of the trace", unit="nats")
        parameters: int = metric("parameters, and so eigenvalues", unit="1")
        eigenvalues: np.ndarray | None = array("largest eigenvalues, descending", dims=["rank"], dtype="float64", unit="nats")
        residuals: np.ndarray | None = array("bounds on their errors", dims=["rank"], dtype="float64", unit="nats")
        trace_samples: np.ndarray | None = array("z^T H z of each vector", dims=["probe_vector"], dtype="float64", unit="nats")
        density_nodes: np.ndarray | None = array("eigenvalues where the density sits, ascending", dims=["node"], dtype="float64", unit="nats")
        density_shares: np.ndarray | None = array("share of all eigenvalues at each node", dims=["node"], dtype="float64", unit="1")

    @model_validator(mode="after")
    def _fits(self) -> Hessian:
        if self.density_probes > self.probes:
            raise ValueError(f"density_probes={self.density_probes} are taken from probes={self.probes}: raise probes")
        return self

    @hookimpl
    def analyze_landscape(self, loss: Loss, probe: Probe) -> Iterator[Row]:
        loss = loss.double() if self.float64 else loss
        space = Space(loss.weights)
        for split in splits_of(probe, self.splits):
            apply = space.operator(loss.hessian(split))
            generator = torch.Generator().manual_seed(self.seed)
            vectors = [space.rademacher(generator) for _ in range(self.probes)]
            runs = [lanczos(apply, z, self.lanczos_steps) for z in vectors[: self.density_probes]]
            known = [ritz for ritz in runs if ritz is not None]
            rest = [float(z @ apply(z)) for z in vectors[self.density_probes :]] if len(known) == len(runs) else []
            samples = [space.size * ritz.rayleigh for ritz in known] + rest
            yield self._row(split, space.size, known, samples) if np.isfinite(samples).all() and samples else self._nothing(split, space.size)

    def _row(self, split: str, size: int, runs: list[Ritz], samples: list[float]) -> Row:
        values, residuals = runs[0].values.numpy(), runs[0].residuals.numpy()
        nodes = np.concatenate([ritz.values.numpy() for ritz in runs])
        shares = np.concatenate([ritz.weights.numpy() for ritz in runs]) / len(runs)
        order = np.argsort(nodes)
        return self.Row(
            split=split,
            lambda_max=float(values[-1]),
            lambda_max_residual=float(residuals[-1]),
            lambda_min=float(values[0]),
            lambda_min_residual=float(residuals[0]),
            trace=fmean(samples),
            trace_se=stdev(samples) / len(samples) ** 0.5,
            parameters=size,
            eigenvalues=values[::-1][: self.top].copy(),
            residuals=residuals[::-1][: self.top].copy(),
            trace_samples=np.array(samples),
            density_nodes=nodes[order],
            density_shares=shares[order],
        )

    def _nothing(self, split: str, size: int) -> Row:
        return self.Row(**{**dict.fromkeys(self.Row.model_fields), "split": split, "parameters": size})
