"""The task that the families share: one operation on two residues mod p, its inputs in grid order, its split, and its probe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from strobe import Probe

if TYPE_CHECKING:
    import torch

Operation = Literal["a+b", "a-b", "a*b", "a/b", "a^2+b^2"]
"""Binary operations of Power et al. 2022 (arXiv:2201.02177), mod p. a/b is a times the inverse of b: it has no answer for b = 0."""
OVER_A_FIELD = ("a*b", "a/b")
"""Operations that need a prime p: otherwise some residues have no inverse, and products are no group."""


def require_prime(operation: Operation, p: int) -> None:
    """Raises `ValueError`, naming the nearest primes, when the operation needs a prime p and this is none."""
    if operation in OVER_A_FIELD and not is_prime(p):
        below = next((n for n in range(p - 1, 2, -1) if is_prime(n)), None)
        above = next(n for n in range(p + 1, 2 * p) if is_prime(n))  # there is one: Bertrand's postulate
        raise ValueError(f"p={p} is not prime, and {operation} needs a prime: try p={above if below is None else f'{below} or p={above}'}")


def is_prime(n: int) -> bool:
    return n > 1 and all(n % d for d in range(2, int(n**0.5) + 1))


def pairs(p: int) -> tuple[torch.Tensor, torch.Tensor]:
    """a and b of all p*p inputs in grid order x = a * p + b, int64 [p*p] each."""
    import torch

    return torch.arange(p).repeat_interleave(p), torch.arange(p).repeat(p)


def answers(operation: Operation, p: int) -> torch.Tensor:
    """The target of every input in grid order, int64 [p*p]; where the operation has no answer (see `defined`), a 0 that means nothing."""
    import torch

    a, b = pairs(p)
    if operation == "a/b":
        inverses = torch.tensor([0, *(pow(n, -1, p) for n in range(1, p))])
        return a * inverses[b] % p
    return {"a+b": a + b, "a-b": a - b, "a*b": a * b, "a^2+b^2": a * a + b * b}[operation] % p


def defined(operation: Operation, p: int) -> torch.Tensor:
    """Which inputs have an answer, bool [p*p]: all but b = 0 of a/b."""
    b = pairs(p)[1]
    return b > 0 if operation == "a/b" else b >= 0


def n_defined(operation: Operation, p: int) -> int:
    return p * (p - 1) if operation == "a/b" else p * p


def split(operation: Operation, p: int, n_train: int, seed: int) -> dict[str, torch.Tensor]:
    """`train` and `test`: int64 grid indices of the inputs that have an answer, the first `n_train` of a permutation drawn from `seed`, and the
    rest."""
    import torch

    order = torch.randperm(n_defined(operation, p), generator=torch.Generator().manual_seed(seed))
    order = defined(operation, p).nonzero()[:, 0][order]
    return {"train": order[:n_train], "test": order[n_train:]}


def probe(operation: Operation, p: int, inputs: torch.Tensor, stored: Mapping[str, torch.Tensor]) -> Probe:
    """`grid`: all p*p inputs in grid order, so that what looks at maps over (a, b) and their Fourier modes always has the whole of them.

    An input without an answer (b = 0 of a/b) is in no split, and not in `all`, which the probe then names itself: it is neither trained on nor
    counted in any mean over answers. Maps of activations and attention show what the model does there all the same.
    """
    import pandas as pd
    import torch

    a, b = pairs(p)
    target, known = answers(operation, p), defined(operation, p)
    splits = {name: torch.zeros(p * p, dtype=torch.bool).index_fill_(0, indices.long(), True) for name, indices in stored.items()}
    table = pd.DataFrame({"a": a.numpy(), "b": b.numpy(), "target": target.numpy()})
    if not known.all():
        splits["all"] = known
        table["target"] = table["target"].astype("Int64").mask(~known.numpy())
    return Probe("grid", inputs, target, splits, table)
