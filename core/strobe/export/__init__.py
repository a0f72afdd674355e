"""How a report leaves the app: `write_report` and `write_view` write whatever the file's suffix asks for; `FORMATS` is the one table of them."""

from __future__ import annotations

from .formats import FORMATS, THEMES, Format, checked_request, write_report, write_request, write_view

__all__ = ["FORMATS", "THEMES", "Format", "checked_request", "write_report", "write_request", "write_view"]
