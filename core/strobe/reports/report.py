"""Reports, in one place to import from: the model (`model`), its files (`files`), where reports are found (`library`), a run's own (`default`)."""

from __future__ import annotations

from .default import MORE, default_report, generic, stored_tables, tables_of
from .files import as_yaml, load, read, read_text, save
from .library import DEFAULT, NAME, check, file_of, find, named_reports, path_of, reports_for, shelves
from .model import Panel, PanelGroup, Report, Section, schema

__all__ = [
    "DEFAULT",
    "MORE",
    "NAME",
    "Panel",
    "PanelGroup",
    "Report",
    "Section",
    "as_yaml",
    "check",
    "default_report",
    "file_of",
    "find",
    "generic",
    "load",
    "named_reports",
    "path_of",
    "read",
    "read_text",
    "reports_for",
    "save",
    "schema",
    "shelves",
    "stored_tables",
    "tables_of",
]
