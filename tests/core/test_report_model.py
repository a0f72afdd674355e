"""The report model: widths, groups, selections, requirements, and the schema that editors read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from strobe.errors import UsageError
from strobe.reports.files import load, read_text, save
from strobe.reports.model import Report, schema
from strobe.reports.query import QueryError, parse

FULL = """\
schema_version: 1
title: Two runs
requires: [strobe-phase>=0.2]
runs: p in [101, 113] and generalised < 10000
align: turn
cursor: {step: 5000, neuron: 12}
sections:
  - title: Curves
    markdown: |
      *All* runs on one axis.
    repeat: layer
    panels:
      - {renderer: loss_curves, width: 4, height: 180, compare: overlay}
    groups:
      - title: Closer
        repeat: head
        panels:
          - {renderer: attention_map, repeat: run, width: full}
"""


def problems(text: str) -> str:
    return "\n".join(read_text(text, "mine.yaml").problems)


def test_every_field_survives_saving(tmp_path: Path) -> None:
    found = read_text(FULL, "mine.yaml")
    assert found.problems == []
    assert found.report is not None
    assert load(save(found.report, tmp_path / "x.yaml")) == found.report
    assert [p.renderer for p in found.report.panels] == ["loss_curves", "attention_map"]
    assert [p.columns for p in found.report.panels] == [4, 12]
    assert [at for at, _ in found.report.placed()] == [("sections", 0, "panels", 0), ("sections", 0, "groups", 0, "panels", 0)]


WRONG: dict[str, tuple[str, str]] = {
    "width: 4": ("width: 13", "line 13, sections[0].panels[0].width: write half, full, or a number of columns from 1 to 12, not 13"),
    "align: turn": ("align: trun", "line 5, align: input should be 'step', 'turn' or 'phase', not 'trun'"),
    "repeat: head": ("repeat: neuron", "line 16, sections[0].groups[0].repeat: input should be 'run', 'layer' or 'head'"),
    "compare: overlay": ("compare: over", "line 13, sections[0].panels[0].compare: input should be"),
    "[strobe-phase>=0.2]": ("[strobe phase]", "line 3, requires: 'strobe phase' is no requirement"),
    "requires: [strobe-phase>=0.2]": ("requires: ['x @ https://example.org/x.whl']", "names an address"),
    "p in [101, 113] and": ("p in [101, 113 and", "line 4, runs: query"),
    "generalised < 10000": ("open('x')", "character 21: a call cannot stand in a query"),
    "    groups:": ("    grops:", "line 14, sections[0].grops: unknown key 'grops'; did you mean 'groups'?"),
    "title: Closer": ("titel: Closer", "sections[0].groups[0].titel: unknown key 'titel'; did you mean 'title'?"),
    "align: turn\n": ("align: turn\nalign: step\n", "line 6: 'align' stands here a second time"),
    "{step: 5000, neuron: 12}": ("{step: [1, 2]}", "line 6, cursor.step: write a number or a name, not [1, 2]"),
}


@pytest.mark.parametrize("right", WRONG)
def test_a_wrong_field_is_named_with_its_line(right: str) -> None:
    wrong, message = WRONG[right]
    assert message in problems(FULL.replace(right, wrong))


def test_a_few_lines_cannot_stand_for_billions_of_values() -> None:
    bomb = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{b}: &{b} [{', '.join([f'*{a}'] * 10)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    )
    assert "stands for more than" in problems(bomb)
    assert "mine.yaml" in problems("title: " + "[" * 3000)
    assert "no YAML" in problems("title: \x00")


def test_the_schema_knows_every_field() -> None:
    made = schema()
    assert set(made["properties"]) == set(Report.model_fields)
    assert {"Section", "Panel", "PanelGroup"} <= set(made["$defs"])


# --- queries -----------------------------------------------------------------------------------------------------------------------------------

FACTS: dict[str, Any] = {
    **{"family": "modular_addition", "p": 113, "generalised": 5500.0, "turn": None, "tags": ("seed", "paper"), "loop_closed": False},
    "run": "a",
}
ANSWERS = {
    "p in [101, 113] and generalised < 10000": True,
    "family == 'modular_addition'": True,
    "p == 97 or generalised > 6000": False,
    "not loop_closed": True,
    "'paper' in tags and 'old' not in tags": True,
    "turn < 10000": False,
    "turn >= 0": False,
    "turn == null": True,
    "turn - 5 < 0": False,
    "100 < p <= 113": True,
    "generalised / p > 48 and -p < 0": True,
    "p / 0 > 1": False,
}


@pytest.mark.parametrize("text", ANSWERS)
def test_queries_are_answered(text: str) -> None:
    assert parse(text).holds(FACTS) is ANSWERS[text]


REFUSED = {
    "__import__('os').system('x')": "a call cannot stand",
    "p.__class__ == 1": "a dot cannot stand",
    "tags[0] == 'x'": "an index cannot stand",
    "[x for x in tags]": "cannot stand",
    "p ** 999999999 > 1": r"only \+ - \* /",
    "p == 1 & q == 2": "write 'and'",
    "(lambda: 1) == 1": "a function cannot stand",
    "p = 1": "cannot be read at character 3",
    "p ==": "cannot be read at character 5",
    "": "empty",
    "p == 1 or " * 200 + "p == 1": "characters, more than",
    "(" * 500: "cannot be read",
    "p is 3": "'is' cannot stand",
    "b'x' == p": "no number, string",
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_no_query_is_refused_with_its_place(text: str) -> None:
    with pytest.raises(QueryError, match=REFUSED[text]):
        parse(text)


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"character 12: nothing known of a run is called 'generalized'; did you mean 'generalised'\?"):
        parse("p == 1 or ( generalized < 3)".replace("( ", "(")).holds(FACTS)
    with pytest.raises(UsageError, match="do not compare"):
        parse("family < 3").holds(FACTS)
