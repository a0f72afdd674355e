"""PNG, SVG and PDF: what they show, what they say about themselves, what is refused; and golden pictures of the starting reports.

`pytest tests/core/test_pictures.py --update-golden` writes tests/data/golden anew: look at them before committing.
"""

from __future__ import annotations

import base64
import json
import re
import xml.etree.ElementTree as ET
import zlib
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from small import SHOWN, small_workspace

import strobe
from strobe import Frame, Renderer, StrobeError, Training, Workspace, charts
from strobe.errors import UsageError
from strobe.export import FORMATS, write_report, write_view
from strobe.export.labels import still
from strobe.export.pages import LEAST, packed
from strobe.export.sheet import GUTTER, HALF, Block, Sheet, Strip, Tile, laid_out, rows
from strobe.export.sizes import fitted, size_of
from strobe.export.svg import Picture, length, wrapped
from strobe.panels.screen import colours
from strobe.reports.files import load
from strobe.reports.library import find
from strobe.reports.model import Panel, Report, Section

SVG = "{http://www.w3.org/2000/svg}"
FURTHER = [
    "circuits",
    "query_frequency",
    "attention_entropy",
    "head_labels",
    "coarseness",
    "representation_geometry",
    "map_convergence",
    "neuron_dynamics",
]
MLP = [
    *["weight_norms", "effective_dimensionality", "dominant_frequencies", "key_frequencies", "parameter_trajectory", "phases", "neuron_frequency"],
    *["neuron_dynamics", "activation_maps", "loss_and_accuracy", "progress_measures"],
]
COMPARED = ["weight_norms", "effective_dimensionality", "dominant_frequencies", "key_frequencies", "phases", "run_summary"]
GOLDEN_SCALE, SMALL = 0.25, 6
"""Goldens are pictures at a quarter of a pixel per pixel; they are compared as means over 6 x 6 of their elements."""


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory):
    return small_workspace(tmp_path_factory.mktemp("pictures") / "workspace", [*SHOWN, *FURTHER])


def report(*panels: Panel, title: str = "A title") -> Report:
    return Report(title=title, sections=[Section(title="First", panels=list(panels[:2])), Section(title="Second", panels=list(panels[2:]))])


class Marked(Renderer):
    """Draws words that look like markup: <b>bold</b> & "quoted"."""

    consumes = "weight_norms"

    def render(self, frame: Frame) -> Any:
        rows = charts.dataset("words", [{"text": "<script>alert('x')</script> & <b>"}])
        return alt.Chart(rows).mark_text().encode(text="text:N").properties(width=200, height=40, title="<i>title</i>")


# --- goldens -----------------------------------------------------------------------------------------------------------------------------------


def shrunk(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(
            image.convert("RGB").resize((max(image.width // SMALL, 1), max(image.height // SMALL, 1)), Image.Resampling.BOX), dtype=float
        )


@pytest.mark.parametrize("name", ["own", "neuron", "heads", "geometry"])
def test_starting_reports_look_as_they_did(small, data: Path, tmp_path: Path, request: pytest.FixtureRequest, name: str) -> None:
    workspace, run = small
    shown = load(run.family.report() if name == "own" else run.family.reports()[name])
    only = [shown.sections[0].title] if name == "own" else []  # its second section are panels of the others
    made = write_report(workspace, shown, run, tmp_path / "x.png", cursor={"step": 10}, scale=GOLDEN_SCALE, only=only)
    looks_like(made, data / "golden" / f"{name}.png", request)


def test_the_report_without_attention_looks_as_it_did(tmp_path: Path, data: Path, request: pytest.FixtureRequest) -> None:
    workspace = Workspace(tmp_path / "workspace")
    training = Training(epochs=20, lr=1e-2, schedule="every:10")
    run = workspace.train("modular_mlp", name="mlp", training=training, p=7, d_mlp=16, fraction=0.5)
    assert not workspace.analyze(run, [*MLP]).failures
    made = write_report(workspace, load(run.family.report()), run, tmp_path / "x.png", cursor={"step": 10}, scale=GOLDEN_SCALE)
    looks_like(made, data / "golden" / "grokking_mlp.png", request)


def test_the_report_of_several_runs_looks_as_it_did(tmp_path: Path, data: Path, request: pytest.FixtureRequest) -> None:
    workspace = Workspace(tmp_path / "workspace")
    training = Training(epochs=20, lr=1e-2, schedule="every:10")
    small = {"p": 7, "d_model": 8, "n_heads": 2, "d_mlp": 8, "fraction": 0.5}
    runs = [workspace.train("modular_addition", name=f"seed-{seed}", training=training, seed=seed, **small) for seed in (0, 1)]
    assert not workspace.analyze(runs, COMPARED).failures
    shown = find(workspace, "compare_runs", "seed-0").model_copy(update={"align": "step"})  # so short a training has no turn
    made = write_report(workspace, shown, "seed-0", tmp_path / "x.png", cursor={"step": 10}, scale=GOLDEN_SCALE)
    looks_like(made, data / "golden" / "compare_runs.png", request)


def looks_like(made: Path, golden: Path, request: pytest.FixtureRequest) -> None:
    """Whether a picture is as large as its golden one, and about the same; or (`--update-golden`) make it the golden one."""
    if request.config.getoption("--update-golden"):
        golden.parent.mkdir(exist_ok=True)
        with Image.open(made) as image:
            image.convert("RGB").quantize(64).save(golden, optimize=True)
        return
    with Image.open(made) as new, Image.open(golden) as old:
        assert abs(new.width - old.width) <= 2
        assert abs(new.height - old.height) <= 0.02 * old.height
    a, b = shrunk(made), shrunk(golden)
    tall = min(len(a), len(b))
    assert np.abs(a[:tall, : b.shape[1]] - b[:tall, : a.shape[1]]).mean() < 4, f"{made} beside {golden}"


# --- what files say ----------------------------------------------------------------------------------------------------------------------------


def test_a_png_says_what_it_shows(small, tmp_path: Path) -> None:
    workspace, run = small
    path = workspace.view("neuron_map", run, step=10, neuron=3, layer=0).save(tmp_path / "x.png", scale=1)
    with Image.open(path) as image:
        said, size = dict(image.text), image.size
        image.load()
        assert image.info["dpi"] == pytest.approx((96, 96), abs=0.1)
    assert said["Software"] == f"Strobe {strobe.__version__}"
    facts = json.loads(said["Comment"])
    assert facts["run"] == "small"
    assert facts["cursor"] == {"run": "small", "step": 10, "neuron": 3, "layer": 0}
    assert facts["panels"][0]["tables"] == ["activation_maps", "full_activation_maps"]
    assert "step 10 of 30" in said["Description"]
    assert "stripes" in said["Description"]
    bare = workspace.view("neuron_map", run, step=10, neuron=3, layer=0).save(tmp_path / "bare.png", scale=1, caption=False)
    with Image.open(bare) as image:
        assert image.size[1] < size[1]
        assert json.loads(image.text["Comment"]) == facts


def test_an_svg_is_sound_xml_with_unique_ids_and_maps_as_images(small, tmp_path: Path) -> None:
    workspace, run = small
    shown = report(Panel(renderer="loss_curves"), Panel(renderer="loss_curves"), Panel(renderer="neuron_map"), Panel(renderer="attention_map"))
    root = ET.parse(write_report(workspace, shown, run, tmp_path / "x.svg", cursor={"step": 10, "neuron": 2})).getroot()
    text = (tmp_path / "x.svg").read_text("utf-8")
    ids = [e.attrib["id"] for e in root.iter() if "id" in e.attrib]
    assert len(ids) == len(set(ids)) > 0
    assert set(re.findall(r"url\(#([^)]+)\)", text)) <= set(ids)
    images = list(root.iter(f"{SVG}image"))
    assert images
    assert all(v.startswith("data:image/png") for e in images for k, v in e.attrib.items() if k.endswith("href"))
    words = [e.text for e in root.iter(f"{SVG}text")]
    assert any("operand a" in (w or "") for w in words), "axes are text"
    assert root.find(f"{SVG}title").text == "A title"
    assert json.loads(root.find(f"{SVG}metadata").text)["strobe"] == strobe.__version__


def test_a_pdf_has_its_width_and_its_words(small, tmp_path: Path) -> None:
    workspace, run = small
    content = workspace.view("loss_curves", run, step=10).save(tmp_path / "x.pdf", theme="paper", width="85mm").read_bytes()
    width = float(re.search(rb"/MediaBox \[0 0 ([\d.]+)", content)[1])
    assert width == pytest.approx(85 / 25.4 * 72, abs=0.05)
    start = int(content[content.rindex(b"startxref") :].split()[1])
    assert content[start : start + 4] == b"xref"
    number, place = content[start:].split(b"\n")[1].split()[0], int(content[start:].split(b"\n")[2].split()[0])
    assert content[place:].startswith(number + b" 0 obj")
    title = bytes.fromhex(re.search(rb"/Title <FEFF([0-9A-F]+)>", content)[1].decode()).decode("utf-16-be")
    assert title == "Loss curves"


def test_a_report_as_pdf_is_pages_of_paper(small, tmp_path: Path) -> None:
    from pypdf import PdfReader

    workspace, run = small
    panels = [Panel(renderer=name) for name in ("loss_curves", "frequency_spectrum", "neuron_map", "trajectory_plane")]
    shown = report(*panels, *panels[:1])
    whole = PdfReader(write_report(workspace, shown, run, tmp_path / "a.pdf", cursor={"step": 10}))
    assert len(whole.pages) > 1
    for number, page in enumerate(whole.pages, 1):
        assert [float(side) * 25.4 / 72 for side in page.mediabox[2:]] == pytest.approx([297, 210], abs=0.1)
        text = page.extract_text()
        assert "A title" in text
        assert "step 10 of 30" in text
        assert f"{number} of {len(whole.pages)}" in text
        assert all("/FontFile2" in f["/DescendantFonts"][0]["/FontDescriptor"] for f in page["/Resources"]["/Font"].values())
    assert [item.title for item in whole.outline] == ["First", "Second"]
    assert whole.metadata.title == "A title"
    upright = PdfReader(write_report(workspace, shown, run, tmp_path / "b.pdf", columns=1, only=[1, 2], pages="letter", theme="dark"))
    assert [float(side) / 72 for side in upright.pages[0].mediabox[2:]] == pytest.approx([8.5, 11], abs=0.01)
    for options in ({"width": "174mm"}, {"only": [1]}, {"pages": "none", "only": [1, 2]}):
        assert len(PdfReader(write_report(workspace, shown, run, tmp_path / "c.pdf", **options)).pages) == 1, options


@given(st.lists(st.tuples(st.floats(1, 3000), st.booleans()), min_size=1, max_size=20), st.floats(400, 900), st.floats(0, 100))
def test_page_breaks_lie_between_rows(sizes: list[tuple[float, bool]], later: float, less: float) -> None:
    found = [Strip(Picture("", 100, height), "h" if heading else "", 10) for height, heading in sizes]
    pages = packed(found, later - less, later)
    assert [strip for page in pages for strip in page.strips] == found
    for number, page in enumerate(pages):
        tall = sum(s.picture.height + s.after for s in page.strips) - page.strips[-1].after
        assert tall * page.factor <= (later if number else later - less) * (1 + 1e-9)
        assert page.factor == 1 or page.factor == pytest.approx((later if number else later - less) / tall)
        assert not page.strips[-1].heading or number == len(pages) - 1  # a heading stays with what it is above
        rows_ = [s for s in page.strips if not s.heading]
        assert page.factor >= LEAST or len(rows_) <= 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"pages": "a5"}, "pages 'a5'; there are: a4, letter, none"),
        ({"pages": "a4", "width": "85mm"}, "leave out the width 85mm, or the pages"),
    ],
)
def test_impossible_pages_are_named(small, tmp_path: Path, options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        write_report(small[0], report(Panel(renderer="loss_curves")), small[1], tmp_path / "x.pdf", **options)
    with pytest.raises(UsageError, match=r"\.png takes no option 'pages'"):
        write_report(small[0], report(Panel(renderer="loss_curves")), small[1], tmp_path / "x.png", pages="a4")
    assert not list(tmp_path.iterdir())


def test_pages_need_pypdf_and_say_so(small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("strobe.export.paper.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"a report on pages needs pypdf: `pip install 'strobe\[pdf\]'`"):
        write_report(small[0], report(Panel(renderer="loss_curves"), Panel(renderer="loss_curves")), small[1], tmp_path / "x.pdf")
    write_report(small[0], report(Panel(renderer="loss_curves")), small[1], tmp_path / "x.pdf")


@pytest.mark.parametrize(
    ("words", "left"),
    [
        ("Components 1 to 3; drag to turn, click a dot to go to its step. The ghost is random.", "Components 1 to 3. The ghost is random."),
        ("A ring holds both phases. Click a column to go to its step.", "A ring holds both phases."),
        ("Click a neuron; the line is its frequency.", "The line is its frequency."),
        ("Keys n and p go on. Click.", ""),
        ("A click-through rate,\n\nand more.", "A click-through rate,\n\nand more."),
    ],
)
def test_a_picture_tells_nothing_of_clicks(words: str, left: str) -> None:
    assert still(words) == left


def test_clicks_are_told_where_one_can_click(small, tmp_path: Path) -> None:
    shown = report(Panel(renderer="loss_curves", how_to_read="Two curves. Click a dot."))
    texts = {s: write_report(small[0], shown, small[1], tmp_path / f"x.{s}").read_text() for s in ("svg", "html", "md")}
    assert all("Two curves." in text for text in texts.values())
    assert not any("Click a dot." in text for text in texts.values())
    data = re.search(r'<script id="report" type="application/octet-stream">(.*?)</script>', texts["html"])[1]
    assert b"Two curves. Click a dot." in zlib.decompress(base64.b64decode(data))


def test_widths_and_scales(small, tmp_path: Path) -> None:
    workspace, run = small
    view = workspace.view("loss_curves", run, step=10)
    with Image.open(view.save(tmp_path / "a.png", theme="paper", width="85mm")) as image:
        assert image.width == pytest.approx(85 / 25.4 * 300, abs=1)
        assert image.info["dpi"][0] == pytest.approx(300, abs=0.2)
    with Image.open(view.save(tmp_path / "b.png", width=400, scale=1)) as image:
        assert image.width == 400


def test_a_long_page_has_fewer_elements_unless_a_scale_was_asked_for() -> None:
    assert fitted(size_of(), 1_388, 4_000).scale == 2
    assert fitted(size_of(), 1_388, 21_588).scale == pytest.approx(32_767 / 21_588)
    for size, height in ((size_of(scale=2), 21_588), (size_of("174mm"), 21_588), (size_of(), 33_000)):
        with pytest.raises(UsageError, match="too large; take a smaller scale"):
            fitted(size, 1_388, height)


def test_panels_that_never_stand_side_by_side_take_one_column() -> None:
    picture = Picture('<svg width="9" height="9"/>', 620, 300)
    apart = [Block(str(i), "", [Tile(f"panel {i}", picture=picture), Tile("wide", full=True)]) for i in range(2)]
    together = [Block("", "", [Tile("a", picture=picture), Tile("b", picture=picture)])]
    assert laid_out(Sheet(apart, colours("strobe"))).width < 0.6 * laid_out(Sheet(together, colours("strobe"))).width


def test_larger_type_leaves_labels_of_events_in_their_room(small, tmp_path: Path) -> None:
    workspace, run = small
    sizes = {}
    for width in ("85mm", "165mm"):
        root = ET.parse(workspace.view("loss_curves", run).save(tmp_path / "x.svg", theme="paper", width=width)).getroot()
        texts = {t.text: float(t.get("font-size").removesuffix("px")) for t in root.iter(f"{SVG}text") if t.text in ("memorised", "peak", "test")}
        sizes[width] = texts["test"], *(size for words, size in texts.items() if words != "test")
    assert sizes["85mm"][0] == pytest.approx(11 * 1.35)
    assert sizes["85mm"][1:] == (11.5,) * (len(sizes["85mm"]) - 1)
    assert len(sizes["85mm"]) > 1
    assert set(sizes["165mm"]) == {11}


def test_some_panels(small, tmp_path: Path) -> None:
    workspace, run = small
    shown = report(Panel(renderer="loss_curves"), Panel(renderer="phase_table"), Panel(renderer="neuron_map"))
    for only, titles in (([3], {"Neuron map"}), (["first"], {"Loss curves", "Phase table"}), (["phase table"], {"Phase table"})):
        root = ET.parse(write_report(workspace, shown, run, tmp_path / "x.svg", only=only)).getroot()
        assert {p["title"] for p in json.loads(root.find(f"{SVG}metadata").text)["panels"]} == titles
    for only, said in (
        ("99", "there are panels 1 to 3, by number or title, and sections 'First', 'Second'"),
        ("phase tabel", "did you mean 'Phase table'"),
    ):
        with pytest.raises(UsageError, match=said):
            write_report(workspace, shown, run, tmp_path / "x.svg", only=[only])


@pytest.mark.parametrize("suffix", ["svg", "html"])
def test_words_with_markup_are_text(small, tmp_path: Path, suffix: str) -> None:
    workspace, run = small
    shown = report(Panel(renderer="loss_curves", title="<script>alert(1)</script>", how_to_read="a < b & c > d"), title="A <b>title</b> &amp;")
    text = write_report(workspace, shown, run, tmp_path / f"x.{suffix}").read_text("utf-8")
    assert "<script>alert(1)" not in text.split('<script id="report"')[0]
    assert "A <b>title" not in text
    if suffix == "svg":
        root = ET.fromstring(text)
        assert root.find(f"{SVG}title").text == "A <b>title</b> &amp;"
        words = " ".join(e.text or "" for e in root.iter(f"{SVG}text"))
        assert "<script>alert(1)</script>" in words
        assert "a < b & c > d" in words


def test_labels_with_markup_are_text(small, tmp_path: Path) -> None:
    workspace, run = small
    root = ET.parse(write_view(workspace.view(Marked(), run), tmp_path / "x.svg")).getroot()
    words = [e.text for e in root.iter(f"{SVG}text")]
    assert "<script>alert('x')</script> & <b>" in words
    assert "<i>title</i>" in words
    assert not list(root.iter(f"{SVG}script"))


# --- what is refused ---------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "cursor", "options", "said"),
    [
        ("x.bmp", {}, {}, r"cannot write a view as a file \.bmp; use one of .*png, svg, pdf, gif, webp, mp4"),
        ("x", {}, {}, "a file without suffix"),
        ("", {}, {}, "is a folder; name a file in it"),
        ("x.png", {"step": 31}, {}, "step 31 is outside run small: its checkpoints go from 0 to 30"),
        ("x.png", {"step": -1}, {}, "step -1 is outside"),
        ("x.png", {"step": "5"}, {}, "step '5' is outside"),
        ("x.png", {"neuron": 16}, {}, "neuron 16 is outside the data: there are 0 to 15"),
        ("x.png", {"nueron": 1}, {}, "did you mean 'neuron'"),
        ("x.png", {}, {"theme": "papr"}, "did you mean 'paper'"),
        ("x.png", {}, {"fps": 3}, r"\.png takes no option 'fps'"),
        ("x.png", {}, {"scale": 400}, "from 0.1 to 20"),
        ("x.png", {}, {"width": "2mm"}, "legible from 16mm"),
        ("x.png", {}, {"width": "1000in", "scale": 3}, "ends at 32,767px"),
    ],
)
def test_bad_requests_are_named(small, tmp_path: Path, name: str, cursor: dict[str, Any], options: dict[str, Any], said: str) -> None:
    workspace, run = small
    with pytest.raises(UsageError, match=said):
        workspace.view("neuron_map", run, **cursor).save(tmp_path / name, **options)
    assert not list(tmp_path.iterdir())


def test_nothing_to_show_is_said(small, tmp_path: Path) -> None:
    workspace, run = small
    with pytest.raises(UsageError, match="has no panels"):
        write_report(workspace, Report(title="Empty"), run, tmp_path / "x.png")
    with pytest.raises(StrobeError, match="strobe analyze small -a ablation"):
        workspace.view("ablation_bars", run).save(tmp_path / "x.png")
    assert not list(tmp_path.iterdir())


def test_a_file_that_cannot_be_written_is_named(small, tmp_path: Path) -> None:
    workspace, run = small
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"file/x\.png cannot be written"):
        workspace.view("loss_curves", run).save(tmp_path / "file" / "x.png")


def test_a_folder_that_is_read_only_is_named_before_anything_is_drawn(small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace, run = small
    monkeypatch.setattr("strobe.export.formats.os.access", lambda path, mode: path != tmp_path)
    monkeypatch.setattr("strobe.export.pictures.tile_of", None)
    for refused in (
        lambda: workspace.view("loss_curves", run).save(tmp_path / "deep" / "x.png"),
        lambda: write_report(workspace, "default", run, tmp_path / "x.gif"),
        lambda: workspace.submit("export", run=run.name, output=str(tmp_path / "x.pdf"), start=False),
    ):
        with pytest.raises(UsageError, match=r"cannot be written: the folder .* is read-only"):
            refused()
    assert not list(tmp_path.iterdir())


def test_every_format_is_documented(root: Path) -> None:
    text = (root / "docs" / "exporting.md").read_text("utf-8")
    assert [name for name in FORMATS if f"`.{name}`" not in text] == []


# --- layout ------------------------------------------------------------------------------------------------------------------------------------


@given(st.text(), st.floats(20, 400))
def test_wrapped_lines_fit_and_lose_no_word(words: str, width: float) -> None:
    lines = wrapped(words, 10, width)
    assert "".join("".join(lines).split()) == "".join(words.split())
    assert all(length(line, 10) <= width or len(line) == 1 for line in lines)


@given(st.lists(st.sampled_from([None, 300.0, 700.0, 900.0]), max_size=12), st.sampled_from([1, 2]))
def test_rows_keep_the_order_and_wide_charts_stand_alone(widths: list[float | None], columns: int) -> None:
    tiles = [Tile(str(i), picture=Picture("", w, 10) if w else None) for i, w in enumerate(widths)]
    found = rows(tiles, columns, columns * HALF + (columns - 1) * GUTTER)
    assert [t for row in found for t in row] == tiles
    assert all(len(row) <= columns for row in found)
    assert all(len(row) == 1 for row in found if any(t.picture and t.picture.width > 690 for t in row))


@pytest.mark.parametrize(("width", "pixels"), [("85mm", 321.26), ("1in", 96), ("600", 600), (600, 600), ("10cm", 377.95), ("72pt", 96), (None, None)])
def test_units(width: Any, pixels: float | None) -> None:
    assert size_of(width).width == (pixels if pixels is None else pytest.approx(pixels, abs=0.01))
