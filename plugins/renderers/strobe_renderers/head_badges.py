"""What every head does, at one step, as badges."""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd
from pydantic import Field

from strobe import Frame, Pick, Renderer, charts, hookimpl

TYPES = ("previous token", "duplicate token", "induction", "operand a", "operand b", "both operands", "uniform", "mixed")
"""In the order of the groups; the first that fits is a head's type."""
MARKS = {"previous token": "←", "duplicate token": "=", "induction": "↻", "operand a": "a", "operand b": "b", "both operands": "ab"}
PATTERNS = {"previous_token": "previous token", "duplicate_token": "duplicate token", "induction": "induction"}
TILE, ROW, TITLE = 190, 76, 20
"""px from one tile to the next, and what a row has above its tiles."""
Head = tuple[int, int]
"""Layer and head."""


class HeadBadges(Renderer):
    """What each head does at the cursor's step: heads of one type stand together, in that type's colour, with badges for where they look, which
    frequency they follow and since when.

    Types, the first that fits: a pattern (previous token, duplicate token, induction) scores `pattern_from` or more above uniform attention; one
    operand takes `operand_from` or more of the attention of '='; uniform, its normalised entropy is `uniform_from` or more; both operands, together
    they take `operand_from` or more; mixed, nothing of that. Of `attention_maps`, `head_scores`, `attention_entropy` and `head_labels`, as far as
    they are computed. A click chooses the head.
    """

    consumes = ("attention_maps", "head_scores", "attention_entropy", "head_labels", "key_frequencies")
    picks = [Pick(field="head"), Pick(field="layer"), Pick(field="frequency")]

    pattern_from: float = Field(0.3, ge=0, le=1, description="score above uniform attention from which a pattern is a head's type")
    operand_from: float = Field(0.7, ge=0, le=1, description="share of the attention of '=' from which a head reads an operand")
    uniform_from: float = Field(0.97, ge=0, le=1, description="normalised entropy from which a head spreads evenly")
    columns: int = Field(3, ge=1, le=12, description="heads beside each other")

    @hookimpl
    def render(self, frame: Frame) -> alt.LayerChart | alt.Chart:
        heads = self._heads(frame)
        if not len(heads):
            return charts.note("No attention of any head at this step.")
        tiles, titles = self._placed(heads)
        keys = charts.frequency_colours(frame.others.get("key_frequencies"))
        tiles["group"] = [keys.group(int(k)) if pd.notna(k) else charts.OTHER for k in tiles["frequency"]]
        width = TILE * self.columns - 12
        layers = [*_frames(tiles), *_words(tiles, keys), _titles(titles)]
        drawn = charts.layers(*layers, width=width, height=-(-len(heads) // self.columns) * (TITLE + ROW) - 12, independent=["color"])
        return charts.described(
            drawn, "The heads grouped by what they do, each with the share of its attention per operand and the frequency it follows."
        )

    def _heads(self, frame: Frame) -> pd.DataFrame:
        """A row per head: layer, head, type, a, b, entropy, label, frequency, fraction, since."""
        data = frame.data
        if not len(data):
            return pd.DataFrame()
        step = int(data["step"].iloc[0])
        last = data[data["query"] == data["query"].max()]
        looked: dict[Head, dict[int, list[float]]] = {}
        for layer, head, key, shares in zip(last["layer"], last["head"], last["key"], last["map"], strict=True):
            looked.setdefault((int(layer), int(head)), {}).setdefault(int(key), []).append(float(shares.mean()))
        named = {name: _by_head(frame.others.get(name), step) for name in ("head_scores", "attention_entropy", "head_labels")}
        return pd.DataFrame([self._head(head, looked[head], {name: rows.get(head, []) for name, rows in named.items()}) for head in sorted(looked)])

    def _head(self, place: Head, looked: dict[int, list[float]], mine: dict[str, list[dict[Any, Any]]]) -> dict[str, Any]:
        layer, head = place
        found = {PATTERNS.get(row["pattern"], row["pattern"]): float(row["score"]) for row in mine["head_scores"] if pd.notna(row["score"])}
        spread = mine["attention_entropy"]
        whole = spread and all(pd.notna(row["normalised"]) for row in spread)
        entropy = float(max(spread, key=lambda row: row["query"])["normalised"]) if whole else None
        label = next(iter(mine["head_labels"]), {})
        a, b = (sum(means) / len(means) if (means := looked.get(key)) else 0.0 for key in (0, 1))
        followed = {name: label.get(name) for name in ("label", "frequency", "fraction", "since")}
        return {"layer": layer, "head": head, "type": self._type(found, a, b, entropy), "a": a, "b": b, "entropy": entropy, **followed}

    def _type(self, scores: dict[str, float], a: float, b: float, entropy: float | None) -> str:
        best = max(scores, key=lambda name: scores[name], default="")
        if best and scores[best] >= self.pattern_from:
            return best
        if max(a, b) >= self.operand_from:
            return "operand a" if a >= b else "operand b"
        if entropy is not None and entropy >= self.uniform_from:
            return "uniform"
        return "both operands" if a + b >= self.operand_from else "mixed"

    def _placed(self, heads: pd.DataFrame) -> tuple[pd.DataFrame, list[dict[str, Any]]]:
        """Tiles with x and y, type after type, and titles above the first tile of each type and of each row.

        The types flow on in the same rows, so that the picture is as tall at every step, whatever the heads have become.
        """
        heads = heads.assign(order=heads["type"].map(TYPES.index)).sort_values(["order", "layer", "head"], ignore_index=True)
        several, sizes = heads["layer"].nunique() > 1, heads["type"].value_counts()
        tiles, titles, before = [], [], ""
        for i, row in enumerate(heads.to_dict("records")):
            x, top, kind = (i % self.columns) * TILE, (i // self.columns) * (TITLE + ROW) + TITLE, row["type"]
            if kind != before or i % self.columns == 0:
                titles.append({"text": kind if kind == before else f"{kind}: {sizes[kind]}", "x": x, "y": top - 9})
            tiles.append({**row, **_texts(row, several=several), "x": x, "x2": x + TILE - 12, "y": top, "y2": top + ROW - 12})
            before = kind
        return pd.DataFrame(tiles), titles


def _by_head(table: pd.DataFrame | None, step: int) -> dict[Head, list[dict[Any, Any]]]:
    """The rows of a step by layer and head."""
    found: dict[Head, list[dict[Any, Any]]] = {}
    for row in table[table["step"] == step].to_dict("records") if table is not None and len(table) else []:
        found.setdefault((int(row["layer"]), int(row["head"])), []).append(row)
    return found


def _texts(row: dict[str, Any], *, several: bool) -> dict[str, Any]:
    name = f"head {row['layer']}.{row['head']}" if several else f"head {row['head']}"
    looks = f"a {row['a']:.2f}  b {row['b']:.2f}" + (f"  spread {row['entropy']:.2f}" if row["entropy"] is not None else "")
    k, share = row["frequency"], row["fraction"]
    follows = f"k {int(k)}, {float(share):.0%}" if pd.notna(k) and pd.notna(share) else str(row["label"] or "")
    since = f"{row['label']} since {int(row['since']):,}" if row["label"] and pd.notna(row["since"]) else ""
    return {"name": f"{MARKS.get(row['type'], '·')}  {name}", "looks": looks, "follows": follows, "since": since}


def _frames(tiles: pd.DataFrame) -> list[alt.Chart]:
    """A card per head with its type's colour as a bar on the left; the card is what is clicked."""
    tints = [fill for fill, _ in charts.categories()]
    scale = alt.Scale(
        domain=list(TYPES), range=[tints[i % len(tints)] for i in range(len(TYPES) - 2)] + [charts.colour("muted"), charts.colour("faint")]
    )
    known = tiles.astype({"frequency": "Float64"})
    base = alt.Chart(
        charts.dataset("heads", known[["layer", "head", "frequency", "type", "x", "x2", "y", "y2", "name", "looks", "follows", "since"]])
    )
    place = {"x": _pixels(alt.X, "x"), "x2": alt.X2("x2:Q"), "y": _pixels(alt.Y, "y"), "y2": alt.Y2("y2:Q")}
    tips = [alt.Tooltip(f"{n}:N") for n in ("name", "type", "looks", "follows", "since")]
    card = base.mark_rect(fill=charts.colour("page"), stroke=charts.colour("grid"), cornerRadius=5).encode(**place, tooltip=tips)
    bar = (
        base.transform_calculate(right="datum.x + 5")
        .mark_rect()
        .encode(**{**place, "x2": alt.X2("right:Q")}, color=alt.Color("type:N", scale=scale, legend=None))
    )
    return [card, bar]


def _words(tiles: pd.DataFrame, keys: charts.FrequencyColours) -> list[alt.Chart]:
    base = alt.Chart(charts.dataset("badges", tiles[["layer", "head", "x", "y", "name", "looks", "follows", "since", "group"]]))
    lines = []
    for field, dy, weight, tint in (("name", 15, 600, "ink"), ("looks", 31, 400, "text"), ("since", 55, 400, "muted")):
        mark = base.mark_text(align="left", baseline="middle", dx=14, dy=dy, fontWeight=weight, fontSize=11, color=charts.colour(tint))
        lines.append(mark.encode(x=_pixels(alt.X, "x"), y=_pixels(alt.Y, "y"), text=alt.Text(f"{field}:N")))
    badge = base.mark_text(align="left", baseline="middle", dx=14, dy=44, fontWeight=600, fontSize=11)
    tint = alt.Color("group:N", scale=keys.text_scale(), legend=None)
    return [*lines, badge.encode(x=_pixels(alt.X, "x"), y=_pixels(alt.Y, "y"), text=alt.Text("follows:N"), color=tint)]


def _titles(titles: list[dict[str, Any]]) -> alt.Chart:
    mark = alt.Chart(charts.dataset("types", titles)).mark_text(align="left", baseline="middle", fontWeight=600, color=charts.colour("ink"))
    return mark.encode(x=_pixels(alt.X, "x"), y=_pixels(alt.Y, "y"), text=alt.Text("text:N"))


def _pixels(encoding: Any, field: str) -> Any:
    return encoding(f"{field}:Q", scale=None, axis=None)
