"""What neurons do: activation functions by the name a family gives them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def activation(name: str, *, inplace: bool = False) -> Callable[[torch.Tensor], torch.Tensor]:
    """`relu`, `gelu` (exact, with erf) or `square` (x^2; Gromov 2023, arXiv:2301.02679). `inplace` lets relu overwrite its input."""
    from torch.nn import functional as F

    return {"relu": partial(F.relu, inplace=inplace), "gelu": F.gelu, "square": lambda x: x * x}[name]
