"""How singular the minimum is: the local learning coefficient, by sampling around the checkpoint."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import log
from statistics import fmean, stdev

import numpy as np
import torch
from pydantic import Field, model_validator

import strobe
from strobe import Analyzer, Loss, Probe, array, dim, hookimpl, metric

from .inputs import rows_of
from .lanczos import Ritz, Space, lanczos

STABLE = 0.1
"""Largest step size * localisation at which the sampler follows its prior."""


class LocalLearningCoefficient(Analyzer):
    """LLC = n beta (E[L(w)] - L(w*)) over weights sampled near the checkpoint w* by stochastic gradient Langevin dynamics (SGLD): one row per chain,
    and one of their mean with its standard error over chains (`chain` null). d/2 at a regular minimum of d directions; less at a degenerate one.

    Steps dw = -(epsilon / 2) (n beta grad L_batch(w) + gamma (w - w*)) + N(0, epsilon). The baseline L(w*) is taken on all inputs. What makes the
    number worth something is stored with it. `label`: `diverged` (a chain met a loss that is not finite, and has no value), `prior-dominated` (n beta
    lambda_max < gamma: the chain feels the localisation and not the loss, and the number is then n beta tr(H) / 2 gamma), `not stationary` (the two
    halves of the chains differ by more than 20 % and by more than two standard errors), else `ok`. `quadratic` is what a purely quadratic loss of
    this Hessian would give, sum of n beta lambda / 2 (n beta lambda + gamma); `acceptance` the mean MALA acceptance (near 1: the steps are small
    enough; with batches it is of noisy gradients); `displacement` = ||w - w*|| / ||w*|| at the end; and every chain's losses. On a grokking run there
    is no plateau: it can be 1e-5 or 48 at one checkpoint, by epsilon and gamma alone. Quote the settings, compare steps at the same ones, and believe
    only `ok`. epsilon * gamma above 0.1 is refused. `nbeta` null: n / ln n with n the inputs of the split (Watanabe's); devinterp's default has the
    batch size for n. Cost: chains * draws gradients on a batch, 20 s at p = 113; runs when asked for by name. Source: Lau et al. 2308.12108; Watanabe
    2013; devinterp `sgld.py`, `llc.py`.
    """

    opt_in = True

    chains: int = Field(4, ge=1)
    draws: int = Field(200, ge=4, description="steps of each chain that count")
    burn_in: int = Field(0, ge=0, description="steps of each chain before")
    step_size: float = Field(1e-6, gt=0, description="epsilon")
    localization: float = Field(1000.0, gt=0, description="gamma: how strongly chains are held at the checkpoint; there is no run without")
    nbeta: float | None = Field(None, gt=0, description="inverse temperature times inputs; null: n / ln n")
    batch_size: int | None = Field(512, ge=1, description="inputs per step; null: all")
    seed: int = Field(0, ge=0, description="of noise and batches; chain i has seed + i")
    split: str = Field("train", description="inputs the loss is taken on")

    class Row(strobe.Row):
        chain: int | None = dim("chain; null for their mean")
        label: str = dim("ok, prior-dominated, not stationary or diverged")
        llc: float | None = metric("local learning coefficient", unit="1")
        llc_se: float | None = metric("standard error over chains; of their mean alone", unit="1")
        first_half: float | None = metric("the coefficient over the first half of the draws", unit="1")
        second_half: float | None = metric("the coefficient over the second half", unit="1")
        quadratic: float | None = metric("what a quadratic loss of this Hessian would give", unit="1")
        baseline: float | None = metric("loss at the checkpoint, on all inputs", unit="nats")
        nbeta: float = metric("inverse temperature times inputs", unit="1")
        curvature_to_prior: float | None = metric("n beta lambda_max / gamma; below 1 it is prior-dominated", unit="1")
        acceptance: float | None = metric("mean acceptance of the steps as MALA proposals, 0..1", unit="1")
        displacement: float | None = metric("distance from the checkpoint at the end over the norm of its weights", unit="1")
        losses: np.ndarray | None = array("loss at each draw, to where it diverged", dims=["draw"], dtype="float64", unit="nats")

    @model_validator(mode="after")
    def _follows_its_prior(self) -> LocalLearningCoefficient:
        if (product := self.step_size * self.localization) > STABLE:
            raise ValueError(
                f"step_size * localization = {product:.3g} is above {STABLE}: the chain would oscillate; use a step_size of "
                f"{STABLE / self.localization:.1g} or less"
            )
        return self

    @hookimpl
    def analyze_landscape(self, loss: Loss, probe: Probe) -> Iterator[Row]:
        rows = rows_of(probe, self.split)
        nbeta = self.nbeta or len(rows) / log(max(len(rows), 3))
        space, baseline = Space(loss.weights), loss(rows)
        generator = torch.Generator().manual_seed(self.seed)
        ritz = lanczos(space.operator(loss.hessian(rows)), space.rademacher(generator), 10)
        ratio = nbeta * float(ritz.values[-1]) / self.localization if ritz else None
        found = [self._chain(loss, space, rows, nbeta, self.seed + i) for i in range(self.chains)]
        chains = [_Chain.of(c, baseline, nbeta, self.draws) for c in found]
        label = self._label(chains, ratio)
        shared = {"quadratic": self._quadratic(ritz, nbeta, space.size), "baseline": _finite(baseline), "nbeta": nbeta, "curvature_to_prior": ratio}
        for i, chain in enumerate(chains):
            yield self.Row(chain=i, label=label if chain.llc is not None else "diverged", llc_se=None, **shared, **vars(chain))
        yield self.Row(chain=None, label=label, llc_se=_error([c.llc for c in chains]), **shared, **_mean(chains))

    def _chain(self, loss: Loss, space: Space, rows: torch.Tensor, nbeta: float, seed: int) -> Walk:
        """One SGLD chain; it ends where the loss is not finite."""
        generator = torch.Generator().manual_seed(seed)
        start = space.flat(loss.weights)
        w, walk = start, Walk()
        slope = self._slope(loss, space, rows, w, start, nbeta, generator)
        for step in range(self.burn_in + self.draws):
            noise = torch.randn(space.size, generator=generator, dtype=torch.float64)
            new = w - self.step_size / 2 * slope.force + self.step_size**0.5 * noise
            there = self._slope(loss, space, rows, new, start, nbeta, generator)
            if not np.isfinite(there.loss) or not bool(there.force.isfinite().all()):
                break
            if step >= self.burn_in:
                walk.losses.append(there.loss)
                walk.acceptances.append(self._acceptance(w, new, slope, there))
            w, slope = new, there
        walk.displacement = float((w - start).norm() / start.norm().clamp(min=1e-300))
        return walk

    def _slope(
        self, loss: Loss, space: Space, rows: torch.Tensor, w: torch.Tensor, start: torch.Tensor, nbeta: float, generator: torch.Generator
    ) -> Slope:
        batch = rows
        if self.batch_size is not None and self.batch_size < len(rows):
            batch = rows[torch.randperm(len(rows), generator=generator)[: self.batch_size]]
        value, g = loss.at(space.named(w)).value_and_grad(batch)
        away = w - start
        return Slope(value, nbeta * value + self.localization / 2 * float(away @ away), nbeta * space.flat(g) + self.localization * away)

    def _acceptance(self, w: torch.Tensor, new: torch.Tensor, here: Slope, there: Slope) -> float:
        """Chance that MALA would accept the step: min(1, pi(new) q(w | new) / pi(w) q(new | w))."""
        back = (w - new + self.step_size / 2 * there.force).square().sum()
        forth = (new - w + self.step_size / 2 * here.force).square().sum()
        return float(np.exp(min(0.0, here.energy - there.energy - float(back - forth) / (2 * self.step_size))))

    def _quadratic(self, ritz: Ritz | None, nbeta: float, size: int) -> float | None:
        """size * sum of shares * f(lambda) over the spectral density."""
        if ritz is None:
            return None
        pull = nbeta * ritz.values.clamp(min=0)
        return size * float((ritz.weights * pull / (2 * (pull + self.localization))).sum())

    def _label(self, chains: list[_Chain], ratio: float | None) -> str:
        if any(c.llc is None for c in chains):
            return "diverged"
        if ratio is None or ratio < 1:
            return "prior-dominated"
        drifts = [(c.second_half or 0.0) - (c.first_half or 0.0) for c in chains]
        late, noise = fmean(c.second_half or 0.0 for c in chains), _error(drifts) or 0.0
        return "not stationary" if abs(fmean(drifts)) > max(0.2 * abs(late), 2 * noise) else "ok"


@dataclass(frozen=True, eq=False)
class Slope:
    """The batch's loss, the energy n beta L + gamma/2 ||w - w*||^2, and the energy's gradient."""

    loss: float
    energy: float
    force: torch.Tensor


class Walk:
    """What a chain left behind."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.acceptances: list[float] = []
        self.displacement = 0.0


@dataclass(frozen=True, eq=False)
class _Chain:
    llc: float | None
    first_half: float | None
    second_half: float | None
    acceptance: float | None
    displacement: float | None
    losses: np.ndarray | None

    @classmethod
    def of(cls, walk: Walk, baseline: float, nbeta: float, draws: int) -> _Chain:
        losses = np.array(walk.losses)
        if len(losses) < draws or not np.isfinite(baseline):
            return cls(None, None, None, None, _finite(walk.displacement), losses)
        rises, half = nbeta * (losses - baseline), draws // 2
        means = (float(part.mean()) for part in (rises, rises[:half], rises[half:]))
        return cls(*means, fmean(walk.acceptances), _finite(walk.displacement), losses)


def _mean(chains: list[_Chain]) -> dict[str, float | None]:
    names = ("llc", "first_half", "second_half", "acceptance", "displacement")
    columns = {name: [getattr(c, name) for c in chains] for name in names}
    return {name: None if None in values else fmean(values) for name, values in columns.items()} | {"losses": None}


def _error(values: list[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return stdev(known) / len(known) ** 0.5 if len(known) == len(values) > 1 else None


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
