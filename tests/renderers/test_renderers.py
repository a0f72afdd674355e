"""Every built-in renderer, drawn at two steps, small and large, with everything and with nothing.

A drawing is made once and looked at by several tests: all that a chart is asked here is asked of the same few pictures.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from strobe import Frame, Renderer, charts
from strobe_renderers.neuron_commitment import Neurons, pictured
from strobe_renderers.random_walk import random_walk
from strobe_renderers.run_names import run_names
from strobe_renderers.trajectory_plane import TrajectoryPlane

ROOT = Path(__file__).parents[2]
RENDERERS = tomllib.loads((ROOT / "entrypoints.toml").read_text("utf-8"))["strobe"]["renderers"]
SIZES = (7, 113)
EARLY, LATE = 100, 3000


def _load_tables() -> Any:
    spec = importlib.util.spec_from_file_location("renderer_tables", Path(__file__).with_name("tables.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


made = _load_tables()
tables = cache(made.tables)


def renderer(name: str) -> type[Renderer]:
    module, _, cls = RENDERERS[name].partition(":")
    return getattr(importlib.import_module(module), cls)


def frame(name: str, p: int, step: int) -> Frame:
    table = "head_frequency" if name == "leader_over_steps" else "effective_dimensionality"
    return made.frame(renderer(name), tables(p), step, p, table)


def drawn(name: str, f: Frame, **settings: Any) -> dict[str, Any]:
    """The chart as Vega-Lite; Altair validates it against the schema on the way."""
    return renderer(name)(**settings).render(f).to_dict()


@cache
def picture(name: str, p: int, step: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """The chart without its rows, and the rows by dataset. Shared: look, and change nothing."""
    return parted(drawn(name, frame(name, p, step)))


def parted(chart: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    return {k: v for k, v in chart.items() if k != "datasets"}, chart["datasets"]


def same_specification(one: tuple[dict[str, Any], dict[str, Any]], other: tuple[dict[str, Any], dict[str, Any]]) -> None:
    assert list(one[1]) == list(other[1])
    assert one[0] == other[0]


def axes(spec: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every positional encoding that bears a field, with its definition."""
    if isinstance(spec, dict):
        for channel in ("x", "y"):
            encoding = spec.get("encoding", {}).get(channel) if isinstance(spec.get("encoding"), dict) else None
            if isinstance(encoding, dict) and "field" in encoding:
                yield channel, encoding
        for key, value in spec.items():
            if key != "datasets":
                yield from axes(value)
    elif isinstance(spec, list):
        for value in spec:
            yield from axes(value)


@pytest.mark.parametrize("p", SIZES)
@pytest.mark.parametrize("name", RENDERERS)
def test_specification_is_the_same_at_every_step(name: str, p: int) -> None:
    same_specification(picture(name, p, EARLY), picture(name, p, LATE))


@pytest.mark.parametrize("name", RENDERERS)
def test_the_same_without_the_tables_that_may_be_missing(name: str) -> None:
    early, late = (parted(drawn(name, replace(frame(name, 7, step), others={}))) for step in (EARLY, LATE))
    same_specification(early, late)


@pytest.mark.parametrize("name", RENDERERS)
def test_specification_holds_no_data_and_no_cursor(name: str) -> None:
    spec, datasets = picture(name, 7, LATE)
    assert any(datasets.values())
    assert "values" not in {key for data in _data(spec) for key in data}
    assert spec == parted(drawn(name, replace(frame(name, 7, LATE), cursor={})))[0]


def _data(spec: Any) -> Iterator[dict[str, Any]]:
    if isinstance(spec, dict):
        yield from (v for k, v in spec.items() if k == "data" and isinstance(v, dict))
        for value in spec.values():
            yield from _data(value)
    elif isinstance(spec, list):
        for value in spec:
            yield from _data(value)


@pytest.mark.parametrize("name", RENDERERS)
def test_axes_have_titles_and_charts_have_alt_text(name: str) -> None:
    spec, _ = picture(name, 113, LATE)
    assert spec.get("scene", spec)["description"].endswith(".")
    if "scene" in spec:
        return  # of which tests/core/test_scene.py
    titles: dict[str, set[str]] = {"x": set(), "y": set()}
    for channel, encoding in axes(spec):
        axis = encoding.get("axis", {})
        if axis is None or axis.get("labels") is False or (axis.get("values") == [] and not axis.get("title")):
            continue  # not drawn: an atlas, pixels of a table, or a strip whose shared axis is written on the last one
        assert axis.get("title"), (channel, encoding)
        titles[channel].add(axis["title"])
    if name not in ("neuron_atlas", "table", "phase_table", "event_table", "loop_table", "run_table", "head_badges"):
        assert all(titles.values())


def test_heads_take_as_much_room_whatever_they_do() -> None:
    """A page of animations is laid out once: badges and strips stand in as many rows at every step."""
    f = frame("head_badges", 7, LATE)
    one, other = (drawn("head_badges", f, **settings) for settings in ({"pattern_from": 0.0}, {"pattern_from": 1.0, "uniform_from": 0.0}))
    assert {row["type"] for row in one["datasets"]["heads"]} != {row["type"] for row in other["datasets"]["heads"]}
    assert one["height"] == other["height"]
    assert [(row["x"], row["y"]) for row in one["datasets"]["heads"]] == [(row["x"], row["y"]) for row in other["datasets"]["heads"]]
    f = frame("head_spectrum", 7, LATE)
    still = f.data.assign(fractions=[None, *f.data["fractions"].iloc[1:]])
    whole, less = (drawn("head_spectrum", replace(f, data=data)) for data in (f.data, still))
    assert {row["strip"] for row in less["datasets"]["bars"]} == {row["strip"] for row in whole["datasets"]["bars"]}
    assert len({row["strip"] for row in less["datasets"]["bars"] if "does not vary" in row["still"]}) == 1


@pytest.mark.parametrize("name", RENDERERS)
def test_nothing_to_draw_is_said(name: str) -> None:
    f = frame(name, 7, 100)
    chart = drawn(name, replace(f, data=f.data.iloc[:0], others={}))
    words = [row.get("text") for rows in chart["datasets"].values() for row in rows]
    assert any(isinstance(w, str) and len(w) > 5 for w in words), chart["datasets"]


@pytest.mark.parametrize("name", RENDERERS)
def test_datasets_are_json_without_nan(name: str) -> None:
    for p in SIZES:
        json.dumps(picture(name, p, LATE), allow_nan=False)


@pytest.mark.parametrize("name", RENDERERS)
def test_a_click_finds_the_fields_it_picks(name: str) -> None:
    rows = [row for rows in picture(name, 7, LATE)[1].values() for row in rows]
    for pick in renderer(name).picks:
        assert any(pick.field in row for row in rows), pick


@pytest.mark.parametrize("theme", [charts.LIGHT, charts.DARK])
@pytest.mark.parametrize("name", ["loss_curves", "attention_map", "trajectory_plane", "table"])
def test_draws_a_picture_in_both_themes(name: str, theme: str) -> None:
    import vl_convert

    with charts.use(theme):
        spec = drawn(name, frame(name, 31, 3000))
        assert spec["config"]["background"] == charts.colour("card")
        assert len(vl_convert.vegalite_to_png(spec)) > 3000


# --- what single renderers say ---------------------------------------------------------------------------------------------------------------------


def test_loss_curves_draw_only_what_was_measured() -> None:
    f = frame("loss_curves", 31, 100)
    everything = {row["series"] for row in drawn("loss_curves", f)["datasets"]["lines"]}
    assert everything == {"train", "test", "restricted", "excluded"}
    train_only = replace(f, data=f.data[["step", "train_loss"]], others={})
    assert {row["series"] for row in drawn("loss_curves", train_only)["datasets"]["lines"]} == {"train"}


def test_accuracy_comes_from_the_checkpoints_when_training_recorded_none() -> None:
    f = frame("accuracy_over_steps", 31, 100)
    imported = replace(f, data=f.data[["step", "train_loss"]])
    lines = drawn("accuracy_over_steps", imported)["datasets"]["lines"]
    assert {(r["step"], r["value"]) for r in lines if r["series"] == "test"} == {(s, s / 3000) for s in made.STEPS}


def test_events_that_were_not_found_are_not_drawn() -> None:
    events = drawn("loss_curves", frame("loss_curves", 31, 100))["datasets"]["events"]
    assert {e["event"] for e in events} == {"memorised", "peak", "turn", "generalised", "accurate"}


def test_timeline_shares_add_up_to_one_at_every_step() -> None:
    datasets = drawn("frequency_timeline", frame("frequency_timeline", 31, 100))["datasets"]
    areas = [rows for name, rows in datasets.items() if name.startswith("areas")]
    assert len(areas) == 4
    for rows in areas:
        tops = {step: max(r["high"] for r in rows if r["step"] == step) for step in made.STEPS}
        assert tops == pytest.approx(dict.fromkeys(made.STEPS, 1.0))


def test_spectrum_bars_hold_all_power_once() -> None:
    bars = drawn("frequency_spectrum", frame("frequency_spectrum", 31, 100))["datasets"]["bars W_E"]
    assert sum(b["share"] for b in bars) == pytest.approx(1.0)
    assert all(b["high"] - b["low"] == pytest.approx(b["share"]) for b in bars)


@pytest.mark.parametrize("threshold", [0.5, 0.85])
def test_every_neuron_is_counted_once(threshold: float) -> None:
    areas = drawn("neuron_commitment", frame("neuron_commitment", 31, 100), threshold=threshold)["datasets"]["areas"]
    data = tables(31)["neuron_frequency"]
    for step in made.STEPS:
        here = {r["group"]: r["count"] for r in areas if r["step"] == step}
        now = data[data["step"] == step]
        assert sum(here.values()) == len(now)
        assert here["dead"] == int(now["dead"].sum())
        assert here["uncommitted"] == int((~now["dead"].astype(bool) & ~(now["fraction"] >= threshold)).sum())


def test_each_neuron_is_a_line_in_the_order_of_the_areas() -> None:
    f = frame("neuron_commitment", 31, 100)
    neurons = Neurons.of(f.data, 0.5)
    keys = charts.frequency_colours(f.others["key_frequencies"])
    cells, colours = pictured(neurons, keys, 0.5)
    held = [next((k for k in neurons.committed[::-1, n] if k), 0) for n in neurons.order(keys)]
    groups = [keys.group(k) if k else "none" for k in held]
    assert groups == sorted(groups, key=[*keys.domain, "none"].index)
    assert len(set(groups)) > 2
    opaque = {i for i, colour in enumerate(colours) if colour.endswith("FF")}
    order = neurons.order(keys)
    assert np.array_equal(np.isin(cells, list(opaque)), neurons.committed[:, order] > 0)
    assert np.array_equal(cells == 1, neurons.frequency[:, order] == -1)
    fill = dict(zip(keys.domain, keys.scale().range, strict=True))
    step, place = np.argwhere(neurons.committed[:, order] > 0)[0]
    assert colours[cells[step, place]] == fill[keys.group(neurons.committed[step, order[place]])] + "FF"


def test_the_strip_of_neurons_shows_the_checkpoint_before_each_pixel() -> None:
    import base64
    import io

    from PIL import Image

    f = frame("neuron_commitment", 31, 100)
    (row,) = drawn("neuron_commitment", f, threshold=0.5)["datasets"]["each neuron"]
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(row["url"].partition(",")[2]))))
    keys = charts.frequency_colours(f.others["key_frequencies"])
    cells, _ = pictured(Neurons.of(f.data, 0.5), keys, 0.5)
    assert shown.shape == (32, charts.WIDTH)
    assert np.array_equal(shown[:, 0], cells[0][::-1])
    assert np.array_equal(shown[:, -1], cells[-2][::-1])  # the last checkpoint has no width
    assert not drawn("neuron_commitment", f, neurons_height=0)["datasets"].get("each neuron")


def test_falls_stand_below_the_losses_only_where_they_have_a_height() -> None:
    f = frame("loss_curves", 31, 100)
    assert "falls" not in drawn("loss_curves", f)["datasets"]
    rows = pd.DataFrame(drawn("loss_curves", f, slope_height=70)["datasets"]["falls"])
    slope = f.others["loss_slope"].query("signal == 'test_loss'")["slope"]
    assert rows[rows["series"] == "test"]["value"].tolist() == pytest.approx(np.clip(-slope, -slope.min() / 10_000, None).tolist())


def test_what_a_cohort_loses_is_said_in_words() -> None:
    (row,) = drawn("dormant_over_steps", frame("dormant_over_steps", 31, 100))["datasets"]["lost"]
    assert row["text"] == "9 neurons of k 1 lose 90%"


def test_clusters_are_sorted_by_frequency_then_share() -> None:
    neurons = drawn("neuron_clusters", frame("neuron_clusters", 31, 3000))["datasets"]["neurons"]
    known = [(n["frequency"], -n["fraction"]) for n in neurons if n["frequency"] is not None]
    assert known == sorted(known)
    assert all(n["frequency"] is None for n in neurons[len(known) :])


def test_attention_maps_keep_one_pixel_per_cell() -> None:
    import base64
    import io

    import numpy as np
    from PIL import Image

    spec = drawn("attention_map", frame("attention_map", 113, 100))
    maps = spec["datasets"]["maps"]
    assert len(maps) == 12
    first = Image.open(io.BytesIO(base64.b64decode(maps[0]["url"].partition(",")[2])))
    assert first.size == (113, 113)
    source = tables(113)["attention_maps"].query("step == 100 and head == 0 and key == 0")["map"].iloc[0]
    wanted = charts.viridis()[np.rint(source.astype(float) * 254).astype(int)]
    assert np.array_equal(np.asarray(first.convert("RGB")), wanted)


def test_trajectory_ring_follows_the_cursor_dataset_alone() -> None:
    here = drawn("trajectory_plane", frame("trajectory_plane", 31, 500))["datasets"]
    there = drawn("trajectory_plane", frame("trajectory_plane", 31, 2000))["datasets"]
    assert [name for name in here if here[name] != there[name]] == ["cursor"]
    assert here["cursor"] == [{"step": 500, "label": "500"}]


def test_the_null_of_the_path_is_a_random_walk_of_its_steps() -> None:
    f = frame("trajectory_plane", 31, 500)
    path = f.data[f.data["group"] == "all"].pivot_table(index="step", columns="component", values="coordinate")
    sets = drawn("trajectory_plane", f)["datasets"]
    walk = pd.DataFrame(sets["walk of PC1 and PC3"])
    assert len(walk) == len(path)
    for axis, component in (("x", 1), ("y", 3)):
        assert walk[axis].agg(["min", "max"]).tolist() == pytest.approx(path[component].agg(["min", "max"]).tolist())
    assert [row["text"] for row in sets["name of walk of PC1 and PC3"]] == ["random walk"]
    assert not [name for name in TrajectoryPlane(ghost=False).render(f).to_dict()["datasets"] if "walk" in name]


def test_components_of_a_walk_of_equal_steps_are_cosines() -> None:
    line = pd.DataFrame({1: np.arange(200.0), 2: 1.0})
    t = np.pi * (np.arange(200) + 0.5) / 200
    assert random_walk(line)[1].to_numpy() == pytest.approx(99.5 * (1 - np.cos(t) / np.cos(t[0])), abs=0.2)


def test_generic_line_prefers_the_whole_over_its_parts() -> None:
    f = frame("line_over_steps", 31, 100)
    rows = drawn("line_over_steps", f)["datasets"]["lines"]
    whole = f.data[(f.data["parameter"] == "blocks.0.attn.W_Q") & f.data["head"].isna()]
    drawn_q = [r["value"] for r in rows if r["series"] == "blocks.0.attn.W_Q"]
    assert drawn_q == pytest.approx(list(whole["participation_ratio_sigma"]))


def test_phase_table_interpolates_only_between_steps_that_are_apart() -> None:
    rows = [("memorised", 267, 266.4, 266, 267), ("turn", 5500, 5056.2, 5000, 5500), ("regress", None, None, None, None)]
    phases = made.pd.DataFrame(rows, columns=["event", "at_step", "interpolated_step", "lower", "upper"]).assign(signal="loss", value=0.1)
    cells = drawn("phase_table", Frame(phases))["datasets"]["cells"]
    assert [c["text"] for c in cells][6:9] == ["267", "5,056", "–"]


@pytest.mark.parametrize("values", [[0.5] * 3, [1.0, 1.0 + 2**-52, 1.0], [1e17, 1e17], [0.0, 5e-324], [-2.0, 3.0]])
def test_values_that_rounding_alone_tells_apart_are_one_bar(values: list[float]) -> None:
    f = frame("distribution", 7, LATE)
    data = f.data.iloc[: len(values)].assign(**{f.column("x").name: values})
    bars = drawn("distribution", replace(f, data=data))["datasets"]["bars"]
    assert sum(bar["count"] for bar in bars) == len(values)
    assert sum(bar["count"] > 0 for bar in bars) == (2 if values[0] < 0 else 1)
    assert all(bar["low"] < bar["high"] for bar in bars)


def test_table_says_how_many_rows_it_leaves_out() -> None:
    words = drawn("table", frame("table", 31, 100), rows=3)["datasets"]["count"]
    assert words == [{"text": "3 of 6 rows"}]


def test_default_report_names_renderers_that_exist() -> None:
    import yaml

    path = ROOT / "plugins/families/strobe_families/reports/grokking.yaml"
    report = yaml.safe_load(path.read_text("utf-8"))
    panels = [panel for section in report["sections"] for panel in section["panels"]]
    assert panels[0]["renderer"] == "loss_curves"
    for panel in panels:
        renderer(panel["renderer"])(**panel.get("settings", {}))
        assert panel["how_to_read"].endswith(".")
        assert set(panel) <= {"renderer", "table", "title", "how_to_read", "settings", "width"}


def test_default_report_is_a_valid_report() -> None:
    import yaml

    from strobe.reports.model import Report

    report = Report.model_validate(yaml.safe_load((ROOT / "plugins/families/strobe_families/reports/grokking.yaml").read_text("utf-8")))
    assert report.sections[0].title == "The story, over training"


def test_circuits_draw_large_eigenvalues_once_and_the_score_in_words() -> None:
    import numpy as np

    f = frame("circuit_eigenvalues", 31, 3000)
    rows = drawn("circuit_eigenvalues", f, floor=0.5)["datasets"]["eigenvalues"]
    head = f.data[(f.data["circuit"] == "OV") & (f.data["head"] == 2)].iloc[0]
    size = np.hypot(head["eigenvalues_real"], head["eigenvalues_imag"])
    mine = [r for r in rows if r["head"] == 2]
    assert [r["real"] for r in mine if r["score"] is None] == pytest.approx(list(head["eigenvalues_real"][size >= size.max() / 2]))
    assert [r["score"] for r in mine if r["score"]] == [f"score {charts.number(head['score'])}"]


def test_gaps_have_a_place_only_where_they_are_gaps() -> None:
    datasets = drawn("spectral_gap_over_steps", frame("spectral_gap_over_steps", 31, 100), least=5.0)["datasets"]
    data = tables(31)["spectral_gap"]
    large = {(r["step"], r["parameter"].rpartition(".")[2]) for r in data[(data["gap"] >= 5) & data["head"].isna()].to_dict("records")}
    assert {(r["step"], r["series"]) for r in datasets["k"]} == {key for key in large if key[1] in {r["series"] for r in datasets["gap"]}}


def test_axis_ratios_are_drawn_for_the_key_frequencies_or_those_named() -> None:
    f = frame("axis_ratio_over_steps", 31, 100)
    assert {row["series"] for row in drawn("axis_ratio_over_steps", f)["datasets"]["ratios W_E"]} == {"1", "15"}
    named = drawn("axis_ratio_over_steps", replace(f, others={}), frequencies=(2, 3))["datasets"]["ratios W_E"]
    assert {row["series"] for row in named} == {"2", "3"}
    assert min(row["step"] for row in named if row["series"] == "2") == 100  # null at step 0


def test_spectra_of_runs_share_their_axes_and_number_the_keys_of_each() -> None:
    def spectrum(run: str, heights: dict[int, float]) -> pd.DataFrame:
        rows = [(k, c, h / 2) for k, h in heights.items() for c in ("cos", "sin")]
        return pd.DataFrame(rows, columns=["frequency", "component", "share"]).assign(run=run, view="W_E", head=None)

    rows = pd.concat([spectrum("a", {1: 0.1, 3: 0.2, 5: 0.0}), spectrum("b", {1: 0.0, 3: 0.1, 4: 0.3, 5: 0.02})])
    keys = pd.DataFrame({"run": ["a", "b"], "set": "union", "frequencies": [[3], [3, 4]]})
    about = {"a": {"varying": "seed=1, lr=0.1"}, "b": {"varying": "seed=2, lr=0.1"}}
    several = Frame(rows, others={"key_frequencies": keys}, cursor={"run": "b", "step": 5}, runs=("a", "b"), compare="overlay", about=about)
    chart = renderer("frequency_spectrum")(views=("W_E",)).render(several).to_dict()
    sets = chart["datasets"]
    assert [name for name in sets if name.startswith("bars")] == ["bars seed 2", "bars seed 1"], "the page's run on top"
    assert [(r["frequency"], r["group"], r["side"]) for r in sets["labels seed 2"]] == [(3, "3", "center"), (4, "4", "center")]
    assert [(r["frequency"], r["group"]) for r in sets["labels seed 1"]] == [(3, "3")]
    domains = {json.dumps(part["layer"][0]["encoding"]["y"]["scale"]["domain"]) for part in chart["vconcat"]}
    assert domains == {json.dumps([0, 0.3 * 1.15])}
    other = renderer("frequency_spectrum")(views=("W_E",)).render(replace(several, cursor={"run": "a", "step": 5})).to_dict()["datasets"]
    assert [(r["frequency"], r["group"]) for r in other["labels seed 2"]] == [(3, "3"), (4, "of this run")], "no key of the page's run"
    close = renderer("frequency_spectrum")(views=("W_E",), width=60).render(several).to_dict()["datasets"]["labels seed 2"]
    assert [r["side"] for r in close] == ["right", "left"], "numbers of neighbours do not lie over each other"


@pytest.mark.parametrize(
    ("about", "names"),
    [
        ({"a-long-name-of-a-run-1": {"label": "one"}, "a-long-name-of-a-run-2": {"label": "two"}}, ["one", "two"]),
        ({"a-long-name-of-a-run-1": {}, "a-long-name-of-a-run-2": {}}, ["…e-of-a-run-1", "…e-of-a-run-2"]),
        ({"a-1-with-one-end": {}, "a-2-with-one-end": {}}, ["a-1-with-one…", "a-2-with-one…"]),
        ({"x": {"varying": "lr=None, betas=[1, 2], seed=1"}, "y": {"varying": "lr=0.1, betas=[1, 2], seed=2"}}, ["seed 1", "seed 2"]),
        (
            {n: {"varying": f"p={p}, seed={s}"} for n, p, s in [("x", 7, 1), ("y", 7, 2), ("z", 11, 1)]},
            ["p 7, seed 1", "p 7, seed 2", "p 11, seed 1"],
        ),
        ({}, []),
    ],
)
def test_runs_are_called_by_what_tells_them_apart(about: dict[str, Any], names: list[str]) -> None:
    assert list(run_names(Frame(pd.DataFrame(), runs=tuple(about), about=about)).values()) == names


def test_heads_share_their_attention_at_a_half() -> None:
    at = [(s, h, k) for s in (0, 10) for h in (0, 1) for k in (0, 1, 2)]
    maps = [np.full((3, 3), 0.5 if s else (0.9 if h else 0.1)) for s, h, _ in at]
    data = pd.DataFrame(at, columns=["step", "head", "key"]).assign(layer=0, query=2, map=maps)
    sets = drawn("attention_share_over_steps", Frame(data, cursor={"step": 10}))["datasets"]
    assert [(r["step"], r["series"], r["value"]) for r in sets["lines"]] == [
        (0, "head 0", pytest.approx(0.1)), (10, "head 0", 0.5), (0, "head 1", pytest.approx(0.9)), (10, "head 1", 0.5),
    ]  # fmt: skip


def test_events_of_some_kinds_are_listed_alone() -> None:
    f = frame("event_table", 31, 100)
    kinds = list(f.data["event"].unique())
    cells = renderer("event_table")(only=(kinds[0],)).render(f).to_dict()["datasets"]["cells"]
    assert {c["text"] for c in cells} & set(kinds) == {kinds[0]}


def test_numbers_too_small_for_an_axis_have_exponents() -> None:
    small, usual = (charts.value_axis(values, "loss", height=100) for values in ([3e-7, 5e-7], [0.2, 3]))
    assert "format(datum.value, '.2~e')" in small.y().to_dict()["axis"]["labelExpr"]
    assert "labelExpr" not in usual.y().to_dict()["axis"]


def test_labels_of_parameters_tell_them_apart() -> None:
    from strobe_renderers.line_over_steps import parameter_labels

    assert parameter_labels(["blocks.0.attn.W_O", "embed.W_E"]) == {"blocks.0.attn.W_O": "0.attn.W_O", "embed.W_E": "embed.W_E"}
    assert parameter_labels(["linear1.weight", "linear2.weight", "linear1.bias"]) == {
        "linear1.weight": "linear1",
        "linear2.weight": "linear2",
        "linear1.bias": "linear1.bias",
    }
    deep = [f"encoder.layers.{i}.self_attn.in_proj_weight" for i in range(3)]
    assert len(set(parameter_labels(deep).values())) == 3
    assert max(map(len, parameter_labels(deep).values())) <= 12
    resnet = ["layer4.1.conv2.weight", "layer3.1.conv2.weight", "layer4.0.downsample.0.weight", "layer4.0.downsample.1.weight", "fc.weight"]
    assert list(parameter_labels(resnet).values()) == ["l4.1.conv2", "l3.1.conv2", "l4.0.d.0", "l4.0.d.1", "fc"]
    gpt2 = ["transformer.h.10.mlp.c_fc.weight", "transformer.h.1.attn.c_attn.weight", "transformer.wte.weight"]
    assert list(parameter_labels(gpt2).values()) == ["10.mlp.c_fc", "1.a.c_attn", "wte"]


def test_a_line_through_one_point_is_a_point() -> None:
    f = frame("line_over_steps", 31, 100)
    assert "points" not in drawn("line_over_steps", f)["datasets"]
    one = replace(f, data=f.data[f.data["step"] == 500])
    rows = drawn("line_over_steps", one)["datasets"]
    assert {row["series"] for row in rows["points"]} == {row["series"] for row in rows["lines"]}


def test_lines_without_a_label_take_no_room_beside_the_plot() -> None:
    rows = pd.DataFrame([{"step": s, "series": f"{i}", "value": i} for i in range(60) for s in (0, 10)])
    lines = {f"{i}": charts.Line("named" if i == 3 else "") for i in range(60)}
    axis = charts.value_axis(rows["value"], "y", height=100)
    labels = charts.end_labels(rows, lines, axis, name="labels").to_dict()["datasets"]["labels"]
    assert [row["label"] for row in labels] == ["named"]
