"""Markdown of a report as HTML that can do no harm: no tags of its own, no images, and links only to places of this page."""

from __future__ import annotations

import re

INSIDE = re.compile(r"(\?[\w.=&%,+-]*)?(#[\w-]*)?")
"""`?run=small&step=500`, `#card-3`: another place of the app, nothing elsewhere."""


def to_html(text: str) -> str:
    """CommonMark with tables. HTML is shown as text; of a link to anywhere but the app only the words stay, with the address behind them."""
    from markdown_it import MarkdownIt

    if not text:
        return ""
    reader = MarkdownIt("commonmark", {"html": False}).enable("table").disable(["image", "autolink", "html_inline", "html_block"])
    reader.validateLink = lambda url: INSIDE.fullmatch(url) is not None  # type: ignore[method-assign]
    return str(reader.render(text))
