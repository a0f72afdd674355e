"""The look: themes `strobe`, `strobe_dark` and `strobe_paper` (for print: black, thin lines), and the palette that Vega-Lite has no key for.

The themes keep plots aligned: y axes have a fixed extent of 50 px, so with 8 px of padding every plot starts 58 px from the left.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import altair as alt

LIGHT, DARK, PAPER = "strobe", "strobe_dark", "strobe_paper"
FILES = {LIGHT: "theme.json", DARK: "theme_dark.json", PAPER: "theme_paper.json"}
WIDTH = 468
"""Width of a plot in a half-width card, px."""
LABELS = 96
"""Room for labels to the right of a plot, px."""


@cache
def theme(name: str = LIGHT) -> Mapping[str, Any]:
    """A theme as `{"config": Vega-Lite config, "usermeta": {"strobe": palette, colours, sizes}}`."""
    return _loaded(FILES[name])


def _loaded(file: str) -> dict[str, Any]:
    """A theme's file, over the one it `extends`."""
    content: dict[str, Any] = json.loads(files(__package__).joinpath(file).read_text("utf-8"))
    base = content.pop("extends", None)
    return _over(_loaded(base), content) if base else content


def _over(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    deep = {key: _over(base[key], value) for key, value in changes.items() if isinstance(value, dict) and isinstance(base.get(key), dict)}
    return {**base, **changes, **deep}


def active() -> str:
    """The theme charts are drawn in: the one of ours that Altair has enabled, else `strobe`."""
    return str(alt.theme.active) if alt.theme.active in FILES else LIGHT


def look() -> Mapping[str, Any]:
    """What the active theme says beyond Vega-Lite's config: `palette`, `frequency_order`, `frequency_text`, `dash`, `cursor_flag_path`, ..."""
    meta: Mapping[str, Any] = theme(active())["usermeta"]["strobe"]
    return meta


def colour(name: str) -> str:
    """A colour of the palette by name: ink, text, muted, faint, grid, test_text, card, page, other, dormant, uncommitted."""
    return str(look()["palette"][name])


def style(name: str) -> Mapping[str, Any]:
    """A named mark style of the active theme: train, test, restricted, excluded, null, group-mlp, event-rule, ..."""
    found: Mapping[str, Any] = theme(active())["config"]["style"][name]
    return found


def use(name: str = LIGHT) -> Any:
    """Enable a theme, for good or as a context: `with charts.use("strobe_dark"): renderer.render(frame).to_dict()`."""
    if name not in FILES:
        raise ValueError(f"no theme {name!r}; there are: {', '.join(FILES)}")
    return alt.theme.enable(name)


def register() -> None:
    """Make the themes known to Altair, draw in `strobe` unless someone chose another theme, and lift Altair's limit of 5,000 rows."""
    for name in FILES:
        alt.theme.register(name, enable=False)(lambda name=name: alt.theme.ThemeConfig(config=theme(name)["config"]))
    if alt.theme.active == "default":
        alt.theme.enable(LIGHT)
    alt.data_transformers.disable_max_rows()
