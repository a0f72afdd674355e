"""`Scene3D`: points and lines in three dimensions, for what is truly three-dimensional.

The board turns it with the mouse; where a picture must stand still (PNG, a notebook, plain charts) it is projected onto a plane, as an Altair
chart. Both look from the same side at first: an orthographic camera at an azimuth and an elevation.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import altair as alt
import numpy as np
import pandas as pd

from .compose import layers
from .data import Records, dataset, records
from .images import viridis
from .steps import cursor_rows
from .theme import DARK, WIDTH, active, colour, use

Rows = pd.DataFrame | Sequence[Mapping[str, Any]]
Ramp = Literal["linear", "sqrt", "log"]
REACH = 1.8
"""Half the height of the picture, where the box of the axes is 2 wide: its farthest corner is at 1.73, and labels stand around it."""
INSIDE = 0.86
"""Where on its edge, from the middle to the corner, the end of an axis is written: at the corners two axes meet."""
AXES, RAMP, CURSOR = "axes", "ramp", "cursor"
ENDS = (-1.0, 1.0)


@dataclass(frozen=True, eq=False)
class Points3D:
    """Dots at the columns `x`, `y`, `z` of `rows`, under a dataset `name` of their own; rows without a place are not drawn.

    `value`: a column that colours them on the scene's ramp; `tint`: one that holds CSS colours; else all have `colour` (default: ink).
    `follow`: a column whose value at the cursor, "step" for one, gets a ring; `text`: one that is written beside the dot; `tooltip`: columns named on
    hover. `size` is an area in px².
    """

    rows: Rows
    name: str = "points"
    value: str = ""
    tint: str = ""
    colour: str = ""
    size: float = 34
    follow: str = ""
    text: str = ""
    tooltip: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Line3D:
    """A line through the rows in their order; a row without a place breaks it, and so does another value of the column `series`.

    Colours as of `Points3D`. A line with `value` is drawn piece by piece, each in the colour of where it starts; `dash` is for the others.
    """

    rows: Rows
    name: str = "line"
    value: str = ""
    tint: str = ""
    colour: str = ""
    width: float = 1.5
    dash: tuple[float, ...] = ()
    opacity: float = 1.0
    series: str = ""


Layer = Points3D | Line3D


@dataclass(frozen=True, eq=False)
class Scene3D:
    """What `Renderer.render` returns instead of a chart when a plane would lie.

    `titles`: of the three axes, with units; `description`: the alt text. `domains`: low and high of each axis; by default what the rows span, so that
    the box is a cube; `equal=True` gives all axes one scale instead. `value_title` and `value_domain` describe the ramp that `value` columns are
    coloured by (dark to light, `ramp` linear, sqrt or log). `azimuth`: degrees from the first axis towards the second; `elevation`: degrees above
    their plane, -90 to 90. `cursor`: the frame's cursor, which the ring of `follow` marks. Cheap to turn up to about 20,000 rows.
    """

    layers: Sequence[Layer]
    titles: tuple[str, str, str] = ("x", "y", "z")
    description: str = ""
    value_title: str = ""
    value_domain: tuple[float, float] | None = None
    ramp: Ramp = "linear"
    azimuth: float = 35.0
    elevation: float = 25.0
    domains: Sequence[tuple[float, float]] | None = None
    equal: bool = False
    cursor: Mapping[str, Any] = field(default_factory=dict)
    width: int = WIDTH
    height: int = 380

    def to_dict(self, validate: bool = True) -> dict[str, Any]:
        """`{"scene": the specification without rows, "datasets": rows by name}`, plain JSON values in the active theme.

        Raises `ValueError` for layers that cannot be drawn: two of one name with other rows, columns that are missing.
        """
        datasets: dict[str, Records] = {}
        for layer in self.layers:
            rows = _rows(layer)
            if validate:
                _check(layer, rows, datasets)
            datasets[layer.name] = rows
        ends = self._fit(_places(datasets.values()))
        datasets[AXES] = [{"axis": a, "title": t, "low": low, "high": high} for a, t, (low, high) in zip("xyz", self.titles, ends, strict=True)]
        datasets[RAMP] = self._ramp_rows(datasets)
        datasets[CURSOR] = cursor_rows(self.cursor)
        return {"scene": self._spec(), "datasets": datasets}

    def chart(self, azimuth: float | None = None, elevation: float | None = None) -> alt.LayerChart:
        """The scene projected onto the plane of the picture, seen from there (default: from its own camera)."""
        seen = replace(self, azimuth=self.azimuth if azimuth is None else azimuth, elevation=self.elevation if elevation is None else elevation)
        made = seen.to_dict()
        return flat(made["scene"], made["datasets"])

    def save(self, path: str | Path, **options: Any) -> None:
        """Write the projected chart, as Altair does."""
        self.chart().save(str(path), **options)

    def _repr_mimebundle_(self, *args: Any, **kwargs: Any) -> Any:
        return self.chart()._repr_mimebundle_(*args, **kwargs)

    def _fit(self, places: np.ndarray) -> list[tuple[float, float]]:
        if self.domains is not None:
            return [(float(lo), float(hi)) for lo, hi in self.domains]
        if not len(places):
            return [(-1.0, 1.0)] * 3
        low, high = places.min(0), places.max(0)
        half = (high - low) / 2
        half = np.full(3, half.max()) if self.equal else half
        half, middle = np.where(half > 0, half, half.max() or 1.0), (low + high) / 2
        return [(float(m - h), float(m + h)) for m, h in zip(middle, half, strict=True)]

    def _ramp_rows(self, datasets: Mapping[str, Records]) -> Records:
        valued = [layer for layer in self.layers if layer.value]
        known = [float(r[layer.value]) for layer in valued for r in datasets[layer.name] if r.get(layer.value) is not None]
        if not known:
            return []
        low, high = self.value_domain or (min(known), max(known))
        return [{"title": self.value_title or valued[0].value, "low": low, "high": high if high > low else low + 1}]

    def _spec(self) -> dict[str, Any]:
        names = ("ink", "text", "muted", "grid")
        extent = [0.18 if active() == DARK else 0.0, 1.0]  # the dark end of the ramp is not to be seen on a dark card
        return {
            "width": self.width,
            "height": self.height,
            "description": self.description,
            "theme": active(),
            "camera": {"azimuth": self.azimuth, "elevation": self.elevation},
            "ramp": {"type": self.ramp, "extent": extent, "colours": _colours(extent)},
            "look": {n: colour(n) for n in names},
            "layers": [_layer(layer) for layer in self.layers],
        }


def _colours(extent: Sequence[float]) -> list[str]:
    ramp = viridis()
    at = np.rint(np.linspace(extent[0], extent[1], 32) * (len(ramp) - 1)).astype(int)
    return [f"#{r:02x}{g:02x}{b:02x}" for r, g, b in ramp[at].tolist()]


def _rows(layer: Layer) -> Records:
    return records(layer.rows) if isinstance(layer.rows, pd.DataFrame) else [dict(row) for row in layer.rows]


def _check(layer: Layer, rows: Records, known: Mapping[str, Records]) -> None:
    if layer.name in (AXES, RAMP, CURSOR) or known.get(layer.name, rows) != rows:
        raise ValueError(f"Scene3D: a layer needs a dataset name of its own, and {layer.name!r} is taken: give name=...")
    own = (layer.follow, layer.text, *layer.tooltip) if isinstance(layer, Points3D) else (layer.series,)
    missing = [c for c in ("x", "y", "z", layer.value, layer.tint, *own) if c and rows and c not in rows[0]]
    if missing:
        raise ValueError(f"Scene3D: layer {layer.name!r} has no column {missing[0]!r}; there are {', '.join(rows[0])}")


def _layer(layer: Layer) -> dict[str, Any]:
    kind = "points" if isinstance(layer, Points3D) else "line"
    own = {k: (list(v) if isinstance(v, tuple) else v) for k, v in vars(layer).items() if k not in ("rows", "name", "colour")}
    return {"type": kind, "data": layer.name, "colour": layer.colour or colour("ink"), **own}


def _places(datasets: Any) -> np.ndarray:
    """Finite places of all rows, [row, 3]."""
    values = np.array([[_number(r.get(c)) for c in "xyz"] for rows in datasets for r in rows], dtype=float).reshape(-1, 3)
    known: np.ndarray = values[np.isfinite(values).all(1)]
    return known


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)


# --- projection --------------------------------------------------------------------------------------------------------------------------------


def project(places: np.ndarray, azimuth: float, elevation: float) -> np.ndarray:
    """Orthographic projection of places [n, 3]: to the right, upwards, and towards the eye, [n, 3]. The third axis points upwards.

    A rotation: distances are kept. The eye is at `azimuth` degrees from the first axis towards the second, `elevation` degrees above their plane.
    """
    a, e = math.radians(azimuth), math.radians(elevation)
    right = [-math.sin(a), math.cos(a), 0.0]
    up = [-math.sin(e) * math.cos(a), -math.sin(e) * math.sin(a), math.cos(e)]
    eye = [math.cos(e) * math.cos(a), math.cos(e) * math.sin(a), math.sin(e)]
    seen: np.ndarray = np.asarray(places, dtype=float).reshape(-1, 3) @ np.array([right, up, eye]).T
    return seen


def flat(scene: Mapping[str, Any], datasets: Mapping[str, Records]) -> alt.LayerChart:
    """A scene's specification and rows as an Altair chart of its projection, with the same cursor dataset; its theme is enabled while it is made."""
    with use(str(scene["theme"])):
        return _Flat(scene, datasets).chart()


class _Flat:
    """The projected chart, layer by layer."""

    def __init__(self, scene: Mapping[str, Any], datasets: Mapping[str, Records]) -> None:
        self.scene, self.datasets = scene, datasets
        self.axes = {str(row["axis"]): row for row in datasets[AXES]}
        self.camera = (float(scene["camera"]["azimuth"]), float(scene["camera"]["elevation"]))
        wide = REACH * scene["width"] / scene["height"]
        self.x = alt.X("across:Q", scale=alt.Scale(domain=[-wide, wide], nice=False, zero=False), axis=None)
        self.y = alt.Y("up:Q", scale=alt.Scale(domain=[-REACH, REACH], nice=False, zero=False), axis=None)

    def chart(self) -> alt.LayerChart:
        drawn = {"line": self._line, "points": self._points}
        marks = [mark for layer in self.scene["layers"] for mark in drawn[layer["type"]](layer)]
        return layers(*self._box(), *marks, width=self.scene["width"], height=self.scene["height"], description=self.scene["description"])

    def _seen(self, data: str) -> Records:
        """The rows of a dataset with their place in the picture; null where they have none."""
        rows = self.datasets[data]
        values = np.array([[_number(r.get(c)) for c in "xyz"] for r in rows], dtype=float).reshape(-1, 3)
        low = np.array([self.axes[c]["low"] for c in "xyz"])
        high = np.array([self.axes[c]["high"] for c in "xyz"])
        seen = project(2 * (values - low) / (high - low) - 1, *self.camera)
        names = ("across", "up", "near")
        return [{**r, **{n: float(v) if math.isfinite(v) else None for n, v in zip(names, s, strict=True)}} for r, s in zip(rows, seen, strict=True)]

    def _colour(self, layer: Mapping[str, Any]) -> Any:
        if layer["tint"]:
            return alt.Color(f"{layer['tint']}:N", scale=None, legend=None)
        if not layer["value"] or not self.datasets[RAMP]:
            return alt.ColorValue(layer["colour"])
        ramp, look = self.datasets[RAMP][0], self.scene["ramp"]
        ends = [ramp["low"], ramp["high"]]
        written = ",~f" if max(map(abs, ends)) >= 10 else ".3~g"
        legend = alt.Legend(title=ramp["title"], type="gradient", orient="bottom", direction="horizontal", values=ends, format=written, offset=2)
        if layer["type"] == "line" and any(own["value"] for own in self.scene["layers"] if own["type"] == "points"):
            legend = None  # of dots and lines together Vega would make a legend of symbols
        scheme = alt.SchemeParams(name="viridis", extent=look["extent"])
        scale = alt.Scale(type=look["type"], scheme=scheme, domain=[ramp["low"], ramp["high"]], clamp=True)
        return alt.Color(f"{layer['value']}:Q", scale=scale, legend=legend)

    def _line(self, layer: Mapping[str, Any]) -> list[alt.Chart]:
        rows = self._seen(layer["data"])
        pieces = [
            {**a, "across2": b["across"], "up2": b["up"]}
            for a, b in pairwise(rows)
            if None not in (a["across"], b["across"]) and (not layer["series"] or a[layer["series"]] == b[layer["series"]])
        ]
        if layer["value"] or layer["tint"]:
            line = alt.Chart(dataset(f"line {layer['data']}", pieces))
            mark = line.mark_rule(strokeWidth=layer["width"], strokeCap="round", opacity=layer["opacity"])
            return [mark.encode(x=self.x, y=self.y, x2="across2:Q", y2="up2:Q", color=self._colour(layer))]
        part, parts = 0, []
        for i, row in enumerate(rows):
            broken = i > 0 and (rows[i - 1]["across"] is None or (layer["series"] and rows[i - 1][layer["series"]] != row[layer["series"]]))
            part += bool(broken)
            parts.append({**row, "order": i, "part": part})
        known = [row for row in parts if row["across"] is not None]
        line = alt.Chart(dataset(f"line {layer['data']}", known))
        mark = line.mark_line(strokeWidth=layer["width"], strokeDash=layer["dash"] or [1, 0], opacity=layer["opacity"], color=layer["colour"])
        return [mark.encode(x=self.x, y=self.y, order="order:Q", detail="part:N")]

    def _points(self, layer: Mapping[str, Any]) -> list[alt.Chart]:
        seen = sorted((r for r in self._seen(layer["data"]) if r["across"] is not None), key=lambda r: r["near"])
        rows = dataset(layer["data"], seen)
        shown = [alt.Tooltip(f"{c}:{'Q' if seen and isinstance(seen[0].get(c), (int, float)) else 'N'}") for c in layer["tooltip"]]
        base = alt.Chart(rows).encode(x=self.x, y=self.y)
        marks = [base.mark_circle(size=layer["size"], opacity=1).encode(color=self._colour(layer), **({"tooltip": shown} if shown else {}))]
        if layer["text"]:
            marks.append(base.mark_text(style="annotation", align="left", dx=7, dy=-7).encode(text=alt.Text(f"{layer['text']}:N")))
        if layer["follow"]:
            found = alt.LookupData(rows, key=layer["follow"], fields=["across", "up"])
            here = alt.Chart(dataset(CURSOR, self.datasets[CURSOR])).transform_lookup(lookup=layer["follow"], from_=found)
            ring = here.transform_filter("isValid(datum.across)").mark_point(size=150, filled=False, strokeWidth=2.25, color=colour("ink"))
            marks.append(ring.encode(x=self.x, y=self.y))
        return marks

    def _box(self) -> list[alt.Chart]:
        """The edges of the box, and beside three of them the axes' titles and ends."""
        edges, texts = [], []
        for start, end in _edges():
            (x, y, _), (x2, y2, _) = project(np.array([start, end]), *self.camera).tolist()
            edges.append({"across": x, "up": y, "across2": x2, "up2": y2})
        for axis, ends in titled(*self.camera).items():
            row, seen = self.axes[axis], project(np.array(ends), *self.camera)[:, :2]
            low, high = (seen.mean(0) + INSIDE * (end - seen.mean(0)) for end in seen)
            outward = seen.mean(0) / max(float(np.linalg.norm(seen.mean(0))), 1e-9)
            for text, place, away in ((row["title"], seen.mean(0), 0.24), (_text(row["low"]), low, 0.1), (_text(row["high"]), high, 0.1)):
                x, y = (place + away * outward).tolist()
                texts.append({"across": x, "up": y, "text": text, "title": away > 0.2})
        rules = alt.Chart(dataset("box", edges)).mark_rule(color=colour("grid"))
        named = alt.Chart(dataset("box labels", texts)).encode(x=self.x, y=self.y, text=alt.Text("text:N"))
        tint = alt.ColorValue(colour("muted"), condition={"test": "datum.title", "value": colour("text")})
        return [rules.encode(x=self.x, y=self.y, x2="across2:Q", y2="up2:Q"), named.mark_text(fontSize=11).encode(color=tint)]


def _edges() -> list[tuple[list[float], list[float]]]:
    """The twelve edges of the box, as pairs of corners."""
    found = []
    for axis in range(3):
        for a in ENDS:
            for b in ENDS:
                start, end = ([*[a, b][:axis], e, *[a, b][axis:]] for e in ENDS)
                found.append((start, end))
    return found


def titled(azimuth: float, elevation: float) -> dict[str, list[list[float]]]:
    """Axis -> the edge that its title stands at, as its two ends: below and in front for the first two, the leftmost for the third."""
    a, e = math.radians(azimuth), math.radians(elevation)
    x, y = (1.0 if math.cos(a) >= 0 else -1.0), (1.0 if math.sin(a) >= 0 else -1.0)
    floor = -1.0 if math.sin(e) >= 0 else 1.0
    corner = min(((i, j) for i in ENDS for j in ENDS), key=lambda c: -math.sin(a) * c[0] + math.cos(a) * c[1])
    return {
        "x": [[end, y, floor] for end in ENDS],
        "y": [[x, end, floor] for end in ENDS],
        "z": [[*corner, end] for end in ENDS],
    }


def _text(value: float) -> str:
    return f"{value:.3g}".replace("-", "\N{MINUS SIGN}")
