"""Learning-rate schedules, by name with their parameters: factors on `lr`, a pure function of the step.

In text: `constant`, `cosine:over=25000,final=0.1`, `step:every=5000,factor=0.5`, `piecewise:0=1,10000=0.1`. The linear warm-up of `Training` comes
on top.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal, NoReturn

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


class _Schedule(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    def factor(self, step: int) -> float:
        """What `lr` is multiplied with for the update that leads from `step` to `step + 1`."""
        raise NotImplementedError(type(self).__name__)


class Constant(_Schedule):
    """1 at every step."""

    name: Literal["constant"] = "constant"

    def factor(self, step: int) -> float:
        return 1.0


class Cosine(_Schedule):
    """From 1 at step 0 along half a cosine to `final` at step `over`, and `final` from there on (Loshchilov and Hutter 2017, without restarts)."""

    name: Literal["cosine"] = "cosine"
    over: int = Field(25_000, ge=1, description="steps until the end of the curve")
    final: float = Field(0.0, ge=0, description="factor at the end")

    def factor(self, step: int) -> float:
        done = min(1.0, step / self.over)
        return self.final + (1 - self.final) * (1 + math.cos(math.pi * done)) / 2


class Step(_Schedule):
    """`factor` to the power of the whole number of `every` steps taken."""

    name: Literal["step"] = "step"
    every: int = Field(10_000, ge=1, description="steps between changes")
    by: float = Field(0.1, gt=0, alias="factor", description="factor at each change")

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, serialize_by_alias=True)

    def factor(self, step: int) -> float:
        return float(self.by ** (step // self.every))


class Piecewise(_Schedule):
    """The factor of the last point not after the step; 1 before the first."""

    name: Literal["piecewise"] = "piecewise"
    points: tuple[tuple[int, float], ...] = Field((), description="(step, factor) pairs, steps rising")

    def factor(self, step: int) -> float:
        return next((f for at, f in sorted(self.points, reverse=True) if at <= step), 1.0)


def parse(value: Any) -> Any:
    """The textual form as the mapping that pydantic validates; other values pass. `ValueError` points at the first wrong character."""
    if not isinstance(value, str):
        return value
    name, _, body = value.partition(":")
    if name not in KNOWN:
        _wrong(value, 0, f"one of {', '.join(KNOWN)}")
    pairs, start = [], len(name) + 1
    for item in body.split(","):
        key, equals, text = item.partition("=")
        if item and not equals:
            _wrong(value, start + len(item), "'=' and a value (cosine:over=25000,final=0.1)")
        if item and name != "piecewise" and key not in KNOWN[name]:
            _wrong(value, start, f"one of {', '.join(KNOWN[name])}" if KNOWN[name] else f"nothing after {name}")
        pairs += [(key, text)] if item else []
        start += len(item) + 1
    return {"name": name, "points": pairs} if name == "piecewise" else {"name": name, **dict(pairs)}


def _wrong(text: str, at: int, expected: str) -> NoReturn:
    """Point at the character: its place counted from 1, and what stands there."""
    found = repr(text[at]) if at < len(text) else "the end"
    raise ValueError(f"{text!r}: expected {expected} at character {at + 1}, found {found}")


KNOWN = {
    cls.model_fields["name"].default: [f.alias or name for name, f in cls.model_fields.items() if name not in ("name", "points")]
    for cls in (Constant, Cosine, Step, Piecewise)
}
"""Name -> the names of its parameters."""

LearningRate = Annotated[
    Annotated[Constant | Cosine | Step | Piecewise, Field(discriminator="name")],
    BeforeValidator(parse),
]
