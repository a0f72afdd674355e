"""Reports: the YAML, its errors, the default report of a run, and cards that never break a page."""

from __future__ import annotations

from pathlib import Path

import altair as alt
import pandas as pd
import pytest
from small import STEPS, small_workspace

import strobe
from strobe import Frame, Number, Renderer, StrobeError, charts, dim, hookimpl, metric
from strobe.errors import UsageError
from strobe.panels.cards import cards_of, choices, parted, resolve, signed
from strobe.reports.default import MORE, default_report, generic, stored_tables
from strobe.reports.files import load, save
from strobe.reports.library import check, file_of, find, named_reports
from strobe.reports.model import Panel, Report, Section

GOOD = """\
schema_version: 1
title: Mine
sections:
  - title: One
    panels:
      - renderer: loss_curves
        settings: {height: 300}
      - renderer: line_over_steps
        table: weight_norms
        slots: {y: spectral}
        cursor: {step: 10}
        width: full
"""


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory):
    return small_workspace(tmp_path_factory.mktemp("report") / "workspace")


def written(folder: Path, text: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(text, "utf-8")
    return path


# --- the YAML ----------------------------------------------------------------------------------------------------------------------------------


def test_a_report_is_read_as_it_is_written(tmp_path: Path) -> None:
    report = load(written(tmp_path, GOOD))
    assert [p.renderer for p in report.panels] == ["loss_curves", "line_over_steps"]
    assert report.panels[1] == Panel(renderer="line_over_steps", table="weight_norms", slots={"y": "spectral"}, cursor={"step": 10}, width="full")


def test_saving_and_loading_changes_nothing_and_leaves_defaults_out(tmp_path: Path) -> None:
    report = load(written(tmp_path, GOOD))
    again = save(report, tmp_path / "folder" / "again.yaml")
    assert load(again) == report
    assert "how_to_read" not in again.read_text()
    assert again.read_text().startswith("schema_version: 1\n")


WRONG = {
    "settings: {height: 300}": ("setings: {height: 300}", "line 7, sections[0].panels[0].setings: unknown key 'setings'; did you mean 'settings'?"),
    "width: full": ("width: huge", "line 12, sections[0].panels[1].width: write half, full, or a number of columns from 1 to 12, not 'huge'"),
    "title: Mine": ("titel: Mine", "titel: unknown key 'titel'; did you mean 'title'?"),
    "  - title: One": ("  - titles: One", "sections[0].titles: unknown key 'titles'; did you mean 'title'?"),
    "schema_version: 1": ("schema_version: 2", "line 1, schema_version: input should be 1, not 2"),
    "- renderer: loss_curves": ("- table: metrics", "line 6, sections[0].panels[0].renderer: is missing"),
    "slots: {y: spectral}": ("slots: {y: spectral", "is no YAML"),
}


@pytest.mark.parametrize("right", WRONG)
def test_a_wrong_field_is_named_with_file_line_and_remedy(tmp_path: Path, right: str) -> None:
    wrong, message = WRONG[right]
    path = written(tmp_path, GOOD.replace(right, wrong))
    with pytest.raises(UsageError) as e:
        load(path)
    assert str(path) in str(e.value)
    assert message in str(e.value)


@pytest.mark.parametrize(("text", "message"), [("- a\n- b\n", "a report is a mapping"), ("", "a report is a mapping"), ("a: [", "line 1")])
def test_what_is_no_report_is_said_to_be_none(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load(written(tmp_path, text))


def test_a_missing_file_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nowhere\.yaml: cannot be read: No such file"):
        load(tmp_path / "nowhere.yaml")


# --- by name -----------------------------------------------------------------------------------------------------------------------------------


def test_reports_of_a_workspace_are_listed_and_found(small, tmp_path: Path) -> None:
    workspace, run = small
    report = Report(title="Kept", sections=[])
    save(report, file_of(workspace, "kept"))
    (workspace.root / "reports" / "broken.yaml").write_text("titel: x\n")
    listed = {r["name"]: r["title"] for r in named_reports(workspace)}
    assert listed["kept"] == "Kept"
    assert "unknown key 'titel'" in listed["broken"]
    assert find(workspace, "kept", run) == report
    assert find(workspace, str(save(report, tmp_path / "elsewhere.yaml")), run) == report
    assert find(workspace, "default", run) == default_report(workspace, run)
    with pytest.raises(UsageError, match="did you mean 'kept'"):
        find(workspace, "kpt", run)
    with pytest.raises(UsageError, match="report name"):
        file_of(workspace, "../outside")


UNUSABLE = {
    "loss_curve": ("loss_curves", "panels[0].renderer: no renderer 'loss_curve'; did you mean 'loss_curves'?"),
    "{heigth: 300}": ("{height: 300}", "heigth"),
    "weight_norm\n": ("weight_norms\n", "panels[1].table: no analyzer 'weight_norm'; did you mean 'weight_norms'?"),
}


@pytest.mark.parametrize("wrong", UNUSABLE)
def test_check_names_what_is_not_installed_with_its_line(small, tmp_path: Path, wrong: str) -> None:
    right, message = UNUSABLE[wrong]
    path = written(tmp_path, GOOD.replace(right, wrong))
    load(path)  # no reason to fail: its card says it
    (problem,) = check(small[0], str(path))
    assert f"{path}, line " in problem
    assert message in problem


def test_check_finds_nothing_wrong_with_a_sound_report(small, tmp_path: Path) -> None:
    workspace, run = small
    assert check(workspace, str(written(tmp_path, GOOD))) == []
    assert check(workspace, str(run.family.report())) == []


# --- the default report ------------------------------------------------------------------------------------------------------------------------


def test_every_card_of_the_default_report_draws_at_every_step(small) -> None:
    workspace, run = small
    cards = cards_of(resolve(workspace, default_report(workspace, run), run))
    assert len(cards) >= 15
    assert [c.number for c in cards] == list(range(1, len(cards) + 1))
    for step in (STEPS[0], STEPS[-1]):
        problems = {c.title: p for c in cards if (p := c.draw({"step": step, "layer": 0, "neuron": 3}).problem)}
        others = {"Every date of this run", "Geometry of the class centroids", "Neurons that stop working", "Where the spectra break off"}
        assert set(problems) == {"Flatness, and the Hessian", *others}, problems  # not computed here: the card says what to type
        assert "strobe analyze small -a flatness" in problems["Flatness, and the Hessian"]
    assert all(c.title and c.how_to_read and c.footnote for c in cards)


def test_results_that_no_panel_shows_come_last_with_a_generic_renderer(small) -> None:
    workspace, run = small
    workspace.registry.add(Spread)
    workspace.analyze(run, [Spread])
    last = default_report(workspace, run).sections[-1]
    assert last.title == MORE
    assert ("line_over_steps", "spread") in [(p.renderer, p.table) for p in last.panels]
    cards = resolve(workspace, Report(title="x", sections=[last]), run)[0].cards
    card = next(card for card in cards if card.panel.table == "spread")
    assert card.how_to_read == "How far the entries of a weight spread."
    assert card.draw({"step": 10}).problem == ""


class Spread(strobe.Analyzer):
    """How far the entries of a weight spread."""

    class Row(strobe.Row):
        parameter: str = dim("canonical parameter name")
        deviation: float = metric("standard deviation of the entries", unit="1")

    @hookimpl
    def analyze_weights(self, weights: strobe.Weights):
        for name, matrix in weights.matrices():
            yield self.Row(parameter=name, deviation=matrix.std().item())


def test_a_family_without_a_report_gets_one_of_everything_stored(small, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace, run = small
    monkeypatch.setattr(type(run.family), "report", classmethod(lambda cls: None))
    report = default_report(workspace, run)
    cards = cards_of(resolve(workspace, report, run))
    assert {t for c in cards for t in c.tables} >= set(stored_tables(workspace, run)) >= {"metrics", "weight_norms", "phases"}
    assert [c.title for c in cards if c.draw({"step": 10, "layer": 0, "neuron": 0}).problem] == []


def test_a_table_of_one_step_is_no_line(tmp_path: Path) -> None:
    workspace, run = small_workspace(tmp_path / "one", [])
    for step in STEPS[1:]:
        run.path(step).unlink()
    workspace.registry.add(Spread)
    report = workspace.analyze(run, [Spread])
    assert report.failures  # the four missing checkpoints; the first is stored
    assert generic(workspace, run, "spread").renderer == "distribution"


# --- cards -------------------------------------------------------------------------------------------------------------------------------------


def one_card(small, **panel):
    workspace, run = small
    return cards_of(resolve(workspace, Report(title="x", sections=[Section(title="y", panels=[Panel(**panel)])]), run))[0]


def test_an_unknown_renderer_is_a_card_that_says_what_to_do(small) -> None:
    card = one_card(small, renderer="los_curves")
    assert card.view is None
    assert "did you mean 'loss_curves'" in card.problem
    assert "pip install" in card.problem
    assert card.draw({"step": 10}).problem == card.problem


def test_a_missing_result_is_a_card_that_names_the_command(tmp_path: Path) -> None:
    workspace, run = small_workspace(tmp_path / "empty", [])
    groups = resolve(
        workspace, Report(title="x", sections=[Section(title="y", panels=[Panel(renderer="neuron_map"), Panel(renderer="loss_curves")])]), run
    )
    missing, there = groups[0].cards
    assert f"`strobe analyze {run.name} -a activation_maps`" in missing.draw({"step": 10}).problem
    assert there.draw({"step": 10}).problem == ""


def test_a_wrong_setting_is_a_card_too(small) -> None:
    assert "colour" in one_card(small, renderer="loss_curves", settings={"colour": "red"}).problem


class Raising(Renderer):
    """Fails."""

    slots = {"y": Number()}

    @hookimpl
    def render(self, frame: Frame) -> alt.Chart:
        raise ZeroDivisionError("one by nought")


def test_a_renderer_that_fails_is_named_and_breaks_nothing(small) -> None:
    small[0].registry.add(Raising)
    problem = one_card(small, renderer="raising", table="weight_norms").draw({"step": 10}).problem
    assert "'raising' (notebook" in problem
    assert "ZeroDivisionError: one by nought" in problem


class Misspelt(Renderer):
    """Draws with a mark that Vega-Lite does not have."""

    slots = {"y": Number()}

    @hookimpl
    def render(self, frame: Frame) -> alt.Chart:
        return alt.Chart(charts.dataset("rows", [{"x": 1}]), mark="dots").encode(x=alt.X("x:Q"))


def test_a_chart_that_is_not_vega_lite_is_a_problem_however_often_it_is_drawn(small) -> None:
    small[0].registry.add(Misspelt)
    card = one_card(small, renderer="misspelt", table="weight_norms")
    problems = [card.draw({"step": 10}).problem for _ in range(2)]
    assert "SchemaValidationError: 'dots' is an invalid value" in problems[0]
    assert problems[1] == problems[0]


def test_a_card_says_of_which_step_its_rows_are(small) -> None:
    card = one_card(small, renderer="neuron_map")
    assert [card.as_of({"step": step, "layer": 0, "neuron": 1}) for step in (9, 10, 15)] == [5, None, 10]
    assert one_card(small, renderer="loss_curves").as_of({"step": 15}) is None


def test_a_pinned_coordinate_does_not_follow_the_page(small) -> None:
    card = one_card(small, renderer="neuron_map", cursor={"neuron": 5})
    assert card.at == ("layer",)
    assert [card.draw({"step": 10, "layer": 0, "neuron": n}).datasets["map"] for n in (1, 2)] == [
        card.draw({"step": 10, "layer": 0}).datasets["map"]
    ] * 2
    assert "neuron 5" in card.footnote


def test_choices_are_the_values_of_the_table(small) -> None:
    workspace, run = small
    assert choices(workspace, run, [one_card(small, renderer="neuron_map")]) == {"layer": [0], "neuron": list(range(16))}


def test_rows_leave_arrays_out(small) -> None:
    rows = one_card(small, renderer="neuron_map").rows({"step": 10, "layer": 0, "neuron": 3})
    assert list(rows["neuron"]) == [3]
    assert "map" not in rows
    with pytest.raises(StrobeError, match="no renderer"):
        one_card(small, renderer="nothing_like_it").rows({})


def test_data_without_a_name_are_named_by_position() -> None:
    def chart(y: float) -> alt.LayerChart:
        rows = [pd.DataFrame({"x": [1], "y": [y + i]}) for i in range(2)]
        return alt.layer(*[alt.Chart(r).mark_point().encode(x="x:Q", y="y:Q") for r in rows])

    one, two = parted(chart(1).to_dict()), parted(chart(5).to_dict())
    assert one.signature == two.signature
    assert [list(d.datasets) for d in (one, two)] == [["data 0", "data 1"]] * 2
    assert [d.datasets["data 1"][0]["y"] for d in (one, two)] == [2, 6]
    assert one.whole["layer"][1]["data"] == {"name": "data 1"}


def test_a_page_is_signed_with_version_run_and_parameters(small) -> None:
    words = signed(*small)
    assert f"Strobe {strobe.__version__}" in words
    assert "run small" in words
    assert "p=13" in words
