"""`run_analyzer`: one call of one analyzer, without a workspace."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from ..analyzer import Analyzer
from ..errors import UsageError, did_you_mean
from ..hookspecs import AnalyzerSpecs
from ..schema import Columns, Made, Row, to_arrow, to_pandas
from .findings import Unfit
from .material import Given, Material

if TYPE_CHECKING:
    import pandas as pd

    from ..family import Family
    from ..registration.contract import Contract

MAX_ROWS = 1_000_000
"""Rows after which a generator is taken to have no end: the fixtures are tiny."""


def run_analyzer(analyzer: Analyzer | type[Analyzer], *, step: int | None = None, family: Family | None = None, **given: Any) -> pd.DataFrame:
    """The rows of one call, as a data frame with the columns of `Row`: `run_analyzer(Mine(), weights=Weights({"embed.W_E": torch.eye(7)}))`.

    What its hook names and is not `given` comes from the tiny run (`strobe.testing.tiny_run`) of `family`, or of the first installed family that it
    applies to, at `step` (the last one). Rows are validated as in an analysis. Raises what the analyzer raises.
    """
    instance = analyzer() if isinstance(analyzer, type) else analyzer
    material = _Lazy(type(instance), family)
    contract = material.contract
    known = _arguments(contract.hook)
    if odd := [name for name in given if name not in known]:
        raise UsageError(f"{contract.hook} has no argument {odd[0]!r}{did_you_mean(odd[0], known)}")
    missing = [name for name in contract.arguments if name not in given]
    made_here = material.made().given(missing, step).arguments if missing else {}
    arguments = {name: given.get(name, made_here.get(name)) for name in contract.arguments}
    return to_pandas(made(instance, contract, Given(arguments)).table)


def made(analyzer: Analyzer, contract: Contract, given: Given) -> Made:
    """Rows of one call as validated Arrow; `Unfit` for a generator without an end."""
    result = getattr(analyzer, contract.hook)(**given.arguments)
    return to_arrow(analyzer.Row, result if isinstance(result, Columns) else _bounded(result))


def _bounded(result: Any) -> Any:
    """The same rows; what is no iterator goes on to be refused by the schema."""
    return _counted(result) if isinstance(result, Iterator) else result


def _counted(rows: Iterable[Row]) -> Iterator[Row]:
    for i, row in enumerate(rows):
        if i >= MAX_ROWS:
            raise Unfit(f"it has yielded {MAX_ROWS:,} rows from a tiny run and goes on", "let its loop end")
        yield row


def _arguments(hook: str) -> list[str]:
    import inspect

    return [p for p in inspect.signature(getattr(AnalyzerSpecs, hook)).parameters if p != "self"]


class _Lazy:
    """A material that is made only when something of it is needed: a call that is given everything needs no family."""

    def __init__(self, cls: type[Analyzer], family: Family | None) -> None:
        from ..registration.contract import analyzer_contract

        self.cls, self.family = cls, family
        self.contract = analyzer_contract(cls, f"analyzer {cls.__qualname__}")

    def made(self) -> Material:
        return Material(self.cls, self.family)
