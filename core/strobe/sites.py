"""Where to look: canonical site names, positions, and the tap that a forward pass calls at each site."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .errors import StrobeError

if TYPE_CHECKING:
    import torch

QUERY_SITES = ("attn.pattern", "attn.scores")
"""Sites of shape [batch, head, query, key]: positions select the query, and the axis stays."""


@dataclass(frozen=True)
class Positions:
    """Which positions of a site to keep: `Positions()` all, `Positions(0, 2)` those, in that order (the axis stays)."""

    indices: tuple[int, ...] = ()

    def __init__(self, *indices: int) -> None:
        object.__setattr__(self, "indices", indices)


@dataclass(frozen=True, init=False)
class Last(Positions):
    """The last unpadded position, its axis dropped: [batch, d]. For `pattern` and `scores` it selects the query and keeps the axis."""

    def __init__(self) -> None:
        super().__init__(-1)


Sites = Mapping[str, Positions]


class Stop(Exception):
    """Raised by a tap once the last needed site has fired, so that no later layer is computed."""


_TRANSFORMER_LENS = {
    r"hook_embed": "embed",
    r"hook_pos_embed": "pos_embed",
    r"blocks\.(\*|\d+)\.hook_(resid_pre|resid_mid|resid_post)": r"blocks.\1.\2",
    r"blocks\.(\*|\d+)\.attn\.hook_(q|k|v|z|pattern)": r"blocks.\1.attn.\2",
    r"blocks\.(\*|\d+)\.attn\.hook_attn_scores": r"blocks.\1.attn.scores",
    r"blocks\.(\*|\d+)\.hook_attn_out": r"blocks.\1.attn.out",
    r"blocks\.(\*|\d+)\.mlp\.hook_(pre|post)": r"blocks.\1.mlp.\2",
    r"blocks\.(\*|\d+)\.hook_mlp_out": r"blocks.\1.mlp.out",
    r"ln_final\.hook_normalized": "final_norm",
}


def canonical(site: str) -> str:
    """The canonical name of a site: `blocks.0.mlp.hook_post` (TransformerLens) is `blocks.0.mlp.post`; other names stay as they are."""
    for pattern, replacement in _TRANSFORMER_LENS.items():
        if match := re.fullmatch(pattern, site):
            return match.expand(replacement)
    return site


def resolve(requests: Sites, known: Iterable[str]) -> dict[str, Positions]:
    """Patterns to the sites they match. A pattern that matches nothing is left out: the caller decides what that means."""
    names = list(known)
    return {site: where for pattern, where in requests.items() for site in fnmatch.filter(names, canonical(pattern))}


def unmatched(requests: Sites, known: Iterable[str]) -> list[str]:
    """Patterns that match no known site."""
    names = list(known)
    return [pattern for pattern in requests if not fnmatch.filter(names, canonical(pattern))]


def union(requests: Iterable[Mapping[str, Positions]]) -> dict[str, frozenset[Positions]]:
    """Which positions of each site anyone asked for."""
    wanted: dict[str, set[Positions]] = {}
    for request in requests:
        for site, where in request.items():
            wanted.setdefault(site, set()).add(where)
    return {site: frozenset(positions) for site, positions in wanted.items()}


class Tap:
    """Handed to a family's forward, which calls `tap(site, x)` (or `tap.last(site, x)` with the last position only) at each site.

    Keeps a read-only copy of what was asked for, and raises `Stop` after the last needed site. `captured` maps (site, positions) to tensors,
    `bytes` counts them. A site that fires twice is an error.
    """

    def __init__(self, wanted: Mapping[str, frozenset[Positions]] | None = None, *, stop: bool = True) -> None:
        self.wanted = dict(wanted or {})
        self.captured: dict[tuple[str, Positions], torch.Tensor] = {}
        self.bytes = 0
        self._fired: set[str] = set()
        self._stop = stop and wanted is not None

    @property
    def last_only(self) -> bool:
        """Whether every request is for the last position, so that a family may compute that position alone."""
        return all(where == Last() for positions in self.wanted.values() for where in positions)

    def wants(self, site: str) -> bool:
        return site in self.wanted

    def __call__(self, site: str, x: torch.Tensor) -> torch.Tensor:
        """`x` at every position: [batch, pos, ...], or [batch, head, query, key]."""
        for where in self._open(site):
            self._keep(site, where, select(site, x, where))
        return self._close(x)

    def last(self, site: str, x: torch.Tensor) -> torch.Tensor:
        """`x` at the last position only, axis dropped: [batch, ...]; for patterns [batch, head, 1, key]."""
        for where in self._open(site):
            if where != Last():
                raise StrobeError(f"site {site}: the forward gave the last position, {where} was asked for")
            self._keep(site, where, x)
        return self._close(x)

    def _open(self, site: str) -> Iterable[Positions]:
        wanted = self.wanted.get(site, frozenset())
        if wanted and site in self._fired:
            raise StrobeError(f"site {site} fired twice in one forward pass: give each call its own site name")
        if wanted:
            self._fired.add(site)
        return wanted

    def _keep(self, site: str, where: Positions, x: torch.Tensor) -> None:
        self.captured[site, where] = kept = self._copied(site, where, x)
        self.bytes += kept.nbytes

    def _copied(self, site: str, where: Positions, x: torch.Tensor) -> torch.Tensor:
        """A copy, so that no larger buffer stays alive behind a view."""
        return x.clone()

    def _close(self, x: torch.Tensor) -> torch.Tensor:
        if self._stop and len(self._fired) == len(self.wanted):
            raise Stop
        return x


def select(site: str, x: torch.Tensor, where: Positions) -> torch.Tensor:
    """The positions `where` of a site's tensor, as a view where one exists."""
    if not where.indices:
        return x
    axis = 2 if site.endswith(QUERY_SITES) else 1
    if where == Last():
        last = x.narrow(axis, x.shape[axis] - 1, 1)
        return last if axis == 2 else last.squeeze(1)
    return x.index_select(axis, _index(site, where, x, axis))


def _index(site: str, where: Positions, x: torch.Tensor, axis: int) -> torch.Tensor:
    import torch

    n = x.shape[axis]
    if odd := [i for i in where.indices if not -n <= i < n]:
        raise StrobeError(f"site {site}: position {odd[0]} was asked for, but there are {n} positions; correct `sites`")
    return torch.tensor([i % n for i in where.indices], device=x.device)
