"""What an animation goes through: its cursors, how long each is shown, and axes that hold all of it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import UsageError, did_you_mean

EASINGS = ("linear", "in-out")
MOST_FPS = 60
SLOWEST = 3.0
"""How much longer `in-out` shows the first and the last frame than the middle ones."""
POSITIONS, EXTENDED = ("x", "y"), ("x", "y", "color", "size")
"""Channels whose own domain is widened, and those that get one where Vega would take it from the rows."""
Path = tuple[str | int, ...]
Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Pace:
    """How fast: frames per second, `ease`, seconds for which the last frame stays, and how often it all runs (0: for ever)."""

    fps: float = 8.0
    ease: str = "linear"
    hold: float = 1.0
    loop: int = 0

    def __post_init__(self) -> None:
        if isinstance(self.fps, bool) or not isinstance(self.fps, int | float) or not 0.1 <= self.fps <= MOST_FPS:
            raise UsageError(f"fps {self.fps!r}: write a number from 0.1 to {MOST_FPS}")
        if self.ease not in EASINGS:
            raise UsageError(f"no easing {self.ease!r}{did_you_mean(self.ease, EASINGS)}")
        if isinstance(self.hold, bool) or not isinstance(self.hold, int | float) or not 0 <= self.hold <= 60:
            raise UsageError(f"hold {self.hold!r}: write seconds from 0 to 60")
        if isinstance(self.loop, bool) or not isinstance(self.loop, int) or not 0 <= self.loop <= 10_000:
            raise UsageError(f"loop {self.loop!r}: write how often it runs, 0 for ever")

    def durations(self, frames: int) -> list[int]:
        """Milliseconds of each frame."""
        shares = [abs(2 * i / max(frames - 1, 1) - 1) ** 3 for i in range(frames)]
        weights = [1 + (SLOWEST - 1) * share if self.ease == "in-out" else 1.0 for share in shares]
        shown = [max(round(1000 / self.fps * w), 1) for w in weights]
        return [*shown[:-1], shown[-1] + round(self.hold * 1000)]


# --- axes --------------------------------------------------------------------------------------------------------------------------------------


@dataclass
class Domains:
    """What every position, colour and size of a chart goes through over all frames, seen one frame at a time.

    Where a chart says its domain, it is widened to hold all of them; where Vega would take it from the rows, those of all frames join it. Categories
    and colours that a chart maps itself stay, and so do domains of what the chart computes (sums, bins, stacks).
    """

    said: dict[Path, tuple[float, float]] = field(default_factory=dict)
    seen: dict[Path, tuple[float, float]] = field(default_factory=dict)
    ticks: dict[Path, set[float]] = field(default_factory=dict)

    def see(self, spec: Mapping[str, Any], datasets: Mapping[str, Rows]) -> None:
        """Take a frame in."""
        for path, encoding, rows in encodings(spec, datasets):
            domain, channel = _domain(encoding), path[-1]
            if channel in POSITIONS and _numbers(domain):
                self.said[path] = _hull(self.said.get(path), domain)
            elif domain is None and rows is not None and (found := _extent(rows, encoding)) is not None:
                self.seen[path] = _hull(self.seen.get(path), found)
            values = (encoding.get("axis") or {}).get("values")
            if channel in POSITIONS and _numbers(values, least=1):
                self._mark(path, set(values or ()))

    def _mark(self, path: Path, values: set[float]) -> None:
        """Ticks of a frame: all of them on an axis that says its domain; else those of the frame whose ticks reach farthest."""
        known = self.ticks.get(path, set())
        self.ticks[path] = (
            known | values if path in self.said else max(values, known, key=lambda ticks: max(ticks, default=0) - min(ticks, default=0))
        )

    def fixed(self, spec: dict[str, Any]) -> dict[str, Any]:
        """A copy of a frame's specification with these domains."""
        for path, _, _ in list(encodings(spec, {})):
            for known, made in ((self.said, list), (self.seen, lambda hull: {"unionWith": list(hull)})):
                if path in known and not (known is self.seen and path in self.said):
                    spec = _with(spec, (*path, "scale", "domain"), made(known[path]))
            if path in self.ticks:
                spec = _with(spec, (*path, "axis", "values"), sorted(self.ticks[path]))
        return spec

    def to_json(self) -> dict[str, Any]:
        return {name: [[list(path), sorted(value)] for path, value in getattr(self, name).items()] for name in ("said", "seen", "ticks")}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Domains:
        pairs = {name: {tuple(path): tuple(value) for path, value in content[name]} for name in ("said", "seen")}
        return cls(pairs["said"], pairs["seen"], {tuple(path): set(value) for path, value in content["ticks"]})


def encodings(spec: Mapping[str, Any], datasets: Mapping[str, Rows]) -> Iterator[tuple[Path, Mapping[str, Any], Rows | None]]:
    """Path, definition and rows of every quantitative channel that has a scale; rows are None where the chart computes what it draws."""
    yield from _encodings(spec, (), None, True, datasets)


def _encodings(
    spec: Mapping[str, Any], path: Path, rows: Rows | None, plain: bool, datasets: Mapping[str, Rows]
) -> Iterator[tuple[Path, Mapping[str, Any], Rows | None]]:
    if isinstance(data := spec.get("data"), dict) and "name" in data:
        rows = datasets.get(data["name"])
    plain = plain and not any(not ({"filter"} >= set(t)) for t in spec.get("transform", []))
    for channel in EXTENDED:
        definition = spec.get("encoding", {}).get(channel)
        if isinstance(definition, dict) and definition.get("type") == "quantitative" and definition.get("scale", {}) is not None:
            raw = plain and "field" in definition and not {"aggregate", "bin", "timeUnit"} & set(definition) and not definition.get("stack")
            yield (*path, "encoding", channel), definition, rows if raw else None
    for part in ("layer", "hconcat", "vconcat", "concat"):
        for i, child in enumerate(spec.get(part, [])):
            yield from _encodings(child, (*path, part, i), rows, plain, datasets)
    if isinstance(child := spec.get("spec"), dict):
        yield from _encodings(child, (*path, "spec"), rows, plain, datasets)


def _domain(definition: Mapping[str, Any]) -> Any:
    return (definition.get("scale") or {}).get("domain")


def _numbers(values: Any, least: int = 2) -> bool:
    return isinstance(values, list) and len(values) >= least and all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)


def _extent(rows: Rows, definition: Mapping[str, Any]) -> tuple[float, float] | None:
    known = [v for row in rows if isinstance(v := row.get(definition["field"]), int | float) and not isinstance(v, bool)]
    return (min(known), max(known)) if known else None


def _hull(before: tuple[float, float] | None, values: Sequence[float]) -> tuple[float, float]:
    """The least interval that holds both, in the direction of the values: an axis may run downwards."""
    first, last = float(values[0]), float(values[-1])
    if before is None:
        return first, last
    down = last < first
    low, high = min(first, last, *before), max(first, last, *before)
    return (high, low) if down else (low, high)


def _with(spec: Any, path: Path, value: Any) -> Any:
    """A copy with one value in another place; what lies around is shared."""
    if not path:
        return value
    if isinstance(spec, list):
        return [_with(item, path[1:], value) if i == path[0] else item for i, item in enumerate(spec)]
    return {**(spec or {}), path[0]: _with((spec or {}).get(path[0]), path[1:], value)}
