"""A compiled chart of which only some rows change: the same chart without everything that stays, so that Vega has little left to do. Pure.

What is left out: axes, titles, legends, the marks of rows that never change, and the layout. Texts are not measured (1 to 3 ms each) and pictures
not loaded (30 ms each): they are drawn empty, with their words or address as the label for screen readers, from where `layers` takes them. What
stays must not depend on what moves. Scales and the cells of a grid could, so they tell what they hold at every frame (*witnesses*), and a frame in
which one says something else is drawn whole.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .layers import SAID

Vega = dict[str, Any]
AROUND = ("axes", "legends", "title", "layout")
"""What stands around marks."""
SPOKEN = ("description", "tooltip", "href", "cursor", "ariaRoleDescription", "ariaRole")
WITNESS = "strobe-witness"
_WITNESSED = re.compile(rf'<g class="[^"]*\b{WITNESS}-.*?</g>', re.DOTALL)
_LABEL = re.compile(r'aria-label="([^"]*)"')


@dataclass(frozen=True)
class Motion:
    """What is left of a chart: the specification, and the names of the marks that move."""

    spec: Vega
    names: Sequence[str]


def motion(vega: Vega, moving: Iterable[str]) -> Motion | None:
    """A compiled chart without what stays while these datasets change. None: it cannot be told apart, for a mark has no name."""
    spec = json.loads(json.dumps(vega))
    told = _derived(spec, set(moving))
    names: list[str] = []
    scopes = [spec, *_groups(spec)]
    for scope in scopes:
        scope["marks"] = [*scope.get("marks", []), *(_witness(f"join(domain('{s['name']}'), '|')", s["name"]) for s in _uncertain(scope, told))]
    data = {entry["name"]: entry for scope in scopes for entry in scope.get("data", [])}
    spec["marks"] = _only(spec, told, data, names, not _limited(spec))
    for part in AROUND:
        spec.pop(part, None)
    spec["autosize"], spec["padding"] = "none", 0
    return None if "" in names else Motion(_pruned(spec), names)


def witnessed(svg: str) -> list[str]:
    """What the witnesses in a drawing say."""
    return [label for group in _WITNESSED.findall(svg) for label in _LABEL.findall(group)]


def with_rows(vega: Vega, rows: Mapping[str, Any]) -> Vega:
    """A compiled chart with other rows in its named datasets."""
    data = [{**entry, "values": rows[entry["name"]]} if entry["name"] in rows and "values" in entry else entry for entry in vega["data"]]
    return {**vega, "data": data}


# --- what moves --------------------------------------------------------------------------------------------------------------------------------


def _groups(scope: Vega) -> Iterator[Vega]:
    for mark in scope.get("marks", []):
        if mark["type"] == "group":
            yield mark
            yield from _groups(mark)


def _derived(spec: Vega, told: set[str]) -> set[str]:
    """Names of data that follow from these, through sources, lookups, facets and marks that others are placed by."""
    before = -1
    while len(told) != before:
        before = len(told)
        for scope in (spec, *_groups(spec)):
            told |= {d["name"] for d in scope.get("data", []) if _names(d, told)}
            for mark in scope.get("marks", []):
                if _follows(mark, told):
                    told |= set(filter(None, [mark.get("name"), mark["from"].get("facet", {}).get("name")]))
    return told


def _names(entry: Vega, told: set[str]) -> bool:
    source = entry.get("source")
    named = {source} if isinstance(source, str) else set(source or ())
    return bool((named | {t.get("from") for t in entry.get("transform", []) if isinstance(t.get("from"), str)}) & told)


def _follows(mark: Vega, told: set[str]) -> bool:
    source = mark.get("from", {})
    return source.get("data") in told or source.get("facet", {}).get("data") in told


def _uncertain(scope: Vega, told: set[str]) -> Iterator[Vega]:
    """Scales whose domain could change with what moves."""
    for scale in scope.get("scales", []):
        if any(f'"{name}"' in json.dumps(scale.get("domain")) for name in told):
            yield scale


def _only(scope: Vega, told: set[str], data: Mapping[str, Vega], names: list[str], wordless: bool) -> list[Vega]:
    """Of the marks of a chart or a group those that move, and the groups they are in."""
    kept = []
    for mark in scope.get("marks", []):
        follows = _follows(mark, told)
        # a cell that a layout places, or that has axes or a title: it stays as long as its keys do
        grid = follows and mark["type"] == "group" and ("layout" in scope or any(part in mark for part in AROUND))
        if mark.get("name", "").startswith(WITNESS):
            kept.append(mark)
        elif follows and not grid and mark.get("encode", {}).get("update", {}).get("opacity") == {"value": 0}:
            continue  # what the mouse finds
        elif follows and not grid:
            names.append(mark.get("name", ""))
            kept.append(_bare(mark, wordless))
        elif mark["type"] == "group":
            inner = _only(mark, told, data, names, wordless)
            if grid:
                keys = _keys(mark["from"], data)
                names += [] if keys else [""]
                inner += [_witness(f"parent[{json.dumps(key)}]", f"{mark.get('name', '')}-{key}") for key in keys]
            if inner:
                kept.append({**{k: v for k, v in mark.items() if k not in AROUND}, "marks": inner})
    return kept


def _keys(source: Vega, data: Mapping[str, Vega]) -> Sequence[str]:
    """By which fields the cells of a grid, or the headers beside it, are told apart; none when that is not said."""
    if "facet" in source:
        return source["facet"].get("groupby", [])  # type: ignore[no-any-return]
    transforms = data.get(source["data"], {}).get("transform", [])
    return next((t["groupby"] for t in reversed(transforms) if t["type"] == "aggregate" and t.get("groupby")), [])


def _witness(said: str, name: str) -> Vega:
    encode = {"size": {"value": 0}, "opacity": {"value": 0}, "description": {"signal": said}}
    return {"type": "symbol", "name": f"{WITNESS}-{name}", "aria": True, "encode": {"update": encode}}


# --- less work ---------------------------------------------------------------------------------------------------------------------------------


def _limited(spec: Vega) -> bool:
    """Whether the chart's styles cut texts that are too long: then they must be measured."""
    config = spec.get("config", {})
    return '"limit"' in json.dumps([config.get(part) for part in ("style", "text", "mark")])


def _bare(mark: Vega, wordless: bool) -> Vega:
    """A mark without what is only for the mouse and for screen readers."""
    mark = {**mark, "marks": [_bare(m, wordless) for m in mark["marks"]]} if "marks" in mark else dict(mark)
    mark["encode"] = {name: {k: v for k, v in said.items() if k not in SPOKEN} for name, said in mark.get("encode", {}).items()}
    if mark["type"] == "group":
        return mark
    empty = _empty_picture(mark) if mark["type"] == "image" else _empty_text(mark) if mark["type"] == "text" and wordless else None
    if empty is None:
        return {**mark, "aria": False}
    return {**mark, "aria": True, "encode": {**mark["encode"], "update": {**mark["encode"].get("update", {}), **empty}}}


def _empty_picture(mark: Vega) -> Vega | None:
    """What makes a picture an empty one, with its address as the label; None where its size is its own."""
    update = mark["encode"].get("update", {})
    url = _expression(update.get("url"))
    if url is None or not {"width", "height"} <= update.keys():
        return None
    return {"url": {"value": ""}, "description": {"signal": f"isValid({url}) ? '{SAID}' + {url} : ''"}}


def _empty_text(mark: Vega) -> Vega | None:
    """What makes a text an empty one, with its words as the label (several lines after their distance); None where Vega must lay it out."""
    words = _expression(mark["encode"].get("update", {}).get("text"))
    if words is None or {"limit", "lineBreak"} & {key for said in mark["encode"].values() for key in said}:
        return None
    update, several = mark["encode"]["update"], f"isArray({words})"
    plain = f"'{SAID}' + (isValid({words}) ? {words} : '')"
    height = update.get("lineHeight", {}).get("value")
    if update.get("baseline") != {"value": "top"} or not isinstance(height, int | float):  # lines that end at a place: Vega knows where they begin
        return {"text": {"signal": f"{several} ? {words} : ''"}, "description": {"signal": f"{several} ? '' : {plain}"}}
    return {"text": {"value": ""}, "description": {"signal": f"{several} ? '{SAID}\\n{height:g}\\n' + join({words}, '\\n') : {plain}"}}


def _expression(said: Any) -> str | None:
    """The words of a text mark as an expression; None for what is not plain."""
    if not isinstance(said, dict) or len(said) != 1:
        return None
    if "signal" in said:
        return f"({said['signal']})"
    if "value" in said:
        return json.dumps(said["value"])
    return f"datum[{json.dumps(said['field'])}]" if isinstance(said.get("field"), str) and said["field"].isidentifier() else None


def _pruned(spec: Vega) -> Vega:
    """Without the scales and data that nothing left speaks of, and without styles of what stands around marks."""
    spec["config"] = {k: v for k, v in spec.get("config", {}).items() if not k.startswith(("axis", "legend", "header", "title"))}
    text = json.dumps({key: spec.get(key) for key in ("marks", "signals")})
    spec["scales"] = [scale for scale in spec.get("scales", []) if any(f"{q}{scale['name']}{q}" in text for q in "\"'")]
    text = json.dumps({key: value for key, value in spec.items() if key != "data"})
    kept: set[str] = set()
    for entry in reversed(spec.get("data", [])):  # what an entry is made of stands before it
        if any(f"{quote}{entry['name']}{quote}" in text for quote in "\"'") or entry["name"] in kept:
            said = json.dumps({k: v for k, v in entry.items() if k != "values"})
            kept |= set(re.findall(r'"([^"]*)"', said)) | set(re.findall(r"'([^']*)'", said))
    return {**spec, "data": [entry for entry in spec.get("data", []) if entry["name"] in kept]}
