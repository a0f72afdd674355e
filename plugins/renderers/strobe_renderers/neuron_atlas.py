"""All neurons of a layer as small maps, at one step."""

from __future__ import annotations

from typing import Literal

import altair as alt
import numpy as np
import pandas as pd
from pydantic import Field

from strobe import Frame, Pick, Renderer, charts, hookimpl

from .neuron_columns import COLUMNS, kept, neuron_columns, ordered

Column = Literal["neuron", "band", "frequency", "fraction", "coarseness", "switches", "commitment_step", "cluster"]
GAP = 3
"""Pixels between tiles: one for the frequency's line, one on either side."""


class NeuronAtlas(Renderer):
    """The activation map of every neuron at the cursor's step, one picture for all; the line under a tile is the colour of its frequency.

    Brightness runs from 0 to the tile's own maximum. By default tiles keep their place over the whole run: they are ordered by the band that they end
    in, the purest first. They can be sorted by any column, filtered by conditions, or be one per cluster of profiles; a brush in another panel leaves
    only its neurons. A tile of 28 x 28 cannot resolve frequencies above 14; a click chooses the neuron for its own map.
    """

    consumes = ("activation_maps", "neuron_frequency", "key_frequencies", "neuron_dynamics", "neuron_profiles", "coarseness")
    at = ("layer",)
    picks = [Pick(field="neuron")]
    narrows = True

    order: Column = Field("band", description="column to sort by: " + "; ".join(f"{name}, {what}" for name, what in COLUMNS.items()))
    descending: bool = Field(False, description="largest first")
    where: str = Field("", description="conditions on these columns, such as: fraction >= 0.85, switches < 2, band = 24")
    representatives: bool = Field(False, description="one neuron per cluster of profiles, the one nearest to its centre")
    band: int | None = Field(None, description="only the neurons that end in this frequency")
    width: int = Field(900, ge=40, description="of the picture, px")
    pixels: int = Field(1, ge=1, le=8, description="screen pixels per map cell")
    threshold: float = Field(0.7, ge=0, le=1, description="share of its map that one frequency must hold for the line under a tile")

    @hookimpl
    def render(self, frame: Frame) -> alt.LayerChart | alt.Chart:
        maps = frame.data[frame.data["map"].notna()] if len(frame.data) else frame.data
        maps = maps[maps["layer"] == maps["layer"].min()] if len(maps) else maps
        if not len(maps):
            return charts.note("No maps of these neurons at this step.", width=charts.WIDTH)
        known = neuron_columns(maps["neuron"], int(maps["layer"].iloc[0]), int(maps["step"].iloc[0]), frame.others)
        shown = self._shown(known)
        if not len(shown):
            return charts.note(f"None of {len(known)} neurons is left by what this panel is set to show.", width=charts.WIDTH)
        drawn = shown.merge(maps[["neuron", "map"]], on="neuron")
        side = np.asarray(drawn["map"].iloc[0]).shape[0]
        pitch = side * self.pixels + GAP
        columns = max(1, min(len(drawn), self.width // pitch))
        picture, places = _sheet(drawn, side, self.pixels, pitch, columns)
        wide, tall = picture.shape[1], picture.shape[0]
        image = charts.image_rows([picture], (0.0, 1.0), (wide, tall))
        chart = charts.heatmap(image, width=wide, height=tall, extent=(wide, tall), x="", y="", x_ticks=[], y_ticks=[], name="atlas", legend=LEGEND)
        keys = charts.frequency_colours(frame.others.get("key_frequencies"))
        tiles = places.assign(x2=places["x"] + pitch, y2=places["y"] + pitch).merge(shown.drop(columns=["end", "representative"]), on="neuron")
        layers = [self._tiles(tiles, wide, tall), self._lines(tiles, keys, pitch, wide, tall), _count(len(shown), len(known))]
        whole = charts.layers(chart, *layers, width=wide, height=tall, independent=["color"])
        return charts.described(whole, f"Activation maps of neurons as small tiles, ordered by {self.order}.")

    def _shown(self, known: pd.DataFrame) -> pd.DataFrame:
        """What is asked for, in its order."""
        if self.representatives:
            known = known[known["representative"].fillna(False).astype(bool)]
        if self.band is not None:
            known = known[known["band"] == self.band]
        return ordered(kept(known, self.where), self.order, descending=self.descending)

    def _tiles(self, tiles: pd.DataFrame, wide: int, tall: int) -> alt.Chart:
        """One invisible field per neuron, to be pointed at and clicked."""
        shown = alt.Chart(charts.dataset("tiles", tiles)).mark_rect(opacity=0)
        return shown.encode(
            **_corners(wide, tall),
            tooltip=[alt.Tooltip(f"{name}:Q", format=".2~f" if name in ("fraction", "coarseness") else "") for name in COLUMNS],
        )

    def _lines(self, tiles: pd.DataFrame, keys: charts.FrequencyColours, pitch: int, wide: int, tall: int) -> alt.Chart:
        """Under each tile that one frequency holds at this step, a line in its colour."""
        held = tiles[tiles["fraction"].astype(float).fillna(0) >= self.threshold] if not charts.of_differences() else tiles.iloc[:0]
        lines = held.assign(
            group=keys.groups(held["frequency"].astype(int)), y=held["y"] + pitch - GAP, y2=held["y"] + pitch - 1, x2=held["x2"] - GAP
        )
        bars = alt.Chart(charts.dataset("lines", lines[["x", "x2", "y", "y2", "group", "neuron"]])).mark_rect()
        return bars.encode(**_corners(wide, tall), color=alt.Color("group:N", scale=keys.scale(), legend=None))


LEGEND = "activation, share of the tile's own maximum"


def _sheet(kept: pd.DataFrame, side: int, pixels: int, pitch: int, columns: int) -> tuple[np.ndarray, pd.DataFrame]:
    """All maps on one sheet [height, width] (missing between them), each over its own maximum, and where each neuron lies: neuron, x, y."""
    rows = -(-len(kept) // columns)
    sheet = np.full((rows * pitch, columns * pitch), np.nan, dtype=np.float32)
    places = []
    for i, (neuron, cells) in enumerate(zip(kept["neuron"], kept["map"], strict=True)):
        y, x = (i // columns) * pitch, (i % columns) * pitch
        tile = np.asarray(cells, dtype=np.float32)
        most = np.nanmax(np.abs(tile) if charts.of_differences() else tile, initial=0.0)
        tile = np.clip(tile / most, -1 if charts.of_differences() else 0, 1) if most > 0 else np.zeros_like(tile)
        sheet[y : y + side * pixels, x : x + side * pixels] = np.kron(tile, np.ones((pixels, pixels), dtype=np.float32))
        places.append({"neuron": int(neuron), "x": x, "y": y})
    return sheet, pd.DataFrame(places)


def _count(shown: int, known: int) -> alt.Chart:
    """How many of the neurons there are."""
    text = f"{known:,} neurons" if shown == known else f"{shown:,} of {known:,} neurons"
    mark = alt.Chart(charts.dataset("count", [{"text": text}])).mark_text(style="annotation", align="left", baseline="bottom")
    return mark.encode(x=alt.XValue(0), y=alt.YValue(-6), text=alt.Text("text:N"))


def _corners(wide: int, tall: int) -> dict[str, object]:
    x = alt.X("x:Q", scale=alt.Scale(domain=[0, wide], nice=False), axis=None)
    y = alt.Y("y:Q", scale=alt.Scale(domain=[0, tall], nice=False, reverse=True), axis=None)
    return {"x": x, "x2": alt.X2("x2:Q"), "y": y, "y2": alt.Y2("y2:Q")}
