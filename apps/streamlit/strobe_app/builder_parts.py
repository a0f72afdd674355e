"""The words of a report and of its sections, and what can be done with a section."""

from __future__ import annotations

import typing
from collections.abc import Callable
from typing import Any

import streamlit as st
from pydantic import ValidationError

from strobe.reports import edit
from strobe.reports.model import Align, Report
from strobe_app.desk import Desk


def show(desk: Desk) -> None:
    """The form of the chosen section, or of the report."""
    if not desk.chosen:
        _report(desk)
    elif len(desk.chosen) == 1:
        _section(desk, desk.chosen[0])
    else:
        st.info("A group within a section: its words are edited in the YAML.")


def title(report: Report, holder: edit.Holder) -> str:
    """A section, or a group with the section it is in."""
    section = report.sections[holder[0]]
    return section.title if len(holder) == 1 else f"{section.title} · {section.groups[holder[1]].title}"


def _report(desk: Desk) -> None:
    def take(**fields: Any) -> None:
        desk.do(edit.change_report(desk.report, fields), typed_in_form=True)

    _words(desk, "title", desk.report.title, take)
    _words(desk, "description", desk.report.description, take, area=True)
    runs = desk.report.runs
    key = f"builder {desk.revision} runs"
    names = ", ".join(runs) if isinstance(runs, list) else runs
    placeholder = "names, or a query: p in [101, 113] and seed < 10"
    st.text_input("Runs to compare", names, key=key, on_change=lambda: _try(lambda: take(runs=_runs(st.session_state[key]))), placeholder=placeholder)
    aligned = f"builder {desk.revision} align"
    options = list(typing.get_args(Align))
    st.selectbox(
        "Aligned at", options, options.index(desk.report.align), key=aligned, on_change=lambda: take(align=st.session_state[aligned]), width=200
    )


def _runs(text: str) -> list[str] | str:
    """Names with commas, or a query."""
    words = [word.strip() for word in text.split(",") if word.strip()]
    return text if any(set(word) & set("=<>[]()'\" ") for word in words) else words


def _section(desk: Desk, at: int) -> None:
    report, section = desk.report, desk.report.sections[at]
    with st.container(horizontal=True, gap="xsmall"):
        for label, to, icon in (("Up", at - 1, "arrow_upward"), ("Down", at + 1, "arrow_downward")):
            there = 0 <= to < len(report.sections)
            move: Callable[[], None] = lambda to=to: desk.do(edit.move_section(report, at, to), (to,))  # type: ignore[misc]  # noqa: E731
            st.button(label, on_click=move, disabled=not there, icon=f":material/{icon}:")
        st.button("Duplicate", on_click=lambda: desk.do(edit.duplicate_section(report, at), (at + 1,)), icon=":material/content_copy:")
        st.button("Remove", on_click=lambda: desk.do(edit.remove_section(report, at), (max(at - 1, 0),)), icon=":material/delete:")

    def take(**fields: Any) -> None:
        desk.do(edit.change_section(desk.report, at, **fields), typed_in_form=True)

    _words(desk, "title", section.title, take)
    _words(desk, "description", section.description, take, area=True)
    _words(desk, "markdown", section.markdown, take, area=True)


def _words(desk: Desk, field: str, value: str, take: Callable[..., None], *, area: bool = False) -> None:
    key = f"builder {desk.revision} {field}"
    typed: Callable[[], None] = lambda: _try(lambda: take(**{field: st.session_state[key]}))  # noqa: E731
    (st.text_area if area else st.text_input)(field.capitalize(), value, key=key, on_change=typed)


def _try(edit_: Callable[[], None]) -> None:
    """What is wrong is said above, and the report stays."""
    try:
        edit_()
    except ValidationError as e:
        st.session_state["builder said"] = (False, "; ".join(f"{'.'.join(map(str, x['loc']))}: {x['msg']}" for x in e.errors()))
