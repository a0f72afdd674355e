"""Charts put together: layers over each other, strips below each other, panels beside each other.

`alt.layer` and its kin copy every chart several times, and again with each `.properties(...)`, `.resolve_scale(...)` and level of nesting: of a chart
of twenty layers that is most of the time it takes to draw. These take the charts as they are, once; what comes out are Altair's own charts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import altair as alt

LIFTED = ("width", "height", "view")
"""What the layers have in common, and Vega-Lite takes from the whole alone."""
OWN = ("data", "description", "encoding", "name", "projection", "resolve", "title", "transform")
"""What makes a group of layers one of its own: without any of it they might as well lie in the group around it."""
ALTAIRS = ("params", "autosize", "background", "config", "padding", "usermeta")
"""What only Altair knows how to merge, or to refuse."""


class _Layers(alt.LayerChart):  # type: ignore[misc]  # Altair is untyped here
    """A `LayerChart` of layers that need no merging."""

    def __init__(self, data: Any = alt.Undefined, layer: Sequence[Any] = (), **properties: Any) -> None:
        alt.TopLevelLayerSpec.__init__(self, data=data, layer=list(layer), **properties)


class _Below(alt.VConcatChart):  # type: ignore[misc]
    """A `VConcatChart` of charts that need no merging."""

    def __init__(self, data: Any = alt.Undefined, vconcat: Sequence[Any] = (), **properties: Any) -> None:
        alt.TopLevelVConcatSpec.__init__(self, data=data, vconcat=list(vconcat), **properties)


class _Beside(alt.HConcatChart):  # type: ignore[misc]
    """A `HConcatChart` of charts that need no merging."""

    def __init__(self, data: Any = alt.Undefined, hconcat: Sequence[Any] = (), **properties: Any) -> None:
        alt.TopLevelHConcatSpec.__init__(self, data=data, hconcat=list(hconcat), **properties)


class _Grid(alt.ConcatChart):  # type: ignore[misc]
    """A `ConcatChart` of charts that need no merging."""

    def __init__(self, data: Any = alt.Undefined, concat: Sequence[Any] = (), columns: Any = alt.Undefined, **properties: Any) -> None:
        alt.TopLevelConcatSpec.__init__(self, data=data, concat=list(concat), columns=columns, **properties)


PANELS = {alt.VConcatChart: "vconcat", alt.HConcatChart: "hconcat", alt.ConcatChart: "concat"}


def layers(*charts: Any, independent: Iterable[str] = (), **properties: Any) -> Any:
    """Charts over each other, the first at the back: what `alt.layer` makes, at a fraction of its cost. Use the charts for nothing else afterwards.

    `properties` are those of the whole: `width`, `height`, `title`, `description`, ... Each layer has a scale of its own for the channels in
    `independent`: `charts.layers(line, words, width=400, height=200, independent=["color"])`.
    """
    resolve = _resolved(independent)
    if not all(map(_plain, charts)):
        return alt.layer(*charts, **properties, **resolve)
    common = {**_common(charts), **properties, **resolve}
    flat = charts if resolve else [layer for chart in charts for layer in _flattened(chart)]
    return _Layers(layer=[_bare(layer, common.get("data", alt.Undefined)) for layer in flat], **common)


def below(*charts: Any, spacing: float, independent: Iterable[str] = ()) -> Any:
    """Charts below each other, `spacing` px apart, each with a scale of its own for the channels in `independent`; one alone stays what it is."""
    if len(charts) == 1:
        return charts[0]
    make = _Below if all(map(_standing, charts)) else alt.VConcatChart
    return make(vconcat=charts, spacing=spacing, **_resolved(independent))


def beside(*charts: Any, spacing: float, columns: int = 0, independent: Iterable[str] = ()) -> Any:
    """Charts beside each other, as `below`; with `columns` as many in a row."""
    if len(charts) == 1:
        return charts[0]
    if columns:
        return grid(*charts, spacing=spacing, columns=columns, independent=independent)
    make = _Beside if all(map(_standing, charts)) else alt.HConcatChart
    return make(hconcat=charts, spacing=spacing, **_resolved(independent))


def grid(*charts: Any, spacing: float, columns: int, independent: Iterable[str] = (), shared: Iterable[str] = ()) -> Any:
    """Rows of `columns` charts, a row also of one alone; one scale for all of them for the channels in `shared`."""
    make = _Grid if all(map(_standing, charts)) else alt.ConcatChart
    return make(concat=charts, columns=columns, spacing=spacing, **_resolved(independent, shared))


def _resolved(independent: Iterable[str], shared: Iterable[str] = ()) -> dict[str, Any]:
    scales = {**dict.fromkeys(independent, "independent"), **dict.fromkeys(shared, "shared")}
    return {"resolve": alt.Resolve(scale=alt.ScaleResolveMap(**scales))} if scales else {}


def _plain(chart: Any) -> bool:
    """Whether a chart can be layered as it is: of units and layers without parameters."""
    if not isinstance(chart, (alt.Chart, alt.LayerChart)) or any(_has(chart, name) for name in ALTAIRS):
        return False
    return isinstance(chart, alt.Chart) or all(map(_plain, chart.layer))


def _standing(chart: Any) -> bool:
    """Whether a chart can be a panel as it is."""
    if isinstance(chart, alt.FacetChart):
        return not any(_has(chart, name) for name in ALTAIRS) and _plain(chart.spec)
    part = next((part for kind, part in PANELS.items() if isinstance(chart, kind)), "")
    return not any(_has(chart, name) for name in ALTAIRS) and all(map(_standing, chart[part])) if part else _plain(chart)


def _has(chart: Any, name: str) -> bool:
    return getattr(chart, name, alt.Undefined) is not alt.Undefined


def _common(charts: Sequence[Any]) -> dict[str, Any]:
    """Width, height and view of the charts, and their data where all draw the same. Raises `ValueError` for charts of several sizes."""
    first = getattr(charts[0], "data", alt.Undefined) if charts else alt.Undefined
    found: dict[str, Any] = {"data": first} if all(getattr(chart, "data", alt.Undefined) is first for chart in charts) else {}
    for chart in charts:
        for name in LIFTED:
            if _has(chart, name) and found.setdefault(name, chart[name]) != chart[name]:
                raise ValueError(f"layers of one chart differ in their {name}: {found[name]} and {chart[name]}")
    return found


def _flattened(chart: Any) -> Iterator[Any]:
    if isinstance(chart, alt.LayerChart) and not any(_has(chart, name) for name in OWN):
        for layer in chart.layer:
            yield from _flattened(layer)
    else:
        yield chart


def _bare(chart: Any, data: Any) -> Any:
    """A layer without what the whole has."""
    shared = [name for name in LIFTED if _has(chart, name)] + ["data"] * (data is not alt.Undefined and _has(chart, "data") and chart.data is data)
    if shared:
        chart = chart.copy(deep=False)
        for name in shared:
            chart[name] = alt.Undefined
    return chart
