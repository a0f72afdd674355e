"""Which runs a report is about, as a question: `family == 'modular_addition' and p in [101, 113] and generalised < 10000`.

A small language of its own: names, numbers, strings, lists, comparisons, `in`, `and`, `or`, `not`, and arithmetic. It is read with Python's parser
and evaluated here, node by node, so a report from a stranger can ask, and can do nothing else. What is not known of a run compares as false.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import UsageError, did_you_mean

LONGEST = 1000
"""Characters of a query."""
CONSTANTS = {"true": True, "false": False, "null": None}
COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda a, b: a in b,
    ast.NotIn: lambda a, b: a not in b,
}
ARITHMETIC: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
KNOWN = (ast.BoolOp, ast.UnaryOp, ast.BinOp, ast.Compare, ast.Name, ast.Constant, ast.List, ast.Tuple)
REMEDY = "write comparisons of names with values, joined by and, or, not: p in [101, 113] and generalised < 10000"


class QueryError(UsageError, ValueError):
    """A query that cannot be read or answered; it names the character, counted from 1."""


@dataclass(frozen=True)
class Query:
    """A question about a run, read and checked."""

    text: str
    tree: ast.expr

    @property
    def names(self) -> tuple[str, ...]:
        """What it asks about, in order of appearance."""
        found = (node.id for node in ast.walk(self.tree) if isinstance(node, ast.Name) and node.id not in CONSTANTS)
        return tuple(dict.fromkeys(found))

    def holds(self, facts: Mapping[str, Any]) -> bool:
        """The answer for one run. Raises `QueryError` for a name that is no fact of any run, and for values that do not compare."""
        return bool(_value(self.tree, facts, self.text))


def parse(text: str) -> Query:
    """Read a query. Raises `QueryError` naming the character at which it stops being one."""
    if not text.strip():
        raise QueryError(f"the query is empty; {REMEDY}")
    if len(text) > LONGEST:
        raise QueryError(f"the query has {len(text)} characters, more than {LONGEST}; name the runs instead")
    one_line = " ".join(text.splitlines())
    try:
        tree = ast.parse(one_line.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as e:
        at = getattr(e, "offset", None) or len(one_line.strip()) + 1
        why = getattr(e, "msg", None) or "it is nested too deeply"
        raise QueryError(f"query {one_line.strip()!r} cannot be read at character {at} ({why}); {REMEDY}") from None
    query = Query(one_line.strip(), tree)
    _check(tree, query.text)
    return query


def _check(node: ast.AST, text: str) -> None:
    """That a tree consists of what this language has."""
    if not isinstance(node, KNOWN):
        raise QueryError(f"{_place(node, text)}: {_name_of(node)} cannot stand in a query; {REMEDY}")
    if isinstance(node, ast.Constant) and not isinstance(node.value, (bool, int, float, str, type(None))):
        raise QueryError(f"{_place(node, text)}: {node.value!r} is no number, string, true, false or null")
    if isinstance(node, ast.UnaryOp) and not isinstance(node.op, (ast.Not, ast.USub)):
        raise QueryError(f"{_place(node, text)}: {_name_of(node.op)} cannot stand in a query; {REMEDY}")
    if isinstance(node, ast.BinOp) and type(node.op) not in ARITHMETIC:
        raise QueryError(f"{_place(node, text)}: only + - * / of numbers; {'write ' + repr('and') if isinstance(node.op, ast.BitAnd) else REMEDY}")
    if isinstance(node, ast.Compare) and (odd := [op for op in node.ops if type(op) not in COMPARISONS]):
        raise QueryError(f"{_place(node, text)}: {_name_of(odd[0])} cannot stand in a query; write == or !=")
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.expr):
            _check(child, text)


def _value(node: ast.expr, facts: Mapping[str, Any], text: str) -> Any:
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name):
        return _fact(node, facts, text)
    if isinstance(node, (ast.List, ast.Tuple)):
        return [_value(element, facts, text) for element in node.elts]
    if isinstance(node, ast.BoolOp):
        answers = (bool(_value(part, facts, text)) for part in node.values)
        return all(answers) if isinstance(node.op, ast.And) else any(answers)
    if isinstance(node, ast.Compare):
        values = [_value(part, facts, text) for part in (node.left, *node.comparators)]
        return all(_compared(node, op, a, b, text) for op, a, b in zip(node.ops, values, values[1:], strict=False))
    return _computed(node, facts, text)


def _fact(node: ast.Name, facts: Mapping[str, Any], text: str) -> Any:
    if node.id in facts:
        return facts[node.id]
    if node.id in CONSTANTS:
        return CONSTANTS[node.id]
    raise QueryError(f"{_place(node, text)}: nothing known of a run is called {node.id!r}{did_you_mean(node.id, facts)}")


def _compared(node: ast.AST, op: ast.cmpop, a: Any, b: Any, text: str) -> bool:
    if isinstance(op, (ast.Eq, ast.NotEq)):
        return COMPARISONS[type(op)](a, b)
    if a is None or b is None:
        return False
    try:
        return COMPARISONS[type(op)](a, b)
    except TypeError:
        raise QueryError(f"{_place(node, text)}: {a!r} and {b!r} do not compare") from None


def _computed(node: ast.expr, facts: Mapping[str, Any], text: str) -> Any:
    """`not`, a minus, and arithmetic; None where a number is not known."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return not _value(node.operand, facts, text)
    parts = [node.operand] if isinstance(node, ast.UnaryOp) else [node.left, node.right] if isinstance(node, ast.BinOp) else []
    values = [_value(part, facts, text) for part in parts]
    if any(v is None for v in values):
        return None
    if odd := [v for v in values if not isinstance(v, (int, float))]:
        raise QueryError(f"{_place(node, text)}: {odd[0]!r} is no number")
    if isinstance(node, ast.UnaryOp):
        return -values[0]
    assert isinstance(node, ast.BinOp)
    try:
        return ARITHMETIC[type(node.op)](*values)
    except (ZeroDivisionError, OverflowError):
        return None


def _place(node: ast.AST, text: str) -> str:
    at = getattr(node, "col_offset", 0)
    return f"query {text!r}, character {len(text.encode()[:at].decode()) + 1}"


def _name_of(node: ast.AST) -> str:
    names: dict[type[ast.AST], str] = {
        **{ast.Call: "a call", ast.Attribute: "a dot", ast.Subscript: "an index", ast.Lambda: "a function", ast.JoinedStr: "an f-string"},
        **{ast.Is: "'is'", ast.IsNot: "'is not'", ast.UAdd: "'+'", ast.Invert: "'~'", ast.Dict: "a mapping", ast.Set: "a set"},
    }
    return names.get(type(node), f"a {type(node).__name__}")
