"""Errors say who, what, where, and what to type next: first line first."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class StrobeError(Exception):
    """Something a user can mend. The command line prints it as one line and exits with `status`."""

    status = 1


class UsageError(StrobeError):
    """A wrong name, setting or argument: exit status 2."""

    status = 2


class CheckpointError(StrobeError):
    """A checkpoint that cannot be read, or that lacks or misshapes a tensor."""


class PluginError(StrobeError):
    """A plugin that cannot be used: it names plugin, package, reason and the fix."""

    status = 2


class ContractError(PluginError, TypeError):
    """A plugin that breaks the contract of its base type, found when it is registered."""


class SchemaError(StrobeError, TypeError):
    """Rows that do not match their declaration."""


class StoreError(StrobeError):
    """Results that cannot be written or read: what is stored already stays readable."""


MANY = 20
"""Names that a message lists at most: models have hundreds of tensors, and where a command lists them all, the message names it."""


def did_you_mean(name: str, known: Iterable[str], listed_by: str = "") -> str:
    """`; did you mean 'x'?` for the nearest known name, or `; there are a, b` when nothing is near. `listed_by`: what to name where many are."""
    options = sorted(set(known))
    near = difflib.get_close_matches(name, options, 1, 0.6)
    if near:
        return f"; did you mean {near[0]!r}?"
    if listed_by and len(options) > MANY:
        return f"; `{listed_by}` names all {len(options)}"
    more = f" and {len(options) - MANY} more" if len(options) > MANY else ""
    return f"; there are: {', '.join(options[:MANY])}{more}" if options else "; there are none"
