"""What each panel shows at each frame of a folder: its rows, its chart on axes that hold all frames, compiled, and that chart drawn whole."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from ..export.raster import sized
from ..export.svg import Picture
from .frames import PLAN, Panel, drawing_file, read_json, together, whole_file
from .motion import Vega, with_rows
from .stage import svg_of
from .sweep import Domains

Kept = TypeVar("Kept")
TEMPLATES, PICTURES, CONTENTS = 64, 64, 3
"""Compiled charts, drawn ones and frames that are kept."""


@dataclass
class Script:
    """The frames of a folder as they are to be drawn."""

    folder: Path
    plan: Mapping[str, Any]
    first: Mapping[str, Any]
    templates: OrderedDict[str, Vega] = field(default_factory=OrderedDict)
    pictures: OrderedDict[str, Picture] = field(default_factory=OrderedDict)
    contents: OrderedDict[int, Mapping[str, Any]] = field(default_factory=OrderedDict)

    @classmethod
    def of(cls, folder: Path) -> Script:
        return cls(folder, read_json(folder / PLAN), read_json(drawing_file(folder, 0)))

    @property
    def frames(self) -> int:
        return int(self.plan["frames"])

    def content(self, i: int) -> Mapping[str, Any]:
        """What frame `i` shows: lines and panels."""
        return kept(self.contents, i, CONTENTS, lambda: together(read_json(drawing_file(self.folder, i)), self.first) if i else self.first)

    def as_first(self, at: int, panel: Panel) -> bool:
        """Whether a panel differs from that of the first frame in its rows alone."""
        first = self.first["panels"][at]
        return panel["spec"] is first["spec"] or self._fixed(at, panel) == self._fixed(at, first)

    def whole(self, at: int, i: int) -> Picture:
        """A panel at frame `i`, drawn whole; from its file where it has one."""
        panel = self.content(i)["panels"][at]
        template = self.template(at, panel)
        if (file := whole_file(self.folder, at, i)).is_file():
            return sized(file.read_text("utf-8"), template)

        def draw() -> Picture:
            return sized(svg_of(with_rows(template, panel["datasets"])), template)

        return kept(self.pictures, f"{at} {json.dumps([panel['spec'], panel['datasets']])}", PICTURES, draw)

    def template(self, at: int, panel: Panel) -> Vega:
        """The compiled chart. Rows do not change what Vega-Lite makes of a specification, once its domains are fixed: only those under a name of
        their own are swapped, and specifications of other frames that are equal by then share it."""
        import vl_convert

        fixed = self._fixed(at, panel)
        whole = {**json.loads(fixed)[0], "datasets": panel["datasets"]}
        return kept(self.templates, fixed, TEMPLATES, lambda: vl_convert.vegalite_to_vega(whole))

    def _fixed(self, at: int, panel: Panel) -> str:
        """The specification on axes that hold all frames, and its datasets, as text."""
        spec = Domains.from_json(self.plan["panels"][at]["domains"]).fixed(panel["spec"])
        return json.dumps([spec, sorted(panel["datasets"])])


Key = TypeVar("Key")


def kept(cache: OrderedDict[Key, Kept], key: Key, most: int, make: Callable[[], Kept]) -> Kept:
    """What `make` gives, made once; of the others in the cache the latest stay."""
    if key not in cache:
        cache[key] = make()
        while len(cache) > most:
            cache.popitem(last=False)
    cache.move_to_end(key)
    return cache[key]
