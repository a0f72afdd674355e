"""What a report's YAML holds, as a pydantic model; docs/reports.md shows every field, `schema()` is for editors.

```yaml
schema_version: 1
title: Grokking
sections:
  - title: The turn
    panels:
      - renderer: loss_curves
        how_to_read: Test falls only after train is low for long.
        settings: {height: 300}
      - renderer: line_over_steps          # a generic renderer: say which table
        table: weight_norms
        slots: {y: frobenius, color: parameter}
        cursor: {step: 5000}               # pinned: does not follow the page
        width: full
```
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from .query import parse

COLUMNS = 12
"""Columns of the page, in which widths are counted."""
WORDS = {"half": 6, "full": COLUMNS}
Repeat = Literal["run", "layer", "head"]
Align = Literal["step", "turn", "phase"]
Compare = Literal["overlay", "side_by_side", "difference", "grid"]


def _width(value: Any) -> Any:
    if value in WORDS or (isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= COLUMNS):
        return value
    raise ValueError(f"write half, full, or a number of columns from 1 to {COLUMNS}")


def _selection(value: Any) -> Any:
    if isinstance(value, str):
        return parse(value).text if value else ""
    if isinstance(value, (list, tuple)) and all(isinstance(name, str) for name in value):
        return list(value)
    raise ValueError('write a list of run names, or a query such as "p in [101, 113] and generalised < 10000"')


def _coordinate(value: Any) -> Any:
    if isinstance(value, (int, float, str)):
        return value
    raise ValueError("write a number or a name")


Coordinates = dict[str, Annotated[int | float | str, BeforeValidator(_coordinate)]]
Width = Annotated[Literal["half", "full"] | int, BeforeValidator(_width)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Panel(_Part):
    """One chart: a renderer and what it draws."""

    renderer: str = Field(min_length=1, description="a renderer's name")
    table: str = Field("", description="the table it draws; a renderer made for a table needs none")
    sql: str = Field("", description="a query to draw instead of a table; `$run` and `$step` are the cursor's")
    title: str = Field("", description="of the card; made from the renderer's and the table's name when empty")
    how_to_read: str = Field("", description="at most two lines; the first line of the renderer's description when empty")
    settings: dict[str, Any] = Field(default_factory=dict, description="settings of the renderer")
    slots: dict[str, str] = Field(default_factory=dict, description="slot -> column, for a generic renderer")
    follow: list[str] = Field(default_factory=list, description="coordinates it is cut at besides those its renderer names: head, neuron, ...")
    cursor: Coordinates = Field(default_factory=dict, description="coordinates that stay fixed: run, step, layer, head, neuron, ...")
    width: Width = Field(
        "half",
        description="of the card: half, full, or columns of 12; a number also sizes the plot",
        json_schema_extra={"minimum": 1, "maximum": COLUMNS},
    )
    height: int | None = Field(None, ge=40, le=2000, description="of the plot in px; the renderer's own when left out")
    compare: Compare | None = Field(None, description="how it shows the runs of the report; left out: the page's run alone")
    repeat: Repeat | None = Field(None, description="one panel for each run, layer or head")

    @property
    def columns(self) -> int:
        """Width of the card in columns of 12."""
        return WORDS[self.width] if isinstance(self.width, str) else self.width


class PanelGroup(_Part):
    """Panels within a section, under a heading of their own."""

    title: str = Field(min_length=1)
    description: str = ""
    markdown: str = Field("", description="text above the panels; headings, lists, tables, emphasis, links within the app")
    repeat: Repeat | None = Field(None, description="one group for each run, layer or head")
    panels: list[Panel] = Field(default_factory=list)


class Section(_Part):
    """Panels that belong together."""

    title: str = Field(min_length=1)
    description: str = ""
    markdown: str = Field("", description="text above the panels; headings, lists, tables, emphasis, links within the app")
    repeat: Repeat | None = Field(None, description="one section for each run, layer or head")
    panels: list[Panel] = Field(default_factory=list)
    groups: list[PanelGroup] = Field(default_factory=list, description="further panels, under headings of their own")

    @property
    def all_panels(self) -> list[Panel]:
        """Its own panels, then those of its groups."""
        return [*self.panels, *(panel for group in self.groups for panel in group.panels)]


class Report(_Part):
    """What the YAML holds."""

    schema_version: Literal[1] = 1
    title: str = Field(min_length=1)
    description: str = ""
    requires: list[str] = Field(default_factory=list, description='packages whose plugins it uses: "strobe-phase>=0.2"')
    runs: Annotated[list[str] | str, BeforeValidator(_selection)] = Field(
        default_factory=list,
        description="the runs it compares: names, or a query over what is known of runs; left out: all runs of the page's family",
    )
    align: Align = Field("step", description="what the runs are laid upon each other by: the step, the turn, or the phases")
    cursor: Coordinates = Field(default_factory=dict, description="where the page opens: step, layer, head, neuron, ...")
    sections: list[Section] = Field(default_factory=list)
    skip_empty: bool = Field(False, description="panels whose tables say nothing of the run are left out, here and in what comes with `more`")
    more: bool = Field(False, description="results that no panel shows come last, each with the generic renderer that fits")

    @field_validator("requires")
    @classmethod
    def _requirements(cls, lines: list[str]) -> list[str]:
        """Names and versions only: what a report makes somebody install has no address of its own."""
        from packaging.requirements import InvalidRequirement, Requirement

        for line in lines:
            try:
                requirement = Requirement(line)
            except InvalidRequirement as e:
                raise ValueError(f'{line!r} is no requirement ({str(e).splitlines()[0]}); write "strobe-phase>=0.2"') from None
            if requirement.url:
                raise ValueError(f'{line!r} names an address; write a package and its version, "strobe-phase>=0.2"')
        return lines

    @property
    def panels(self) -> list[Panel]:
        """Every panel once, in the order of the page; repeated ones are not multiplied."""
        return [panel for section in self.sections for panel in section.all_panels]

    def placed(self) -> Iterator[tuple[tuple[str | int, ...], Panel]]:
        """Every panel with its path in the YAML: `("sections", 0, "groups", 1, "panels", 2)`."""
        for i, section in enumerate(self.sections):
            yield from ((("sections", i, "panels", j), panel) for j, panel in enumerate(section.panels))
            for k, group in enumerate(section.groups):
                yield from ((("sections", i, "groups", k, "panels", j), panel) for j, panel in enumerate(group.panels))


def schema() -> dict[str, Any]:
    """The JSON schema of a report, for editors: `# yaml-language-server: $schema=...` in the first line of a file."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "strobe-report-1", **Report.model_json_schema()}
