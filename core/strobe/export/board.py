"""`ReportView`: a report of a run in a notebook, as the same board that a standalone file has."""

from __future__ import annotations

import html
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..reports.model import Report

if TYPE_CHECKING:
    from ..runs.run import Run
    from ..workspace import Workspace

HEIGHT = 900
"""px of the frame in a notebook."""


@dataclass(frozen=True, eq=False)
class ReportView:
    """What `Workspace.report` gives: shows itself in a notebook, `.to_html()` is one standalone page, `.save("x.png")` any format there is."""

    workspace: Workspace
    report: Report
    run: Run
    cursor: dict[str, Any] = field(default_factory=dict)

    def at(self, **cursor: Any) -> ReportView:
        """The same report with other coordinates."""
        return ReportView(self.workspace, self.report, self.run, {**self.cursor, **cursor})

    def to_html(self, *, theme: str = "light", **options: Any) -> str:
        """One page that opens offline; see `strobe.export.html.write_html` for the options. Cost: up to one chart per panel and step."""
        from .formats import altair_theme
        from .html import to_html

        return to_html(self.workspace, self.report, self.run, theme=altair_theme(theme), cursor=self.cursor or None, **options)

    def save(self, path: str | Path, *, theme: str = "light", **options: Any) -> Path:
        """Write it, by the file's suffix: html, png, svg, pdf, gif, webp, mp4 or md. Raises `UsageError` with what there is."""
        from .formats import write_report

        return write_report(self.workspace, self.report, self.run, path, cursor=self.cursor or None, theme=theme, **options)

    def _repr_html_(self) -> str:
        page = html.escape(self.to_html(), quote=True)
        return f'<iframe srcdoc="{page}" width="100%" height="{HEIGHT}" style="border:0" title="{html.escape(self.report.title)}"></iframe>'
