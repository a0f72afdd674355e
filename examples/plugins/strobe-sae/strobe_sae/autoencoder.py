"""A small sparse autoencoder: f = relu((x - b) W_e + c), x' = f W_d + b, with rows of W_d of length 1."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True, eq=False)
class Fitted:
    """A trained autoencoder on its inputs: `dictionary` [feature, d] with rows of length 1, `features` [input, feature], `error` the share of the
    variance that is not explained, 0 (all of it is) to 1 and more."""

    dictionary: torch.Tensor
    features: torch.Tensor
    error: float


def fit(x: torch.Tensor, features: int, penalty: float, updates: int, lr: float, rng: np.random.Generator) -> Fitted:
    """Train on x [input, d] with Adam, all inputs at once; every random number is drawn from `rng`. Cost: 6 input x d x features per update.

    The inputs are scaled to a mean squared length of 1, so that one `penalty` suits all layers and all steps.
    """
    centre = x.mean(0)
    size = (x - centre).square().sum(1).mean().sqrt()
    z = ((x - centre) / size).float().clone()
    start = torch.nn.functional.normalize(torch.from_numpy(rng.standard_normal((features, z.shape[1]))).float(), dim=1)
    decoder, encoder = start.clone().requires_grad_(), start.T.clone().requires_grad_()
    bias = torch.zeros(features, requires_grad=True)
    optimizer = torch.optim.Adam([decoder, encoder, bias], lr=lr)
    for _ in range(updates):
        active = (z @ encoder + bias).relu()
        rebuilt = active @ torch.nn.functional.normalize(decoder, dim=1)
        loss = (rebuilt - z).square().sum(1).mean() + penalty * active.sum(1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        dictionary = torch.nn.functional.normalize(decoder, dim=1)
        active = (z @ encoder + bias).relu()
        error = (active @ dictionary - z).square().sum() / z.square().sum()
    return Fitted(dictionary, active * size, error.item())
