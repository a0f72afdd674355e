"""Pure mathematics of the built-in analyzers: Fourier bases of residues, power per frequency, projections, spectra. Reductions in float64.

Nothing here knows a model. Cached tables are handed out as copies: whoever writes to one harms nobody else (an inference tensor would raise,
but only after it has been written to).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from .errors import StrobeError

CONSTANT = 1e-24
"""Variance over mean square below which a map counts as constant; float32 rounding of one cell in 10^4 is 1e-19, float64 rounding 1e-32."""
ILL_CONDITIONED = 1e-6
"""Ratio of smallest to largest singular value below which the Gram matrix has lost the small ones."""


# --- Fourier basis of Z_p ------------------------------------------------------------------------------------------------------------------


class FourierRow(NamedTuple):
    """What one row of `fourier_basis` is: never a bare row number."""

    component: Literal["const", "cos", "sin"]
    frequency: int


@cache
def fourier_rows(p: int) -> tuple[FourierRow, ...]:
    """Labels of the p rows of `fourier_basis(p)`: (const, 0), (cos, 1), (sin, 1), (cos, 2), ...; for even p the last is (cos, p/2)."""
    pairs = [FourierRow(component, k) for k in range(1, (p - 1) // 2 + 1) for component in ("cos", "sin")]
    return (FourierRow("const", 0), *pairs, *([FourierRow("cos", p // 2)] if p % 2 == 0 else []))


def fourier_basis(p: int) -> Tensor:
    """Orthonormal real Fourier basis over residues, float64 [p, p], rows as `fourier_rows(p)` says.

    Row const = 1/sqrt(p); cos k and sin k = cos|sin(2 pi k x / p) * sqrt(2/p), k = 1 .. (p-1)/2. Even p has one row (-1)^x / sqrt(p) for k = p/2
    (its sine is zero). Cached. Source: Nanda et al., progress-measures-paper `transformers.py:make_fourier_basis`.
    """
    return _basis(p).clone()


@cache
def _basis(p: int) -> Tensor:
    x = torch.arange(p)
    return torch.stack([_row(label, x, p) for label in fourier_rows(p)])


def _row(label: FourierRow, x: Tensor, p: int) -> Tensor:
    angle = (label.frequency * x % p).double() * (2 * torch.pi / p)  # reduced mod p in integers: exact for large k * x
    wave = torch.sin(angle) if label.component == "sin" else torch.cos(angle)
    unpaired = label.component == "const" or 2 * label.frequency == p
    scaled: Tensor = wave * ((1 if unpaired else 2) / p) ** 0.5
    return scaled


def rows_of(p: int, frequencies: Iterable[int]) -> list[int]:
    """Row numbers of `fourier_basis(p)` that belong to any of the frequencies (0 is the constant row)."""
    wanted = set(frequencies)
    if odd := sorted(k for k in wanted if not 0 <= k <= p // 2):
        raise ValueError(f"frequencies {odd} are outside 0..{p // 2} for p={p}")
    return [i for i, row in enumerate(fourier_rows(p)) if row.frequency in wanted]


def fold(k: int, p: int) -> int:
    """The frequency in 0..p/2 that k aliases to on p residues: min(k mod p, p - k mod p)."""
    return min(k % p, p - k % p)


def row_amplitudes(table: Tensor) -> Tensor:
    """Norm of each Fourier row of a table over residues [p, d]: a_j = ||(F table)_j||, float64 [p]. sum a_j^2 = ||table||_F^2 (Parseval)."""
    norms: Tensor = torch.linalg.vector_norm(fourier_basis(len(table)) @ table.double(), dim=1)
    return norms


def frequency_powers(table: Tensor) -> Tensor:
    """Power per frequency of a table over residues [p, d]: P_k = a_cos^2 + a_sin^2 for k = 1..p//2, float64 [p//2]. DC is left out."""
    p = len(table)
    squares = row_amplitudes(table) ** 2
    powers = squares.new_zeros(p // 2 + 1)
    return powers.index_add(0, torch.tensor([row.frequency for row in fourier_rows(p)]), squares)[1:]


# --- p x p maps ------------------------------------------------------------------------------------------------------------------------------


def grid_modulus(inputs: Tensor) -> int:
    """p, when `inputs` [p*p, pos] begin with all pairs (a, b) of residues in row order x = a*p + b. Raises `StrobeError` otherwise."""
    p = math.isqrt(len(inputs))
    x = torch.arange(p)
    pairs = torch.cartesian_prod(x, x)
    if p * p != len(inputs) or inputs.shape[1] < 2 or not torch.equal(inputs[:, :2].cpu().long(), pairs):
        raise StrobeError(f"needs every pair (a, b) in row order, got {len(inputs)} other inputs: use the probe that holds the whole grid")
    return p


def grid_maps(values: Tensor) -> Tensor:
    """Values over the p*p pairs in row order, [p*p, n], as n maps over (a, b): a view [n, p, p]."""
    p = math.isqrt(len(values))
    return values.T.reshape(-1, p, p)


def is_constant(values: Tensor) -> Tensor:
    """Which columns of [batch, n] do not vary by more than the rounding of their dtype (4 units in the last place of the largest): bool [n]."""
    low, high = values.amin(0), values.amax(0)
    return high - low <= 4 * torch.finfo(values.dtype).eps * torch.maximum(low.abs(), high.abs())


def map_fractions(maps: Tensor, harmonics: int = 1) -> Tensor:
    """Share of each map's variance that one frequency carries, float64 [n, (p-1)//2] for maps [n, p, p]; column k-1 is frequency k.

    With G = F (X - mean X) F^T: frac_k = sum of G^2 over the block {0, cos k, sin k}^2, over sum G^2. `harmonics=2` widens the block to
    {0, k, fold(2k)}^2, which a quadratic neuron fills (0.8 with one harmonic, 1.0 with two). In 0..1: 1 means a function of frequency k alone;
    for one harmonic the fractions of a map add up to at most 1. NaN rows for constant maps. Activations [p*p, n] go in as the view
    `h.T.unflatten(1, (p, p))`: they are made contiguous a few maps at a time, which costs 4 times less than a copy of all.

    Cost for one harmonic: O(p^2) per map and no matrix product, because the block's power is (2/p^2)(|X_k0|^2 + |X_0k|^2 + |X_kk|^2 + |X_k,-k|^2),
    and these four are 1-D transforms of the sums over x, y, x+y and x-y.
    Source: Nanda et al. 2301.05217 (their code loops over k < p//2 and so never tests the last k; this one does).
    """
    if harmonics not in (1, 2):
        raise ValueError(f"harmonics is 1 or 2, got {harmonics}")
    if maps.ndim != 3 or maps.shape[1] != maps.shape[2]:
        raise ValueError(f"maps must be [n, p, p], got {tuple(maps.shape)}")
    if len(maps) == 0:
        return torch.zeros(0, (maps.shape[1] - 1) // 2, dtype=torch.float64)
    compute = _one_harmonic if harmonics == 1 else _two_harmonics
    with torch.inference_mode():
        return torch.cat([compute(chunk) for chunk in torch.split(maps, 16)])  # 16 maps fit the cache


def _centred(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Maps less their mean in float64, and their total power [n]: NaN where the map is constant."""
    x = maps.double().contiguous()
    mean = x.mean(dim=(1, 2), keepdim=True)
    x = x - mean
    total = torch.linalg.vector_norm(x.flatten(1), dim=1) ** 2
    varies = total > CONSTANT * (total + x.shape[1] ** 2 * mean.flatten() ** 2)
    return x, torch.where(varies, total, torch.nan)


def _one_harmonic(maps: Tensor) -> Tensor:
    x, total = _centred(maps)
    n, p, _ = x.shape
    twice = torch.cat([x, x], dim=2)  # [n, p, 2p]: a row's cyclic shifts are windows of it
    sums = twice.as_strided((n, p, p), (2 * p * p, 2 * p - 1, 1), p).sum(1)  # r -> sum over x of X[x, r - x]
    differences = twice.as_strided((n, p, p), (2 * p * p, 2 * p + 1, 1), 0).sum(1)  # r -> sum over x of X[x, r + x]
    waves = torch.fft.rfft(torch.stack([x.sum(1), x.sum(2), sums, differences]))[..., 1 : (p - 1) // 2 + 1]  # [4, n, k]
    fractions: Tensor = (waves.abs() ** 2).sum(0) * (2 / p**2) / total[:, None]
    return fractions


def grid_fractions(values: Tensor) -> Tensor:
    """`map_fractions(grid_maps(values))`, one harmonic, of activations [p*p, n] as the forward lays them out: float64 [n, (p-1)//2].

    Row by row of the grid, every map at once: the sums over x, y, x+y and x-y need no transposed copy, which halves the time for 512 maps.
    """
    p = math.isqrt(len(values))
    if not values.shape[1]:
        return torch.zeros(0, (p - 1) // 2, dtype=torch.float64)
    with torch.inference_mode():
        rough = values.mean(0).double()  # taken off first, so that no digits are lost in the squares; what is left of the mean is taken off exactly
        sums, squares = torch.zeros(4, p, values.shape[1], dtype=torch.float64), torch.zeros(values.shape[1], dtype=torch.float64)
        for x, row in enumerate(values.reshape(p, p, -1)):
            row = row.double() - rough  # [y, n]
            sums[0] += row
            sums[1, x] = row.sum(0)
            sums[2, x:] += row[: p - x]  # x + y
            sums[2, :x] += row[p - x :]
            sums[3, : p - x] += row[x:]  # y - x
            sums[3, p - x :] += row[:x]
            squares += (row * row).sum(0)
        mean = sums[1].sum(0) / p**2
        total = squares - p**2 * mean**2
        varies = total > CONSTANT * (total + p**2 * (mean + rough) ** 2)
        waves = torch.fft.rfft(sums, dim=1)[:, 1 : (p - 1) // 2 + 1]  # [4, k, n]
        fractions: Tensor = (waves.abs() ** 2).sum(0) * (2 / p**2) / torch.where(varies, total, torch.nan)
        return fractions.T


def _two_harmonics(maps: Tensor) -> Tensor:
    x, total = _centred(maps)
    p = x.shape[1]
    basis = fourier_basis(p)
    power = (basis @ x @ basis.T) ** 2  # [n, p, p]
    blocks = [rows_of(p, {0, k, fold(2 * k, p)}) for k in range(1, (p - 1) // 2 + 1)]
    shares = [power[:, block][:, :, block].sum(dim=(1, 2)) for block in blocks]
    return torch.stack(shares, dim=1) / total[:, None] if shares else x.new_zeros(len(x), 0)


# --- directions that depend on a + b alone -----------------------------------------------------------------------------------------------------


def sum_classes(p: int) -> Tensor:
    """(a + b) mod p for the p*p inputs in row order x = a*p + b, int64 [p*p]."""
    x = torch.arange(p)
    return ((x[:, None] + x) % p).flatten()


def class_sums(values: Tensor, p: int) -> Tensor:
    """Sum over the p inputs of each class r = (a + b) mod p: float64 [p, c] from values [p*p, c]."""
    return torch.zeros(p, values.shape[1], dtype=torch.float64).index_add_(0, sum_classes(p), values.double())


def sum_projection(totals: Tensor, frequencies: Iterable[int]) -> Tensor:
    """Projection onto cos(w_k(a+b)) and sin(w_k(a+b)) of the frequencies, per class r = (a + b) mod p: float64 [p, c] from `class_sums` [p, c].

    `sum_projection(class_sums(L, p), keys)[sum_classes(p)]` equals D^T D L with D = `sum_directions(p, keys)` at O(len(keys) p c) instead of
    O(len(keys) p^2 c), and class sums are taken once for all sets of frequencies. Frequency 0 keeps the mean over all inputs.
    """
    p = len(totals)
    basis = fourier_basis(p)[rows_of(p, frequencies)]
    return basis.T @ (basis @ totals) / p


def sum_directions(p: int, frequencies: Sequence[int]) -> Tensor:
    """Orthonormal directions cos|sin(w_k(a+b)) over the p*p inputs, float64 [2 * len(frequencies), p*p], in the order of `fourier_rows(p)`.

    Source: the sum directions u_k, v_k of Nanda et al. 2301.05217, section 4. For large p use `sum_projection`.
    """
    directions: Tensor = fourier_basis(p)[rows_of(p, frequencies)][:, sum_classes(p)] / p**0.5
    return directions


# --- spectra -----------------------------------------------------------------------------------------------------------------------------------


def singular_values(matrices: Tensor) -> Tensor:
    """Singular values in descending order, float64 [..., min(n, m)] for [..., n, m]. All NaN for a matrix that holds NaN or infinity.

    Square roots of the eigenvalues of the smaller Gram matrix (2.3 times faster than an SVD, 2e-13 relative when well conditioned);
    a matrix whose smallest is below 1e-6 of its largest is done again by SVD, since the Gram matrix squares the condition number.
    """
    with torch.inference_mode():
        *batch, n, m = matrices.shape
        flat = matrices.double().reshape(-1, n, m)
        out = torch.full((len(flat), min(n, m)), torch.nan, dtype=torch.float64)
        finite = flat.isfinite().flatten(1).all(dim=1)
        out[finite] = _gram_singular_values(flat[finite])
        values: Tensor = out.reshape(*batch, min(n, m))
    return values


def _gram_singular_values(matrices: Tensor) -> Tensor:
    x = matrices if matrices.shape[-2] <= matrices.shape[-1] else matrices.mT
    values: Tensor = torch.linalg.eigvalsh(x @ x.mT).clamp(min=0).sqrt().flip(-1)
    for i in torch.nonzero(values[:, -1] < ILL_CONDITIONED * values[:, 0]).flatten().tolist():
        values[i] = torch.linalg.svdvals(x[i])
    return values


def spectral_norm(matrix: Tensor) -> float:
    """Largest singular value of [n, m], from the smaller Gram matrix: it keeps full precision however small the others are. Finite input only."""
    x = matrix.double()
    x = x if x.shape[0] <= x.shape[1] else x.mT
    return float(torch.linalg.eigvalsh(x @ x.mT)[-1].clamp(min=0).sqrt())


def participation_ratio(values: Tensor) -> float:
    """(sum v)^2 / sum v^2 of values >= 0: between 1 (one carries all) and len(v) (all alike). NaN when all are zero.

    Of singular values it is PR_sigma; of their squares PR_lambda, the usual one of a covariance. The two differ: (3, 1) gives 1.6 and 1.2195.
    """
    v = values.double()
    return float(v.sum() ** 2 / (v**2).sum())


def stable_rank(singular: Tensor) -> float:
    """sum s^2 / s_1^2: between 1 and the rank. NaN for a zero matrix."""
    s = singular.double()
    return float((s**2).sum() / s.max() ** 2)


def effective_rank(singular: Tensor) -> float:
    """exp of the entropy of q = s / sum s, between 1 and the rank (Roy & Vetterli 2007; q of sigma, not of sigma^2). NaN for a zero matrix."""
    s = singular.double()
    q = s / s.sum()
    return float(torch.exp(-torch.special.xlogy(q, q).sum()))


def dims_holding(singular: Tensor, share: float) -> int | None:
    """Fewest leading singular directions that hold `share` of sum s^2; None for a zero or non-finite matrix. Singular values in descending order."""
    energy = torch.cumsum(singular.double() ** 2, 0)
    if not bool(energy[-1] > 0) or not bool(energy[-1].isfinite()):
        return None
    held = energy / energy[-1] >= share - 1e-12  # nine of ten equal directions do hold 90 %
    return int(held.long().argmax()) + 1


def gini(values: Tensor) -> float:
    """Inequality of values >= 0: sum_i (2i - n - 1) v_i / (n sum v), ascending; 0 (all alike) to 1 - 1/n (one holds all). NaN when all are zero.

    Source: Hurley & Rickard 2009. Say which vector it is of: pair norms, components, with or without DC give different numbers.
    """
    v = values.double().flatten().sort().values
    n = len(v)
    weights = 2 * torch.arange(1, n + 1, dtype=torch.float64) - n - 1
    return float((weights * v).sum() / (n * v.sum()))


# --- answers -----------------------------------------------------------------------------------------------------------------------------------


def margins(logits: Tensor, targets: Tensor) -> Tensor:
    """The target's logit less the largest other one, float64 [batch] for logits [batch, classes]; above 0 the answer is right.

    Infinite when there is no other class, NaN where a logit is NaN.
    """
    index = targets[:, None]
    best_other = logits.scatter(1, index, -torch.inf).amax(1)
    return logits.gather(1, index)[:, 0].double() - best_other.double()


def target_losses(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy per input in nats, float64 [batch]: log(1 + sum over c != target of exp(L_c - L_target)).

    The sum is taken in the dtype of the logits and the 1 added in float64: float32 logits give losses far below 1e-7 too, to 1e-5 relative,
    at a third of the cost of float64 throughout.
    """
    parts = zip(torch.split(logits, 2048), torch.split(targets, 2048), strict=True)  # what fits the cache takes half the time
    others = torch.cat([_sum_of_others(*part) for part in parts]).double()
    return torch.logaddexp(others, torch.zeros_like(others))


def _sum_of_others(logits: Tensor, targets: Tensor) -> Tensor:
    """log of the sum over c != target of exp(L_c - L_target), [batch]."""
    index = targets[:, None]
    return (logits - logits.gather(1, index)).scatter_(1, index, -torch.inf).logsumexp(1)


def target_ranks(logits: Tensor, targets: Tensor) -> Tensor:
    """How many classes have a larger logit than the target, int64 [batch]: 0 for the best one. NaN compares as not larger."""
    return (logits > logits.gather(1, targets[:, None])).sum(1)
