from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch

import strobe
from strobe import Analyzer, Checkpoints, StrobeError, dim, hookimpl, metric

GROUPS = {
    "all": ("*",),
    "embedding": ("embed.W_E", "pos_embed.W_pos", "unembed.W_U"),
    "unembedding": ("unembed.W_U",),
    "attention": ("blocks.*.attn.W_[QKVO]",),
    "mlp": ("blocks.*.mlp.*",),
}


class Inner(NamedTuple):
    """Of one parameter and one interval: squared distance moved, product with the previous move, square of that, squared distance from the start."""

    moved: float
    with_previous: float
    previous: float
    from_start: float


class ParameterVelocity(Analyzer):
    """How fast each parameter group moves between checkpoints: ||theta_i - theta_(i-1)|| / (step_i - step_(i-1)).

    One row per group and interval, at its later step; the first checkpoint has none. A random walk moves as the root of the gap, so velocities over
    unequal gaps are not comparable without care: `gap` is stored, and `per_root_gap` divides by its root instead. `cosine` of this move and the one
    before: 1 straight on, 0 at a right angle, -1 back. `path_length` adds up the moves seen at checkpoints (a lower bound of the true path), and
    `from_start` is ||theta_i - theta_0||. Groups as in parameter_trajectory: all, embedding, unembedding, attention, mlp, or a pattern. Null where
    weights are not finite, and for the cosine where one of two moves is zero or missing. Cost: one pass over the checkpoints (12 ms each at p=113);
    memory: four copies of the weights.
    """

    groups: tuple[str, ...] = tuple(GROUPS)

    class Row(strobe.Row):
        group: str = dim("parameter group")
        step: int = dim("training step of the later checkpoint")
        previous_step: int = dim("training step of the earlier checkpoint")
        gap: int = metric("steps between the two", unit="step")
        distance: float | None = metric("distance moved, in weight units", unit="1")
        velocity: float | None = metric("distance per step", unit="1/step")
        per_root_gap: float | None = metric("distance per root of the gap: constant for a random walk", unit="1")
        cosine: float | None = metric("cosine with the previous move, -1..1", unit="1")
        path_length: float | None = metric("sum of the distances so far", unit="1")
        from_start: float | None = metric("distance from the first checkpoint", unit="1")

    @hookimpl
    def analyze_trajectory(self, checkpoints: Checkpoints) -> Iterator[Row]:
        members = self._members(checkpoints)
        path = dict.fromkeys(members, 0.0)
        for (before, now), inner in _moves(checkpoints, sorted({n for names in members.values() for n in names})):
            for group, names in members.items():
                moved, with_previous, previous, start = (sum(values) for values in zip(*(inner[n] for n in names), strict=True))
                path[group] += moved**0.5
                gap, scale = now - before, (moved * previous) ** 0.5
                yield self.Row(
                    group=group,
                    step=now,
                    previous_step=before,
                    gap=gap,
                    distance=_finite(moved**0.5),
                    velocity=_finite(moved**0.5 / gap),
                    per_root_gap=_finite((moved / gap) ** 0.5),
                    cosine=_finite(max(-1.0, min(1.0, with_previous / scale))) if scale > 0 else None,
                    path_length=_finite(path[group]),
                    from_start=_finite(start**0.5),
                )

    def _members(self, checkpoints: Checkpoints) -> dict[str, list[str]]:
        """Group -> its parameters. A named group that this model lacks is left out; a pattern that matches nothing is an error."""
        weights = checkpoints.open(checkpoints.steps[0])
        members = {group: sorted({n for pattern in GROUPS.get(group, (group,)) for n in weights.named(pattern)}) for group in self.groups}
        if empty := [group for group, names in members.items() if not names and group not in GROUPS]:
            raise StrobeError(f"parameter_velocity: group {empty[0]!r} matches no parameter; a group is one of {', '.join(GROUPS)} or a pattern")
        return {group: names for group, names in members.items() if names}


def _moves(checkpoints: Checkpoints, names: list[str]) -> Iterator[tuple[tuple[int, int], dict[str, Inner]]]:
    """Per interval its two steps, and parameter -> inner products."""
    start: dict[str, torch.Tensor] = {}
    last: dict[str, torch.Tensor] = {}
    moves: dict[str, torch.Tensor] = {}
    before = 0
    for step, weights in checkpoints:
        now = {name: weights[name].double().flatten() for name in names}
        if start:
            found = {name: now[name] - last[name] for name in names}
            yield (before, step), {name: _inner(found[name], moves.get(name), now[name] - start[name]) for name in names}
            moves = found
        start, last, before = start or now, now, step


def _inner(move: torch.Tensor, previous: torch.Tensor | None, from_start: torch.Tensor) -> Inner:
    old = torch.zeros_like(move) if previous is None else previous
    return Inner(*(float(x @ y) for x, y in ((move, move), (move, old), (old, old), (from_start, from_start))))


def _finite(value: float) -> float | None:
    return value if abs(value) < float("inf") else None
