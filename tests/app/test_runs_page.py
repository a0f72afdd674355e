"""The page Runs without a browser: the list, the forms made of schemas, what is queued, and what is said about wrong input."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Literal

import pytest
from pydantic import BaseModel, Field
from streamlit.testing.v1 import AppTest

from strobe import Training, Workspace
from strobe.jobs.queue import JobStore
from strobe.runs import labels
from strobe.training.trainer import held
from strobe_app import forms, runs_table, train_form

TINY = {"p": "5, 7, 11", "d_model": "8", "n_heads": "2", "d_mlp": "16", "fraction": "0.5", "seed": "485, 999"}


def script() -> None:
    """The page on the workspace named by the command line; nothing that it queues is started."""
    import sys

    import strobe_app.analyze_form
    import strobe_app.jobs_panel
    import strobe_app.train_form
    from strobe import Workspace
    from strobe_app import runs_page

    for module in (strobe_app.analyze_form, strobe_app.jobs_panel, strobe_app.train_form):
        module.ensure_worker = lambda root: None
    runs_page.show(Workspace(sys.argv[-1]))


@pytest.fixture
def page(toy: Path, monkeypatch: pytest.MonkeyPatch):
    """`page(chosen=["toy"])` is the page of a workspace with the run `toy`."""

    def opened(folder: Path = toy, **state: object) -> AppTest:
        monkeypatch.setattr(sys, "argv", ["page", str(folder)])
        app = AppTest.from_function(script, default_timeout=60)
        for name, value in state.items():
            app.session_state[name.replace("_", " ")] = value
        return said(app.run())

    return opened


def said(app: AppTest) -> AppTest:
    assert not app.exception, app.exception[0].value
    return app


def fill(app: AppTest, **values: str) -> AppTest:
    """Type into the training form."""
    for label, text in values.items():
        next(t for t in app.text_input if t.label == label).set_value(text)
    return said(app.run())


def button(app: AppTest, label: str):
    return next(b for b in app.button if b.label.startswith(label))


# --- forms of schemas --------------------------------------------------------------------------------------------------------------------------


class Point(BaseModel):
    x: int = 0


class Settings(BaseModel):
    """One of each."""

    p: int = Field(113, ge=3, le=2000, description="modulus of a*b")
    share: float = Field(0.5, gt=0, le=1)
    size: int | None = Field(None, ge=1)
    names: tuple[str, ...] = ("a", "b")
    pair: tuple[float, float] = (0.9, 0.98)
    rule: Literal["own", "last"] = "own"
    on: bool = True
    point: Point = Point(x=3)
    text: str = "*"


def test_a_form_has_types_bounds_descriptions_and_defaults() -> None:
    found = {f.name: f for f in forms.fields(Settings)}
    assert [f.kind for f in found.values()] == ["whole", "number", "whole", "list", "list", "choice", "switch", "text", "text"]
    assert found["p"].help == "modulus of a\\*b; at least 3, at most 2,000; commas make a sweep"
    assert found["size"].help == "at least 1; empty: none; commas make a sweep"
    assert [f.default for f in found.values()] == ["113", "0.5", "", "a, b", "0.9, 0.98", "own", True, '{"x": 3}', "*"]
    assert found["rule"].options == ("own", "last")


def test_defaults_are_read_back_as_the_models_own() -> None:
    for cls, defaults in ((Settings, Settings()), (Training, Training())):
        read = {f.name: f.default if f.kind in ("choice", "switch") else forms.read(f, f.default)[0] for f in forms.fields(cls)}
        assert cls(**read) == defaults


def test_a_schedule_of_learning_rates_is_typed_as_on_the_command_line() -> None:
    defaults = Training(lr_schedule="step:every=10,factor=0.5").model_dump(mode="json", by_alias=True)
    field = next(f for f in forms.fields(Training, defaults) if f.name == "lr_schedule")
    assert field.default == "step:every=10,factor=0.5"


def test_every_built_in_family_and_analyzer_has_a_form() -> None:
    registry = Workspace("nowhere").registry
    for kind in ("family", "analyzer"):
        for plugin in registry.all(kind):
            cls = plugin.load()
            found = forms.fields(cls)
            assert [f.name for f in found] == list(cls.model_fields)
            values = {f.name: f.default if f.kind in ("choice", "switch") else forms.read(f, f.default)[0] for f in found}
            assert forms.problems(cls, values) == {}
            assert cls(**values).model_dump() == cls().model_dump()


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("p", "5, seven, 11", "'5, seven, 11': expected a whole number at character 4, found 's'"),
        ("p", "5,", "'5,': expected a whole number at character 3, found the end"),
        ("p", "12x", "'12x': expected a whole number at character 3, found 'x'"),
        ("p", "25,000", "without leading zeros (a comma begins another value) at character 4, found '000'"),
        ("p", "1.5", "expected a whole number at character 2, found '.'"),
        ("pair", "0.9, y", "expected a number at character 6, found 'y'"),
        ("point", "{x", "not JSON"),
    ],
)
def test_text_that_cannot_be_read_is_pointed_at(name: str, text: str, message: str) -> None:
    field = next(f for f in forms.fields(Settings) if f.name == name)
    with pytest.raises(forms.Unreadable) as e:
        forms.read(field, text)
    assert message in str(e.value)


# --- the list --------------------------------------------------------------------------------------------------------------------------------


def test_the_list_says_what_runs_are_and_which_analyses_are_missing(toy: Path, page) -> None:
    workspace = Workspace(toy)
    labels.relabel(workspace.run("toy"), label="first", tags=("keep",), note="late")
    workspace.analyze("toy", ["weight_norms", "phases"])
    listed = page().dataframe[0].value.iloc[0]
    assert listed[["run", "label", "family", "state", "steps", "last step"]].to_list() == ["toy", "first", "modular_addition", "complete", 5, 20]
    metrics = workspace.run("toy").metrics
    assert listed["train loss"] == pytest.approx(metrics["train_loss"].iloc[-1])
    planned = workspace.plan("toy").forecasts
    assert listed["missing"] == sum(f.missing > 0 for f in planned)
    assert listed["of"] == sum(f.state != "not applicable" for f in planned)
    assert "weight_norms" not in listed["missing analyses"].split(", ")
    assert "activation_maps" in listed["missing analyses"].split(", ")


def test_gaps_close_when_an_analysis_is_stored(toy: Path, page) -> None:
    app = page()
    before = app.dataframe[0].value.iloc[0]["missing"]
    Workspace(toy).analyze("toy", ["weight_norms"])
    assert said(app.run()).dataframe[0].value.iloc[0]["missing"] == before - 1


def test_runs_are_found_by_words_and_archived_ones_when_asked_for(toy: Path, page) -> None:
    labels.relabel(Workspace(toy).run("toy"), tags=("keep",))
    app = page()
    for words, found in (("keep", 1), ("toy p=7", 1), ("p=11", 0), ("TOY", 1), ("nothing", 0)):
        app.text_input(key="runs filter").set_value(words)
        assert any("None of 1 runs" in i.value for i in said(app.run()).info) == (not found), words
    app.text_input(key="runs filter").set_value("")
    labels.relabel(Workspace(toy).run("toy"), archived=True)
    assert any("show archived ones" in i.value for i in said(app.run()).info)
    app.toggle(key="runs archived").set_value(True)
    assert said(app.run()).dataframe[0].value.iloc[0]["state"] == "archived"


def test_parameters_that_differ_have_a_column() -> None:
    def row(name: str, **parameters: int) -> runs_table.Row:
        return runs_table.Row(name, "f", "complete", parameters, 1, 0, 1, labels.Label())

    assert runs_table.differing_parameters([row("a", p=5, d=8), row("b", p=7, d=8), row("c", e=1)]) == ["p"]


def test_a_run_and_a_label_that_cannot_be_read_are_named(toy: Path, page) -> None:
    (toy / "runs" / "toy" / labels.FILE).write_text("{")
    (toy / "runs" / "torn").mkdir()
    (toy / "runs" / "torn" / "run.json").write_text("{")
    errors = [e.value for e in page().error]
    assert any("torn" in e and "cannot be read" in e for e in errors)
    assert any(labels.FILE in e and "mend or delete it" in e for e in errors)


# --- training --------------------------------------------------------------------------------------------------------------------------------


def test_a_sweep_is_previewed_and_queued_as_one_job_per_run(toy: Path, page) -> None:
    app = fill(page(), **TINY, epochs="20", schedule="every:10")
    preview = app.dataframe[1].value
    assert {(row.p, row.seed) for row in preview.itertuples()} == {(p, s) for p in ("5", "7", "11") for s in ("485", "999")}
    assert any(m.value.startswith("**6 runs**, 18 checkpoints") for m in app.markdown)
    said(button(app, "Estimate the time").click().run())
    assert all(app.dataframe[1].value["time"])
    said(button(app, "Train 6 runs").click().run())
    jobs = JobStore(toy).all()
    assert [job.state for job in jobs] == ["queued"] * 6
    assert {(j.request["parameters"]["p"], j.request["parameters"]["seed"]) for j in jobs} == {(p, s) for p in (5, 7, 11) for s in (485, 999)}
    assert {j.request["training"]["epochs"] for j in jobs} == {20}
    assert [j.run for j in jobs] == list(preview["run"])


def test_a_run_that_is_complete_is_not_trained_again(toy: Path, page) -> None:
    given = {"p": "7", "d_model": "8", "n_heads": "2", "d_mlp": "16", "fraction": "0.5", "epochs": "20", "schedule": "every:5", "lr": "0.01"}
    app = fill(page(), **given, Name="toy")
    assert app.dataframe[1].value["state"].to_list() == ["complete already"]
    assert button(app, "Train").disabled


@pytest.mark.parametrize(
    ("typed", "message", "pointer"),
    [
        ({"schedule": "every:x"}, "expected a whole number at character 7, found 'x'", "every:x\n      ^"),
        ({"schedule": "evry:100"}, "at character 1, found 'e'", "evry:100\n^"),
        ({"lr_schedule": "cosine:ovr=5"}, "expected one of over, final at character 8, found 'o'", "cosine:ovr=5\n       ^"),
        ({"p": "5, x"}, "expected a whole number at character 4, found 'x'", "5, x\n   ^"),
        ({"fraction": "1.5"}, "1.5: Input should be less than or equal to 1", ""),
        ({"fraction": "0.3, 0"}, "0.0: Input should be greater than 0", ""),
        ({"d_model": "10", "n_heads": "4"}, "d_model=10 must be a multiple of n_heads=4: try d_model=8 or 12", ""),
        ({"lr": "-1"}, "-1.0: Input should be greater than 0", ""),
        ({"p": "7, 11", "Name": "mine"}, "2 runs cannot share the name 'mine'", ""),
        ({"Name": "a b"}, "run name 'a b'", ""),
        ({"Name": "toy"}, "there is a run 'toy' already, with another configuration", ""),
        ({"seed": ",".join(map(str, range(600)))}, "a sweep of 600 runs; start at most 500", ""),
    ],
)
def test_wrong_input_is_said_in_the_form_and_nothing_is_queued(toy: Path, page, typed: dict[str, str], message: str, pointer: str) -> None:
    app = fill(page(), **typed)
    assert [e.value for e in app.error if message in e.value]
    assert pointer in [c.value for c in app.code] or not pointer
    assert button(app, "Train").disabled
    assert JobStore(toy).all() == []


def test_every_wrong_field_has_its_message(page) -> None:
    app = fill(page(), p="5, x", fraction="1.5", schedule="evry:100", lr_schedule="cosin")
    assert [c.value for c in app.code] == ["5, x\n   ^", "cosin\n^", "evry:100\n^"]
    assert len(app.error) == 4


def test_an_optimizer_is_chosen_from_those_there_are_and_an_unknown_one_is_named() -> None:
    optimizer = next(f for f in forms.fields(Training) if f.name == "optimizer")
    assert optimizer.options == ("adamw", "adam", "sgd", "muon")
    assert "'adamw', 'adam', 'sgd' or 'muon'" in forms.problems(Training, {"optimizer": "adamx"})["optimizer"]


def test_an_operation_that_needs_a_prime_says_so(page) -> None:
    app = fill(page(), p="7, 9")
    assert not app.error
    next(s for s in app.selectbox if s.label == "operation").set_value("a/b")
    app = said(app.run())
    assert [e.value for e in app.error if "prime" in e.value and "9" in e.value]
    assert button(app, "Train").disabled


def test_steps_beyond_the_last_epoch_are_named(page) -> None:
    app = fill(page(), epochs="1000", schedule="at:10,3000+0-1500:100")
    assert [w.value for w in app.warning] == ["Beyond the last epoch, 1,000, and left out: 1,500, 3,000."]
    assert train_form.named_steps("every:100+log:60") == []


def test_a_run_that_another_process_trains_is_not_started(toy: Path, page) -> None:
    given = {"p": "7", "d_model": "8", "n_heads": "2", "d_mlp": "16", "fraction": "0.5", "epochs": "40", "schedule": "every:5", "lr": "0.01"}
    app = fill(page(), **given, Name="toy")
    with held(Workspace(toy).run("toy")):
        said(button(app, "Train 1 run").click().run())
        assert [e.value for e in app.error if "run toy is being trained by process" in e.value]
        assert JobStore(toy).all() == []
    said(button(app, "Train 1 run").click().run())
    assert [job.run for job in JobStore(toy).all()] == ["toy"]


# --- analysis, words, deletion, jobs -----------------------------------------------------------------------------------------------------------


def test_an_analysis_is_one_job_per_run(toy: Path, page) -> None:
    workspace = Workspace(toy)
    workspace.train("modular_addition", name="other", training={"epochs": 2, "schedule": "every:1"}, p=5, d_model=8, n_heads=2, d_mlp=8)
    app = page(runs_chosen=["toy", "other"], runs_action="Analyze")
    app.multiselect(key="analyze analyzers").set_value(["weight_norms", "activation_maps"])
    said(app.run())
    app.text_input(key="analyze activation_maps.size").set_value("1")
    assert [e.value for e in said(app.run()).error] == ["1: Input should be greater than or equal to 2"]
    app.text_input(key="analyze activation_maps.size").set_value("4")
    said(app.run())
    assert any(m.value.startswith("**16 cells** are missing of 16") for m in app.markdown)
    said(button(app, "Analyze 2 runs").click().run())
    requests = [job.request for job in JobStore(toy).all()]
    assert [r["runs"] for r in requests] == [["other"], ["toy"]]  # in the order of the list
    assert all(r["analyzers"] == ["weight_norms", "activation_maps"] and r["settings"] == {"activation_maps": {"size": 4}} for r in requests)


def test_what_is_said_about_a_run_is_kept(toy: Path, page) -> None:
    app = page(runs_chosen=["toy"], runs_action="Describe")
    app.text_input(key="label toy").set_value("first")
    app.text_area(key="note toy").set_value("groks late")
    app.checkbox(key="archived toy").set_value(True)
    said(button(app, "Save").click().run())
    assert json.loads((toy / "runs" / "toy" / labels.FILE).read_text()) == {
        "schema_version": 1,
        "label": "first",
        "tags": [],
        "note": "groks late",
        "archived": True,
    }


def test_a_deletion_lists_what_goes_and_waits_for_the_name(toy: Path, page) -> None:
    app = page(runs_chosen=["toy"], runs_action="Delete")
    listed = app.dataframe[-1].value
    assert listed["bytes"].sum() == sum(p.bytes for p in labels.footprint(Workspace(toy), Workspace(toy).run("toy")))
    assert button(app, "Delete").disabled
    app.text_input(key="sure toy").set_value("to")
    assert button(said(app.run()), "Delete").disabled
    app.text_input(key="sure toy").set_value("toy")
    said(button(said(app.run()), "Delete").click().run())
    assert Workspace(toy).runs() == []
    assert any("has no runs yet" in i.value for i in app.info)


def test_a_job_is_cancelled_and_retried(toy: Path, page) -> None:
    job = Workspace(toy).submit("analyze", start=False, runs=["toy"], analyzers=["weight_norms"])
    app = page()
    assert any("analyze toy: weight_norms" in m.value and "queued" in m.value for m in app.markdown)
    assert [w.value for w in app.warning] == ["No worker lives, so nothing moves."]
    said(app.button(key=f"cancel {job.id}").click().run())
    assert job.state == "cancelled"
    said(app.button(key=f"retry {job.id}").click().run())
    assert job.state == "queued"
    assert job.job.attempt == 0


def test_an_empty_workspace_can_be_filled_from_here(page, tmp_path: Path) -> None:
    app = page(tmp_path / "empty")
    assert any("has no runs yet" in i.value for i in app.info)
    assert not (tmp_path / "empty").exists()
    said(button(fill(app, p="5", epochs="2", d_model="8", d_mlp="8"), "Train 1 run").click().run())
    assert [job.state for job in JobStore(tmp_path / "empty").all()] == ["queued"]
