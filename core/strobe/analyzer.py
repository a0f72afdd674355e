"""`Analyzer`: settings are fields, the nested `Row` is the typed result, and the hook it implements is its category."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from .errors import ContractError
from .plugin import Plugin
from .schema import ENGINE_COLUMNS, declared
from .schema import Row as BaseRow
from .sites import Positions


class Analyzer(Plugin):
    """Turns weights, activations, attention, outputs, losses, checkpoints or other results into typed rows.

    Class attributes (assign without annotation):
    `sites` what to capture, pattern -> positions; `consumes` analyzers whose rows it reads; `scope` `"runs"` for one table over several runs;
    `families` names of the families it applies to (empty: all); `where` values that parameters of the family must have, `{"operation": ("a+b",)}`
    (a family without such a parameter passes); `answers` what the targets must be: `"classes"`, `"values"` (a regression) or `"any"`, which is what
    holds for all but `analyze_outputs` unless you say otherwise; `opt_in` True to run only when asked for by name.
    """

    Row: ClassVar[type[BaseRow]]
    sites: ClassVar[Mapping[str, Positions]] = {}
    consumes: ClassVar[str | Sequence[str]] = ()
    scope: ClassVar[Literal["run", "runs"]] = "run"
    families: ClassVar[Sequence[str]] = ()
    where: ClassVar[Mapping[str, Sequence[Any]]] = {}
    answers: ClassVar[Literal["", "classes", "values", "any"]] = ""
    opt_in: ClassVar[bool] = False
    class_attributes: ClassVar[frozenset[str]] = frozenset({"Row", "sites", "consumes", "scope", "families", "where", "answers", "opt_in"})
    common_settings: ClassVar[Mapping[str, str]] = {
        "seed": "of what it draws at random",
        "parameters": "pattern of the parameters it looks at, such as blocks.*.mlp.W_in",
        "groups": "parameters taken together: name of the group -> patterns",
        "splits": "the splits of the probe that it looks at",
    }

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        rows = {name: v for name, v in vars(cls).items() if isinstance(v, type) and issubclass(v, BaseRow)}
        if len(rows) > 1 and "Row" not in rows:
            raise ContractError(f"{cls.__qualname__} nests several row types ({', '.join(rows)}); name the result `Row`")
        if rows and "Row" not in rows:
            cls.Row = next(iter(rows.values()))
        if rows:
            declared(cls.Row)

    @classmethod
    def upstream(cls) -> tuple[str, ...]:
        """Names of the analyzers whose rows it reads."""
        return (cls.consumes,) if isinstance(cls.consumes, str) else tuple(cls.consumes)

    @classmethod
    def engine_columns(cls) -> tuple[str, ...]:
        """Columns the engine adds: those of run, step, probe that `Row` does not declare."""
        return tuple(name for name in ENGINE_COLUMNS if name not in cls.Row.model_fields)
