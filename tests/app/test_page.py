"""The app's page, run without a browser: what it shows, what moves it, and what it says when something is missing."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from small import STEPS, small_workspace
from streamlit.testing.v1 import AppTest

import strobe
import strobe_app
from strobe import Workspace
from strobe.panels.sizes import pixels
from strobe.reports.files import save
from strobe.reports.library import file_of
from strobe.reports.model import Panel, PanelGroup, Report, Section
from strobe_app.panels import width_of

PAGE = Path(strobe_app.__file__).parent / "main.py"
ANALYZERS = ["weight_norms", "activation_maps", "phases"]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory):
    workspace, run = small_workspace(tmp_path_factory.mktemp("page") / "workspace", ANALYZERS)
    small_workspace(workspace.root, [], name="unanalyzed")
    panels = [Panel(renderer="neuron_map"), Panel(renderer="attention_map"), Panel(renderer="nothing_like_it"), Panel(renderer="norms_over_steps")]
    save(Report(title="Four cards", sections=[Section(title="S", panels=panels)]), file_of(workspace, "four"))
    return workspace, run


@pytest.fixture
def page(small, monkeypatch: pytest.MonkeyPatch):
    """`page(step="10")` is the page at that address, with the report of four cards unless another is asked for."""

    def opened(folder: Path | None = None, **address: str) -> AppTest:
        monkeypatch.setattr(sys, "argv", ["main.py", "--workspace", str(folder or small[0].root)])
        app = AppTest.from_file(str(PAGE), default_timeout=60)
        for name, value in ({"report": "four", "run": "small"} | address).items():
            app.query_params[name] = value
        return app.run()

    return opened


def charts(app: AppTest) -> list[str]:
    return [chart.proto.spec for chart in app.get("vega_lite_chart")]


def rows(app: AppTest) -> list[bytes]:
    return [d.data.data for chart in app.get("vega_lite_chart") for d in chart.proto.datasets]


def test_the_page_shows_the_cards_it_can_and_says_what_the_others_need(page) -> None:
    app = page()
    assert not app.exception
    assert not app.error
    assert [t.value for t in app.title] == ["Four cards"]
    assert len(charts(app)) == 2
    missing, unknown = (w.value for w in app.warning)
    assert "`strobe analyze small -a attention_maps`" in missing
    assert "no renderer 'nothing_like_it'" in unknown
    assert any(f"Strobe {strobe.__version__}" in c.value for c in app.sidebar.caption)


def test_text_groups_and_numbered_widths_are_those_of_the_report(page, small) -> None:
    words = "The *turn* is <b>late</b>: ![x](y.png) [there](?run=small&step=20)"
    group = PanelGroup(title="Part", panels=[Panel(renderer="neuron_map", width=4)])
    full = [Panel(renderer="norms_over_steps", width=12), Panel(renderer="norms_over_steps", width=8)]
    save(Report(title="Words", sections=[Section(title="S", markdown=words, panels=full, groups=[group])]), file_of(small[0], "words"))
    app = page(report="words")
    assert not app.exception
    (text,) = (h.proto.body for h in app.get("html") if "words" in h.proto.body)
    assert "<em>turn</em> is &lt;b&gt;late" in text
    assert 'href="?run=small&amp;step=20"' in text
    assert "<img" not in text
    assert "**Part**" in [m.value for m in app.markdown]
    assert [s.value for s in app.subheader] == ["S"]
    wide, less = (json.loads(spec)["vconcat"][0]["width"] for spec in charts(app)[:2])
    assert wide - less == pixels(12) - pixels(8)
    assert [width_of(p) for p in (*full, group.panels[0], Panel(renderer="x"))] == ["stretch", 892, 436, 664]


def test_one_slider_over_the_real_steps_moves_every_chart(page) -> None:
    app = page(step="10")
    slider = app.sidebar.select_slider(key="step")
    assert slider.options == [f"{s:,}" for s in STEPS]
    assert slider.value == 10
    before = charts(app), rows(app)
    slider.set_value(20)
    app.run()
    assert not app.exception
    assert charts(app) == before[0]  # the rows alone travel anew
    assert rows(app) != before[1]


def test_the_address_says_where_one_looks(page) -> None:
    app = page(step="10", neuron="3")
    assert app.sidebar.selectbox(key="neuron").value == 3
    app.sidebar.selectbox(key="neuron").set_value(7)
    app.run()
    assert {k: app.query_params[k] for k in ("run", "step", "neuron", "report")} == {"run": "small", "step": "10", "neuron": "7", "report": "four"}


@pytest.mark.parametrize("address", [{"step": "11"}, {"step": "-5"}, {"step": "x"}, {"run": "gone"}, {"report": "gone"}, {"neuron": "99"}])
def test_an_address_of_what_is_not_there_goes_to_what_is_near(page, address: dict[str, str]) -> None:
    app = page(**address)
    assert not app.exception
    assert app.sidebar.select_slider(key="step").value in STEPS


def test_a_neuron_is_chosen_for_the_cards_that_need_one(page) -> None:
    app = page(step="10")
    before = rows(app)
    app.sidebar.selectbox(key="neuron").set_value(5)
    app.run()
    assert rows(app) != before
    assert "head" not in [s.key for s in app.sidebar.selectbox]


def test_buttons_jump_to_events(page) -> None:
    app = page(step="0")
    button = next(b for b in app.sidebar.button if b.label.startswith("peak"))
    at = int(button.label.removeprefix("peak ").replace(",", ""))
    button.click()
    app.run()
    assert app.sidebar.select_slider(key="step").value == min(STEPS, key=lambda s: abs(s - at))


def test_another_run_has_its_own_steps_and_results(page) -> None:
    app = page(step="10")
    app.sidebar.selectbox(key="run").set_value("unanalyzed")
    app.run()
    assert not app.exception
    assert "strobe analyze unanalyzed -a activation_maps" in app.warning[0].value


def test_data_are_listed_when_asked_for(page) -> None:
    app = page(step="10")
    assert not app.dataframe
    app.session_state["data-1"] = True
    app.run()
    assert not app.exception
    (table,) = app.dataframe
    assert list(table.value["neuron"]) == [0]
    assert [d.proto.label for d in app.get("download_button")] == ["CSV", "Parquet"]
    sql, python = (c.value for c in app.code)
    assert sql.startswith("select * from activation_maps where run = 'small' and (step = 10 or step is null)")
    assert python.splitlines()[2].startswith("workspace.view('neuron_map', 'small', step=10")


def test_an_empty_workspace_says_what_to_type(page, tmp_path: Path) -> None:
    app = page(tmp_path / "empty")
    assert not app.exception
    assert "has no runs yet" in app.info[0].value
    assert "strobe demo --workspace" in app.code[0].value
    assert any(f"Strobe {strobe.__version__}" in c.value for c in app.sidebar.caption)


def test_a_workspace_that_is_a_file_is_said_to_be_one(page, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    app = page(tmp_path / "file")
    assert not app.exception
    assert "is a file" in app.error[0].value


def test_a_report_that_cannot_be_read_is_named_and_the_runs_own_is_shown(page, small) -> None:
    path = file_of(small[0], "broken")
    path.write_text("titel: x\n")
    app = page(report="broken")
    path.unlink()
    assert not app.exception
    assert "did you mean 'title'" in app.error[0].value
    assert app.title[0].value == "Grokking at a glance"


def test_a_new_result_appears_without_a_restart(page, small) -> None:
    workspace, _ = small
    folder = workspace.root.parent / "growing"
    grown, run = small_workspace(folder, [])
    save(Report(title="x", sections=[Section(title="S", panels=[Panel(renderer="norms_over_steps")])]), file_of(grown, "four"))
    app = page(folder)
    assert "strobe analyze small -a weight_norms" in app.warning[0].value
    Workspace(folder).analyze(run, ["weight_norms"])
    app.run()
    assert not app.warning
    assert len(charts(app)) == 1
