"""What analyzers, renderers and families have in common: a frozen pydantic model that compares and hashes by identity."""

from __future__ import annotations

import ast
import functools
import inspect
import itertools
import re
import textwrap
from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from .errors import ContractError

_CODE = re.compile(r"`(\w+)`")
_EMPHASIS = re.compile(r"(?<![\w*])\*(\w[\w ]*)\*(?![\w*])")
_COST = re.compile(r"(?:^|(?<=[.:]) )(?:Cost:|No forward|Rows with most)")
"""Where a docstring stops saying what is computed and says what it takes."""


class Plugin(BaseModel):
    """Fields are settings, each with a default. Two equal instances are two plugins (pluggy keeps plugins in sets)."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    class_attributes: ClassVar[frozenset[str]] = frozenset()
    common_settings: ClassVar[Mapping[str, str]] = {}
    """Settings whose name means the same in every plugin of the kind, and what."""

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        if taken := cls.class_attributes & set(cls.model_fields):
            names = ", ".join(sorted(taken))
            raise ContractError(
                f"{cls.__qualname__}: {names} belong to the class, not to its settings: assign without an annotation, `{names} = ...`"
            )
        if bare := [name for name, f in cls.model_fields.items() if f.is_required()]:
            raise ContractError(f"{cls.__qualname__}: setting {', '.join(bare)} has no default; write `{bare[0]}: ... = <default>`")

    @classmethod
    def summary(cls) -> str:
        """The first lines of the docstring, up to the one that ends a sentence: what reports, pictures and listings say of it."""
        return first_sentence(cls.__doc__ or "")

    @classmethod
    def describe(cls, setting: str) -> str:
        """What a setting does: its description, or the string below it; else the sentence of the docstring that names it; else what its name means in
        every plugin of the kind; '' when nothing says it."""
        described = cls.model_fields[setting].description or next((d[setting] for c in cls.__mro__ if setting in (d := _below(c))), "")
        return described or _sentence(cls.__doc__ or "", setting) or cls.common_settings.get(setting, "")


def with_values(plugin: Plugin, text: str) -> str:
    """Words of a docstring in which a setting named in backticks is its number: `threshold` or more -> 0.85 or more. One that is a word is said."""

    def filled(found: re.Match[str]) -> str:
        value = getattr(plugin, found[1]) if found[1] in type(plugin).model_fields else None
        if value is None or isinstance(value, bool | Mapping):
            return found[0]
        return f"{found[0]} (here {value})" if isinstance(value, str) else _value(value)

    return _CODE.sub(filled, text)


def _value(value: Any) -> str:
    return ", ".join(map(_value, value)) if isinstance(value, list | tuple) else f"{value:g}" if isinstance(value, float) else str(value)


def definition(plugin: Plugin) -> str:
    """What it says that it computes, with its settings as they are: its docstring up to the end of the second paragraph, without what it costs."""
    paragraphs = inspect.cleandoc(type(plugin).__doc__ or "").split("\n\n")[:2]
    text = _COST.split(" ".join(" ".join(paragraphs).split()))[0].strip()
    return with_values(plugin, _EMPHASIS.sub(r"\1", text))


def first_sentence(text: str) -> str:
    """The lines of a text up to the first that ends a sentence, as one; at most its first paragraph."""
    said: list[str] = []
    for line in map(str.strip, text.strip().splitlines()):
        if not line:
            break
        said.append(line)
        if line.endswith((".", "!", "?")):
            break
    return " ".join(said)


@functools.lru_cache(maxsize=512)
def _below(cls: type[Any]) -> dict[str, str]:
    """Strings that stand below a field in the source of a class: field -> text."""
    try:
        (body,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    except (OSError, TypeError, SyntaxError, ValueError):  # made without a file
        return {}
    pairs = itertools.pairwise(body.body) if isinstance(body, ast.ClassDef) else ()
    return {
        node.target.id: " ".join(str(below.value.value).split())
        for node, below in pairs
        if isinstance(node, ast.AnnAssign)
        and isinstance(node.target, ast.Name)
        and isinstance(below, ast.Expr)
        and isinstance(below.value, ast.Constant)
    }


def _sentence(text: str, word: str) -> str:
    """The first sentence that holds a word, on one line."""
    sentences = re.split(r"(?<=[.;:])\s+", " ".join(text.split()))
    return next((s for s in sentences if re.search(rf"(?<!\w){re.escape(word)}(?!\w)", s)), "")
