"""How drawings are passed to Streamlit, and what is remembered of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from small import STEPS, small_workspace

from strobe.panels.cards import Card, Drawing, cards_of, resolve
from strobe.reports.model import Panel, Report, Section
from strobe_app.gallery import Gallery
from strobe_app.launch import command
from strobe_app.panels import clickable, for_streamlit, rows


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory):
    return small_workspace(tmp_path_factory.mktemp("panels") / "workspace", ["weight_norms", "dominant_frequencies", "key_frequencies"])


def cards(small, *names: str) -> list[Card]:
    workspace, run = small
    report = Report(title="x", sections=[Section(title="y", panels=[Panel(renderer=name) for name in names])])
    return cards_of(resolve(workspace, report, run))


def test_lines_of_a_text_travel_as_one_text_and_are_split_again() -> None:
    spec = {"layer": [{"data": {"name": "labels"}, "mark": "text", "transform": [{"filter": "true"}]}, {"data": {"name": "dots"}, "mark": "point"}]}
    drawing = Drawing(spec, {"labels": [{"text": ["a", "b"]}, {"text": "c"}], "dots": [{"x": 1}]})
    passed = for_streamlit(drawing)
    assert passed["autosize"] == "pad"
    assert passed["datasets"] == {"labels": [{"text": "a\nb"}, {"text": "c"}], "dots": [{"x": 1}]}
    assert passed["layer"][0]["transform"] == [{"calculate": "split(datum['text'], '\\n')", "as": "text"}, {"filter": "true"}]
    assert passed["layer"][1] == spec["layer"][1]
    assert drawing.datasets["labels"][0]["text"] == ["a", "b"]  # the remembered drawing is not touched


def test_marks_whose_rows_have_the_field_can_be_clicked() -> None:
    spec = {
        "vconcat": [{"layer": [{"data": {"name": "bars"}, "mark": "bar"}, {"data": {"name": "other"}, "mark": "rule"}]}],
        "datasets": {"bars": [{"frequency": 3}], "other": [{"x": 1}]},
    }
    assert clickable(spec, ["frequency", "neuron"]) == ["pick_0"]
    assert spec["vconcat"][0]["layer"][0]["name"] == "view_pick_0"
    assert spec["params"][0]["select"]["fields"] == ["frequency"]
    assert spec["params"][0]["views"] == ["view_pick_0"]


def test_a_full_card_has_its_own_row() -> None:
    def card(number: int, width: str) -> Card:
        return Card(number, Panel(renderer="x", width=width), "", "", None)

    shown = rows([card(i, w) for i, w in enumerate(["half", "half", "full", "full", "half"])])
    assert [[c.number for c in row] for row in shown] == [[0, 1], [2], [3], [4]]


def test_a_remembered_drawing_is_what_would_be_drawn(small) -> None:
    workspace, run = small
    gallery = Gallery()
    for card in cards(small, "norms_over_steps", "frequency_spectrum"):
        for step in (*STEPS, *STEPS):
            cursor = {"run": run.name, "step": step}
            kept, fresh = gallery.draw(workspace, card, cursor, "strobe"), card.draw(cursor)
            assert (kept.signature, kept.datasets) == (fresh.signature, fresh.datasets)


def test_a_step_seen_before_is_not_drawn_again(small, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace, run = small
    drawn: list[tuple[str, int]] = []
    draw = Card.draw
    monkeypatch.setattr(Card, "draw", lambda self, cursor, theme: drawn.append((self.panel.renderer, cursor["step"])) or draw(self, cursor, theme))
    gallery = Gallery()
    for card in cards(small, "norms_over_steps", "frequency_spectrum"):
        for step in (*STEPS, *STEPS):
            gallery.draw(workspace, card, {"run": run.name, "step": step}, "strobe")
    assert [s for name, s in drawn if name == "norms_over_steps"] == [0, 5]  # then the cursor alone is moved
    assert [s for name, s in drawn if name == "frequency_spectrum"] == list(STEPS)


def test_the_app_is_configured_by_flags(tmp_path: Path) -> None:
    words = command(str(tmp_path), 8555, headless=True)
    assert words[1] == "-P"  # a file of the folder where it is started is not imported
    assert words[-3:] == ["--", "--workspace", str(tmp_path)]
    assert {"--browser.gatherUsageStats=false", "--server.headless=true", "--server.port=8555", "--server.address=localhost"} <= set(words)
    assert not [w for w in command(str(tmp_path)) if w.startswith("--server.port")]
