"""The checks of an analyzer. Each raises `Unfit` with the line to change, or `NotMeant` with why it says nothing here.

Those on inputs nobody hopes for are in `bad_input`. Independence of the batch split is asked of analyzers whose rows are about single inputs (a `dim`
called `input`): an input's row must not depend on its neighbours. A measure of the whole batch has no halves to agree with.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..analyzer import Analyzer
from ..arguments import Activations, Probe, Results
from ..errors import ContractError, StrobeError
from ..hookspecs import PASS
from ..schema import Made, declared, to_pandas
from .bad_input import takes_nan, takes_nothing
from .findings import NotMeant, Place, Source, Unfit
from .material import Change
from .state import REMEDIES, digests, process, unharmed
from .subject import Check, Subject

MAX_BYTES = 256 * 2**20
"""Memory that a call on a tiny run may take."""


# --- without running it ------------------------------------------------------------------------------------------------------------------------


def registers(subject: Subject) -> None:
    """It keeps the contract: one marked hook, known arguments, a `Row`, settings with defaults."""
    try:
        contract = subject.contract
    except ContractError as e:
        problem, _, fix = str(e).partition("; ")
        raise Unfit(problem, fix, subject.source.line()) from e
    try:
        subject.closure()
    except StrobeError as e:
        problem, _, fix = str(e).partition("; ")
        raise Unfit(f"it cannot have what it consumes: {problem}", fix, subject.source.line("consumes")) from e
    if unused := [a for a in contract.arguments if a not in _names_used(subject)]:
        raise Unfit(
            f"{contract.hook} asks for {', '.join(unused)} and never uses it: its rows are computed anew whenever that changes",
            f"remove {', '.join(unused)} from the arguments of {contract.hook}",
            subject.hook,
        )


def _names_used(subject: Subject) -> set[str]:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(getattr(subject.cls, subject.contract.hook))))
    except (OSError, TypeError, SyntaxError):  # no source, as in some notebooks: nothing can be said
        return set(subject.contract.arguments)
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


def is_documented(subject: Subject) -> None:
    """A docstring, a description of each setting and column, a unit for each number."""
    cls, source = subject.cls, subject.source
    if not (cls.__doc__ or "").strip() or cls.__doc__ == Analyzer.__doc__:
        raise Unfit(f"{cls.__qualname__} has no docstring, and `strobe plugins show` has nothing to say", "say what its rows are", source.line())
    settings_described(cls, source)
    for column in declared(cls.Row).values():
        where = Source(cls.Row).line(column.name)
        if not column.description.strip():
            raise Unfit(f"column {column.name} has no description", f'write `{column.kind}("what it is")`', where)
        if column.kind != "dim" and not column.unit.strip():
            raise Unfit(f"column {column.name} has no unit", 'write `unit="nats"`, or `unit="1"` for a ratio', where)


def settings_described(cls: type[Any], source: Source) -> None:
    """Every setting has a description, or is named in the docstring, or bears a name that means the same everywhere."""
    for name in cls.model_fields:
        if not cls.describe(name):
            fix = f'write `{name}: ... = Field(..., description="what it does")` (from pydantic import Field), or name it in the docstring'
            raise Unfit(f"setting {name} is described nowhere", fix, source.line(name))


# --- its rows ----------------------------------------------------------------------------------------------------------------------------------


def gives_what_it_declares(subject: Subject) -> None:
    """On a tiny run it gives rows of its `Row`: types, dimensions, shapes; each told apart by its dims."""
    error = subject.first.error
    if error is not None:
        raise subject.unfit(error, "on a tiny run") from error
    table = to_pandas(subject.rows().table)
    columns = declared(subject.cls.Row)
    dims = [c.name for c in columns.values() if c.kind == "dim"]
    if dims and len(table) and (twins := int(table.duplicated(subset=[d for d in dims if d in table]).sum())):
        first = table[table.duplicated(subset=dims)].iloc[0]
        at = ", ".join(f"{d}={first[d]!r}" for d in dims)
        raise Unfit(
            f"{twins} rows have the dims of another one, the first at {at}: nobody can tell them apart",
            "add the `dim` that differs",
            Source(subject.cls.Row).line(),
        )
    if not dims and len(table) > 1:
        raise Unfit(
            f"{len(table)} rows and no `dim` to tell them apart",
            'add one, such as `parameter: str = dim("parameter")`',
            Source(subject.cls.Row).line(),
        )


def is_deterministic(subject: Subject) -> None:
    """Twice the same call gives the same bytes, wherever the global random generators stand."""
    rows = subject.rows()
    again = subject.second
    if again.made is None:
        raise Unfit(f"the second call raised {again.error!r}, the first did not", "keep no state between calls", subject.hook) from again.error
    if not _equal(rows, again.made):
        differing = [c for c in rows.table.column_names if not _equal_columns(rows, again.made, c)]
        fix = "draw from `context.rng`, or from a generator seeded by a setting; iterate over sorted names, not over sets"
        raise Unfit(
            f"two calls on the same inputs differ in {', '.join(differing) or 'their number of rows'}", fix, _drawing(subject) or subject.hook
        )


def _drawing(subject: Subject) -> Place | None:
    """The line that moves a global generator, if one does."""
    generators = list(REMEDIES)[:3]
    with unharmed():
        given = subject.make()
        return subject.source.changing(lambda: subject.run(given), lambda: [process()[g] for g in generators])


def _equal(a: Made, b: Made) -> bool:
    return a.table.num_rows == b.table.num_rows and all(_equal_columns(a, b, c) for c in a.table.column_names)


def _equal_columns(a: Made, b: Made, column: str) -> bool:
    x, y = (to_pandas(m.table.select([column]))[column] for m in (a, b))
    return len(x) == len(y) and all(_same(p, q) for p, q in zip(x, y, strict=True))


def _same(a: Any, b: Any) -> bool:
    """Bytes, not values: NaN is NaN."""
    import numpy as np

    if not isinstance(a, np.ndarray) or not isinstance(b, np.ndarray):
        return repr(a) == repr(b)
    return a.shape == b.shape and a.tobytes() == b.tobytes()


# --- what it leaves as it was ------------------------------------------------------------------------------------------------------------------


def leaves_its_inputs_alone(subject: Subject) -> None:
    """Nothing it is handed has changed after the call, not through `.numpy()` either."""
    changed = subject.first.changed
    if not changed:
        return
    given = subject.make()
    place = subject.source.changing(lambda: subject.caught(given), lambda: digests(given.watched))
    fix = "work on a copy: `tensor.clone()`, `table.copy()`, `array.copy()`"
    raise Unfit(
        f"it changes {', '.join(changed[:3])}{' and more' if len(changed) > 3 else ''}; whoever comes after it sees that", fix, place or subject.hook
    )


def leaves_the_process_alone(subject: Subject) -> None:
    """Random generators, default dtype, threads, working directory, environment and signal handlers are as before."""
    changed = subject.first.process
    if not changed:
        return
    given = subject.make()
    with unharmed():
        place = subject.source.changing(lambda: subject.caught(given), lambda: process()[changed[0]])
    raise Unfit(f"it changes {', '.join(changed)}, which all plugins share", REMEDIES[changed[0]], place or subject.hook)


# --- what it reads -----------------------------------------------------------------------------------------------------------------------------


class _Recorded(dict[str, Any]):
    """A mapping that remembers which of its entries were looked at; asked for another, it answers as the original would."""

    def __init__(self, original: Mapping[str, Any]) -> None:
        super().__init__(original)
        self.original, self.read, self.lacking = original, set[str](), list[str]()

    def __getitem__(self, key: str) -> Any:
        self.read.add(key)
        if key not in self.keys():
            self.lacking.append(key)
            return self.original[key]
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        self.read.add(key)
        return super().get(key, default)

    def items(self) -> Any:
        self.read |= set(self)
        return super().items()

    def values(self) -> Any:
        self.read |= set(self)
        return super().values()

    def pop(self, key: str, *default: Any) -> Any:
        self.read.add(key)
        return super().pop(key, *default)


def declares_what_it_reads(subject: Subject) -> None:
    """Sites and results it reads are those it declares; a weights analyzer runs no forward and builds no model."""
    error = subject.first.error
    given = subject.make()
    recorded = {n: _Recorded(v) for n, v in given.arguments.items() if isinstance(v, (Activations, Results))}
    _, error = subject.caught(replace(given, arguments={**given.arguments, **recorded}))
    for name, mapping in recorded.items():
        declaration = "sites" if name == "activations" else "consumes"
        if mapping.lacking:
            place = subject.source.raised(error.__traceback__ if error else None)
            raise Unfit(
                f"it reads {name}[{mapping.lacking[0]!r}] and does not declare it", f"add it to `{declaration}` of the class", place or subject.hook
            )
        if error is None and (unread := [key for key in mapping if key not in mapping.read]) and len(unread) == len(mapping):
            cost = "captured at every checkpoint" if name == "activations" else "computed first"
            raise Unfit(
                f"it declares {', '.join(unread)} and reads none of it, though it is {cost} for that",
                f"remove it from `{declaration}`",
                subject.source.line(declaration),
            )
    _forwards(subject)


def _forwards(subject: Subject) -> None:
    counters, category = subject.first.counters, subject.contract.category
    forwards = counters.get("landscape_forwards", 0) + counters.get("forwards", 0)
    if category != "landscape" and forwards:
        fix = "make it an analyze_landscape analyzer, or, for activations, declare `sites` and take `activations`"
        if category in PASS and "context" in subject.contract.arguments and subject.contract.category == "outputs":
            return  # an outputs analyzer may ask the family what an ablated model answers: that is its measure
        raise Unfit(f"a {category} analyzer runs no forward pass, this one runs {forwards} per call", fix, subject.hook)
    if counters.get("models_built", 0):
        raise Unfit(f"it builds {counters['models_built']} models per call; analyzers are given what checkpoints hold", "use `weights`", subject.hook)


# --- how much, and in which pieces -------------------------------------------------------------------------------------------------------------


def is_independent_of_the_batch_split(subject: Subject) -> None:
    """Where rows are about single inputs, half of the probe gives half of the rows."""
    columns = declared(subject.cls.Row)
    if subject.contract.category not in PASS or "input" not in columns:
        raise NotMeant("its rows are not about single inputs (no dim `input`), so halves of a batch have nothing to agree with")
    whole = to_pandas(subject.rows().table)
    n = len(subject.material.runs[0].probe.targets)
    half = to_pandas(subject.run(subject.make(Change(probe=lambda probe: _first(probe, n // 2)))).table)
    numbers = [c.name for c in columns.values() if c.kind == "metric" and c.type == "float64"]
    keys = [c.name for c in columns.values() if c.kind == "dim"]
    both = half.merge(whole, on=keys, suffixes=("", " of the whole"))
    for name in numbers:
        a, b = both[name].astype(float), both[f"{name} of the whole"].astype(float)
        if not bool((((a - b).abs() <= 1e-4 * (1 + b.abs())) | (a.isna() & b.isna())).all()):
            raise Unfit(
                f"{name} of an input depends on the other inputs of the batch",
                "compute each row from its own input",
                subject.source.line(name) or subject.hook,
            )


def _first(probe: Probe, n: int) -> Probe:
    table = None if probe.table is None else probe.table.iloc[:n]
    return replace(probe, inputs=probe.inputs[:n], targets=probe.targets[:n], splits={k: m[:n] for k, m in probe.splits.items()}, table=table)


def is_bounded_in_memory(subject: Subject) -> None:
    """A call on a tiny run takes less than 256 MB, and its rows come to an end."""
    subject.rows()
    if (peak := subject.second.peak) > MAX_BYTES:
        raise Unfit(
            f"it takes {peak / 2**20:,.0f} MB on a tiny run (at most {MAX_BYTES // 2**20})", "allocate by the size of the inputs", subject.hook
        )


CHECKS: dict[str, Check] = {
    check.__name__: check
    for check in (
        registers,
        is_documented,
        gives_what_it_declares,
        is_deterministic,
        leaves_its_inputs_alone,
        leaves_the_process_alone,
        declares_what_it_reads,
        takes_nan,
        takes_nothing,
        is_independent_of_the_batch_split,
        is_bounded_in_memory,
    )
}
