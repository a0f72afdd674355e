"""Animations: every frame shows its cursor on axes that stay, one frame is in memory, and a killed one goes on from the frames that are done."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from small import STEPS, small_workspace

from strobe import Frame, Number, Renderer, charts
from strobe.animation import animate, frames, making, movies, painter, painters
from strobe.animation.compose import Reel
from strobe.animation.sweep import Domains, Pace
from strobe.errors import StrobeError, UsageError
from strobe.export import write_report
from strobe.panels.screen import colours
from strobe.reports.model import Panel, Report, Section

TABLES = ["weight_norms", "neuron_frequency", "activation_maps", "phases"]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory):
    return small_workspace(tmp_path_factory.mktemp("animation") / "workspace", TABLES)


def report(*panels: Panel) -> Report:
    return Report(title="Two <b>", sections=[Section(title="Both", panels=list(panels))])


MAP = Panel(renderer="neuron_map", cursor={"neuron": 2})
LOSS = Panel(renderer="loss_curves")


class Growing(Renderer):
    """Draws a bar whose height is the step: Vega would fit its axis to each."""

    slots = {"y": Number()}
    colour: str = "#aa0000"
    taller: bool = False

    def render(self, frame: Frame) -> Any:
        step = int(frame.cursor["step"])
        rows = charts.dataset("bars", [{"x": "a", "value": step}])
        return alt.Chart(rows).mark_bar(color=self.colour).encode(x="x:N", y="value:Q").properties(width=60, height=100 + step * self.taller)


class Odd(Renderer):
    """Draws a bar that is tallest for neuron 3."""

    slots = {"y": Number()}
    at = ("neuron",)

    def render(self, frame: Frame) -> Any:
        neuron = int(frame.cursor["neuron"])
        rows = charts.dataset("bars", [{"x": "a", "value": 1 + neuron + 100 * (neuron == 3)}])
        return alt.Chart(rows).mark_bar(color="#aa0000").encode(x="x:N", y="value:Q").properties(width=60, height=100)


# --- files -------------------------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def files(small, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same two panels in each format, made by two processes for the first."""
    workspace, run = small
    folder, found = tmp_path_factory.mktemp("films"), {}
    for suffix in ("gif", "webp"):
        shown = report(LOSS, MAP)
        processes = 2 if suffix == "gif" else 0
        found[suffix] = write_report(workspace, shown, run, folder / f"x.{suffix}", scale=0.5, ease="in-out", processes=processes)
    return found


def test_a_gif_has_a_frame_per_checkpoint_its_times_and_its_words(files) -> None:
    with Image.open(files["gif"]) as image:
        assert image.n_frames == len(STEPS)
        assert image.info["loop"] == 0
        assert b"run small" in image.info["comment"]
        times = []
        for i in range(image.n_frames):
            image.seek(i)
            times.append(image.info["duration"])
    assert times == [round(d, -1) for d in Pace(ease="in-out").durations(len(STEPS))]


def test_webp_shows_the_same_pictures_without_loss(files) -> None:
    with Image.open(files["gif"]) as gif, Image.open(files["webp"]) as webp:
        assert webp.n_frames == gif.n_frames
        for i in range(gif.n_frames):
            gif.seek(i)
            webp.seek(i)
            a, b = (np.asarray(image.convert("RGB"), dtype=float) for image in (gif, webp))
            assert a.shape == b.shape
            assert np.abs(a - b).mean() < 2  # a GIF has 256 colours


def test_what_a_loop_says(small, tmp_path: Path) -> None:
    frame = tmp_path / "f.png"
    Image.new("RGB", (4, 4), "red").save(frame)
    label = animate.Label("t", "d", {})
    for loop, expected in ((0, 0), (1, None), (3, 2)):
        movies.write_gif(Reel([frame, frame], "#ffffff"), [50, 50], tmp_path / "x.gif", loop, label)
        with Image.open(tmp_path / "x.gif") as image:
            assert image.info.get("loop") == expected
            assert image.info["duration"] == 100  # nothing changed: one picture for the time of both


def test_mp4_opens_with_its_frames(small, tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    workspace, run = small
    path = write_report(workspace, report(MAP), run, tmp_path / "x.mp4", scale=0.5, processes=0)
    with av.open(str(path)) as film:
        shown = [frame.to_image().size for frame in film.decode(video=0)]
        assert film.metadata["title"] == "Two <b>"
    assert len(shown) == len(STEPS) + 1  # the last one again, where it ends
    assert all(width % 2 == height % 2 == 0 for width, height in shown)


def test_without_its_package_mp4_says_what_to_install(small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    workspace, run = small
    with pytest.raises(StrobeError, match=r"pip install 'strobe\[video\]'"):
        write_report(workspace, report(MAP), run, tmp_path / "x.mp4")
    assert not list(tmp_path.iterdir())


# --- going on --------------------------------------------------------------------------------------------------------------------------------


def test_a_killed_job_goes_on_from_its_frames_and_makes_the_same_film(small, tmp_path: Path) -> None:
    workspace, run = small
    values = [0, 1, 2, 3, 4, 5]
    whole = write_report(
        workspace, report(MAP.model_copy(update={"cursor": {}})), run, tmp_path / "whole.gif", over="neuron", values=values, scale=0.5
    )
    script = (
        "import sys, os, signal\n"
        "from strobe import Workspace\nfrom strobe.animation import painter\nfrom strobe.export import write_report\n"
        "from strobe.reports.model import Report\n"
        "paint, done = painter.Painter.paint, []\n"
        "def dying(self, i):\n"
        "    if len(done) == 3: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    paint(self, i); done.append(i)\n"
        "painter.Painter.paint = dying\n"
        "w = Workspace(sys.argv[1])\n"
        "shown, values = Report.model_validate_json(sys.argv[2]), [0, 1, 2, 3, 4, 5]\n"
        "write_report(w, shown, 'small', sys.argv[3], over='neuron', values=values, scale=0.5, processes=0)\n"
    )
    shown = report(MAP.model_copy(update={"cursor": {}}))
    call = [sys.executable, "-c", script, str(workspace.root), shown.model_dump_json(), str(tmp_path / "again.gif")]
    assert subprocess.run(call, env={**os.environ, "OMP_NUM_THREADS": "1"}).returncode == -signal.SIGKILL
    (folder,) = (workspace.root / animate.FOLDER).iterdir()
    before = {f.name: f.stat().st_mtime_ns for f in folder.glob("frame-*.png")}
    assert sorted(before) == ["frame-00000.png", "frame-00001.png", "frame-00002.png"]
    assert not (tmp_path / "again.gif").exists()

    painted: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        paint = painter.Painter.paint
        patch.setattr(painter.Painter, "paint", lambda self, i: (painted.append(i), paint(self, i)))
        patch.setattr(animate._Drawer, "frame", lambda self, i: pytest.fail("drawn again"))
        again = write_report(workspace, shown, run, tmp_path / "again.gif", over="neuron", values=values, scale=0.5, processes=0)
    assert painted == [3, 4, 5]
    assert again.read_bytes() == whole.read_bytes()
    assert not folder.exists()


def test_a_process_that_dies_is_named_and_what_is_done_stays(tmp_path: Path) -> None:
    problem = {"spec": {}, "datasets": {}, "problem": "nothing to draw"}
    words = {"title": "", "how": "", "notes": [], "number": None, "full": False, "domains": Domains().to_json()}
    plan = {"title": "", "blocks": [{"title": "", "panels": 1}], "panels": [words], "footer": [], "columns": 1, "framed": False, "margin": 12}
    look = {"colours": colours("strobe"), "size": {"width": None, "scale": 1.0}, "frames": 1, "moving": [[]]}
    frames.write_json(tmp_path / frames.PLAN, {**plan, **look})
    frames.write_json(frames.drawing_file(tmp_path, 0), {"lines": [], "panels": [problem]})
    with (
        pytest.raises(StrobeError, match=r"the process that draws frame 1 ended: .*drawing-00001\.json.*goes on"),
        painters.Crew(tmp_path, 1, alone=True) as crew,
    ):
        crew.offer([("apart", 0, 1), ("room", 0, 1), ("over", 0, 1), ("ground", 0, 1), ("frame", 1, 1)])
        crew.wait(lambda piece: None)


def test_what_a_power_cut_left_is_made_again(small, tmp_path: Path) -> None:
    """Files of a film in the making are not flushed: one that is cut off is no frame."""
    whole = json.dumps({"lines": []}).encode()
    for name, content in {"drawing-00000.json": whole, "drawing-00001.json": whole[:5], "frame-00000.png": b"", ".x.png.7.tmp": b"x"}.items():
        (tmp_path / name).write_bytes(content)
    Image.new("RGB", (2, 2)).save(tmp_path / "frame-00001.png")
    (tmp_path / "whole-00-00000.svg").write_text("<svg><g>")
    frames.cleared(tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == {"drawing-00000.json", "frame-00001.png"}


def test_frames_made_by_a_plan_that_did_not_hold_are_made_again(small, tmp_path: Path) -> None:
    """The tallest bar is in none of the five frames that are drawn first."""
    workspace, _ = small
    view, values = workspace.view(Odd(), "small", "activation_maps", step=30), list(range(8))
    versions = []
    with pytest.MonkeyPatch.context() as patch:
        settle = making.Making._settle
        patch.setattr(making.Making, "_settle", lambda self, plan: versions.append(settle(self, plan)) or versions[-1])
        guessed = view.animate(tmp_path / "guessed.gif", over="neuron", values=values, scale=0.5, processes=1)
    assert versions.count(True) == 2
    plain = view.animate(tmp_path / "plain.gif", over="neuron", values=values, scale=0.5, processes=0)
    assert guessed.read_bytes() == plain.read_bytes()


def test_a_page_has_room_for_the_tallest(small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A chart that is another size at each frame costs itself, not the page; what stands below it stays where it is."""
    workspace, _ = small
    monkeypatch.setattr(animate.shutil, "rmtree", lambda folder: None)
    view = workspace.view(Growing(taller=True), "small", "weight_norms")
    view.animate(tmp_path / "x.gif", scale=1, values=[10, 20, 30], processes=0)
    (folder,) = (f for f in (workspace.root / animate.FOLDER).iterdir() if list(f.glob("whole-*")))
    reel = Reel([frames.frame_file(folder, i) for i in range(3)], "#ffffff", folder / frames.PAGE)
    boxes = [reel.changed(i) for i in range(3)]
    monkeypatch.undo()
    room = json.loads(frames.room_file(folder, 0).read_text())
    sizes = [painter.Painter.of(folder).script.whole(0, i).height for i in range(3)]
    animate.shutil.rmtree(folder)
    assert boxes[0] == boxes[1] == boxes[2] is not None
    assert room[1] == max(sizes) > min(sizes)


# --- axes --------------------------------------------------------------------------------------------------------------------------------------


def test_axes_hold_all_frames(small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bar of step 30 fills its plot; on the same axis that of step 10 must fill a third."""
    workspace, _ = small
    heights = {}
    monkeypatch.setattr(animate.shutil, "rmtree", lambda folder: None)
    view = workspace.view(Growing(), "small", "weight_norms")
    view.animate(tmp_path / "x.gif", scale=1, values=[10, 20, 30], processes=0)
    (folder,) = (f for f in (workspace.root / animate.FOLDER).iterdir() if len(list(f.glob("frame-*"))) == 3)
    reel = Reel([frames.frame_file(folder, i) for i in range(3)], "#ffffff", folder / frames.PAGE)
    for i, step in enumerate((10, 20, 30)):
        pixels = np.asarray(reel.picture(i, reel.size())).astype(int)
        heights[step] = int((np.abs(pixels - [0xAA, 0, 0]).sum(axis=2) < 30).any(axis=1).sum())
    monkeypatch.undo()
    animate.shutil.rmtree(folder)
    assert heights[30] == pytest.approx(3 * heights[10], abs=4)
    assert heights[20] == pytest.approx(2 * heights[10], abs=4)


@given(st.lists(st.tuples(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3)).filter(lambda d: d[0] < d[1]), min_size=1, max_size=6))
def test_a_domain_that_is_said_is_widened_to_all(domains: list[tuple[float, float]]) -> None:
    known = Domains()
    specs = [{"encoding": {"y": {"field": "v", "type": "quantitative", "scale": {"domain": list(d)}}}} for d in domains]
    for spec in specs:
        known.see(spec, {})
    again = Domains.from_json(json.loads(json.dumps(known.to_json())))
    hull = [min(low for low, _ in domains), max(high for _, high in domains)]
    assert [again.fixed(spec)["encoding"]["y"]["scale"]["domain"] for spec in specs] == [hull] * len(specs)


def test_domains_that_mean_something_else_stay() -> None:
    def spec(values: list[Any]) -> dict[str, Any]:
        return {
            "data": {"name": "d"},
            "encoding": {
                "color": {"field": "s", "type": "quantitative", "scale": {"domain": values, "range": ["red", "blue"]}},
                "x": {"field": "n", "type": "nominal"},
                "y": {"aggregate": "sum", "field": "v", "type": "quantitative"},
            },
        }

    known = Domains()
    for values in ([0, 1], [0, 2]):
        known.see(spec(values), {"d": [{"v": 1.0, "s": 2.0, "n": "a"}]})
    assert known.fixed(spec([0, 1])) == spec([0, 1])


def test_an_axis_that_runs_downwards_still_does() -> None:
    known = Domains()
    for domain in ([10, 0], [20, 5]):
        known.see({"encoding": {"y": {"type": "quantitative", "scale": {"domain": domain}}}}, {})
    fixed = known.fixed({"encoding": {"y": {"type": "quantitative", "scale": {"domain": [10, 0]}}}})
    assert fixed["encoding"]["y"]["scale"]["domain"] == [20.0, 0.0]


# --- pace and bad input ------------------------------------------------------------------------------------------------------------------------


def test_durations() -> None:
    assert Pace(fps=10, hold=0.5).durations(3) == [100, 100, 600]
    eased = Pace(fps=10, ease="in-out", hold=0).durations(5)
    assert eased == eased[::-1]
    assert eased[0] == 300 > eased[1] > eased[2] == 100


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"over": "nueron"}, "nothing here changes with 'nueron'; did you mean 'neuron'"),
        ({"over": "neuron", "values": [1, 99]}, "neuron 99 is outside the data"),
        ({"values": [0, 7]}, "step 7 is outside the data"),
        ({"values": [5]}, "an animation of 1 frames"),
        ({"fps": 0}, "fps 0"),
        ({"fps": 500}, "from 0.1 to 60"),
        ({"ease": "inout"}, "did you mean 'in-out'"),
        ({"hold": -1}, "hold -1"),
        ({"loop": "x"}, "loop 'x'"),
        ({"scale": 0}, "scale 0"),
        ({"width": "85"}, None),
        ({"width": "85 miles"}, "one of px, mm"),
        ({"columns": 3}, "write 1 or 2"),
        ({"only": ["Losses"]}, "no panel and no section 'Losses'"),
        ({"caption": True}, ".gif takes no option 'caption'"),
    ],
)
def test_what_cannot_work_is_said_before_anything_is_drawn(small, tmp_path: Path, monkeypatch, options: dict[str, Any], said: str | None) -> None:
    workspace, run = small
    monkeypatch.setattr(animate, "_frames", lambda *a: pytest.fail("drawn"))
    if said is None:
        with pytest.raises(pytest.fail.Exception):
            write_report(workspace, report(LOSS, Panel(renderer="neuron_map")), run, tmp_path / "x.gif", **options)
        return
    with pytest.raises(UsageError, match=said.replace("(", r"\(")):
        write_report(workspace, report(LOSS, Panel(renderer="neuron_map")), run, tmp_path / "x.gif", **options)
    assert not list(tmp_path.iterdir())
