"""The pages Builder and Query without a browser: what they offer, what an edit does to the report and its YAML, and what they refuse."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from small import small_workspace
from streamlit.testing.v1 import AppTest

from strobe.errors import UsageError
from strobe.reports.edit import History
from strobe.reports.files import as_yaml, load, save
from strobe.reports.library import file_of
from strobe.reports.model import Panel, Report, Section
from strobe_app.desk import EMPTY, Desk, Taken, opened


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory):
    return small_workspace(tmp_path_factory.mktemp("builder") / "workspace", ["weight_norms", "activation_maps", "phases"])


# --- the desk, without widgets -----------------------------------------------------------------------------------------------------------------


def desk(*names: str) -> Desk:
    report = Report(title="R", sections=[Section(title="S", panels=[Panel(renderer=name) for name in names])])
    return Desk(History(report), as_yaml(report), chosen=(0, 0))


def test_the_yaml_follows_the_form_and_the_form_the_yaml() -> None:
    d = desk("loss_curves")
    d.do(d.report.model_copy(update={"title": "Other"}))
    assert "title: Other" in d.text
    d.type(d.text.replace("Other", "Third") + "# mine\n")
    assert (d.report.title, d.problems) == ("Third", [])
    assert d.text.endswith("# mine\n")
    d.undo()
    assert (d.report.title, "title: Other" in d.text) == ("Other", True)


def test_text_with_a_mistake_stays_until_it_is_mended_and_names_line_and_field() -> None:
    d = desk("loss_curves", "neuron_map")
    wrong = d.text.replace("renderer: neuron_map", "rendrer: neuron_map")
    d.type(wrong)
    assert "line 7, sections[0].panels[1].rendrer: unknown key 'rendrer'; did you mean 'renderer'?" in d.problems[0]
    d.do(d.report.model_copy(update={"title": "Moved on"}))
    d.undo()
    d.redo()
    assert (d.text, d.report.title, len(d.report.panels)) == (wrong, "Moved on", 2)
    d.type(wrong.replace("rendrer", "renderer"))
    assert (d.problems, d.report.title) == ([], "R")
    d.type("title: [")
    assert "is no YAML" in d.problems[0]
    d.discard()
    assert (d.problems, d.text) == ([], as_yaml(d.report))


def test_what_is_chosen_is_always_there() -> None:
    d = desk("loss_curves", "neuron_map")
    d.choose((0, 1))
    d.type(as_yaml(desk("loss_curves").report))
    assert d.panel == (0, 0)
    d.type("title: Nothing\n")
    assert (d.panel, d.chosen) == (None, ())


def test_saving_asks_before_it_writes_over_anything_else(small) -> None:
    workspace, run = small
    d = desk("loss_curves")
    d.text += "# mine\n"
    path = d.save(workspace, run.name, "kept")
    assert path.read_text().endswith("# mine\n")
    assert d.saved
    other = desk("neuron_map")
    with pytest.raises(Taken, match="there is a report 'kept' already"):
        other.save(workspace, run.name, "kept")
    other.save(workspace, run.name, "kept", over=True)
    d.do(d.report.model_copy(update={"title": "Late"}))
    with pytest.raises(Taken, match="changed by somebody else"):
        d.save(workspace, run.name, "kept")
    assert load(path).panels[0].renderer == "neuron_map"


@pytest.mark.parametrize("name", ["", "a/b", "../x", "default", "mein Bericht", ".hidden"])
def test_a_name_that_is_no_file_name_is_refused(small, name: str) -> None:
    with pytest.raises(UsageError, match="report name"):
        desk("loss_curves").save(small[0], small[1].name, name)


def test_a_report_of_a_package_is_copied_and_never_written_over(small, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    workspace, run = small
    shipped = save(desk("loss_curves").report, tmp_path / "shipped.yaml")
    monkeypatch.setattr(type(run.family), "reports", classmethod(lambda cls: {"shipped": shipped}))
    d = opened(workspace, "shipped", run.name)
    assert (d.name, d.report.title) == ("", "R")
    with pytest.raises(Exception, match="comes with a package and stays as it is"):
        d.save(workspace, run.name, "shipped")
    assert d.save(workspace, run.name, "my-shipped").name == "my-shipped.yaml"
    assert opened(workspace, "my-shipped", run.name).name == "my-shipped"


def test_every_starting_report_can_be_opened(small) -> None:
    assert opened(small[0], "", "small").report == EMPTY
    assert opened(small[0], "default", "small").report.panels


# --- the pages ---------------------------------------------------------------------------------------------------------------------------------


def builder_script() -> None:
    import sys

    from strobe_app import builder_page
    from strobe_app.routes import frames_of

    builder_page.show(frames_of(sys.argv[-1]).workspace)


def query_script() -> None:
    import sys

    from strobe_app import query_page
    from strobe_app.routes import frames_of

    query_page.show(frames_of(sys.argv[-1]).workspace)


@pytest.fixture
def page(small, monkeypatch: pytest.MonkeyPatch):
    def shown(script, **address: str) -> AppTest:
        monkeypatch.setattr(sys, "argv", ["page", str(small[0].root)])
        app = AppTest.from_function(script, default_timeout=60)
        for name, value in address.items():
            app.query_params[name] = value
        return said(app.run())

    return shown


def said(app: AppTest) -> AppTest:
    assert not app.exception, app.exception[0].value
    return app


def click(app: AppTest, label: str) -> AppTest:
    next(b for b in app.button if b.label == label).click()
    return said(app.run())


def choose(app: AppTest, label: str, value: object) -> AppTest:
    next(s for s in app.selectbox if s.label == label).set_value(value)
    return said(app.run())


def write(app: AppTest, label: str, value: str) -> AppTest:
    next(t for t in [*app.text_input, *app.text_area] if t.label == label).set_value(value)
    return said(app.run())


def on_desk(app: AppTest) -> Desk:
    return app.session_state["desk"]


def test_panels_are_added_of_what_is_stored_and_only_what_fits_is_offered(page) -> None:
    app = page(builder_script)
    choose(app, "Result", "weight_norms")
    drawn_as = next(s for s in app.selectbox if s.label == "Drawn as")
    assert drawn_as.options[0] == "norms_over_steps"
    assert {"distribution", "line_over_steps", "table"} <= set(drawn_as.options)
    assert "neuron_map" not in drawn_as.options
    click(choose(app, "Drawn as", "line_over_steps"), "Add the panel")
    assert [p.table for p in on_desk(app).report.panels] == ["weight_norms"]
    assert len(app.get("vega_lite_chart")) == 1
    choose(app, "y: column", "spectral")
    write(choose(app, "color: column", "parameter"), "top", "3")
    panel = on_desk(app).report.panels[0]
    assert (panel.slots, panel.settings) == ({"y": "spectral", "color": "parameter"}, {"top": 3})
    assert "top: 3" in next(t for t in app.text_area if t.label == "YAML").value
    write(app, "top", "7")
    assert on_desk(app).report.panels[0].settings == {}  # the default is not written down
    write(app, "top", "many")
    assert on_desk(app).report.panels[0].settings == {}
    assert any("expected a whole number" in e.value for e in app.error)


def test_panels_are_moved_resized_copied_removed_and_it_is_all_undone(page, small) -> None:
    workspace, _ = small
    panels = [Panel(renderer="loss_curves"), Panel(renderer="phase_table")]
    start = Report(title="Start", sections=[Section(title="A", panels=panels), Section(title="B")])
    save(start, file_of(workspace, "start"))
    app = page(builder_script, report="start")
    click(app, "Down")
    assert [p.renderer for p in on_desk(app).report.panels] == ["phase_table", "loss_curves"]
    choose(app, "Section", (1,))
    assert [p.renderer for p in on_desk(app).report.sections[1].panels] == ["loss_curves"]
    next(s for s in app.select_slider if s.label.startswith("Width")).set_value(4)
    next(n for n in said(app.run()).number_input if n.label == "Height, px").set_value(120)
    panel = on_desk(said(app.run())).report.sections[1].panels[0]
    assert (panel.width, panel.height) == (4, 120)
    click(click(app, "Duplicate"), "Remove")
    write(app, "Title", "Mine")
    write(app, "Stays at", "step=5")
    assert on_desk(app).report.sections[1].panels[0].cursor == {"step": 5}
    assert on_desk(click(app, "Undo")).report.sections[1].panels[0].cursor == {}
    while on_desk(app).history.past:
        on_desk(app).undo()
    assert on_desk(app).report == start
    while on_desk(app).history.undone:
        on_desk(app).redo()
    assert on_desk(said(app.run())).report.sections[1].panels[0].title == "Mine"
    click(app, "Save start")
    assert load(file_of(workspace, "start")) == on_desk(app).report


def test_yaml_by_hand_changes_the_form_and_a_mistake_is_said(page) -> None:
    app = page(builder_script, report="default")
    write(app, "YAML", "title: By hand\nsections:\n- title: S\n  panels:\n  - renderer: loss_curves\n    title: Typed\n")
    assert next(t for t in app.button if t.key == "builder at (0, 0)").label.endswith("Typed")
    write(app, "YAML", "title: By hand\nsection: []\n")
    assert "line 2, section: unknown key 'section'" in app.error[0].value
    assert next(t for t in app.text_area if t.label == "YAML").value == "title: By hand\nsection: []\n"
    assert on_desk(app).report.panels[0].title == "Typed"
    click(app, "Discard the text")
    assert not app.error


def test_a_name_that_is_taken_is_asked_about(page, small) -> None:
    workspace, _ = small
    save(Report(title="First"), file_of(workspace, "taken"))
    app = page(builder_script)
    click(write(app, "Name", "taken"), "Save as")
    assert "there is a report 'taken' already" in app.warning[0].value
    assert load(file_of(workspace, "taken")).title == "First"
    click(app, "Write over taken")
    assert load(file_of(workspace, "taken")).title == EMPTY.title
    click(write(app, "Name", "../out"), "Save as")
    assert "report name '../out'" in app.error[0].value


def test_a_section_is_renamed_moved_and_removed(page) -> None:
    app = click(page(builder_script), "Add a section")
    write(app, "Title", "Second")
    click(app, "Up")
    assert [s.title for s in on_desk(app).report.sections] == ["Second", "Section 1"]
    click(app, "Remove")
    assert [s.title for s in on_desk(app).report.sections] == ["Section 1"]


def test_a_query_is_answered_drawn_and_added_to_a_report(page, small) -> None:
    workspace, _ = small
    save(Report(title="Queries"), file_of(workspace, "queries"))
    app = page(query_script)
    assert not app.error
    text = "select step, max(frobenius) as largest from weight_norms where run = $run group by step order by step"
    write(app, "SQL", text)
    assert list(app.dataframe[0].value.columns) == ["step", "largest"]
    drawn_as = next(s for s in app.selectbox if s.label == "Drawn as").options
    assert {"distribution", "line_over_steps", "table"} <= set(drawn_as)
    assert "norms_over_steps" not in drawn_as
    known: dict[str, object] = {}
    first, second, third = next(c.value for c in app.code if c.language == "python").splitlines()
    exec(f"{first}\n{second}", known)
    assert eval(third, known).to_dict()["layer"]
    click(choose(app, "Add to report", "queries"), "Add")
    assert load(file_of(workspace, "queries")).panels[0].sql == text
    click(choose(app, "Add to report", "the builder"), "Add")
    assert on_desk(app).report.panels[0].sql == text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("select nothing from weight_norms", "tables here: metrics"),
        ("copy (select 1) to '/tmp/x'", "COPY is refused"),
        ("select * from read_csv('/etc/passwd')", "no files"),
        ("", "the query is empty"),
    ],
)
def test_a_query_that_cannot_be_answered_says_why(page, text: str, reason: str) -> None:
    app = write(page(query_script), "SQL", text)
    assert app.error[0].value == "The query cannot be answered."
    assert reason in app.code[0].value


def test_ten_million_rows_are_cut_and_it_is_said(page) -> None:
    app = write(page(query_script), "SQL", "select range as step, range % 7 as v from range(10000000)")
    assert "more than 10,000 rows: the first 10,000" in app.warning[0].value
    assert len(app.dataframe[0].value) == 10_000
    assert "limit 10000" in next(c.value for c in app.code if c.language == "python")
