"""Summaries: what happened in a run, in words that are filled from its tables, with figures and definitions."""

from __future__ import annotations

from .write import write_summary

__all__ = ["write_summary"]
