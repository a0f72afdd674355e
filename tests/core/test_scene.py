"""`charts.Scene3D`: its projection, its specification, and the chart it becomes where a picture stands still."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strobe import charts
from strobe.charts import Line3D, Points3D, Scene3D, project
from strobe.charts.scene import REACH, titled
from strobe.panels.cards import Drawing, parted
from strobe.panels.film import moved

angles = st.tuples(st.floats(-360, 360), st.floats(-90, 90))
places = st.lists(st.tuples(*[st.floats(-5, 5)] * 3), min_size=1, max_size=6)
PATH = pd.DataFrame({"step": [0, 10, 20, 30], "x": [0.0, 1, 2, 4], "y": [0.0, 5, 5, 0], "z": [-1.0, 0, 1, 1]})


def scene(**options):
    dots = Points3D(PATH, "path", value="step", follow="step", tooltip=("step",))
    return Scene3D([Line3D(PATH, "path", value="step"), dots], ("PC1", "PC2", "PC3"), "A path.", cursor={"step": 10}, **options)


@given(places, angles)
def test_projection_is_a_rotation(points, camera):
    x = np.array(points)
    seen = project(x, *camera)
    np.testing.assert_allclose(np.linalg.norm(seen, axis=1), np.linalg.norm(x, axis=1), atol=1e-9)
    np.testing.assert_allclose(seen @ seen.T, x @ x.T, atol=1e-8)
    right, up, eye = project(np.eye(3), *camera).T
    np.testing.assert_allclose(np.cross(right, up), eye, atol=1e-9)  # no mirror


def test_projection_from_known_sides():
    axes = np.eye(3)
    np.testing.assert_allclose(project(axes, -90, 0), [[1, 0, 0], [0, 0, -1], [0, 1, 0]], atol=1e-12)  # from the front: x to the right, z up
    np.testing.assert_allclose(project(axes, -90, 90), [[1, 0, 0], [0, 1, 0], [0, 0, 1]], atol=1e-12)  # from above: a map
    np.testing.assert_allclose(project(axes, 0, 0), [[0, 0, 1], [1, 0, 0], [0, 1, 0]], atol=1e-12)


@given(angles)
def test_the_box_and_its_titles_stay_in_the_picture(camera):
    assert np.abs(project(np.array([[i, j, k] for i in (-1, 1) for j in (-1, 1) for k in (-1, 1)]), *camera)).max() < REACH
    for axis, (start, end) in titled(*camera).items():
        assert [a != b for a, b in zip(start, end, strict=True)] == [axis == a for a in "xyz"]


def test_the_specification_holds_no_rows_and_no_cursor():
    made = scene().to_dict()
    datasets = made.pop("datasets")
    other = Scene3D([Points3D(PATH * 2, "path", value="step", follow="step", tooltip=("step",))], ("PC1", "PC2", "PC3"), "A path.").to_dict()
    assert made["scene"].keys() == other["scene"].keys()
    assert {k: v for k, v in made["scene"].items() if k != "layers"} == {k: v for k, v in other["scene"].items() if k != "layers"}
    assert datasets["cursor"] == charts.cursor_rows({"step": 10})
    assert [(a["low"], a["high"]) for a in datasets["axes"]] == [(0, 4), (0, 5), (-1, 1)]
    assert datasets["ramp"] == [{"title": "step", "low": 0, "high": 30}]
    json.dumps([made, datasets], allow_nan=False)


def test_axes_of_one_scale_of_given_ends_and_of_a_point():
    def ends(s):
        return [(a["low"], a["high"]) for a in s.to_dict()["datasets"]["axes"]]

    assert ends(scene(equal=True)) == [(-0.5, 4.5), (0, 5), (-2.5, 2.5)]
    assert ends(scene(domains=[(0, 1)] * 3)) == [(0, 1)] * 3
    assert ends(Scene3D([Points3D([{"x": 3, "y": 3, "z": 3}])])) == [(2, 4)] * 3
    assert ends(Scene3D([Points3D([])])) == [(-1, 1)] * 3


def test_the_chart_is_the_projection():
    spec = scene().chart(-90, 0).to_dict()  # validated by Altair
    rows = {r["step"]: r for r in spec["datasets"]["path"]}
    assert (rows[0]["across"], rows[0]["up"]) == (pytest.approx(-1), pytest.approx(-1))  # lowest x to the left, lowest z below
    assert (rows[30]["across"], rows[30]["up"]) == (pytest.approx(1), pytest.approx(1))
    assert [r["step"] for r in spec["datasets"]["path"]] == sorted(rows, key=lambda s: rows[s]["near"])  # far ones first
    assert len(spec["datasets"]["line path"]) == 3
    assert {"PC1", "PC2", "PC3"} <= {r["text"] for r in spec["datasets"]["box labels"]}
    assert spec["description"] == "A path."


def test_a_hole_and_another_series_break_a_line():
    broken = PATH.assign(x=[0.0, np.nan, 2, 4], run=["a", "a", "a", "b"])
    pieces = Scene3D([Line3D(broken, value="step", series="run")]).chart().to_dict()["datasets"]["line line"]
    assert pieces == []
    parts = Scene3D([Line3D(broken.iloc[[0, 2, 3]], series="run")]).chart().to_dict()["datasets"]["line line"]
    assert [r["part"] for r in parts] == [0, 0, 1]


@pytest.mark.parametrize("theme", [charts.LIGHT, charts.DARK])
def test_a_drawing_becomes_vega_lite_in_its_own_theme(theme):
    with charts.use(theme):
        drawing = parted(scene().to_dict())
        background = charts.colour("card")
    assert "scene" in drawing.spec
    there = moved(drawing, 20)
    assert there.spec == drawing.spec
    assert there.datasets["cursor"][0]["step"] == 20
    assert there.flat.datasets["cursor"][0]["step"] == 20
    assert there.whole["config"]["background"] == background
    assert there.flat.flat.spec == there.flat.spec


def test_an_ordinary_chart_is_left_alone():
    drawing = Drawing({"mark": "point"}, {})
    assert drawing.flat is drawing


def test_png_and_notebook(tmp_path):
    import vl_convert

    assert len(vl_convert.vegalite_to_png(scene().chart(10, 80).to_dict())) > 3000
    scene().save(tmp_path / "scene.svg")
    assert "<svg" in (tmp_path / "scene.svg").read_text()
    assert scene()._repr_mimebundle_()


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="layer 'line' has no column 'vale'; there are step, x, y, z"):
        Scene3D([Line3D(PATH, value="vale")]).to_dict()
    with pytest.raises(ValueError, match="'a' is taken"):
        Scene3D([Points3D(PATH, "a"), Points3D(PATH * 2, "a")]).to_dict()
    with pytest.raises(ValueError, match="'cursor' is taken"):
        Scene3D([Points3D(PATH, "cursor")]).to_dict()
