"""Summaries: what tables say in words, and what is said when there are none."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from small import small_workspace

from strobe import StrobeError, charts
from strobe.errors import UsageError
from strobe.export import write_report
from strobe.export.svg import Picture
from strobe.panels.screen import colours
from strobe.reports.model import Panel, Report, Section
from strobe.runs import labels
from strobe.summaries import write_summary
from strobe.summaries.document import Document, Figure, Grid, Heading, Words
from strobe.summaries.paper import laid_out, to_pdf
from strobe.summaries.story import read_story
from strobe.summaries.tell import _filled, summary

EVIL = "<img src=x onerror=alert(1)> **bold** | `x`"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory):
    workspace, run = small_workspace(tmp_path_factory.mktemp("summary") / "workspace", ["phases", "key_frequencies", "run_profile"])
    labels.relabel(run, label=EVIL)
    return workspace, run


@pytest.fixture(scope="module")
def markdown(small, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_summary(small[0], [small[1]], tmp_path_factory.mktemp("md") / "sub" / "s.md")


def test_every_sentence_is_what_a_table_says(small, markdown: Path) -> None:
    text = markdown.read_text()
    keys = small[0].table("key_frequencies")
    (last,) = keys[keys["set"] == "last"].to_dict("records")
    assert f"At the end it uses {last['n_keys']} frequencies: {', '.join(map(str, last['frequencies']))}." in text
    peak = small[0].table("phases").query("event == 'peak'").iloc[0]
    assert f"peak: step {peak.at_step:,}, from the test loss, recorded at {peak.lower:,} and {peak.upper:,}" in text
    recorded = small[1].metrics
    assert f"{recorded['train_loss'].iloc[-1]:.4g}" in text
    assert "key\\_frequencies: The frequencies a modular-addition network computes with" in text
    assert "memorised: first train loss below 0.01." in text  # with the number, not with the name of the setting
    assert "the norm of its (cos, sin) pair exceeds 0.25 times the largest, in the table that `rule` (here W\\_L) names" in text


def test_what_is_not_there_is_named_with_the_command(markdown: Path) -> None:
    text = markdown.read_text()
    assert "Not computed: `strobe analyze small -a anomalies`." in text
    assert "Compared with" not in text


def test_figures_lie_beside_the_text(markdown: Path) -> None:
    links = re.findall(r"\]\((s_files/figure-\d+\.png)\)", markdown.read_text())
    assert links
    assert all((markdown.parent / link).read_bytes().startswith(b"\x89PNG") for link in links)


def test_a_report_as_markdown_tells_first_and_then_shows_its_panels(small, tmp_path: Path) -> None:
    workspace, run = small
    panels = [Panel(renderer="loss_curves", title=EVIL), Panel(renderer="no_such_renderer")]
    report = Report(title=f"Report {EVIL}", sections=[Section(title="S", markdown="Some *words*.", panels=panels)])
    text = write_report(workspace, report, run, tmp_path / "x.md", cursor={"step": 10}).read_text()
    assert text.index("# What happened in small") < text.index("# Report")
    assert "no renderer 'no\\_such\\_renderer'" in text
    assert not re.search(r"(?<!\\)<img", text)
    assert "step 10 of 30" in text


def test_two_runs_are_compared(small, tmp_path: Path) -> None:
    workspace, run = small
    text = write_summary(workspace, [run, run], tmp_path / "x.html", theme="dark").read_text()
    assert "The runs beside each other" in text
    assert "<th>difference</th>" in text
    assert text.count(f"<h2>{run.name}</h2>") == 2
    assert text.count("memorised: first train loss below 0.01.") == 1  # defined once
    assert "default-src 'none'" in text
    assert "http" not in re.sub(r"http-equiv", "", text)


def test_html_in_words_is_text(tmp_path: Path) -> None:
    from strobe.summaries.write import WRITERS

    document = Document(EVIL, [Heading(EVIL), Words(EVIL), Words(items=(EVIL,)), Grid((EVIL,), ((EVIL,),))], EVIL, {"run": EVIL})
    for suffix in (".html", ".md"):
        WRITERS[suffix](document, tmp_path / f"x{suffix}", colours(charts.LIGHT))
    assert "<img" not in (tmp_path / "x.html").read_text()
    assert not re.search(r"(?<!\\)<img", (tmp_path / "x.md").read_text())
    broken = "a\n# b\n\n| c"
    WRITERS[".md"](Document(broken, [Heading(broken), Grid((broken, "x"), ((broken, "y"),))], "end"), tmp_path / "y.md", colours(charts.LIGHT))
    lines = [line for line in (tmp_path / "y.md").read_text().splitlines() if line]
    assert lines == [r"# a \# b \| c", r"## a \# b \| c", r"| a \# b \| c | x |", "|---|---|", r"| a \# b \| c | y |", "---", "end"]
    page = laid_out(document, colours(charts.LIGHT))[0]
    assert "<img" not in page
    assert "&lt;img" in page


def test_a_long_summary_breaks_into_pages_and_says_what_it_is(tmp_path: Path) -> None:
    import io

    from pypdf import PdfReader

    square = Picture('<svg xmlns="http://www.w3.org/2000/svg" width="2000" height="900"><rect width="9" height="9"/></svg>', 2000, 900)
    rows = tuple((f"row {i}", "word " * 60) for i in range(30))
    document = Document(
        "Long", [Heading("A"), Words("word " * 900), Grid(("name", "text"), rows), Figure(square, "a square")], "the end", {"runs": ["x"]}
    )
    pages = laid_out(document, colours(charts.LIGHT))
    assert len(pages) >= 3
    assert all(float(y) < 1123 for page in pages for y in re.findall(r'<text x="[\d.]+" y="([\d.]+)"', page))
    read = PdfReader(io.BytesIO(to_pdf(document, colours(charts.LIGHT))))
    assert len(read.pages) == len(pages)
    assert read.metadata.title == "Long"
    assert f"1 of {len(pages)}" in read.pages[0].extract_text()
    assert [float(side) * 25.4 / 72 for side in read.pages[0].mediabox[2:]] == pytest.approx([210, 297], abs=0.5)  # A4


def test_a_table_names_its_columns_on_each_page_and_never_alone() -> None:
    table = Grid(("the column", "text"), tuple((f"row {i}", "x") for i in range(90)))
    for lines in range(40, 62):
        pages = laid_out(Document("T", [Words("\n".join(["line"] * lines)), table], "end"), colours(charts.LIGHT))
        for page in pages:
            words = re.findall(r">([^<>]+)</text>", page)
            assert ("the column" in words) == any(w.startswith("row") for w in words)


def test_a_family_without_a_story_tells_of_training_and_tables(small, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace, run = small
    monkeypatch.setattr(type(run.family), "story", classmethod(lambda cls: None))
    blocks = summary(workspace, [run]).blocks
    assert [b.text for b in blocks if isinstance(b, Heading)] == ["Training", "Tables of this run"]
    assert any(isinstance(b, Grid) and b.rows[0][0] == "train loss, nats" for b in blocks)
    assert any(isinstance(b, Words) and "phases" in b.text for b in blocks)


def test_sentences_ask_for_columns_and_for_nothing_else() -> None:
    assert _filled("- {a}: step {b:,}", {"a": "turn", "b": 5000}) == "- turn: step 5,000"
    assert _filled("{a} {b}", {"a": 1, "b": None}) == ""
    assert _filled("{a.__class__}", {"a": 1}) == ""


def test_wrong_usage(small, tmp_path: Path) -> None:
    workspace, run = small
    assert write_summary(workspace, [run], tmp_path / "x.MD").read_text().startswith("# What happened")
    for runs, output, said in [
        ([run], tmp_path, "is a folder"),
        ([run], tmp_path / "x.doc", "cannot write a summary as .doc; use one of .md, .html, .pdf"),
        ([run], tmp_path / "x", "a file without suffix"),
        (["smal"], tmp_path / "x.md", "did you mean 'small'"),
        ([], tmp_path / "x.md", "which runs"),
    ]:
        with pytest.raises(UsageError, match=re.escape(said)):
            write_summary(workspace, runs, output)
    (tmp_path / "bad.yaml").write_text("sections: [{titel: x}]")
    with pytest.raises(StrobeError, match=r"bad\.yaml cannot be read"):
        read_story(tmp_path / "bad.yaml")


def test_stories_of_families_name_columns_that_there_are(small) -> None:
    workspace, run = small
    story = read_story(run.family.story())
    for name in [n for part in (*story.sections, *story.compare) for n in part.define]:
        table, _, column = name.partition(".")
        assert not column or column in workspace.schema(table).columns, name
