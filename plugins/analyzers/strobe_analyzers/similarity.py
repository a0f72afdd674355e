"""How alike two representations of the same inputs are."""

from __future__ import annotations

import torch

NORM = 1e-300


def centred(x: torch.Tensor) -> torch.Tensor:
    """Features [input, feature] in float64 less their mean over the inputs."""
    y = x.double()
    return y - y.mean(0)


def linear_cka(x: torch.Tensor, y: torch.Tensor) -> float:
    """Linear CKA of [input, d] and [input, e]: ||Y^T X||_F^2 / (||X^T X||_F ||Y^T Y||_F) of centred columns, 0..1. NaN when one does not vary.

    1 for X and a rotated or scaled X; below 1 for a general linear map of it. Biased upwards when features are many against inputs.
    Source: Kornblith et al. 1905.00414.
    """
    a, b = centred(x), centred(y)
    return _ratio(_squared(a, b), _squared(a, a), _squared(b, b))


def unbiased_cka(x: torch.Tensor, y: torch.Tensor) -> float:
    """Linear CKA with the unbiased HSIC_1 in place of HSIC (kernel diagonals set to zero): its mean is 0 for independent X and Y.

    May be slightly below 0 or above 1. Needs 4 inputs or more, NaN otherwise. Source: Song et al. 2007; Nguyen et al. 2010.15327.
    """
    a, b = centred(x), centred(y)
    return _ratio(_hsic1(a, b), _hsic1(a, a), _hsic1(b, b))


def _ratio(xy: float, xx: float, yy: float) -> float:
    return xy / (xx * yy) ** 0.5 if xx > NORM and yy > NORM else float("nan")


def _squared(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(torch.linalg.matrix_norm(b.T @ a) ** 2)


def _hsic1(a: torch.Tensor, b: torch.Tensor) -> float:
    """HSIC_1 of K = a a^T and L = b b^T, times n (n - 3), without building them."""
    n = len(a)
    if n < 4:
        return float("nan")
    k_diagonal, l_diagonal = (a**2).sum(1), (b**2).sum(1)
    k_sums, l_sums = a @ a.sum(0) - k_diagonal, b @ b.sum(0) - l_diagonal
    trace = _squared(a, b) - float(k_diagonal @ l_diagonal)
    return trace + float(k_sums.sum() * l_sums.sum()) / ((n - 1) * (n - 2)) - 2 / (n - 2) * float(k_sums @ l_sums)


def leading(x: torch.Tensor, keep: float) -> torch.Tensor:
    """Orthonormal directions over inputs [input, k] of the fewest singular vectors that hold `keep` of the variance of [input, feature]."""
    u, s, _ = torch.linalg.svd(centred(x), full_matrices=False)
    energy = (s**2).cumsum(0)
    if not len(s) or energy[-1] <= 0:
        return u[:, :0]
    real = s > 1e-10 * s[0]
    k = min(int((energy / energy[-1] < keep - 1e-12).sum()) + 1, int(real.sum()))
    return u[:, :k]


def mean_correlation(u: torch.Tensor, v: torch.Tensor) -> float:
    """Mean canonical correlation of two orthonormal sets of directions over inputs: 1 when one spans the other. NaN when one is empty."""
    if not u.shape[1] or not v.shape[1]:
        return float("nan")
    return float(torch.linalg.svdvals(u.T @ v).clamp(max=1).mean())
