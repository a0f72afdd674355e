"""All neurons of a layer as small maps, at one step."""

from __future__ import annotations

from typing import Literal

import altair as alt
import numpy as np
import pandas as pd

from strobe import Frame, Pick, Renderer, charts, hookimpl

GAP = 3
"""Pixels between tiles: one for the frequency's line, one on either side."""


class NeuronAtlas(Renderer):
    """The activation map of every neuron at the cursor's step, one picture for all; the line under a tile is the colour of its frequency.

    Brightness runs from 0 to the tile's own maximum. Tiles keep their place over the whole run: they are ordered by the band that they end in, the
    purest first (`order="neuron"`: by number). A tile of 28 x 28 cannot resolve frequencies above 14; a click opens the neuron's own map.
    """

    consumes = ("activation_maps", "neuron_frequency", "key_frequencies")
    at = ("layer",)
    picks = [Pick(field="neuron")]

    order: Literal["band", "neuron"] = "band"
    band: int | None = None
    """Show only the neurons that end in this frequency."""
    width: int = 900
    pixels: int = 1
    """Screen pixels per map cell."""
    threshold: float = 0.7
    """Share of its map that one frequency must hold for the line under a tile."""

    @hookimpl
    def render(self, frame: Frame) -> alt.LayerChart | alt.Chart:
        maps = frame.data[frame.data["map"].notna()] if len(frame.data) else frame.data
        tracks = frame.others.get("neuron_frequency", pd.DataFrame())
        kept = self._order(maps, tracks)
        if not len(kept):
            return charts.note("No maps of these neurons at this step.", width=charts.WIDTH)
        side = np.asarray(kept["map"].iloc[0]).shape[0]
        pitch = side * self.pixels + GAP
        columns = max(1, min(len(kept), self.width // pitch))
        picture, places = _sheet(kept, side, self.pixels, pitch, columns)
        wide, tall = picture.shape[1], picture.shape[0]
        image = charts.image_rows([picture], (0.0, 1.0), (wide, tall))
        chart = charts.heatmap(image, width=wide, height=tall, extent=(wide, tall), x="", y="", x_ticks=[], y_ticks=[], name="atlas", legend=LEGEND)
        keys = charts.frequency_colours(frame.others.get("key_frequencies"))
        tiles = places.assign(x2=places["x"] + pitch, y2=places["y"] + pitch)
        layers = [self._tiles(tiles, wide, tall), self._lines(tiles, _now(tracks, frame), keys, pitch, wide, tall)]
        drawn = alt.layer(chart, *layers).properties(width=wide, height=tall).resolve_scale(color="independent")
        return charts.described(drawn, f"Activation maps of {len(kept)} neurons as small tiles, ordered by {self.order}.")

    def _order(self, maps: pd.DataFrame, tracks: pd.DataFrame) -> pd.DataFrame:
        """The maps in the order of the atlas: by what the neurons are at the last step, so that tiles stay where they are."""
        if not len(maps) or not len(tracks):
            return maps.sort_values("neuron") if len(maps) and self.band is None else maps.iloc[:0]
        last = tracks[(tracks["step"] == tracks["step"].max()) & (tracks["layer"] == maps["layer"].iloc[0])][["neuron", "frequency", "fraction"]]
        known = maps.merge(last, on="neuron", how="left")
        if self.band is not None:
            known = known[known["frequency"] == self.band]
        by = ["neuron"] if self.order == "neuron" else ["frequency", "fraction", "neuron"]
        return known.sort_values(by, ascending=[name != "fraction" for name in by], na_position="last")

    def _tiles(self, tiles: pd.DataFrame, wide: int, tall: int) -> alt.Chart:
        """One invisible field per neuron, to be pointed at and clicked."""
        shown = alt.Chart(charts.dataset("tiles", tiles)).mark_rect(opacity=0)
        return shown.encode(**_corners(wide, tall), tooltip=[alt.Tooltip("neuron:Q")])

    def _lines(self, tiles: pd.DataFrame, now: pd.DataFrame, keys: charts.FrequencyColours, pitch: int, wide: int, tall: int) -> alt.Chart:
        """Under each tile that one frequency holds at this step, a line in its colour."""
        held = tiles.merge(now, on="neuron") if len(now) else tiles.assign(frequency=0, fraction=0.0)
        held = held[held["fraction"].fillna(0) >= self.threshold]
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
        most = np.nanmax(tile, initial=0.0)
        tile = np.clip(tile / most, 0, 1) if most > 0 else np.zeros_like(tile)
        sheet[y : y + side * pixels, x : x + side * pixels] = np.kron(tile, np.ones((pixels, pixels), dtype=np.float32))
        places.append({"neuron": int(neuron), "x": x, "y": y})
    return sheet, pd.DataFrame(places)


def _now(tracks: pd.DataFrame, frame: Frame) -> pd.DataFrame:
    """Frequency and share of every neuron at the step of the maps."""
    if not len(tracks) or "step" not in frame.data:
        return pd.DataFrame()
    step, layer = frame.data["step"].iloc[0], frame.data["layer"].iloc[0]
    rows = tracks[(tracks["step"] == step) & (tracks["layer"] == layer)]
    return rows[["neuron", "frequency", "fraction"]].dropna(subset=["frequency"])


def _corners(wide: int, tall: int) -> dict[str, object]:
    x = alt.X("x:Q", scale=alt.Scale(domain=[0, wide], nice=False), axis=None)
    y = alt.Y("y:Q", scale=alt.Scale(domain=[0, tall], nice=False, reverse=True), axis=None)
    return {"x": x, "x2": alt.X2("x2:Q"), "y": y, "y2": alt.Y2("y2:Q")}
