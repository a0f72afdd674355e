"""A call of an analyzer that does its work in a worker. Wrappers of `run_analyzer` cannot tell it from another, but by its class."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..analysis.counters import count_all
from ..analysis.desk import Call
from ..errors import StrobeError
from ..schema import Made
from .answers import Answer
from .errands import Errand
from .process import Died, size
from .workers import Workers


class CallFailed(StrobeError):
    """What an analyzer in a worker raised, or died of; `kind` and `text` go into its failure row."""

    def __init__(self, kind: str, message: str, text: str = "", bad: str = "") -> None:
        super().__init__(message)
        self.kind, self.text, self.bad_tensors = kind, text, bad


@dataclass(frozen=True, eq=False)
class IsolatedCall(Call):
    """`milliseconds` (CPU), `bad_tensors` and `notes` say afterwards what the worker told. The worker begins with `following` before its answer to
    `errand` is looked at."""

    workers: Workers
    errand: Errand
    following: Errand | None = None
    _said: list[Answer] = field(default_factory=list)
    _notes: list[str] = field(default_factory=list)

    def __call__(self) -> Made:
        package = self.errand.plugin.package
        if why := self.workers.quarantine(package):
            raise CallFailed("quarantined", why)
        answer = self._asked()
        self._said.append(answer)
        self._notes.extend(self.workers.new_notes(self.name, answer.notes))
        count_all(answer.counts)
        if answer.kind != "made":
            raise CallFailed(answer.kind, _advised(answer, self.workers.isolation.memory), answer.text, answer.bad)
        try:
            return answer.made(self.analyzer.Row)
        except ValueError as e:
            self.workers.strike(package, "garbage")
            raise CallFailed("garbage", f"what its worker answered is not what it declares: {e}") from e

    def _asked(self) -> Answer:
        try:
            return self.workers.ask(self.errand, self.following)
        except Died as e:
            raise CallFailed(e.kind, f"{e}; mend {self.errand.plugin.package}, or leave it out", e.text) from e

    @property
    def milliseconds(self) -> float:
        return sum(a.milliseconds for a in self._said)

    @property
    def bad_tensors(self) -> str:
        return "".join(a.bad for a in self._said)

    @property
    def notes(self) -> list[str]:
        return self._notes


def _advised(answer: Answer, most: int) -> str:
    if answer.kind == "memory":
        room = f"it ran out of the {size(most)} of memory it may take ({answer.message})"
        return f"{room}; allow more with --memory, or let it go through its input in parts"
    if answer.kind == "exit":
        return f"{answer.message}; a hook returns rows, or raises"
    return answer.message
