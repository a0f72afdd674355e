"""Edits of a report: what each does, that panels are never lost, and that undo restores exactly."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from strobe.errors import UsageError
from strobe.reports import edit
from strobe.reports.edit import History
from strobe.reports.model import Panel, Report, Section


def report(*sizes: int) -> Report:
    names = iter("abcdefghijklmnopqrstuvwxyz" * 3)
    return Report(title="R", sections=[Section(title=f"S{i}", panels=[Panel(renderer=next(names)) for _ in range(n)]) for i, n in enumerate(sizes)])


def grouped(r: Report, groups: int) -> Report:
    """The same, its first section with some groups of one panel."""
    if not r.sections:
        return r
    made = [{"title": f"G{i}", "panels": [{"renderer": f"g{i}"}]} for i in range(groups)]
    return edit.change_section(r, 0, groups=made)


def names(report: Report) -> list[str]:
    return ["".join(p.renderer for p in s.panels) for s in report.sections]


def test_panels_are_added_copied_removed_and_moved() -> None:
    r = report(2, 1)
    new = Panel(renderer="x")
    assert names(edit.add_panel(r, new, (0, 1))) == ["axb", "c"]
    assert names(edit.add_panel(r, new, (1, 99))) == ["ab", "cx"]
    assert names(edit.remove_panel(r, (0, 0))) == ["b", "c"]
    assert names(edit.duplicate_panel(r, (0, 0))) == ["aab", "c"]
    assert names(edit.move_panel(r, (0, 0), (0, 1))) == ["ba", "c"]
    assert names(edit.move_panel(r, (0, 0), (1, 0))) == ["b", "ac"]
    assert names(r) == ["ab", "c"]


def test_up_and_down_go_over_the_edge_of_a_section_and_stop_at_the_ends() -> None:
    r = report(2, 0, 1)
    assert edit.shifted(r, (0, 0), 1) == (0, 1)
    assert edit.shifted(r, (0, 1), 1) == (1, 0)
    assert edit.shifted(r, (2, 0), -1) == (1, 0)
    assert edit.shifted(r, (0, 0), -1) == (0, 0)
    assert edit.shifted(r, (2, 0), 1) == (2, 0)
    r = grouped(report(1, 1), 2)
    assert [edit.shifted(r, at, 1) for at in edit.places(r)] == [(0, 0, 0), (0, 1, 0), (1, 0), (1, 0)]
    assert [edit.shifted(r, at, -1) for at in edit.places(r)] == [(0, 0), (0, 1), (0, 0, 1), (0, 1, 1)]
    assert names(edit.move_panel(r, (0, 1, 0), (1, 0))) == ["a", "g1b"]


def test_fields_are_validated_when_they_are_changed() -> None:
    r = report(1)
    assert edit.change_panel(r, (0, 0), title="T", width=4).panels[0].width == 4
    assert edit.change_section(r, 0, title="Other").sections[0].title == "Other"
    assert edit.change_report(r, {"title": "New"}).title == "New"
    for wrong in ({"width": 13}, {"settings": 3}, {"nothing": 1}):
        with pytest.raises(ValidationError):
            edit.change_panel(r, (0, 0), **wrong)
    with pytest.raises(ValidationError):
        edit.change_section(r, 0, title="")


def test_a_place_that_is_not_there_is_named() -> None:
    with pytest.raises(UsageError, match="section 1 has 1 panels there, none at 2"):
        edit.remove_panel(report(1), (0, 1))
    with pytest.raises(UsageError, match="has 1 sections, none at 4"):
        edit.remove_section(report(1), 3)


reports = st.lists(st.integers(0, 3), min_size=1, max_size=4).map(lambda sizes: report(*sizes))
reports = st.builds(grouped, reports, st.integers(0, 2))


@st.composite
def edited(draw: st.DrawFn, r: Report) -> Report:
    """The report after one edit of any kind."""
    section = draw(st.integers(0, len(r.sections) - 1)) if r.sections else None
    places = edit.places(r)
    kinds = ["add section"] + (["remove section", "copy section", "move section", "add", "rename"] if r.sections else [])
    kind = draw(st.sampled_from(kinds + (["remove", "copy", "move", "resize"] if places else [])))
    if kind == "add section" or section is None:
        return edit.add_section(r, Section(title="new"), draw(st.integers(0, len(r.sections))))
    at = draw(st.sampled_from(places)) if places else (0, 0)
    return {
        "remove section": lambda: edit.remove_section(r, section),
        "copy section": lambda: edit.duplicate_section(r, section),
        "move section": lambda: edit.move_section(r, section, draw(st.integers(0, len(r.sections) - 1))),
        "add": lambda: edit.add_panel(r, Panel(renderer="n"), (section, draw(st.integers(0, 4)))),
        "rename": lambda: edit.change_section(r, section, title=draw(st.sampled_from(["A", "B"]))),
        "remove": lambda: edit.remove_panel(r, at),
        "copy": lambda: edit.duplicate_panel(r, at),
        "move": lambda: edit.move_panel(r, at, (section, draw(st.integers(0, 4)))),
        "resize": lambda: edit.change_panel(r, at, width=draw(st.integers(1, 12))),
    }[kind]()


@given(st.data(), reports)
def test_undo_restores_exactly_and_redo_brings_back(data: st.DataObject, start: Report) -> None:
    history, states = History(start), [start]
    for _ in range(data.draw(st.integers(0, 6))):
        history = history.do(data.draw(edited(history.now)))
        if history.now != states[-1]:
            states.append(history.now)
    for state in reversed(states):
        assert history.now == state
        history = history.undo()
    assert history.undo() == history
    for state in states:
        assert history.now == state
        history = history.redo()
    assert history.redo() == history


@given(st.data(), reports)
def test_moves_keep_every_panel(data: st.DataObject, r: Report) -> None:
    before = Counter(p.renderer for p in r.panels)
    for _ in range(min(3, len(before))):
        at = data.draw(st.sampled_from(edit.places(r)))
        to = (*data.draw(st.sampled_from(edit.holders(r))), data.draw(st.integers(0, 4)))
        r = edit.move_panel(r, at, edit.shifted(r, at, data.draw(st.sampled_from([-1, 1]))))
        r = edit.move_panel(r, edit.places(r)[0], to)
        r = edit.move_section(r, data.draw(st.integers(0, len(r.sections) - 1)), data.draw(st.integers(0, len(r.sections) - 1)))
        assert Counter(p.renderer for p in r.panels) == before


def test_an_edit_after_undo_forgets_what_was_undone_and_an_equal_report_is_no_step() -> None:
    a, b, c = report(1), report(2), report(3)
    history = History(a).do(b).undo().do(c)
    assert (history.now, history.undone) == (c, ())
    assert history.do(report(3)) is history
