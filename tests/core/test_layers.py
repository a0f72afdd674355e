"""Panels taken apart: what moves is found, what stays is drawn once, and put together they are the whole drawing."""

from __future__ import annotations

import base64
import io
import math
from typing import Any

import altair as alt
import numpy as np
import pytest
import vl_convert
from PIL import Image

from strobe import charts
from strobe.animation.compose import Patch, Reel, alone, around, over, packed, painted
from strobe.animation.frames import apart, moving, together
from strobe.animation.layers import cut, moved, parsed
from strobe.animation.motion import motion, with_rows
from strobe.animation.reach import Reach, within
from strobe.animation.stage import staged, svg_of

STILL = [{"x": 0.0, "y": 0.0}, {"x": 4.0, "y": 4.0}]


def chart(dots: list[dict[str, Any]], y: Any = None) -> dict[str, Any]:
    """Dots that move between a line below and a label above, neither of which does."""
    scale = alt.Scale(domain=[0, 4]) if y is None else y
    encode = {"x": alt.X("x:Q", scale=alt.Scale(domain=[0, 4])), "y": alt.Y("y:Q", scale=scale)}
    line = alt.Chart(charts.dataset("stays", STILL)).mark_line().encode(**encode)
    points = alt.Chart(charts.dataset("dots", dots)).mark_circle(opacity=1).encode(**encode)
    names = alt.Chart(charts.dataset("dots", dots)).mark_text(dx=9).encode(**encode, text="name:N")
    label = alt.Chart(charts.dataset("label", [STILL[0]])).mark_text(text="origin").encode(**encode)
    return vl_convert.vegalite_to_vega((line + points + names + label).properties(width=400, height=60).to_dict())


def dots(*at: float) -> list[dict[str, Any]]:
    return [{"x": value, "y": value, "name": f'<{value:g}> & "quoted"'} for value in at]


FIRST, LATER = {"dots": dots(1, 2)}, {"dots": dots(2, 3)}


def test_only_what_moves_is_left_and_it_is_drawn_as_in_the_whole() -> None:
    template = chart(FIRST["dots"])
    left = motion(template, ["dots"])
    assert left is not None
    assert left.names == ["layer_1_marks", "layer_2_marks"]
    assert {entry["name"] for entry in left.spec["data"]} >= {"dots"}
    assert "stays" not in {entry["name"] for entry in left.spec["data"]}
    for rows in (FIRST, LATER):
        whole, short = (cut(svg_of(with_rows(spec, rows)), left.names) for spec in (template, left.spec))
        assert {name: str(node) for name, node in short.marks.items()} == {name: str(node) for name, node in whole.marks.items()}
    assert '"quoted"' in str(short.marks["layer_2_marks"])


def test_a_panel_is_taken_apart_at_the_height_of_what_moves() -> None:
    stage = staged(chart(FIRST["dots"]), ["dots"], FIRST, [LATER])
    assert stage is not None
    assert [bool(layer.names) for layer in stage.layers] == [False, True, False]
    assert "origin" in "".join(stage.layers[2].parts)
    (layer,) = stage.at(LATER) or []
    assert layer.svg.count("<path") == 2
    assert stage.at(FIRST) != stage.at(LATER)


def test_what_does_not_stay_is_noticed() -> None:
    """An axis that is taken from the rows is another one at other rows: such a frame is drawn whole."""
    template = chart(FIRST["dots"], alt.Scale())
    stage = staged(template, ["dots"], FIRST, [FIRST])
    assert stage is not None
    assert stage.at(FIRST) is not None
    assert stage.at({"dots": dots(1, 9)}) is None


def test_grids_with_headers_on_both_sides() -> None:
    """Headers follow the rows too, and stay as long as the cells do."""

    def rows(at: float, cells: str = "ab") -> list[dict[str, Any]]:
        return [{"x": at, "y": 2.0, "row": row, "column": column} for row in cells for column in "cd"]

    encode = {name: alt.X("x:Q", scale=alt.Scale(domain=[0, 4])) if name == "x" else alt.Y("y:Q", scale=alt.Scale(domain=[0, 4])) for name in "xy"}
    drawn = alt.Chart(charts.dataset("dots", rows(1))).mark_circle(opacity=1).encode(**encode).properties(width=60, height=40)
    template = vl_convert.vegalite_to_vega(drawn.facet(row="row:N", column="column:N").to_dict())
    stage = staged(template, ["dots"], {"dots": rows(1)}, [{"dots": rows(3)}])
    assert stage is not None
    assert sum(layer.svg.count("<path") for layer in stage.at({"dots": rows(3)}) or []) == 4
    assert stage.at({"dots": rows(3, "ac")}) is None


def test_cells_that_only_a_layout_places() -> None:
    """Cells without axes of their own stand where the layout of the whole chart puts them."""

    def rows(at: float) -> list[dict[str, Any]]:
        return [{"row": r, "column": c, "x": at, "y": at} for r in "ab" for c in "cde"]

    bare = {"scale": alt.Scale(domain=[0, 4]), "axis": None}
    points = alt.Chart(charts.dataset("dots", rows(1))).mark_circle(opacity=1).encode(alt.X("x:Q", **bare), alt.Y("y:Q", **bare))
    template = vl_convert.vegalite_to_vega(points.properties(width=20, height=20).facet(row="row:N", column="column:N").to_dict())
    stage = staged(template, ["dots"], {"dots": rows(1)}, [{"dots": rows(2)}])
    assert stage is not None
    found = stage.at({"dots": rows(3)})
    assert found is not None
    assert sum(layer.svg.count("<path") for layer in found) == 6
    assert stage.at({"dots": rows(3)[:3]}) is None  # a row of cells fewer


def test_the_address_of_a_picture_is_that_of_the_whole_drawing() -> None:
    def rows(shade: int) -> list[dict[str, Any]]:
        picture = io.BytesIO()
        Image.new("RGB", (2, 2), (shade, shade, shade)).save(picture, "PNG")
        return [{"url": f"data:image/png;base64,{base64.b64encode(picture.getvalue()).decode()}"}]

    drawn = alt.Chart(charts.dataset("dots", rows(0))).mark_image(width=30, height=30).encode(x=alt.XValue(20), y=alt.YValue(20), url="url:N")
    template = vl_convert.vegalite_to_vega(drawn.properties(width=60, height=40).to_dict())
    stage = staged(template, ["dots"], {"dots": rows(0)}, [{"dots": rows(1)}])
    assert stage is not None
    assert stage.motion is not None
    short, whole = (cut(svg_of(with_rows(spec, {"dots": rows(1)})), stage.motion.names) for spec in (stage.motion.spec, template))
    assert rows(1)[0]["url"] in str(whole.marks)
    assert {name: str(node) for name, node in short.marks.items()} == {name: str(node) for name, node in whole.marks.items()}


def test_lines_of_a_text_stand_where_vega_sets_them() -> None:
    def rows(*lines: str) -> list[dict[str, Any]]:
        return [{"words": list(lines)}]

    mark = (
        alt.Chart(charts.dataset("dots", rows("one")))
        .mark_text(baseline="top", lineHeight=14, align="left")
        .encode(x=alt.XValue(5), y=alt.YValue(5), text="words:N")
    )
    template = vl_convert.vegalite_to_vega(mark.properties(width=300, height=60).to_dict())
    later = {"dots": rows("a < b", '  say "c"', "last")}
    stage = staged(template, ["dots"], {"dots": rows("one")}, [later])
    assert stage is not None
    assert stage.motion is not None
    assert stage.motion.spec["marks"][0]["encode"]["update"]["text"] == {"value": ""}
    short, whole = (cut(svg_of(with_rows(spec, later)), stage.motion.names) for spec in (stage.motion.spec, template))
    assert str(whole.marks["marks"]).count("<tspan") == 3
    assert str(short.marks["marks"]) == str(whole.marks["marks"])


def test_what_stands_out_of_the_picture_is_drawn_whole() -> None:
    stage = staged(chart(FIRST["dots"]), ["dots"], FIRST, [])
    assert stage is not None
    assert stage.at({"dots": [{"x": 40.0, "y": 1.0, "name": "far"}]}) is None


@pytest.mark.parametrize("colour", ["#112233", "#f0e040"])
def test_parts_upon_each_other_are_the_whole_picture(colour: str) -> None:
    """The upper part has edges that let the lower one through; it is drawn upon nothing, which vl-convert alone does wrong for bright colours."""
    lower, upper = '<rect width="30" height="30" fill="#88aa66"/>', f'<circle cx="15.3" cy="14.7" r="9.4" fill="{colour}" opacity="0.7"/>'
    page, ground = (0, 0, 40, 40), Image.new("RGB", (40, 40), "#fafafa")
    whole = painted(lower + upper, page, 1.0, ground)
    parts = painted(lower, page, 1.0, ground)
    over(parts, alone(upper, (4, 4, 28, 28), 1.0), (4, 4, 28, 28), page)
    assert np.abs(np.asarray(whole, dtype=int) - np.asarray(parts, dtype=int)).max() <= 3
    upon = painted(upper, (4, 4, 28, 28), 1.0, painted(lower, page, 1.0, ground).crop((4, 4, 28, 28)))
    assert np.abs(np.asarray(whole.crop((4, 4, 28, 28)), dtype=int) - np.asarray(upon, dtype=int)).max() <= 1


@pytest.mark.parametrize(
    ("svg", "box"),
    [
        ('<path d="M1,2h10v20h-10Z" fill="red"/>', (1, 2, 11, 22)),
        ('<path transform="translate(5,5)" d="M0,0L10,-4" fill="red"/>', (5, 1, 15, 5)),
        ('<g transform="translate(2,3)"><line x2="0" y2="9" stroke="red" stroke-width="2"/></g>', (1, 2, 3, 13)),
        ('<path d="M0,0A3,3,0,1,1,6,0" fill="red"/>', (0, -3, 6, 3)),
        ('<g transform="rotate(90)"><rect width="4" height="2" fill="red"/></g>', (-2, 0, 0, 4)),
    ],
)
def test_things_reach_at_least_as_far_as_they_do(svg: str, box: tuple[float, float, float, float]) -> None:
    found = Reach({}).of(parsed(f"<svg>{svg}</svg>"))
    assert found is not None
    assert within(box, tuple(v + s * 1e-9 for v, s in zip(found, (-1, -1, 1, 1), strict=True)))
    assert all(math.isfinite(side) for side in found)


def test_what_is_clipped_reaches_no_further_than_its_clip() -> None:
    svg = '<svg width="9" height="9"><g class="a" clip-path="url(#clip7)"><path d="M0,0L500,5" stroke="red"/></g>{}</svg>'
    drawn = cut(svg.format('<defs><clipPath id="clip7"><rect x="0" y="0" width="9" height="9"/></clipPath></defs>'), ["a"])
    (layer,) = [moved(layer, drawn, (0, 0, 9, 9)) for layer in drawn.layers if layer.names]
    assert layer.box is not None
    assert layer.box[2] == 9
    assert not layer.leaves


def test_a_frame_is_what_differs_from_the_page(tmp_path: Any) -> None:
    Image.new("RGB", (8, 6), "white").save(tmp_path / "page.png")
    red = Image.new("RGB", (2, 3), "red")
    (tmp_path / "a.png").write_bytes(packed([Patch((1, 1, 3, 4), red), Patch((5, 0, 7, 3), red)]))
    (tmp_path / "b.png").write_bytes(packed([Patch((0, 0, 9, 6), Image.new("RGB", (9, 6), "blue"))], whole=True))
    reel = Reel([tmp_path / "a.png", tmp_path / "b.png"], "#000000", tmp_path / "page.png")
    assert reel.size() == (9, 6)
    picture = reel.picture(0, reel.size())
    assert [picture.getpixel(at) for at in ((1, 1), (2, 3), (6, 2), (3, 1), (8, 0))] == [
        (255, 0, 0),
        (255, 0, 0),
        (255, 0, 0),
        (255, 255, 255),
        (0, 0, 0),
    ]
    assert reel.changed(1) is None


def test_frames_hold_what_differs_from_the_first() -> None:
    first = {"lines": ["a"], "panels": [{"spec": {"mark": "bar"}, "datasets": {"a": [1], "b": [2]}, "problem": ""}]}
    later = {"lines": ["b"], "panels": [{"spec": {"mark": "bar"}, "datasets": {"a": [1], "b": [3]}, "problem": ""}]}
    kept = apart(later, first)
    assert kept["panels"][0] == {"spec": None, "datasets": {"b": [3]}, "problem": ""}
    assert together(kept, first) == later
    assert moving([first, kept], first) == [["b"]]


def test_boxes_on_picture_elements() -> None:
    assert around((1.2, 1.2, 2.7, 2.7), 2.0, (0, 0, 5, 5)) == (1, 1, 5, 5)
    assert around((9, 9, 12, 12), 1.0, (0, 0, 5, 5)) is None
