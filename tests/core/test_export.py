"""Films of cards, and reports as one HTML file: what is in the file; tests/app drives it in a browser."""

from __future__ import annotations

import base64
import io
import json
import re
import zlib
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small import STEPS, small_workspace

import strobe
from strobe import Frame, Number, Renderer, StrobeError, hookimpl
from strobe.errors import UsageError
from strobe.export import write_report
from strobe.export.html import chosen_steps, write_html
from strobe.panels.cards import cards_of, resolve
from strobe.panels.film import Reel, shoot
from strobe.panels.moments import events_of, metrics_at, nearest, opening_step
from strobe.reports.model import Panel, Report, Section

PANELS = ["loss_curves", "frequency_spectrum", "neuron_map", "trajectory_plane", "phase_table"]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory):
    return small_workspace(tmp_path_factory.mktemp("export") / "workspace")


def cards(small, *panels: Panel):
    workspace, run = small
    return cards_of(resolve(workspace, Report(title="x", sections=[Section(title="y", panels=list(panels))]), run))


# --- films -------------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("renderer", [*PANELS, "attention_map", "neuron_clusters"])
def test_a_film_shows_what_drawing_each_step_shows(small, renderer: str) -> None:
    (card,) = cards(small, Panel(renderer=renderer))
    reel, cursor = Reel(), {"layer": 0, "neuron": 3}
    film = shoot(card, STEPS, cursor, reel)
    assert len(film.specs) == 1
    for step, shot in zip(STEPS, film.shots, strict=True):
        drawn = card.draw({**cursor, "step": step})
        assert film.specs[shot.spec] == drawn.spec
        assert {name: reel.rows[i] for name, i in shot.datasets.items()} == drawn.datasets


def test_a_step_change_changes_something(small) -> None:
    for card in cards(small, *[Panel(renderer=name) for name in PANELS[:4]]):
        film = shoot(card, STEPS, {"layer": 0, "neuron": 3}, Reel())
        assert len({json.dumps(s.datasets) for s in film.shots}) == len(STEPS), card.title


class Counting(Renderer):
    """Counts how often it draws."""

    slots = {"y": Number()}
    over = ("step",)
    drawn: list[int] = []

    @hookimpl
    def render(self, frame: Frame) -> alt.LayerChart:
        from strobe import charts

        self.drawn.append(frame.cursor["step"])
        steps = charts.step_axis(STEPS)
        return alt.layer(*charts.cursor_rule(frame.cursor, steps, height=50))


def test_a_card_in_which_only_the_cursor_moves_is_drawn_three_times(small) -> None:
    small[0].registry.add(Counting)
    (card,) = cards(small, Panel(renderer="counting", table="weight_norms"))
    reel = Reel()
    film = shoot(card, STEPS, {}, reel)
    assert card.view.renderer.drawn == [0, 10, 30]
    assert [reel.rows[s.datasets["cursor"]][0]["step"] for s in film.shots] == list(STEPS)


class Titled(Renderer):
    """Breaks the rule: the step stands in the specification."""

    slots = {"y": Number()}

    @hookimpl
    def render(self, frame: Frame) -> alt.Chart:
        step = frame.cursor["step"]
        if step == 20:
            raise StrobeError("not at this step")
        return alt.Chart(alt.Data(values=[{"x": 1}])).mark_point().encode(x="x:Q").properties(title=f"step {min(step, 10)}")


def test_other_specifications_are_kept_per_step_and_a_problem_stays_at_its_step(small) -> None:
    small[0].registry.add(Titled)
    (card,) = cards(small, Panel(renderer="titled", table="weight_norms"))
    film = shoot(card, STEPS, {}, Reel())
    assert [spec["title"] for spec in film.specs] == ["step 0", "step 5", "step 10"]
    assert [s.spec for s in film.shots] == [0, 1, 2, -1, 2]
    assert [s.problem for s in film.shots] == ["", "", "", "not at this step", ""]


def test_a_pinned_step_is_one_picture(small) -> None:
    (card,) = cards(small, Panel(renderer="frequency_spectrum", cursor={"step": 10}))
    film = shoot(card, STEPS, {}, Reel())
    assert len({json.dumps(s.datasets) for s in film.shots}) == 1


def test_equal_rows_are_kept_once() -> None:
    reel = Reel()
    assert [reel.keep(rows) for rows in ([{"a": 1}], [{"a": 2}], [{"a": 1}])] == [0, 1, 0]
    assert reel.rows == [[{"a": 1}], [{"a": 2}]]


# --- steps -------------------------------------------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 10**6), min_size=2, max_size=200, unique=True), st.lists(st.floats(0, 10**6), max_size=6), st.integers(2, 80))
def test_chosen_steps_are_checkpoints_with_both_ends(steps: list[int], events: list[float], most: int) -> None:
    steps = sorted(steps)
    chosen = chosen_steps(steps, events, most)
    assert set(chosen) <= set(steps)
    assert chosen == sorted(set(chosen))
    assert len(chosen) == min(most, len(steps))
    assert {steps[0], steps[-1]} <= set(chosen)
    if most >= len(events) + 2:
        assert {steps[nearest(steps, e)] for e in events} <= set(chosen)


def test_an_export_of_one_step_is_refused() -> None:
    with pytest.raises(UsageError, match="shows no change"):
        chosen_steps(STEPS, [], 1)


def test_a_page_opens_at_the_turn_when_there_was_one() -> None:
    assert opening_step(STEPS, {"memorised": 4.0, "generalised": 17.0}) == 20
    assert opening_step(STEPS, {"memorised": 4.0}) == 30


def test_metrics_are_those_of_the_latest_step_not_after(small) -> None:
    run = small[1]
    recorded = run.metrics.set_index("step")
    words = metrics_at(run, STEPS)
    assert len(words) == len(STEPS)
    assert float(words[-1]["train loss, nats"]) == pytest.approx(recorded["train_loss"].loc[30], rel=0.01)
    assert words[-1]["test accuracy"].endswith("%")


def test_events_come_in_order(small) -> None:
    steps = list(events_of(*small).values())
    assert steps == sorted(steps)


# --- the file ----------------------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def page(small, tmp_path_factory: pytest.TempPathFactory) -> str:
    workspace, run = small
    sections = [Section(title="All <b>", panels=[*[Panel(renderer=name) for name in PANELS], Panel(renderer="missing_one")])]
    report = Report(title="A </script> title {{data}}", description="of & all", sections=sections)
    return write_html(workspace, report, run, tmp_path_factory.mktemp("html") / "sub" / "x.html").read_text("utf-8")


def content(page: str) -> Any:
    """The header of what the file holds."""
    data = zlib.decompress(base64.b64decode(re.search(r'<script id="report" type="application/octet-stream">(.*?)</script>', page)[1]))
    return json.loads(data[4 : 4 + int.from_bytes(data[:4], "little")])


def test_the_file_asks_for_nothing_from_elsewhere(page: str) -> None:
    markup = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert not re.search(r"""(src|href)\s*=\s*["']?(https?:)?//""", markup)
    assert "@import" not in markup
    assert "url(" not in markup
    assert "<script src" not in page


def test_words_of_the_report_are_text_and_not_markup(page: str) -> None:
    assert "<h1>A &lt;/script&gt; title {{data}}</h1>" in page
    assert "All <b>" not in page
    assert content(page)["model"]["sections"][0]["title"] == "All <b>"
    assert page.count("</script>") == 4
    assert json.loads(re.search(r'<script id="about" type="application/json">(.*?)</script>', page)[1])["run"] == "small"


def test_the_file_says_what_it_is(page: str) -> None:
    assert f'content="Strobe {strobe.__version__}"' in page
    for words in (f"Strobe {strobe.__version__}", "run small", "modular_addition", "p=13", "d_mlp=16", "5 checkpoints", "neuron 0"):
        assert words in page


def test_the_file_holds_every_step_of_every_card(page: str) -> None:
    data = content(page)
    assert data["steps"] == list(STEPS)
    assert [take["at"] for take in data["takes"]] == [[], [], ["layer", "neuron"], [], [], []]
    assert [len(take["films"]) for take in data["takes"]] == [1, 1, 16, 1, 1, 1]
    assert [len(take["specs"]) for take in data["takes"]] == [1] * len(PANELS) + [0]
    films = [film for take in data["takes"] for film in take["films"].values()]
    assert {len(film) for film in films} == {len(STEPS)}
    positions = {i for film in films for shot in film if not isinstance(shot, str) for i in shot[1].values()}
    assert positions == set(range(len(data["places"])))
    assert "no renderer 'missing_one'" in films[-1][0]


def test_what_would_take_too_many_charts_stands_still_and_says_so(small, tmp_path: Path) -> None:
    workspace, run = small
    report = Report(title="x", sections=[Section(title="y", panels=[Panel(renderer="neuron_map"), Panel(renderer="loss_curves")])])
    text = write_html(workspace, report, run, tmp_path / "x.html", most_charts=20, cursor={"neuron": 7}).read_text("utf-8")
    data = content(text)
    assert data["takes"][0]["at"] == ["layer"]
    (neuron, curves) = data["model"]["sections"][0]["cards"]
    assert neuron["footnote"].endswith("in this file at neuron 7 of 16: the app shows the others")
    assert "in this file" not in curves["footnote"]
    assert "neuron" not in data["model"]["choices"]
    assert "Shown: neuron 7 of 16." in text


@given(
    st.lists(
        st.lists(
            st.fixed_dictionaries(
                {
                    "whole": st.integers(-(10**6), 10**6) | st.none(),
                    "number": st.floats(allow_nan=False, allow_infinity=False, width=32) | st.none(),
                    "text": st.text(max_size=3) | st.booleans() | st.none(),
                }
            ).map(lambda row: {name: row[name] for name in ("whole", "number", "text")}),
            max_size=9,
        ),
        min_size=1,
        max_size=4,
    )
)
def test_columns_of_few_values_are_exact(items: list[list[dict[str, Any]]]) -> None:
    from strobe.export.columns import table

    blob = bytearray()
    header = table(items, blob)
    assert "json" not in header
    assert [row for item in items for row in item] == _read(header, bytes(blob))


def _read(header: dict[str, Any], blob: bytes) -> list[dict[str, Any]]:
    """The rows of a table of exact columns, all items after each other."""
    counts, columns = header["rows"], []
    for column in header["columns"]:
        if column["kind"] == "same":
            values = [column["value"]] * sum(counts)
        else:
            codes = _codes(column, blob)
            whole = column["kind"] == "whole"
            known = [(None if c == column["missing"] else c + column["low"]) if whole else column["values"][c] for c in codes]
            values = known * len(counts) if column.get("fixed") else known
        columns.append((column["name"], values))
    return [{name: values[i] for name, values in columns} for i in range(sum(counts))]


def _codes(column: dict[str, Any], blob: bytes) -> list[int]:
    size, width = column["size"], column["width"]
    planes = np.frombuffer(blob, np.uint8, size * width, column["from"]).reshape(width, size)
    codes = np.ascontiguousarray(planes.T).view(f"<u{width}").reshape(-1).tolist()
    for i in range(column["back"], size if column["back"] else 0):
        codes[i] = (codes[i] + codes[i - column["back"]]) % 256**width
    return codes


@given(st.lists(st.floats(-1e30, 1e30, allow_subnormal=False).filter(lambda x: x == 0 or abs(x) > 1e-30), min_size=2, max_size=50, unique=True))
def test_measured_numbers_are_kept_to_the_stated_error(values: list[float]) -> None:
    from strobe.export.columns import ERROR, LEVELS, WIDEST, quantised

    given_ = np.array([*values, np.nan])
    codes, how = quantised(given_)
    back = how["unit"] * np.sinh(how["low"] + codes.astype(float) / LEVELS * (how["high"] - how["low"]))  # as `frames.js` reads them
    back[codes == LEVELS + 1] = np.nan
    assert np.isnan(back[-1])
    assert (
        np.abs(back[:-1] - given_[:-1]) <= ERROR * np.abs(given_[:-1]) + ERROR * WIDEST * np.abs(given_[:-1]).max() * 2 + ERROR * how["unit"]
    ).all()
    assert (back[:-1][given_[:-1] == 0] == 0).all() or (given_[:-1] >= 0).all() or (given_[:-1] <= 0).all()


def test_a_thinned_file_says_so(small, tmp_path: Path) -> None:
    workspace, run = small
    report = Report(title="x", sections=[Section(title="y", panels=[Panel(renderer="phase_table")])])
    ticks: list[tuple[int, int]] = []
    text = write_html(workspace, report, run, tmp_path / "x.html", most_steps=3, theme="strobe_dark", progress=lambda *n: ticks.append(n)).read_text(
        "utf-8"
    )
    assert "3 of the run&#x27;s 5 checkpoints are in this file" in text
    assert len(content(text)["steps"]) == 3
    assert 'data-theme="strobe_dark"' in text
    assert ticks == [(1, 1)]


def test_maps_have_fewer_shades_and_other_pictures_are_left_alone() -> None:
    from PIL import Image

    from strobe.charts.images import png_url
    from strobe.export.shades import SHADES, coarser

    cells = np.linspace(0, 1, 113 * 113).reshape(113, 113).copy()
    cells[5, 5] = np.nan
    png = base64.b64decode(png_url(cells, (0.0, 1.0)).partition(",")[2])
    small = coarser(png)
    assert len(small) < len(png)
    before, after = (np.asarray(Image.open(io.BytesIO(data)).convert("RGBA")).astype(int) for data in (png, small))
    assert np.abs(before - after).max() <= 255 / SHADES + 3
    assert (before[[0, -1], [0, -1]] == after[[0, -1], [0, -1]]).all()
    assert after[5, 5, 3] == 0
    other = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (9, 9, 3), np.uint8)).save(other, "PNG")
    assert coarser(other.getvalue()) == other.getvalue()


def test_a_file_that_is_there_stays_when_its_successor_cannot_be_written(small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace, run = small
    (tmp_path / "x.html").write_text("as it was")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("strobe.checkpoints.os.replace", full)
    report = Report(title="T", sections=[Section(title="S", panels=[Panel(renderer="loss_curves")])])
    for write in (
        lambda: write_report(workspace, report, run, tmp_path / "x.html"),
        lambda: workspace.view("loss_curves", run).save(tmp_path / "x.html"),
    ):
        with pytest.raises(StrobeError, match="No space left on device"):
            write()
    assert [(f.name, f.read_text()) for f in tmp_path.iterdir()] == [("x.html", "as it was")]


def test_a_report_in_a_notebook_is_the_standalone_page(small, tmp_path: Path) -> None:
    workspace, run = small
    (tmp_path / "few.yaml").write_text("title: Few <b>\nsections: [{title: S, panels: [{renderer: phase_table}]}]\n")
    report = workspace.report(run, str(tmp_path / "few.yaml")).at(step=10)
    page = report.to_html(theme="dark")
    assert 'data-theme="strobe_dark"' in page
    assert content(page)["model"]["cursor"]["step"] == 10
    shown = report._repr_html_()
    assert shown.startswith('<iframe srcdoc="&lt;!doctype html&gt;')
    assert "<b>" not in shown
    assert report.save(tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(UsageError, match="no report 'fewer'"):
        workspace.report(run, "fewer")
