"""What renderers draw with: axes, labels, colours, images, datasets."""

from __future__ import annotations

import re

import altair as alt
import numpy as np
import pandas as pd
import pytest
import vl_convert
from hypothesis import given
from hypothesis import strategies as st

from strobe import charts


def contrast(a: str, b: str) -> float:
    """WCAG contrast of two colours."""

    def luminance(c: str) -> float:
        parts = [int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        r, g, b = (x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts)
        return 0.2126 * r + 0.7152 * g + 0.0722 * b

    hi, lo = sorted((luminance(a), luminance(b)), reverse=True)
    return (hi + 0.05) / (lo + 0.05)


# --- datasets ----------------------------------------------------------------------------------------------------------------------------------


def test_equal_datasets_keep_their_places() -> None:
    empty = [charts.dataset(name, []) for name in ("a", "b")]
    spec = alt.layer(*(alt.Chart(d).mark_point().encode(x="x:Q") for d in empty)).to_dict()
    assert spec["datasets"] == {"a": [], "b": []}
    assert [layer["data"] for layer in spec["layer"]] == [{"name": "a"}, {"name": "b"}]


def test_two_panels_with_datasets_of_one_name_do_not_mix() -> None:
    panels = [alt.Chart(charts.dataset("lines", [{"x": x}])).mark_point().encode(x="x:Q") for x in (1, 2)]
    spec = alt.hconcat(*panels).to_dict()
    rows = [spec["datasets"][panel["data"]["name"]] for panel in spec["hconcat"]]
    assert rows == [[{"x": 1}], [{"x": 2}]]


def test_records_have_no_nan_and_plain_scalars() -> None:
    rows = pd.DataFrame({"f": [1.0, np.nan, np.inf], "i": pd.array([1, None, 3], dtype="Int64"), "s": ["a", None, "c"]})
    made = charts.records(rows)
    assert made[1] == {"f": None, "i": None, "s": None}
    assert made[2] == {"f": None, "i": 3, "s": "c"}
    assert type(made[0]["i"]) is int
    assert charts.records(rows.iloc[:0]) == []


def test_more_rows_than_altair_allows() -> None:
    chart = alt.Chart(pd.DataFrame({"x": range(6000)})).mark_point().encode(x="x:Q")
    assert len(next(iter(chart.to_dict()["datasets"].values()))) == 6000


# --- charts put together -------------------------------------------------------------------------------------------------------------------------


def dots(name: str = "dots", **properties: object) -> alt.Chart:
    return alt.Chart(charts.dataset(name, [{"x": 1}]), **properties).mark_point().encode(x="x:Q")


def drawn(chart: alt.TopLevelMixin) -> str:
    """The picture, without the names that Vega gives its parts."""
    return re.sub(r"\w*layer_\w+", "", vl_convert.vegalite_to_svg(chart.to_dict()))


def test_layers_are_what_altair_makes_of_them() -> None:
    ours = charts.layers(dots("a"), dots("b"), width=90, height=60, title="both", description="dots", independent=["x", "color"])
    theirs = alt.layer(dots("a"), dots("b")).properties(width=90, height=60, title="both", description="dots")
    assert ours.to_dict() == theirs.resolve_scale(x="independent", color="independent").to_dict()


def test_layers_of_layers_are_flat_and_look_the_same() -> None:
    inner, parts = charts.layers(dots("a"), dots("b"), width=90, height=60), [dots("a"), dots("b"), dots("c")]
    ours = charts.layers(inner, dots("c"))
    assert [layer["data"]["name"] for layer in ours.to_dict()["layer"]] == ["a", "b", "c"]
    assert drawn(ours) == drawn(alt.layer(alt.layer(*parts[:2]), parts[2]).properties(width=90, height=60))


def test_a_group_with_scales_of_its_own_stays_a_group() -> None:
    inner = charts.layers(dots("a"), dots("b"), width=90, independent=["x"])
    ours = charts.layers(inner, dots("c")).to_dict()
    assert [list(layer) for layer in ours["layer"]] == [["layer", "resolve"], ["data", "mark", "encoding"]]
    assert ours["width"] == 90


def test_layers_of_one_dataset_can_be_faceted() -> None:
    rows = charts.dataset("dots", [{"x": 1, "g": "a"}, {"x": 2, "g": "b"}])
    parts = [alt.Chart(rows).mark_point().encode(x="x:Q"), alt.Chart(rows).mark_tick().encode(x="x:Q")]
    assert charts.layers(*parts, width=90).facet("g:N").to_dict() == alt.layer(*parts).properties(width=90).facet("g:N").to_dict()


def test_layers_of_several_sizes_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="differ in their width: 90 and 80"):
        charts.layers(dots(width=90), dots(width=80))


@pytest.mark.parametrize(("ours", "theirs"), [(charts.below, alt.vconcat), (charts.beside, alt.hconcat)])
def test_panels_are_what_altair_makes_of_them(ours, theirs) -> None:
    parts = [dots("a", width=90), charts.layers(dots("b"), dots("c"), height=60)]
    assert ours(*parts, spacing=9, independent=["x"]).to_dict() == theirs(*parts, spacing=9).resolve_scale(x="independent").to_dict()
    assert ours(parts[0], spacing=9) is parts[0]


def test_panels_of_panels_and_facets_stand_in_a_grid() -> None:
    def parts(together) -> list[alt.TopLevelMixin]:
        return [together(dots("a"), dots("b")), dots("c").facet("g:N"), dots("d", title="d")]

    ours = charts.beside(*parts(lambda *c: charts.below(*c, spacing=3)), columns=2, spacing=9, independent=["y"]).to_dict()
    assert ours == alt.concat(*parts(lambda *c: alt.vconcat(*c, spacing=3)), columns=2, spacing=9).resolve_scale(y="independent").to_dict()


def test_a_grid_of_shared_axes_is_what_altair_makes_of_it() -> None:
    from strobe.charts import compose

    parts = [dots("a", width=90), charts.layers(dots("b"), dots("c"), height=60), charts.below(dots("d"), dots("e"), spacing=3)]
    ours = compose.grid(*parts, columns=2, spacing=14, independent=["color"], shared=["x", "y"]).to_dict()
    assert ours == alt.concat(*parts, columns=2, spacing=14).resolve_scale(color="independent", x="shared", y="shared").to_dict()
    assert len(compose.grid(dots("a"), columns=2, spacing=14).to_dict()["concat"]) == 1, "a row also of one alone"


@pytest.mark.parametrize("together", [charts.layers, lambda *parts: charts.below(*parts, spacing=9)])
def test_what_readers_can_choose_is_kept(together) -> None:
    brush = alt.selection_interval(name="brush")
    spec = together(dots("a").add_params(brush), dots("b")).to_dict()
    assert [(p["name"], len(p["views"])) for p in spec["params"]] == [("brush", 1)]


# --- themes and colours --------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("theme", [charts.LIGHT, charts.DARK])
def test_small_text_has_contrast(theme: str) -> None:
    with charts.use(theme):
        card = charts.colour("card")
        texts = [*charts.look()["frequency_text"], charts.colour("test_text"), charts.colour("muted"), charts.colour("text")]
        assert all(contrast(t, card) >= 4.5 for t in texts)


def test_themes_are_contexts_and_unknown_ones_are_named() -> None:
    before = charts.active()
    with charts.use(charts.DARK):
        assert charts.active() == charts.DARK
    assert charts.active() == before
    with pytest.raises(ValueError, match="strobe, strobe_dark"):
        charts.use("dark")


def test_colours_follow_the_last_set_and_stay_with_their_frequency() -> None:
    table = pd.DataFrame({"set": ["own", "last", "union"], "frequencies": [[9], [41, 24, 36, 39], [24, 36, 39, 41, 54]]})
    keys = charts.frequency_colours(table)
    assert keys.frequencies == (24, 36, 39, 41, 54)
    assert keys.groups([24, 7, 54]) == ["24", "other", "54"]
    assert len(keys.scale().range) == len(keys.domain) == 6


def test_more_key_frequencies_than_colours_keep_those_of_the_end() -> None:
    table = pd.DataFrame({"set": ["last", "union"], "frequencies": [[50, 51], list(range(1, 20))]})
    assert charts.frequency_colours(table).frequencies == (1, 2, 3, 4, 50, 51)
    assert charts.frequency_colours(None).frequencies == ()
    assert charts.frequency_colours(None, [5, 3]).frequencies == (3, 5)


# --- the step axis -------------------------------------------------------------------------------------------------------------------------------


def test_ticks_of_the_reference_run() -> None:
    assert charts.step_axis([0, 25000]).ticks() == [0, 250, 1000, 2000, 4000, 6000, 8000, 10000, 15000, 20000, 25000]


@given(last=st.integers(1, 10**7), scale=st.sampled_from(["sqrt", "log", "linear"]), width=st.integers(100, 900))
def test_ticks_are_on_the_axis_and_apart(last: int, scale: charts.StepScale, width: int) -> None:
    axis = charts.step_axis([0, last], width=width, scale=scale)
    ticks = axis.ticks()
    pixels = axis.pixel(ticks)
    assert ticks[0] == 0
    assert ticks[-1] <= last
    assert all(np.diff(pixels) >= 30 - 1e-6)
    assert axis.pixel(last) == pytest.approx(width)


@pytest.mark.parametrize("steps", [[], [7], [float("nan")]])
def test_axes_of_short_runs_have_an_extent(steps: list[float]) -> None:
    axis = charts.step_axis(steps)
    assert axis.first < axis.last


def test_labels_of_close_events_lie_apart() -> None:
    events = {"memorised": 267.0, "peak": 1500.0, "turn": 5056.0, "accurate": 5490.0, "generalised": 5639.0, "regress": 12500.0}
    placed = {p.event: p.side for p in charts.place_labels(events, charts.step_axis([0, 25000]))}
    assert placed == {"memorised": "start", "peak": "start", "turn": "end", "generalised": "start", "regress": "start"}


def test_events_take_the_interpolated_step_and_skip_what_was_not_found() -> None:
    phases = pd.DataFrame({"event": ["turn", "peak", "regress"], "at_step": [5500, 1500, None], "interpolated_step": [5056.2, None, None]})
    assert charts.event_steps(phases) == {"turn": 5056.2, "peak": 1500.0}
    assert charts.event_steps(None) == {}


@given(st.lists(st.floats(0, 200), max_size=12), st.floats(1, 20))
def test_spread_keeps_order_gap_and_bounds(wanted: list[float], gap: float) -> None:
    placed = charts.spread(wanted, gap, 0, 200)
    assert sorted(range(len(wanted)), key=lambda i: (wanted[i], i)) == sorted(range(len(wanted)), key=lambda i: (placed[i], wanted[i], i))
    assert all(np.diff(sorted(placed)) >= gap - 1e-6)
    if gap * len(wanted) <= 200:
        assert all(-1e-6 <= p <= 200 + 1e-6 for p in placed)


def test_spread_moves_nothing_that_is_apart() -> None:
    assert charts.spread([100.0, 20.0, 60.0], 13, 0, 200) == [100.0, 20.0, 60.0]
    assert charts.spread([50.0, 50.0], 10, 0, 200) == [45.0, 55.0]


def test_thinning_keeps_spikes_and_ends() -> None:
    value = np.ones(25000)
    value[12345], value[20000] = 9.0, -9.0
    rows = pd.DataFrame({"step": np.arange(25000), "value": value})
    kept = charts.thin(rows, charts.step_axis(rows["step"]))
    assert {0, 12345, 20000, 24999} <= set(kept["step"])
    assert len(kept) <= 4 * 468


# --- value axes ----------------------------------------------------------------------------------------------------------------------------------


@given(st.floats(1e-9, 1e3), st.floats(0.01, 0.99), st.booleans())
def test_pixels_and_values_are_inverse(low: float, share: float, log: bool) -> None:
    axis = charts.ValueAxis(low, low * 1e4, "loss, nats", 200, log=log)
    assert axis.pixel(axis.value(share * 200)) == pytest.approx(share * 200, abs=1e-6)


def test_three_decades_make_a_logarithmic_axis() -> None:
    assert charts.value_axis([1e-7, 10], "loss", height=200).log
    assert not charts.value_axis([1, 10], "loss", height=200).log
    assert not charts.value_axis([-1, 1e4], "loss", height=200).log
    assert not charts.value_axis([], "loss", height=200).log


# --- images --------------------------------------------------------------------------------------------------------------------------------------


def test_viridis_has_the_known_ends_and_gets_brighter() -> None:
    colours = charts.viridis().astype(int)
    assert tuple(colours[0]) == (0x44, 0x01, 0x54)
    assert tuple(colours[-1]) == (0xFD, 0xE7, 0x25)
    assert all(np.diff(colours @ [0.2126, 0.7152, 0.0722]) > -0.5)


def test_png_is_one_pixel_per_cell_with_missing_cells_clear() -> None:
    import base64
    import io

    from PIL import Image

    url = charts.png_url([[0.0, 1.0, 2.0], [np.nan, -1.0, 0.5]], (0.0, 1.0))
    image = Image.open(io.BytesIO(base64.b64decode(url.removeprefix("data:image/png;base64,")))).convert("RGBA")
    pixels = np.asarray(image)
    assert pixels.shape == (2, 3, 4)
    assert tuple(pixels[0, 0]) == tuple(pixels[1, 1]) == (0x44, 0x01, 0x54, 255)
    assert tuple(pixels[0, 1]) == tuple(pixels[0, 2]) == (0xFD, 0xE7, 0x25, 255)
    assert pixels[1, 0, 3] == 0


@pytest.mark.parametrize(("cells", "room", "wanted"), [(113, 128, 1), (31, 128, 4), (200, 128, 1), (28, 340, 12)])
def test_maps_take_whole_pixels(cells: int, room: int, wanted: int) -> None:
    assert charts.whole_pixels(cells, room) == wanted


def test_heatmap_keeps_pictures_out_of_the_specification() -> None:
    size = {"width": 10, "height": 10, "extent": (5, 5), "x": "b", "y": "a", "legend": "weight"}
    one, other = (charts.heatmap(np.full((5, 5), v), **size).to_dict() for v in (0.1, 0.9))
    assert one.pop("datasets") != other.pop("datasets")
    assert one == other


# --- words ---------------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (5500, "5,500"),
        (0.156, "0.156"),
        (1.7e-7, "1.7e-7"),
        (-14.3, "−14.3"),
        (None, "–"),
        (float("nan"), "–"),
        (0.0, "0"),
        (True, "True"),
        ("x", "x"),
    ],
)
def test_numbers_as_people_write_them(value: object, wanted: str) -> None:
    assert charts.number(value) == wanted
