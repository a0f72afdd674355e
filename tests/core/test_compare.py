"""Several runs in one report: which, laid upon each other how, and drawn together, side by side, as a difference, or in a grid."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sweep import STEPS, sweep, turn_of

from strobe import StrobeError, Workspace, charts
from strobe.cli import app
from strobe.errors import UsageError
from strobe.panels.align import PHASES, Clock, Shift, clock, read_off
from strobe.panels.cards import cards_of, resolve
from strobe.panels.compare import run_difference
from strobe.panels.layout import laid_out
from strobe.panels.moments import events_of
from strobe.panels.multiples import on_own_axes
from strobe.reports.default import tables_of
from strobe.reports.files import load, save
from strobe.reports.library import check, file_of, find, path_of, reports_for, shelves
from strobe.reports.markdown import to_html
from strobe.reports.model import Panel, PanelGroup, Report, Section, schema
from strobe.reports.selection import facts, selected
from strobe.schema import Column, TableSchema

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def ws(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return sweep(tmp_path_factory.mktemp("compare") / "workspace")


def cards(ws: Workspace, *panels: Panel, run: str = "p7-s1", **report):
    made = Report(title="x", sections=[Section(title="y", panels=list(panels))], **report)
    return cards_of(resolve(ws, made, run))


# --- alignment -----------------------------------------------------------------------------------------------------------------------------------

EVENTS = {"memorised": 200.0, "turn": 4000.0, "generalised": 5500.0}


@pytest.mark.parametrize(
    ("align", "step", "aligned"), [("step", 700, 700), ("turn", 3000, -1000), ("phase", 4750, 1.5), ("phase", 0, -1), ("phase", 25000, 3)]
)
def test_a_clock_goes_both_ways(align, step: float, aligned: float) -> None:
    found = clock(align, EVENTS, 25000)
    assert isinstance(found, Clock)
    assert found.aligned(step) == pytest.approx(aligned)
    assert found.step(aligned) == pytest.approx(step)
    assert np.allclose(found.step(found.aligned(np.linspace(0, 30000, 50))), np.linspace(0, 30000, 50))


def test_a_run_that_cannot_be_aligned_says_why() -> None:
    assert clock("turn", {}, 100) == "has no turn"
    assert clock("phase", {"turn": 5.0, "memorised": 1.0}, 100) == "has not generalised"
    assert "another order" in str(clock("phase", {**EVENTS, "memorised": 4500.0}, 25000))


def test_two_runs_stand_at_one_aligned_step() -> None:
    a, b = clock("turn", EVENTS, 25000), clock("turn", {"turn": 1000.0}, 25000)
    assert isinstance(a, Clock)
    assert isinstance(b, Clock)
    assert Shift(a, b).step(4500) == 1500
    assert Shift(a, b).step(100) == 0, "no run has a step before its first"


def test_a_place_on_an_aligned_axis_is_a_step_of_the_pages_run(ws: Workspace) -> None:
    def clocks(compare, renderer: str = "runs_over_steps", align: str = "turn", **cursor):
        (card,) = cards(ws, Panel(renderer=renderer, table="metrics", compare=compare, cursor=cursor), runs=["p7-s1", "p11-s2"], align=align)
        assert card.problem == ""
        return card

    page, other = (events_of(ws, ws.run(name))["turn"] for name in ("p7-s1", "p11-s2"))
    assert clocks("overlay").step_of(-100) == pytest.approx(page - 100)
    assert clocks("overlay", align="step").step_of(700) == 700
    assert clocks(None, run="p11-s2").step_of(other + 50) == pytest.approx(page + 50)
    assert clocks("difference", "line_over_steps").step_of(page) == pytest.approx(page)
    apart = clocks("grid", "loss_curves")
    assert apart.step_of(300) is None, "each plot has its own"
    assert {name: read_off(other, points) for name, points in apart.clocks.items()} == pytest.approx({"run_0": other, "run_1": page})
    phases = clocks("overlay", align="phase")
    assert [phases.step_of(at) for at in (0, 1, 2)] == pytest.approx([events_of(ws, ws.run("p7-s1"))[e] for e in PHASES])
    stranger = cards(ws, Panel(renderer="runs_over_steps", table="metrics", compare="overlay"), runs=["p11-s2"], align="turn")[0]
    assert stranger.clocks is None, "the page's run is not among them"


# --- selection -----------------------------------------------------------------------------------------------------------------------------------


def test_runs_are_chosen_by_a_query_over_parameters_labels_and_summary(ws: Workspace) -> None:
    run = ws.run("p7-s1")

    def chosen(query: str | list[str]) -> list[str]:
        return [r.name for r in selected(ws, Report(title="x", runs=query), run)]

    assert len(chosen([])) == 12
    assert chosen("p in [7, 11] and seed == 2") == ["p7-s2", "p11-s2"]
    assert chosen("family == 'modular_addition' and turn < 560 and lr == 0.001") == ["p7-s1", "p7-s2"]
    assert chosen("delay > 5 and not loop_closed and p == 13 and seed < 2") == ["p13-s1"]
    assert chosen(["p13-s1", "p7-s1", "p13-s1"]) == ["p13-s1", "p7-s1"]
    with pytest.raises(UsageError, match=r"no run 'p7-s9' in .*; did you mean"):
        chosen(["p7-s9"])
    with pytest.raises(UsageError, match=r"no run of 12 fits 'n_keys > 3'; n_keys is known of none: `strobe analyze .* -a run_summary`"):
        chosen("n_keys > 3")
    assert facts(ws, [run])["p7-s1"]["varying"] == ""


def test_a_selection_that_fits_nothing_is_a_sentence_in_each_card(ws: Workspace) -> None:
    panel = Panel(renderer="runs_over_steps", table="metrics", compare="overlay")
    shown = cards(ws, panel, Panel(renderer="loss_curves", compare="side_by_side"), Panel(renderer="loss_curves"), runs="p == 17")
    assert [("no run of 12 fits 'p == 17'" in c.problem) for c in shown] == [True, True, False]
    assert shown[2].draw({"run": "p7-s1", "step": 400}).problem == ""


# --- twelve runs ---------------------------------------------------------------------------------------------------------------------------------


def test_an_overlay_is_aligned_at_the_turn(ws: Workspace) -> None:
    frame = ws.view("runs_over_steps", "p7-s1", "metrics", runs=ws.runs(), align="turn", step=400).frame
    assert len(frame.runs) == 12
    for run, rows in frame.data.groupby("run"):
        steps = rows["step"].to_numpy() - rows["aligned"].to_numpy()
        assert np.ptp(steps) == pytest.approx(0, abs=1e-9)
        p, seed = ws.run(str(run)).family.p, ws.run(str(run)).family.seed
        assert steps[0] == pytest.approx(turn_of(p, seed), abs=100)
    known = frame.data.dropna(subset=["test_loss"])
    crossing = [float(np.interp(0, rows["aligned"], np.log(rows["test_loss"]))) for _, rows in known.groupby("run")]
    assert np.ptp(crossing) < 0.2, "at the turn all losses are alike"
    assert frame.cursor["aligned"] == pytest.approx(400 - frame.about["p7-s1"]["turn"])


def test_runs_are_grouped_with_mean_and_band(ws: Workspace) -> None:
    spec = ws.view("runs_over_steps", "p7-s1", "metrics", runs=ws.runs(), align="turn", step=400)
    drawn = spec.workspace.renderer("runs_over_steps", {"by": "p"})
    chart = ws.view(drawn, "p7-s1", "metrics", runs=ws.runs(), step=400, slots={"y": "test_loss"}).chart.to_dict()
    bands = pd.DataFrame(chart["datasets"]["bands"])
    assert set(bands["series"]) == {"p 7 (4)", "p 11 (4)", "p 13 (4)"}
    assert (bands["low"] < bands["high"]).any()


def test_a_grid_has_a_chart_per_run_on_one_pair_of_axes(ws: Workspace) -> None:
    chart = ws.view("runs_over_steps", "p7-s1", "metrics", runs=ws.runs(), compare="grid", align="turn", step=400).chart.to_dict()
    assert len(chart["concat"]) == 12
    scales = {json.dumps(part["layer"][1]["encoding"]["y"]["scale"], sort_keys=True) for part in chart["concat"]}
    assert len(scales) == 1


def test_a_grid_of_whole_charts_shares_its_axes_or_says_that_it_does_not(ws: Workspace) -> None:
    def drawn(renderer: str, *runs: str, table: str = "", **slots: str):
        chart = ws.view(renderer, "p7-s1", table, slots=slots, runs=list(runs), compare="grid", step=400).chart.to_dict()
        assert [part["title"]["text"] for part in chart["concat"]] == list(runs)
        return chart

    def spans(part, channel: str):
        return {json.dumps(layer["encoding"][channel]["scale"]["domain"]) for layer in part["layer"] if "scale" in layer["encoding"].get(channel, {})}

    norms = {"table": "weight_norms", "y": "frobenius"}
    one = spans(ws.view("line_over_steps", "p7-s1", "weight_norms", slots={"y": "frobenius"}, step=400).chart.to_dict(), "y")
    grid = drawn("line_over_steps", "p7-s1", "p13-s4", **norms)
    low, high = (spans(part, "y") for part in grid["concat"])
    assert low == high != one
    assert grid["resolve"]["scale"] == {"color": "independent", "x": "shared", "y": "shared"}
    assert "title" not in grid
    planes = {"vconcat": [{"mark": "point", "encoding": {"x": {"type": "quantitative", "scale": {"domain": [0, 1]}}}}]}
    other = json.loads(json.dumps(planes).replace("[0, 1]", "[0, 2]"))
    chosen = {"hconcat": [{"mark": "point", "encoding": {"y": {"type": "quantitative"}}}]}
    assert not on_own_axes([planes, planes])
    assert on_own_axes([planes, other]), "Vega-Lite shares no axes of plots within charts"
    assert on_own_axes([chosen, chosen]), "it chooses each of them from the rows"
    assert not on_own_axes([chosen["hconcat"][0]] * 2), "but those of single plots it shares"


def test_a_difference_subtracts_what_both_runs_have(ws: Workspace) -> None:
    (card,) = cards(ws, Panel(renderer="line_over_steps", table="weight_norms", compare="difference"), runs=["p7-s1", "p7-s2"])
    assert card.title == "Weight norms: p7-s1 − p7-s2"
    rows = card.rows({"run": "p7-s1", "step": 400})
    norms = ws.table("weight_norms").set_index(["run", "step", "parameter"])["frobenius"]
    for row in rows.to_dict("records"):
        key = (row["step"], row["parameter"])
        assert row["frobenius"] == pytest.approx(norms["p7-s1", *key] - norms["p7-s2", *key])
    assert set(rows["step"]) == set(STEPS)
    (other,) = cards(ws, Panel(renderer="line_over_steps", table="weight_norms", compare="difference", cursor={"against": "p7-s4"}))
    assert other.title.endswith("p7-s1 − p7-s4")
    (lonely,) = cards(ws, Panel(renderer="line_over_steps", table="weight_norms", compare="difference"), runs=["p7-s1"])
    assert "needs two runs" in lonely.problem


def test_side_by_side_is_a_card_per_run_moved_by_one_cursor(ws: Workspace) -> None:
    shown = cards(ws, Panel(renderer="table", table="weight_norms", compare="side_by_side"), runs=["p7-s1", "p11-s2"], align="turn")
    assert [c.title for c in shown] == ["Weight norms: p7-s1", "Weight norms: p11-s2"]
    at = {"run": "p7-s1", "step": 800}
    first, second = (set(c.looking(at).frame.data["step"]) for c in shown)
    assert first == {800}
    assert shown[1].as_of(at) == 800, "the checkpoint at or before 800 + its turn - that of the page's run"
    assert second == {800}
    assert shown[1].of == "p11-s2"
    assert set(shown[1].looking({"run": "p7-s1", "step": 400}).frame.data["step"]) == {400}
    assert shown[1].looking(at).cursor["step"] == round(800 + facts(ws, ws.runs())["p11-s2"]["turn"] - facts(ws, ws.runs())["p7-s1"]["turn"])


def test_the_table_of_runs_is_sorted_and_its_cells_are_doors(ws: Workspace) -> None:
    (card,) = cards(ws, Panel(renderer="run_table", compare="overlay", settings={"sort": "turn"}))
    drawing = card.draw({"run": "p7-s1", "step": 400})
    assert drawing.problem == ""
    cells = pd.DataFrame(drawing.datasets["cells"])
    assert list(cells[cells["column"] == "run"]["text"])[:3] == ["p7-s1", "p7-s2", "p7-s3"]
    order = pd.DataFrame(drawing.datasets["order"]).set_index("key")["y"]
    assert order["turn 1 0"] < order["turn 1 11"]
    assert order["turn -1 0"] > order["turn -1 11"]
    turn = cells[(cells["column"] == "turn") & (cells["row"] == 0)].iloc[0]
    assert turn["door"] == f"?run=p7-s1&report=default&step={round(facts(ws, ws.runs())['p7-s1']['turn'])}#loss_curves"
    assert set(cells[cells["column"] == "loop_closed"]["text"]) == {"open"}
    assert set(cells[cells["column"] == "delay"]["door"]) == {""}


def test_a_renderer_of_one_run_says_so_where_it_should_overlay(ws: Workspace) -> None:
    (card,) = cards(ws, Panel(renderer="loss_curves", compare="overlay"))
    assert "LossCurves draws one run; write `compare: side_by_side`" in card.problem


def test_every_shipped_comparison_draws(ws: Workspace) -> None:
    report = find(ws, "compare_runs", "p7-s1")
    assert check(ws, "compare_runs") == []
    problems = {c.title: c.draw({"run": "p7-s1", "step": 400}, charts.DARK).problem for c in cards_of(resolve(ws, report, "p7-s1"))}
    spectra = {"Which frequencies each embedding uses", "Which frequencies each logit map uses"}
    assert {title for title, said in problems.items() if said} == {"Directions in use", *spectra}  # not computed here
    assert "-a effective_dimensionality" in problems["Directions in use"]


def test_any_model_shows_what_no_panel_shows_last(ws: Workspace) -> None:
    report = find(ws, "any_model", "p7-s1")
    assert report.sections[-1].title == "More results"
    assert "run_summary" in tables_of(Report(title="x", sections=report.sections[-1:]), ws.registry)
    drawn = [c.draw({"run": "p7-s1", "step": 400}).problem for c in cards_of(resolve(ws, report, "p7-s1"))]
    assert sum(not said for said in drawn) >= 5


# --- differences of maps -------------------------------------------------------------------------------------------------------------------------

MAPS = TableSchema(
    {n: Column(n, kind, n, t) for n, kind, t in (("head", "dim", "int64"), ("map", "array", "float32"), ("mean", "metric", "float64"))}
)


def maps(*blocks: np.ndarray) -> pd.DataFrame:
    column = np.empty(len(blocks), dtype=object)
    for i, block in enumerate(blocks):
        column[i] = block
    return pd.DataFrame({"head": range(len(blocks)), "map": column, "mean": [float(b.mean()) for b in blocks], "aligned": 5.0})


def test_maps_are_subtracted_head_by_head() -> None:
    a, b = maps(np.ones((2, 2)), np.zeros((2, 2))), maps(np.zeros((2, 2)), np.ones((2, 2)), np.ones((2, 2)))
    found = run_difference(a, b, MAPS)
    assert list(found["mean"]) == [1, -1]
    assert np.array_equal(found["map"][1], -np.ones((2, 2)))
    with pytest.raises(StrobeError, match=r"map of 2 x 2 less 3 x 3: arrays of two sizes"):
        run_difference(a, maps(np.ones((3, 3))), MAPS)
    with pytest.raises(StrobeError, match="no row in common"):
        run_difference(a, maps(np.ones((2, 2))).assign(head=7), MAPS)


def test_maps_with_a_scale_are_subtracted_in_their_own_unit() -> None:
    scaled = TableSchema({**MAPS.columns, "scale": Column("scale", "metric", "scale", "float64")})
    a, b = (maps(np.ones((2, 2))).assign(scale=scale, step=5) for scale in (10.0, 4.0))
    for runs in ((a, b), (a, pd.concat([b.assign(aligned=4.0), b.assign(aligned=9.0, scale=1.0)]))):
        found = run_difference(*runs, scaled)
        assert np.array_equal(found["map"][0], np.full((2, 2), 6.0))
        assert list(found["scale"]) == [1.0]


def test_a_map_of_differences_is_pale_at_nought_and_red_below() -> None:
    with charts.differences():
        rows = charts.image_rows([np.array([[-1.0, 0.0, 0.5]])], (0, 1))
    from base64 import b64decode
    from io import BytesIO

    from PIL import Image

    pixels = np.asarray(Image.open(BytesIO(b64decode(rows["url"][0].partition(",")[2]))).convert("RGB"))[0].astype(int)
    assert pixels[0][0] > pixels[0][2] + 80
    assert pixels[1].min() > 240
    assert pixels[2][2] > pixels[2][0] + 40
    assert not charts.of_differences()


# --- repetition ----------------------------------------------------------------------------------------------------------------------------------


def test_what_is_repeated_is_written_out_with_its_value_fixed() -> None:
    inner = PanelGroup(title="Maps", repeat="head", panels=[Panel(renderer="attention_map")])
    report = Report(title="x", sections=[Section(title="Layer", repeat="layer", panels=[Panel(renderer="a", repeat="run")], groups=[inner])])
    blocks = laid_out(report, lambda name, panels: {"layer": [0, 1], "head": [0, 1, 2], "run": ["r", "s"]}[name])
    assert [b.title for b in blocks] == [
        "Layer: layer 0",
        *(f"Maps: head {h}" for h in range(3)),
        "Layer: layer 1",
        *(f"Maps: head {h}" for h in range(3)),
    ]
    assert [p.cursor for p in blocks[4].panels] == [{"run": "r", "layer": 1}, {"run": "s", "layer": 1}]
    assert [p.title for p in blocks[4].panels] == ["A: r", "A: s"]
    assert blocks[6].panels[0].cursor == {"head": 1, "layer": 1}
    assert blocks[6].panels[0].follow == ["layer", "head"]


def test_three_runs_beside_each_other_get_a_third_of_the_page() -> None:
    report = Report(title="x", sections=[Section(title="y", panels=[Panel(renderer="a", compare="side_by_side")])])
    assert [p.width for p in laid_out(report, lambda *_: ["r", "s", "t"])[0].panels] == [4, 4, 4]
    assert [p.width for p in laid_out(report, lambda *_: ["r", "s"])[0].panels] == ["half", "half"]


def test_a_number_of_columns_sizes_the_plot(ws: Workspace) -> None:
    wide, narrow, tall = cards(ws, *(Panel(renderer="loss_curves", width=w, height=h) for w, h in ((12, None), (4, None), ("half", 99))))
    assert wide.view.renderer.width > 1100 > 300 > narrow.view.renderer.width
    assert (tall.view.renderer.width, tall.view.renderer.height) == (charts.WIDTH, 99)


# --- where reports come from, and strangers ------------------------------------------------------------------------------------------------------


def test_markdown_can_do_no_harm() -> None:
    made = to_html(
        "# T\n[in](?run=a&step=3) [out](https://e.org) ![x](https://e.org/x.png) <script>x()</script> [js](javascript:x())\n\n| a |\n|---|\n| 1 |"
    )
    assert '<a href="?run=a&amp;step=3">in</a>' in made
    assert made.count("<a ") == 1
    assert "<img" not in made
    assert "<script" not in made
    assert "<table>" in made


def test_a_missing_package_is_named_and_a_file_is_refused(ws: Workspace, tmp_path: Path) -> None:
    missing, file = cards(ws, Panel(renderer="phase_portrait"), Panel(renderer=f"{tmp_path}/x.py:X"), requires=["strobe-phase>=0.2", "strobe"])
    assert missing.problem == "renderer 'phase_portrait' is not installed: `pip install 'strobe-phase>=0.2'`"
    assert "a report brings no code" in file.problem


BAD = """\
title: Bad
runs: [p7-s1, p7-s9]
requires: [strobe-phase]
sections:
  - title: One
    panels:
      - {renderer: loss_curves, compare: overlay}
      - {renderer: line_over_steps, table: weight_norms, slots: {y: frobenios}}
      - {renderer: line_over_steps, table: weight_norms, slots: {z: frobenius}}
      - {renderer: phase_table, height: 200}
      - {renderer: ./evil.py:X}
"""
FOUND = [
    "line 2, runs[1]: no run 'p7-s9' in",
    "line 3, requires[0]: strobe-phase is not installed: `pip install 'strobe-phase'`",
    "line 7, sections[0].panels[0].compare: LossCurves draws one run",
    "line 8, sections[0].panels[1].table: no column 'frobenios' to draw; did you mean 'frobenius'?",
    "line 9, sections[0].panels[2].table: LineOverSteps has no slot 'z'",
    "line 10, sections[0].panels[3].renderer: phase_table has no height to set",
    "line 11, sections[0].panels[4].renderer: './evil.py:X' is a file, and a report brings no code",
]


def test_check_names_every_mistake_with_its_line(ws: Workspace, tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(BAD)
    said = check(ws, str(file))
    assert len(said) == len(FOUND)
    assert [wanted for wanted, got in zip(FOUND, said, strict=True) if wanted not in got] == []


def test_of_two_reports_of_one_name_it_is_said_which_one_counts(ws: Workspace) -> None:
    file = file_of(ws, "compare_runs")
    save(Report(title="Mine"), file)
    try:
        assert find(ws, "compare_runs", "p7-s1").title == "Mine"
        assert "(instead of that of Compare runs)" in reports_for(ws, "p7-s1")["compare_runs"]
        assert [k.hides for k in shelves(ws) if k.name == "compare_runs" and k.origin == "workspace"] == ["package strobe"]
    finally:
        file.unlink()
    assert load(path_of(ws, "compare_runs")).title == "Compare runs"


def test_a_report_of_two_packages_is_refused(ws: Workspace) -> None:
    from dataclasses import replace

    kept = ws.registry.get("report", "any_model")
    ws.registry._plugins["report", "any_model"] = replace(kept, state="clash", why="'any_model' is registered by a and b")
    try:
        with pytest.raises(UsageError, match="is registered by a and b"):
            find(ws, "any_model", "p7-s1")
    finally:
        ws.registry._plugins["report", "any_model"] = kept


# --- the command line ----------------------------------------------------------------------------------------------------------------------------


def test_the_published_schema_is_current() -> None:
    assert json.loads((ROOT / "docs" / "report.schema.json").read_text("utf-8")) == schema(), "strobe report schema > docs/report.schema.json"


def test_new_list_check_render_and_schema(ws: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def strobe(*arguments: str) -> str:
        try:
            app([*arguments], standalone_mode=False)
        finally:
            said = capsys.readouterr().out
        return said

    at = ["--workspace", str(ws.root)]
    assert "mine.yaml" in strobe("report", "new", "mine", "--from", "compare_runs", "--title", "Mine", *at)
    file = file_of(ws, "mine")
    try:
        assert file.read_text().startswith("# yaml-language-server: $schema=report.schema.json\n")
        assert json.loads((file.parent / "report.schema.json").read_text()) == schema()
        assert load(file).sections == find(ws, "compare_runs", "p7-s1").sections
        assert {"name": "mine", "title": "Mine", "origin": "workspace"}.items() <= json.loads(strobe("report", "list", "--json", *at))[-1].items()
        assert strobe("report", "check", "mine", *at) == "mine: good\n"
        with pytest.raises(UsageError, match="there is a report 'mine' already"):
            strobe("report", "new", "mine", "--run", "p7-s1", *at)
        file.write_text(file.read_text().replace("sections:", "sectoins:", 1))
        with pytest.raises(SystemExit) as e:
            strobe("report", "check", "mine", *at)
        assert e.value.code == 2
    finally:
        file.unlink()
    assert json.loads(strobe("report", "schema")) == schema()
    few = save(
        Report(
            title="Two", align="turn", sections=[Section(title="S", panels=[Panel(renderer="runs_over_steps", table="metrics", compare="overlay")])]
        ),
        tmp_path / "two.yaml",
    )
    out = tmp_path / "two.svg"
    strobe("report", "render", str(few), "--run", "p7-s2", "--run", "p11-s2", "-o", str(out), *at)
    assert "p11-s2" in out.read_text()
    assert "2 runs, aligned at the turn" in out.read_text()
