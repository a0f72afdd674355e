"""Frames: what travels to the browser, how often it is drawn, and when it may be kept."""

from __future__ import annotations

import asyncio
import gc
import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from small import STEPS, small_workspace
from starlette.applications import Starlette

from strobe import StrobeError, Workspace
from strobe.panels.bookmarks import keep
from strobe.panels.cards import Card
from strobe.panels.screen import places
from strobe.reports.files import save
from strobe.reports.library import file_of, reports_for
from strobe.reports.model import Panel, Report, Section
from strobe_app import frames as module
from strobe_app.frames import Frames, Stale
from strobe_app.routes import FOR_EVER, frames_of, routes, script, serving

ANALYZERS = ["weight_norms", "dominant_frequencies", "key_frequencies", "activation_maps", "neuron_frequency", "head_frequency"]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    workspace, _ = small_workspace(tmp_path_factory.mktemp("frames") / "workspace", ANALYZERS)
    names = ("norms_over_steps", "frequency_spectrum", "neuron_map", "attention_map")
    save(Report(title="x", sections=[Section(title="y", panels=[Panel(renderer=name) for name in names])]), file_of(workspace, "four"))
    return workspace


@pytest.fixture
def frames(small: Workspace) -> Frames:
    return Frames(Workspace(small.root))


def ask(frames: Frames, step: int, cards: dict[int, int | None], **cursor: int) -> dict[str, Any]:
    page = frames.page("small", "four")
    return json.loads(frames.frame("small", "four", "strobe", page.stamp, {"step": step, "layer": 0, "neuron": 3, **cursor}, cards).text)


def test_a_frame_holds_the_cards_asked_for_as_they_are_drawn(frames: Frames) -> None:
    frame = ask(frames, 10, {1: None, 2: None, 4: None})
    assert set(frame["shots"]) == {"1", "2", "4"}
    drawn = frames.page("small", "four").cards[2].draw({"run": "small", "step": 10})
    shot = frame["shots"]["2"]
    assert frame["specs"][shot["spec"]] == drawn.spec
    assert {name: frame["rows"][key] for name, key in shot["datasets"].items()} == drawn.datasets
    assert "strobe analyze small -a attention_maps" in frame["shots"]["4"]["problem"]


def test_what_the_reader_holds_does_not_travel_again(frames: Frames) -> None:
    whole, rest = ask(frames, 10, {1: None}), ask(frames, 10, {1: 0})
    assert whole["shots"] == rest["shots"]
    assert rest["specs"] == {}
    assert {tuple(r[0]) for r in rest["rows"].values()} == {("step", "label")}  # the cursor alone
    first = ask(frames, 0, {1: None})
    for key in rest["shots"]["1"]["datasets"].values():
        assert key in rest["rows"] or key in first["rows"]


def test_cards_in_which_only_the_cursor_moves_are_drawn_twice(frames: Frames, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[tuple[str, int]] = []
    draw = Card.draw
    monkeypatch.setattr(
        Card, "draw", lambda self, cursor, *a, **k: drawn.append((self.panel.renderer, cursor["step"])) or draw(self, cursor, *a, **k)
    )
    assert "still" not in ask(frames, 0, {1: None, 2: None})["shots"]["1"]
    second = ask(frames, 5, {1: 0, 2: 0})
    assert second["shots"]["1"]["still"] is True
    assert "still" not in second["shots"]["2"]
    ask(frames, 5, {1: 0, 2: 0})
    assert sorted(drawn) == [("frequency_spectrum", 0), ("frequency_spectrum", 5), ("norms_over_steps", 0), ("norms_over_steps", 5)]


def test_moving_about_keeps_no_more_than_the_caches(frames: Frames, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 60_000)
    monkeypatch.setattr(module, "MOST_SHOTS", 6)
    for i in range(14):
        frame = ask(frames, STEPS[i % len(STEPS)], {1: None, 2: None, 3: None}, neuron=i % 4)
        assert all(key in frame["rows"] for shot in frame["shots"].values() for key in shot["datasets"].values())
    assert frames._bytes <= 60_000
    assert len(frames._shots) == 6


def test_new_results_make_a_new_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REST", 0.0)
    workspace, run = small_workspace(tmp_path / "w", ["weight_norms"])
    frames = Frames(workspace)
    before = frames.page("small", "default")
    assert frames.page("small", "default") is before
    workspace.analyze(run, ["gini"])
    late = frames.frame("small", "default", "strobe", before.stamp, {"step": 0}, {1: 0})
    assert not late.fresh
    assert json.loads(late.text)["changed"]
    with pytest.raises(Stale):
        frames.frame("small", "default", "strobe", "longago", {"step": 0}, {1: None})
    assert len(frames.page("small", "default").cards) > 0
    assert frames.page("small", "default").stamp != before.stamp


def test_a_card_that_is_not_there_is_refused(frames: Frames) -> None:
    with pytest.raises(StrobeError, match="no card 9"):
        ask(frames, 0, {9: None})


# --- routes ------------------------------------------------------------------------------------------------------------------------------------


class Answer:
    """What an ASGI application sent."""

    def __init__(self, messages: list[dict[str, Any]]) -> None:
        self.status_code = messages[0]["status"]
        self.headers = {name.decode(): value.decode() for name, value in messages[0]["headers"]}
        self.content = b"".join(message.get("body", b"") for message in messages[1:])

    def json(self) -> Any:
        return json.loads(self.content)


class Client:
    def __init__(self, app: Starlette) -> None:
        self.app = app

    def get(self, url: str, headers: dict[str, str] | None = None) -> Answer:
        path, _, query = url.partition("?")
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        raw = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
        scope = {"type": "http", "method": "GET", "path": path, "query_string": query.encode(), "headers": raw, "root_path": ""}
        asyncio.run(self.app(scope, receive, send))
        return Answer(sent)


@pytest.fixture
def client(small: Workspace) -> Iterator[Client]:
    yield Client(Starlette(routes=routes(str(small.root))))
    serving.clear()  # other tests run the page without its routes


def address(small: Workspace, **query: Any) -> str:
    stamp = frames_of(str(small.root)).page("small", "four").stamp
    wanted = {"run": "small", "report": "four", "theme": "strobe", "cards": "1,2@0", "step": 10} | query
    return f"/api/frames/{stamp}?" + "&".join(f"{name}={value}" for name, value in wanted.items() if value is not None)


def test_a_frame_may_be_kept_for_ever_and_is_not_sent_twice(client: Client, small: Workspace) -> None:
    answer = client.get(address(small))
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == FOR_EVER
    again = client.get(address(small), headers={"if-none-match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_a_page_of_the_past_is_told_so(client: Client) -> None:
    answer = client.get("/api/frames/longago?run=small&report=four&theme=strobe&cards=1&step=0")
    assert (answer.status_code, answer.headers["cache-control"]) == (409, "no-store")


@pytest.mark.parametrize("wrong", [{"step": None}, {"step": "x"}, {"cards": "a"}, {"theme": "neon"}, {"run": "gone"}, {"cards": "77"}])
def test_a_question_that_makes_no_sense_is_answered_in_words(client: Client, small: Workspace, wrong: dict[str, Any]) -> None:
    answer = client.get(address(small, **wrong))
    assert answer.status_code == 400
    assert answer.json()["error"]


def test_a_probe_is_a_text_and_another_place(client: Client, small: Workspace) -> None:
    usual, named, other = (client.get(address(small, cards="3", probe=probe)).json()["shots"]["3"] for probe in (None, "grid", "elsewhere"))
    assert named == usual
    assert other != usual


def test_the_script_lies_under_a_name_made_of_its_content(client: Client) -> None:
    answer = client.get(f"/{script()[0]}")
    assert answer.headers["content-type"].startswith("text/javascript")
    assert answer.headers["cache-control"] == FOR_EVER
    assert b"export" in answer.content


def test_a_page_learns_cheaply_whether_there_is_anything_new(client: Client, small: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REST", 0.0)
    url = "/api/stamp?run=small&report=four"
    before = client.get(url)
    assert before.json()["stamp"] == frames_of(str(small.root)).page("small", "four").stamp
    again = client.get(url, headers={"if-none-match": before.headers["etag"]})
    assert (again.status_code, again.content, again.headers["cache-control"]) == (304, b"", "no-cache")
    keep(small.run("small"), {"name": "here", "cursor": {"step": 0}})
    after = client.get(url, headers={"if-none-match": before.headers["etag"]})
    assert after.status_code == 200
    assert after.json()["stamp"] == before.json()["stamp"]
    assert after.json()["marks"] != before.json()["marks"]
    assert client.get("/api/stamp?run=small").status_code == 400


def test_memory_is_flat_over_hundreds_of_moves(frames: Frames) -> None:
    stamp = frames.page("small", "four").stamp

    def move(times: int) -> int:
        for i in range(times):
            frames.frame("small", "four", "strobe", stamp, {"step": STEPS[i % len(STEPS)], "layer": 0, "neuron": 3}, {1: 0, 3: None})
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    move(20)
    tracemalloc.start()
    try:
        before = move(20)
        assert move(200) - before < 20_000
    finally:
        tracemalloc.stop()


# --- coordinates -------------------------------------------------------------------------------------------------------------------------------


def test_places_are_what_cards_are_cut_at_and_what_clicks_move(frames: Frames) -> None:
    page, run = frames.page("small", "four"), frames.workspace.run("small")
    found = places(frames.workspace, run, page.cards.values())
    assert found["neuron"] == list(range(16))
    assert found["layer"] == [0]
    assert found["frequency"] == list(range(7))


def test_a_generic_panel_follows_a_coordinate(small: Workspace) -> None:
    panel = Panel(renderer="line_over_steps", table="neuron_frequency", slots={"y": "fraction"}, follow=["neuron"])
    save(Report(title="x", sections=[Section(title="y", panels=[panel])]), file_of(small, "follow"))
    card = Frames(Workspace(small.root)).page("small", "follow").cards[1]
    assert card.at == ("neuron",)
    assert set(card.rows({"run": "small", "neuron": 5})["neuron"]) == {5}


def test_reports_of_the_family_can_be_opened(small: Workspace) -> None:
    assert {"default", "four", "neuron", "heads", "geometry"} <= set(reports_for(small, "small"))
    frames = Frames(small)
    for name in ("neuron", "heads", "geometry"):
        page = frames.page("small", name)
        assert page.problem == ""
        wrong = [
            card.problem for card in page.cards.values() if card.problem and "strobe analyze" not in card.problem and "no results" not in card.problem
        ]
        assert wrong == []
