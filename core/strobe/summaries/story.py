"""What a family's story holds (`Family.story()`, a YAML file): sections of sentences with places for what queries find.

```yaml
sections:
  - title: Phases
    needs: [phases]                        # tables; when one is not stored, the section says how to compute it, and nothing else
    facts:
      - query: select event, at_step from phases where run = $run order by at_step
        say: "- {event}: step {at_step:,}"     # once per row; a line in which something is missing is left out
        none: No event was found.
      - query: select ...                      # without `say`: a table
    define: [phases.at_step]               # what the numbers mean: descriptions of columns, quoted from the analyzer
    figure: {renderer: loss_curves}
compare:                                   # one row per run, from a query that is asked for each
  - {title: Phases, needs: [phases], query: select ... where run = $run}
```
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..errors import StrobeError
from ..reports.model import Panel


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Fact(_Part):
    """A query, and the sentence each of its rows becomes; without one, a table."""

    query: str = Field(min_length=1)
    say: str = ""
    none: str = ""


class Part(_Part):
    """A section of the summary of one run."""

    title: str
    needs: tuple[str, ...] = ()
    facts: tuple[Fact, ...] = ()
    define: tuple[str, ...] = ()
    figure: Panel | None = None


class Comparison(_Part):
    """A table with one row per run."""

    title: str
    needs: tuple[str, ...] = ()
    query: str = Field(min_length=1)
    define: tuple[str, ...] = ()


class Story(_Part):
    """What a summary tells."""

    sections: tuple[Part, ...] = ()
    compare: tuple[Comparison, ...] = ()


def read_story(path: Path | None) -> Story:
    """A family's story; an empty one when it has none: then metrics and a list of what is stored are all that is told."""
    if path is None:
        return Story()
    try:
        given: Any = yaml.safe_load(path.read_text("utf-8"))
        return Story.model_validate(given)
    except (OSError, yaml.YAMLError, ValidationError) as e:
        raise StrobeError(f"story {path} cannot be read: {e}") from e
