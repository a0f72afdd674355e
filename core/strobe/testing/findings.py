"""What a check finds: a problem with the line to change, or that it does not apply. And where in a plugin's source something stands."""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
import unittest
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

MAX_LOOKS = 5_000
"""Lines after which a search for the guilty one gives up."""


@dataclass(frozen=True)
class Place:
    """A line of a file."""

    file: str
    line: int

    def __str__(self) -> str:
        path = Path(self.file)
        shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
        return f"{shown}:{self.line}"


class Unfit(AssertionError):
    """A plugin failed a check: `problem` says what happened, `fix` what to write instead, `place` where."""

    def __init__(self, problem: str, fix: str = "", place: Place | None = None) -> None:
        self.problem, self.fix, self.place = problem, fix, place
        super().__init__("\n".join(filter(None, (problem, ": ".join(filter(None, (str(place or ""), fix)))))))


class NotMeant(unittest.SkipTest):
    """A check says nothing about this plugin, and why. pytest and unittest take it for a skip."""


class Source:
    """The source of a plugin class: which files count as its own, and on which line something stands."""

    def __init__(self, cls: type[Any]) -> None:
        self.cls = cls
        self.file = inspect.getsourcefile(cls) or ""
        package = cls.__module__.partition(".")[0]
        root = getattr(sys.modules.get(package), "__file__", None) if "." in cls.__module__ else None
        self._root = Path(root).parent if root else None

    def owns(self, file: str) -> bool:
        """Whether a file belongs to the plugin's package."""
        return file == self.file or (self._root is not None and Path(file).is_relative_to(self._root))

    def line(self, *names: str) -> Place | None:
        """Where the first of these names stands in the class: a method, a class, a field, an assignment. Else where the class begins."""
        try:
            lines, start = inspect.getsourcelines(self.cls)
            tree = ast.parse(textwrap.dedent("".join(lines)))
        except (OSError, TypeError, SyntaxError):
            return None
        for name in names:
            for node in ast.walk(tree):
                if _named(node) == name:
                    return Place(self.file, start + getattr(node, "lineno", 1) - 1)
        return Place(self.file, start)

    def raised(self, traceback: TracebackType | None) -> Place | None:
        """The innermost line of the plugin's own in a traceback."""
        found = None
        while traceback is not None:
            if self.owns(traceback.tb_frame.f_code.co_filename):
                found = Place(traceback.tb_frame.f_code.co_filename, traceback.tb_lineno)
            traceback = traceback.tb_next
        return found

    def changing(self, call: Callable[[], object], look: Callable[[], object]) -> Place | None:
        """The first line of the plugin's own after which `look()` answers otherwise, found by calling it again line by line."""
        search = _Search(self, look)
        before = sys.gettrace()
        sys.settrace(search.enter)
        try:
            call()
        except Exception:  # the plugin boundary: what it raises is told elsewhere
            pass
        finally:
            sys.settrace(before)
        return search.found


class _Search:
    """A tracer that looks after every line."""

    def __init__(self, source: Source, look: Callable[[], object]) -> None:
        self.source, self.look = source, look
        self.last, self.looks = look(), 0
        self.at: Place | None = None
        self.found: Place | None = None

    def enter(self, frame: FrameType, event: str, arg: Any) -> Any:
        return self.step if self.source.owns(frame.f_code.co_filename) else None

    def step(self, frame: FrameType, event: str, arg: Any) -> Any:
        if self.found is None and self.looks < MAX_LOOKS:
            self.looks += 1
            if self.at is not None and self.look() != self.last:
                self.found = self.at
            self.at = Place(frame.f_code.co_filename, frame.f_lineno)
        return self.step


def _named(node: ast.AST) -> str:
    """What a statement gives a name to."""
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        return node.name
    target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0] if isinstance(node, ast.Assign) else None
    return target.id if isinstance(target, ast.Name) else ""
