"""A job as data: what is asked for, who does it, how far it is."""

from __future__ import annotations

import json
import sqlite3
import time
from dataclasses import dataclass, fields
from typing import Any

ENDED = ("done", "failed", "cancelled")
STATES = ("queued", "running", *ENDED)


@dataclass(frozen=True)
class Job:
    """A job as it stood when it was read. `progress` is 0 to 1, exactly 1 when done; times are seconds since 1970."""

    id: str
    kind: str
    title: str
    run: str
    request: dict[str, Any]
    state: str
    attempt: int
    owner: str | None
    host: str | None
    pid: int | None
    mark: str | None
    lease: float | None
    cancel: int
    progress: float
    done: int | None
    total: int | None
    note: str
    began: float | None
    began_done: int | None
    error: str
    created: float
    started: float | None
    updated: float
    finished: float | None

    @property
    def ended(self) -> bool:
        return self.state in ENDED

    @property
    def abandoned(self) -> bool:
        """Whether its worker has shown no life for a whole lease."""
        return self.state == "running" and (self.lease or 0) < time.time()

    @property
    def rate(self) -> float | None:
        """Epochs or cells per second of this attempt, None before the first ones."""
        if self.state != "running" or None in (self.done, self.began, self.began_done):
            return None
        moved, seconds = self.done - self.began_done, self.updated - self.began  # type: ignore[operator]
        return moved / seconds if moved > 0 and seconds > 0 else None

    @property
    def seconds_left(self) -> float | None:
        """At the present rate, None while that is unknown."""
        return None if self.rate is None else (self.total - self.done) / self.rate  # type: ignore[operator]

    def to_json(self) -> dict[str, Any]:
        """The shape of `strobe jobs list --json`."""
        hidden = ("mark", "lease", "began", "began_done", "cancel")
        shown = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in hidden}
        return {
            **shown,
            "cancelling": bool(self.cancel) and not self.ended,
            "abandoned": self.abandoned,
            "rate": self.rate,
            "seconds_left": self.seconds_left,
        }


def job_of(row: sqlite3.Row) -> Job:
    values = {f.name: row[f.name] for f in fields(Job)}
    return Job(**{**values, "request": json.loads(row["request"])})


@dataclass(frozen=True)
class Prepared:
    """A request that has been checked: in JSON, complete; what people call it; the run it concerns; a digest of everything it depends on; and whether
    what it would make is on disk already."""

    request: dict[str, Any]
    title: str
    run: str
    fingerprint: str
    finished: bool = False
