"""The page Plugins without a browser: lists and filters, one plugin in words, what is broken, what reports need, and an analyzer tried on a run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from strobe import Workspace
from strobe.jobs.queue import JobStore
from strobe.jobs.worker import work
from strobe.registration.registry import Registry


def script() -> None:
    """The page on the workspace named by the command line; what it queues is done at once, by the test."""
    import sys

    import strobe_app.try_analyzer
    from strobe import Workspace
    from strobe_app import plugins_page

    strobe_app.try_analyzer.ensure_worker = lambda root: None
    plugins_page.show(Workspace(sys.argv[-1]))


@pytest.fixture
def page(toy: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """`page(plugins_search="norms")` is the page of a workspace with the run `toy`."""

    def opened(**state: object) -> AppTest:
        monkeypatch.setattr(sys, "argv", ["page", str(toy)])
        app = AppTest.from_function(script, default_timeout=60)
        for name, value in state.items():
            app.session_state[name.replace("_", " ")] = value
        return said(app.run())

    return opened


def said(app: AppTest) -> AppTest:
    assert not app.exception, app.exception[0].value
    return app


def words(app: AppTest) -> str:
    shown = [*app.markdown, *app.caption, *app.warning, *app.error, *app.success, *app.info, *app.code]
    return "\n".join(str(element.value) for element in shown)


def button(app: AppTest, label: str) -> Any:
    return next(b for b in app.button if b.label.startswith(label))


def listed(app: AppTest) -> list[str]:
    return list(app.dataframe[0].value["name"])


def test_everything_installed_is_listed_and_can_be_filtered(page: Any) -> None:
    app = page()
    everything = [p.name for p in Registry.discover().all()]
    assert listed(app) == everything
    assert f"**{len(everything)}** plugins" in words(app)
    app.selectbox(key="plugins category").set_value("landscape")
    said(app.run())
    assert listed(app) == [p.name for p in Registry.discover().all("analyzer") if p.category == "landscape"]
    app.text_input(key="plugins search").set_value("nothing like that")
    assert "No plugin is called so" in words(said(app.run()))


def test_one_plugin_in_words(page: Any, toy: Path) -> None:
    Workspace(toy).analyze("toy", ["weight_norms"])
    app = page(plugin_chosen=("analyzer", "weight_norms"))
    text = words(app)
    assert "How large each parameter is" in text
    assert "per checkpoint (5 computed on" in text
    settings, columns = app.dataframe[1].value, app.dataframe[2].value
    assert list(settings["name"]) == ["parameters"]
    assert dict(zip(columns["column"], columns["kind"], strict=True)) == {
        "parameter": "dim",
        "frobenius": "metric",
        "spectral": "metric",
        "max_abs": "metric",
    }


def test_an_analyzer_is_tried_at_one_step(page: Any, toy: Path) -> None:
    app = page(plugin_chosen=("analyzer", "weight_norms"))
    app.selectbox(key="try weight_norms step toy").set_value(10)
    button(said(app.run()), "Try at one step").click()
    said(app.run())
    (job,) = JobStore(toy).all()
    assert (job.request["steps"], job.title) == ([10], "analyze toy at step 10: weight_norms")
    work(toy, idle=0)
    said(app.run())
    text = words(app)
    assert "11 rows at step 10" in text
    assert app.dataframe[-1].value["parameter"].iloc[0] == "blocks.0.attn.W_K"
    assert Workspace(toy).table("weight_norms")["step"].unique().tolist() == [10]
    # the others are computed when somebody asks for them, and this one is not computed again
    report = Workspace(toy).analyze("toy", ["weight_norms"])
    assert [(t.computed, t.stored) for t in report.tables] == [(4, 1)]


def test_what_is_broken_says_how_to_mend_it(page: Any, installed: Any, toy: Path) -> None:
    installed("strobe-clash", "strobe-future")
    app = page()
    assert [t.label for t in app.tabs][1] == "To mend (2)"
    app = page(**{"plugins_tabs": "To mend (2)"})
    text = words(app)
    assert "registered by strobe and strobe-clash" in text
    assert "needs strobe>=99" in text
    button(app, "Leave out strobe-clash").click()
    said(app.run())
    assert Registry.discover(toy).get("analyzer", "weight_norms").package == "strobe"
    assert Registry.discover().get("analyzer", "weight_norms").state == "clash"


def test_what_reports_and_results_need(page: Any, toy: Path) -> None:
    (toy / "reports").mkdir()
    (toy / "reports" / "mine.yaml").write_text("title: Mine\nrequires: ['strobe-phase>=0.2']\nsections: []\n")
    app = page(**{"plugins_tabs": "Needed here"})
    assert app.dataframe[0].value.to_dict("records") == [
        {"requirement": "strobe-phase>=0.2", "installed": "", "state": "missing", "needed by": "report mine"}
    ]
    assert "strobe plugins install 'strobe-phase>=0.2'" in words(app)
