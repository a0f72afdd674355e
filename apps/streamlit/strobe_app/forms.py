"""A form from the JSON schema of a pydantic model: one widget per setting, a message under the one that is wrong.

Numbers are typed, so that several values, separated by commas, make a sweep. What has no widget of its own (nested models, unions) is typed in its
textual form, as after `--set` on the command line, or as JSON.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import streamlit as st
from pydantic import BaseModel, ValidationError

from strobe import StrobeError

COLUMNS = 4
POINTED = re.compile(r"^(?:schedule )?(?P<text>'[^']*'): (?P<said>.* at character (?P<at>\d+), .*)$", re.DOTALL)
BOUNDS = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}
MOST = 500
"""More runs than this in one sweep are a slip of the comma."""


class Unreadable(ValueError):
    """Text that is not what a field holds; the message points at the character."""


@dataclass(frozen=True)
class Field:
    """A setting as a form shows it. `default` is its text, or the value itself of a choice and a switch."""

    name: str
    kind: str  # whole, number, choice, switch, list, text
    default: Any
    help: str
    options: tuple[Any, ...] = ()
    items: tuple[str, ...] = ()  # kinds of a list's items, the last one for all that follow
    nullable: bool = False

    @property
    def sweeps(self) -> bool:
        return self.kind in ("whole", "number")

    @property
    def span(self) -> int:
        """Columns it takes: text may be long."""
        return 2 if self.kind == "text" else 1


@dataclass
class Form:
    """What was typed: the values of each setting that differs from its default, the fields that cannot be read, and where messages go."""

    cls: type[BaseModel]
    values: dict[str, list[Any]] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    slots: dict[str, Any] = field(default_factory=dict)

    @property
    def swept(self) -> list[str]:
        return [name for name, values in self.values.items() if len(values) > 1]

    def check(self, base: Mapping[str, Any] | None = None) -> None:
        """Validate every combination, as far as the first that is wrong, and show each problem under its field."""
        if count(self.values) <= MOST:
            wrong = (problems(self.cls, {**(base or {}), **variant}) for variant in combinations(self.values))
            found = next((found for found in wrong if found), {})
            if self.problems:  # with some settings unread, what concerns several together is not known
                found.pop("", None)
            self.problems |= found
        for name, message in self.problems.items():
            if name in self.slots:
                say(self.slots[name], message)


# --- from the schema -------------------------------------------------------------------------------------------------------------------------


def fields(cls: type[BaseModel], defaults: Mapping[str, Any] | None = None, *, sweep: bool = True) -> list[Field]:
    """The settings of a model, in their order; `defaults` (in JSON) stand for the model's own; `sweep`: a number may be several."""
    properties = cls.model_json_schema().get("properties", {})
    return [_field(name, schema, (defaults or {}).get(name, schema.get("default")), sweep) for name, schema in properties.items()]


def _field(name: str, schema: Mapping[str, Any], default: Any, sweep: bool) -> Field:
    inner, nullable = _without_null(schema)
    kind, items = _kind(inner), ()
    if kind == "list":
        items = tuple(_kind(item) for item in inner.get("prefixItems") or [inner.get("items", {})])
        if not set(items) <= {"whole", "number", "text"} or any("$ref" in item for item in [inner.get("items", {})]):
            kind = "text"
    choice = kind in ("choice", "switch")
    help_ = _help(schema, inner, kind, nullable, sweep)
    return Field(name, kind, default if choice else shown(default), help_, tuple(inner.get("enum", ())), items, nullable)


def _without_null(schema: Mapping[str, Any]) -> tuple[Mapping[str, Any], bool]:
    """`X | None` as X, and whether None is allowed."""
    options = schema.get("anyOf", ())
    others = [option for option in options if option.get("type") != "null"]
    return (others[0], True) if len(others) == 1 and len(options) == 2 else (schema, False)


def _kind(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return "choice"
    return {"integer": "whole", "number": "number", "boolean": "switch", "array": "list"}.get(schema.get("type", ""), "text")


def _help(schema: Mapping[str, Any], inner: Mapping[str, Any], kind: str, nullable: bool, sweep: bool) -> str:
    """Description, bounds, and how to write several values."""
    said = [schema.get("description", "")]
    said += [", ".join(f"{words} {inner[bound]:,}" for bound, words in BOUNDS.items() if bound in inner)]
    said += ["empty: none" if nullable else ""]
    several = "commas make a sweep" if sweep else ""
    said += [{"whole": several, "number": several, "list": "separated by commas"}.get(kind, "")]
    return "; ".join(part for part in said if part).replace("*", "\\*").replace("[", "\\[")  # it is shown as Markdown


def shown(value: Any) -> str:
    """A value as it is typed: `name:key=value,...` for a named schedule, items with commas, else JSON without quotes."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, (list, tuple)) and not any(isinstance(item, (list, tuple, dict)) for item in value):
        return ", ".join(map(shown, value))
    if isinstance(value, dict) and "name" in value and not any(isinstance(v, (list, dict)) for v in value.values()):
        rest = ",".join(f"{k}={shown(v)}" for k, v in value.items() if k != "name")
        return f"{value['name']}:{rest}" if rest else value["name"]
    return json.dumps(value)


# --- from text to values ---------------------------------------------------------------------------------------------------------------------


def read(f: Field, text: str) -> list[Any]:
    """The values that a text stands for: several in a field that sweeps. Raises `Unreadable`."""
    if f.nullable and not text.strip():
        return [None]
    if f.sweeps:
        return [_number(f.kind, text, start, part) for start, part in _parts(text)]
    if f.kind == "list":
        kinds = [*f.items, *itertools.repeat(f.items[-1], text.count(","))]
        parts = _parts(text) if text.strip() else []
        return [[part.strip() if kind == "text" else _number(kind, text, start, part) for kind, (start, part) in zip(kinds, parts, strict=False)]]
    return [_loose(text)]


def _parts(text: str) -> list[tuple[int, str]]:
    """What commas separate, each with the character it begins at."""
    starts = itertools.accumulate((len(part) + 1 for part in text.split(",")), initial=0)
    return list(zip(starts, text.split(","), strict=False))


def _number(kind: str, text: str, start: int, part: str) -> int | float:
    convert: Callable[[str], int | float] = int if kind == "whole" else float
    word, begin = part.strip(), start + len(part) - len(part.lstrip())
    expected = "a whole number" if kind == "whole" else "a number"
    if re.fullmatch(r"0\d+", word):
        raise Unreadable(
            f"{text!r}: expected {expected} without leading zeros (a comma begins another value) at character {begin + 1}, found {word!r}"
        )
    try:
        return convert(word)
    except ValueError:
        at = begin + _understood(word, convert)
        found = repr(text[at]) if at < len(text) else "the end"
        raise Unreadable(f"{text!r}: expected {expected} at character {at + 1}, found {found}") from None


def _understood(word: str, convert: Callable[[str], int | float]) -> int:
    """How many characters at the beginning of a word are a number."""
    for end in range(len(word) - 1, 0, -1):
        try:
            convert(word[:end])
        except ValueError:
            continue
        return end
    return 0


def _loose(text: str) -> Any:
    """JSON where it is an object or a list, else the text itself."""
    if text.lstrip().startswith(("{", "[")):
        try:
            return json.loads(text)
        except ValueError as e:
            raise Unreadable(f"not JSON: {e}") from e
    return text


def count(values: Mapping[str, list[Any]]) -> int:
    """How many combinations there are."""
    total = 1
    for options in values.values():
        total *= len(options)
    return total


def combinations(values: Mapping[str, list[Any]]) -> Iterable[dict[str, Any]]:
    """Every combination of the values, the last setting fastest."""
    for chosen in itertools.product(*values.values()):
        yield dict(zip(values, chosen, strict=True))


def problems(cls: type[BaseModel], settings: Mapping[str, Any]) -> dict[str, str]:
    """Setting -> what is wrong with it; '' for what concerns several together."""
    try:
        cls(**settings)
    except ValidationError as e:
        return {str(error["loc"][0]) if error["loc"] else "": _said(error) for error in reversed(e.errors())}
    except StrobeError as e:  # a validator of Strobe's own: pydantic stops there, so each setting is tried alone, to find whose it is, and the others
        return {name: said for name, value in settings.items() if (said := _alone(cls, name, value))} or {"": str(e)}
    return {}


def _alone(cls: type[BaseModel], name: str, value: Any) -> str:
    """What is wrong with one setting by itself, '' when nothing is."""
    try:
        cls(**{name: value})
    except ValidationError as e:
        return next((_said(error) for error in e.errors() if error["loc"][:1] == (name,)), "")
    except StrobeError as e:
        return str(e)
    return ""


def _said(error: Mapping[str, Any]) -> str:
    message = str(error["msg"]).removeprefix("Value error, ")
    inside = ".".join(map(str, error["loc"][1:]))
    if error["type"] in ("value_error", "assertion_error"):
        return message
    return f"{inside + ' = ' if inside else ''}{error.get('input')!r}: {message}"


# --- on the page -----------------------------------------------------------------------------------------------------------------------------


def show(cls: type[BaseModel], key: str, defaults: Mapping[str, Any] | None = None, *, sweep: bool = True) -> Form:
    """Draw the widgets, and return what they hold. `sweep=False`: one value per setting."""
    form = Form(cls)
    for line in lines(fields(cls, defaults, sweep=sweep)):
        spans = [f.span for f in line]
        for column, f in zip(st.columns([*spans, *[1] * (COLUMNS - sum(spans))]), line, strict=False):
            with column:
                given = _widget(f, f"{key}.{f.name}")
                form.slots[f.name] = st.container(gap="xsmall")
            if given != f.default:
                _take(form, f, given, sweep)
    return form


def lines(shown: Iterable[Field]) -> list[list[Field]]:
    """Fields in rows of `COLUMNS` columns."""
    found: list[list[Field]] = []
    for f in shown:
        if not found or sum(g.span for g in found[-1]) + f.span > COLUMNS:
            found.append([])
        found[-1].append(f)
    return found


def _widget(f: Field, key: str) -> Any:
    if f.kind == "switch":
        return st.checkbox(f.name, bool(f.default), key=key, help=f.help)
    if f.kind == "choice":
        options = [None, *f.options] if f.nullable else list(f.options)
        return st.selectbox(f.name, options, options.index(f.default), key=key, help=f.help, format_func=lambda value: shown(value) or "none")
    return st.text_input(f.name, f.default, key=key, help=f.help, placeholder="none" if f.nullable else None, autocomplete="off")


def _take(form: Form, f: Field, given: Any, sweep: bool) -> None:
    try:
        values = [given] if f.kind in ("switch", "choice") else read(f, given)
        if len(values) > 1 and not sweep:
            raise Unreadable(f"{given!r}: expected one value at character {given.index(',') + 1}, found ','")
        if values != _default(f):
            form.values[f.name] = list(dict.fromkeys(values)) if f.sweeps else values
    except Unreadable as e:
        form.problems[f.name] = str(e)


def _default(f: Field) -> list[Any]:
    return [f.default] if f.kind in ("switch", "choice") else read(f, f.default)


def say(slot: Any, message: str) -> None:
    """A message under a field; one that names a character points at it."""
    pointed = POINTED.match(message)
    if pointed:
        text = pointed["text"].strip("'")
        slot.code(f"{text}\n{' ' * (int(pointed['at']) - 1)}^", language=None)
        message = pointed["said"]
    slot.error(message)
