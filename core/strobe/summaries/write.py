"""A summary as Markdown, HTML or PDF."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..checkpoints import write_atomically
from ..errors import UsageError
from ..export.formats import altair_theme, check_place
from ..export.paper import check_pypdf
from ..panels.screen import colours
from ..version import __version__
from .document import Document, Figure, Grid, Heading, Words
from .paper import to_pdf
from .tell import Tick, report_blocks, summary

if TYPE_CHECKING:
    from ..reports.model import Report
    from ..runs.run import Run
    from ..workspace import Workspace

CODE = re.compile(r"`([^`]+)`")
MARKS = re.compile(r"([\\*_\[\]<>&|#~])")
PARAGRAPHS = re.compile(r"\n\s*\n")
SCALE = 2.0
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="generator" content="Strobe {version}"><title>{title}</title><style>
:root {{ {variables} color-scheme: var(--scheme); }}
body {{ max-width: 860px; margin: 24px auto; padding: 0 20px; background: var(--page); color: var(--text); font: 14px/1.5 var(--font); }}
h1, h2, h3 {{ color: var(--ink); line-height: 1.25; break-after: avoid; }} h2 {{ margin-top: 32px; }}
table {{ border-collapse: collapse; font-size: 13px; }}
th, td {{ padding: 3px 12px 3px 0; text-align: left; border-bottom: 1px solid var(--border); }}
.small, figcaption, footer {{ color: var(--muted); font-size: 12px; }} figure {{ margin: 14px 0; break-inside: avoid; }} img {{ max-width: 100%; }}
</style></head><body><h1>{title}</h1>
{body}
<footer>{footer}</footer><script id="about" type="application/json">{facts}</script></body></html>
"""


def write_summary(workspace: Workspace, runs: Sequence[str | Run], output: str | Path, *, theme: str = "light", progress: Tick | None = None) -> Path:
    """Write what happened in these runs, by the suffix of `output`: md (figures in a folder beside it), html or pdf. Returns the path."""
    path = Path(output).expanduser()
    if path.is_dir():
        raise UsageError(f"{path} is a folder; name a file in it, for example {path / 'summary.md'}")
    if path.suffix.lower() not in WRITERS:
        raise UsageError(f"{path.name}: cannot write a summary as {path.suffix or 'a file without suffix'}; use one of {', '.join(WRITERS)}")
    if not runs:
        raise UsageError("which runs? a summary is of at least one; `strobe runs` lists them")
    check_place(path)
    if path.suffix.lower() == ".pdf":
        check_pypdf("a summary as PDF", "write .md or .html")
    chosen = [workspace.run(run) for run in runs]
    named = altair_theme(theme)
    document = summary(workspace, chosen, named, progress)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        WRITERS[path.suffix.lower()](document, path, colours(named))
    except OSError as e:
        raise UsageError(f"{path} cannot be written: {e.strerror or e}") from e
    return path


def write_report_markdown(
    workspace: Workspace,
    report: Report,
    run: Run,
    path: Path,
    *,
    theme: str,
    cursor: Mapping[str, Any] | None = None,
    progress: Tick | None = None,
) -> Path:
    """Write a report as Markdown: what happened in the run, then each panel at the cursor. Figures lie in a folder beside it."""
    told = summary(workspace, [run], theme, progress)
    document = replace(told, blocks=[*told.blocks, *report_blocks(workspace, report, run, cursor, theme)])
    _markdown(document, path, colours(theme))
    return path


# --- Markdown ----------------------------------------------------------------------------------------------------------------------------------


def figures_of(path: Path) -> Path:
    """The folder in which the figures of a Markdown file lie."""
    return path.with_name(f"{path.stem}_files")


def _markdown(document: Document, path: Path, palette: Mapping[str, str]) -> None:
    folder, lines, figures = figures_of(path), [f"# {_line(document.title)}"], 0
    for block in document.blocks:
        if isinstance(block, Heading):
            lines.append(f"{'#' * block.level} {_line(block.text)}")
        elif isinstance(block, Words):
            text = "\n".join(f"- {_md(item)}" for item in block.items) or _md(block.text)
            lines.append(f"*{text}*" if block.small and not block.items else text)
        elif isinstance(block, Grid):
            lines.append(_md_table(block))
        else:
            figures += 1
            file = folder / f"figure-{figures}.png"
            write_atomically(file, _png(block))
            lines.append(f"![{_line(block.caption)}]({folder.name.replace(' ', '%20')}/{file.name})\n\n{_md(block.caption)}")
    lines.append(f"---\n\n{_md(document.footer)}")
    write_atomically(path, ("\n\n".join(lines) + "\n").encode())


def _md(text: str) -> str:
    """Text that stays text in Markdown, in paragraphs of one line each; `code` stays code."""
    parts = CODE.split("\n\n".join(" ".join(p.split()) for p in PARAGRAPHS.split(text)))
    return "".join(f"`{part}`" if i % 2 else MARKS.sub(r"\\\1", part) for i, part in enumerate(parts))


def _line(text: str) -> str:
    """A heading, a cell or a caption: a line break would end it."""
    return _md(" ".join(text.split()))


def _md_table(grid: Grid) -> str:
    head = f"| {' | '.join(_line(c) for c in grid.columns)} |\n|{'---|' * len(grid.columns)}\n"
    return head + "\n".join(f"| {' | '.join(_line(c) for c in row)} |" for row in grid.rows)


def _png(figure: Figure) -> bytes:
    import vl_convert

    data: bytes = vl_convert.svg_to_png(figure.picture.svg, scale=SCALE)
    return data


# --- HTML --------------------------------------------------------------------------------------------------------------------------------------


def _html(document: Document, path: Path, palette: Mapping[str, str]) -> None:
    parts = []
    for block in document.blocks:
        if isinstance(block, Heading):
            parts.append(f"<h{block.level}>{html.escape(block.text)}</h{block.level}>")
        elif isinstance(block, Words):
            listed = "".join(f"<li>{_marked(item)}</li>" for item in block.items)
            look = " class=small" if block.small else ""
            parts.append(f"<ul{look}>{listed}</ul>" if listed else f"<p{look}>{_marked(block.text)}</p>")
        elif isinstance(block, Grid):
            head = "".join(f"<th>{_marked(c)}</th>" for c in block.columns)
            body = "".join(f"<tr>{''.join(f'<td>{_marked(c)}</td>' for c in row)}</tr>" for row in block.rows)
            parts.append(f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")
        else:
            url = base64.b64encode(_png(block)).decode()
            caption = html.escape(block.caption)
            width = round(block.picture.width)
            parts.append(
                f'<figure><img width="{width}" alt="{caption}" src="data:image/png;base64,{url}"><figcaption>{caption}</figcaption></figure>'
            )
    variables = " ".join(f"--{name}: {value};" for name, value in palette.items())
    facts = json.dumps(document.facts, default=str).replace("<", "\\u003c")
    title, footer = html.escape(document.title), html.escape(document.footer)
    text = PAGE.format(version=__version__, title=title, variables=variables, body="\n".join(parts), footer=footer, facts=facts)
    write_atomically(path, text.encode())


def _marked(text: str) -> str:
    return "".join(f"<code>{html.escape(part)}</code>" if i % 2 else html.escape(part) for i, part in enumerate(CODE.split(text)))


def _pdf(document: Document, path: Path, palette: Mapping[str, str]) -> None:
    write_atomically(path, to_pdf(document, palette))


WRITERS: Mapping[str, Callable[[Document, Path, Mapping[str, str]], None]] = {".md": _markdown, ".html": _html, ".pdf": _pdf}
