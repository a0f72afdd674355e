"""Which theme the page is in."""

from __future__ import annotations

import streamlit as st

from strobe import charts


def theme() -> str:
    """The theme of the charts follows the page's."""
    return charts.DARK if st.context.theme.type == "dark" else charts.LIGHT
