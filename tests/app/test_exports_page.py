"""The page Exports without a browser: what is asked for is queued, done, shown and taken away; a panel as a picture by its address."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from strobe.jobs.queue import JobStore
from strobe.jobs.worker import work


def script() -> None:
    """The page on the workspace named by the command line; what it queues is done at once, by the test."""
    import sys

    import strobe_app.export_form
    from strobe import Workspace
    from strobe_app import exports_page

    strobe_app.export_form.ensure_worker = lambda root: None
    exports_page.show(Workspace(sys.argv[-1]))


@pytest.fixture
def page(toy: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(sys, "argv", ["page", str(toy)])
    return lambda: said(AppTest.from_function(script, default_timeout=60).run())


def said(app: AppTest) -> AppTest:
    assert not app.exception, app.exception[0].value
    return app


def test_a_panel_is_queued_written_previewed_and_deleted(page, toy: Path) -> None:
    app = page()
    assert {option.split(":")[0] for option in app.selectbox(key="export format").options} == {
        "HTML",
        "PNG",
        "SVG",
        "PDF",
        "GIF",
        "WEBP",
        "MP4",
        "MD",
    }
    (panel,) = [box for box in app.selectbox if box.key.startswith("export panel")]
    panel.select(next(o for o in panel.options if o.startswith("1 ")))
    app.selectbox(key="export format").select_index(1)
    said(app.run())
    said(app.text_input(key="export width").set_value("2 furlongs").run())
    assert "write a number and a unit" in app.error[0].value
    assert app.button(key="export go").disabled
    said(app.text_input(key="export width").set_value("85mm").run())
    said(app.button(key="export go").click().run())
    (job,) = [j for j in JobStore(toy).all() if j.kind == "export"]
    assert job.state == "queued"
    work(toy, idle=0)
    app = page()
    (file,) = (toy / "exports").glob("*.png")
    assert file.read_bytes().startswith(b"\x89PNG")
    assert any(file.name in text.value for text in app.text)
    said(app.toggle(key=f"preview {file.name}").set_value(True).run())
    said(app.button(key=f"delete {file.name}").click().run())
    assert not file.exists()


def test_markdown_is_taken_away_with_its_figures(toy: Path, tmp_path: Path, page) -> None:
    import io
    import re
    import zipfile

    from strobe import Workspace
    from strobe.export import write_report
    from strobe.reports.model import Panel, Report, Section
    from strobe_app.exports_page import figures, zipped

    report = Report(title="x", sections=[Section(title="y", panels=[Panel(renderer="loss_curves")])])
    file = write_report(Workspace(toy), report, "toy", toy / "exports" / "a b.md")
    with zipfile.ZipFile(io.BytesIO(zipped(file))) as archive:
        names = archive.namelist()
        links = [link.replace("%20", " ") for link in re.findall(r"\]\(([^)]+\.png)\)", archive.read("a b.md").decode())]
        assert sorted(names) == sorted(["a b.md", *links])
        assert all(archive.read(link).startswith(b"\x89PNG") for link in links)
    assert links
    app = page()
    assert any(f"with {len(figures(file))} figures" in text.value for text in app.text)
    said(app.button(key="delete a b.md").click().run())
    assert not list((toy / "exports").glob("a b*"))


def test_a_report_as_pdf_is_asked_for_on_pages_or_with_a_width(page, toy: Path) -> None:
    app = said(page().selectbox(key="export format").select("pdf").run())
    assert app.selectbox(key="export pages").value == "a4"
    assert not [field for field in app.text_input if field.key == "export width"]
    said(app.selectbox(key="export pages").select("none").run())
    said(app.text_input(key="export width").set_value("174mm").run())
    said(app.button(key="export go").click().run())
    (job,) = [j for j in JobStore(toy).all() if j.kind == "export" and not j.ended]
    JobStore(toy).cancel(job.id)
    assert job.request["options"] == {"pages": "none", "width": "174mm"}


def test_what_cannot_be_written_is_said_on_the_page(page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("strobe.export.formats.os.access", lambda path, mode: False)
    app = said(page().button(key="export go").click().run())
    assert "is read-only" in app.error[0].value


def test_names_of_files_say_what_is_in_them_and_nothing_else() -> None:
    from strobe_app.export_form import _file_name

    assert _file_name("toy", "default", "", {"step": 10}) == "toy-default-step10"
    assert _file_name("toy", "default", "3-../<b>x</b>/y", {}, "over-neuron-dark") == "toy-default-3-.._b_x_b_y-over-neuron-dark"
    assert "/" not in _file_name("toy", "../..", "", {})


def test_a_section_is_asked_for_as_an_animation(page, toy: Path) -> None:
    app = page()
    (what,) = [box for box in app.selectbox if box.key.startswith("export panel")]
    assert what.options[0] == "The whole report"
    what.select(next(o for o in what.options if o == "Section: At this step"))
    said(app.run())
    assert "choose the whole report" in app.info[0].value  # HTML
    said(app.selectbox(key="export format").select("gif").run())
    (over,) = [box for box in app.selectbox if box.key.startswith("export over")]
    assert over.options[0] == "step"
    assert not app.select_slider  # the step runs
    said(app.selectbox(key="export ease").select("in-out").run())
    said(app.button(key="export go").click().run())
    (job,) = [j for j in JobStore(toy).all() if j.kind == "export" and not j.ended]
    JobStore(toy).cancel(job.id)
    asked = job.request
    assert asked["options"] == {"over": "step", "fps": 8, "ease": "in-out", "only": ["At this step"]}
    assert "step" not in asked["cursor"]


def test_what_can_run_is_what_has_several_values_and_what_can_be_turned() -> None:
    from types import SimpleNamespace

    from strobe_app.export_form import What, _running
    from strobe_renderers.loss_curves import LossCurves
    from strobe_renderers.parameter_cloud import ParameterCloud

    def what(renderer: Any) -> Any:
        return What((SimpleNamespace(view=SimpleNamespace(renderer=renderer)),))

    assert _running({"neuron": [0, 1], "layer": [0]}, what(LossCurves())) == ["step", "neuron"]
    assert _running({}, what(ParameterCloud())) == ["step", "azimuth"]


@pytest.mark.parametrize(("kind", "start"), [("png", b"\x89PNG"), ("svg", b"<svg"), ("pdf", b"%PDF"), ("tif", b'{"error":"no picture')])
def test_a_panel_is_a_picture_by_its_address(toy: Path, kind: str, start: bytes) -> None:
    from starlette.requests import Request

    from strobe import Workspace
    from strobe_app import downloads
    from strobe_app.frames import Frames

    frames = Frames(Workspace(toy))
    query = b"run=toy&report=default&card=1&step=0&neuron=3&theme=strobe"
    (route,) = [r for r in downloads.routes(lambda: frames) if "picture" in r.path]
    answer = route.endpoint(Request({"type": "http", "query_string": query, "path_params": {"format": kind}, "headers": []}))
    assert answer.body.lstrip().startswith(start), answer.body[:300]
