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
    panel.select_index(1)
    app.selectbox(key="export format").select_index(1)
    said(app.run())
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


def test_names_of_files_say_what_is_in_them_and_nothing_else() -> None:
    from strobe_app.export_form import _file_name

    assert _file_name("toy", "default", None, {"step": 10}) == "toy-default-step10"

    class Card:
        number, title = 3, "../<b>x</b>/y"

    assert _file_name("toy", "default", Card(), {}) == "toy-default-3-.._b_x_b_y"
    assert "/" not in _file_name("toy", "../..", None, {})


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
