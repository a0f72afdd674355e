"""The checks of an analyzer. Each raises `Unfit` with the line to change, or `NotMeant` with why it says nothing here.

What is asked of an analyzer that meets NaN: rows (null where a number is not finite), a `StrobeError`, or the refusal of a numeric library
(`LinAlgError`, `ValueError` and their like); the engine stores any of these as a failure that names the tensor. What is asked when there is nothing
to look at (no such parameter, no metrics, no rows of what it consumes, a split without inputs, one checkpoint): rows, no rows, or a `StrobeError`
that says what is missing. Independence of the batch split is asked of analyzers whose rows are about single inputs (a `dim` called `input`): an
input's row must not depend on its neighbours. A measure of the whole batch has no halves to agree with.
"""

from __future__ import annotations

import ast
import functools
import inspect
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..analysis.counters import counting, landscape
from ..analysis.request import recipes
from ..analyzer import Analyzer
from ..arguments import Activations, Probe, Results
from ..errors import ContractError, SchemaError, StrobeError
from ..hookspecs import PASS
from ..registration.contract import Contract, analyzer_contract
from ..registration.registry import Registry
from ..schema import Made, declared, to_pandas
from .findings import NotMeant, Place, Source, Unfit
from .material import Change, Given, Material
from .running import made
from .state import REMEDIES, digests, peak_bytes, process, seed_everything, unharmed

MAX_BYTES = 256 * 2**20
"""Memory that a call on a tiny run may take."""


@dataclass(frozen=True, eq=False)
class Call:
    """What came of a call."""

    made: Made | None
    error: BaseException | None
    given: Given
    changed: tuple[str, ...] = ()
    process: tuple[str, ...] = ()
    counters: Mapping[str, int] = None  # type: ignore[assignment]
    peak: int = 0


class Subject:
    """An analyzer under examination, and what its calls showed: made once, looked at by all checks."""

    def __init__(self, analyzer: Analyzer | type[Analyzer], family: Any = None, registry: Registry | None = None, name: str = "") -> None:
        self.cls = analyzer if isinstance(analyzer, type) else type(analyzer)
        self._given = analyzer
        self.family, self.registry, self.name = family, registry, name
        self.source = Source(self.cls)
        self.who = f"analyzer {name or self.cls.__qualname__}"

    @functools.cached_property
    def analyzer(self) -> Analyzer:
        return self._given() if isinstance(self._given, type) else self._given

    @functools.cached_property
    def contract(self) -> Contract:
        return analyzer_contract(self.cls, self.who)

    @functools.cached_property
    def material(self) -> Material:
        return Material(self.cls, self.family, self.registry, self.name)

    @property
    def hook(self) -> Place | None:
        return self.source.line(self.contract.hook)

    def closure(self) -> None:
        """Find everything it consumes, and what that consumes; raises `StrobeError`."""
        registry = self.registry or Registry.discover()
        for name in self.cls.upstream():
            recipes(registry, [name])
        if self.name:
            recipes(registry, [self.name])

    def make(self, change: Change | None = None, step: int | None = None) -> Given:
        return self.material.given(self.contract.arguments, step, change)

    def run(self, given: Given) -> Made:
        with landscape():
            return made(self.analyzer, self.contract, given)

    @functools.cached_property
    def first(self) -> Call:
        """The analyzer on the last step, watched."""
        self.run_once()
        return self._watched(self.make())

    @functools.cached_property
    def second(self) -> Call:
        """The same once more, with global generators elsewhere."""
        with unharmed():
            seed_everything(2)
            given = self.make()
            found: list[Any] = []
            peak = peak_bytes(lambda: found.append(self._caught(given)))
            rows, error = found[0]
        return Call(rows, error, given, peak=peak)

    def run_once(self) -> None:
        """What it consumes, computed before anything is watched."""
        self.make()

    def _watched(self, given: Given) -> Call:
        with unharmed(), counting() as counters:
            seed_everything(1)
            inputs, before = digests(given.watched), process()
            rows, error = self._caught(given)
            after, outputs = process(), digests(given.watched)
        changed = tuple(n for n in inputs if inputs[n] != outputs[n])
        return Call(rows, error, given, changed, tuple(n for n in before if before[n] != after[n]), dict(counters))

    def _caught(self, given: Given) -> tuple[Made | None, BaseException | None]:
        try:
            return self.run(given), None
        except (Exception, SystemExit) as e:  # the plugin boundary: a stranger's analyzer may raise anything
            return None, e

    def rows(self) -> Made:
        """Its rows; when it raised, checks that need them say so."""
        if self.first.made is None:
            raise NotMeant(f"it raised {type(self.first.error).__name__}; mend that first (see gives_what_it_declares)")
        return self.first.made


Check = Callable[[Subject], None]


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
        raise _raised(subject, error, "on a tiny run") from error
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
    place = subject.source.changing(lambda: subject._caught(given), lambda: digests(given.watched))
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
        place = subject.source.changing(lambda: subject._caught(given), lambda: process()[changed[0]])
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
    _, error = subject._caught(replace(given, arguments={**given.arguments, **recorded}))
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


# --- inputs nobody hopes for -------------------------------------------------------------------------------------------------------------------


def takes_nan(subject: Subject) -> None:
    """Weights, activations, results and metrics of a training that has diverged give rows or a refusal, not a crash."""
    subject.rows()
    given = subject.make(Change(tensors=_all_nan, metrics=_diverged, results=_numbers_to_nan))
    with unharmed():
        _, error = subject._caught(given)
    if error is not None and not isinstance(error, (StrobeError, ValueError, ArithmeticError)) and "LinAlgError" not in type(error).__name__:
        raise _raised(
            subject, error, "when everything is NaN", "skip what is not finite (`torch.isfinite`), or raise StrobeError saying what is missing"
        ) from error


def takes_nothing(subject: Subject) -> None:
    """No such parameters, no metrics, no rows to read, a split without inputs, one checkpoint: rows, none, or a `StrobeError`."""
    subject.rows()
    for what, names, change in _EMPTY:
        if set(names) & set(subject.contract.arguments) and not (what == NO_TENSOR and _has_its_tensors(subject)):
            with unharmed():
                _, error = subject._caught(subject.make(change))
            if error is not None and not isinstance(error, StrobeError):
                fix = "yield nothing, or raise StrobeError saying what is missing"
                raise _raised(subject, error, f"when there is {what}", fix) from error


def _all_nan(tensors: Mapping[str, Any]) -> Mapping[str, Any]:
    return {n: t.clone().fill_(float("nan")) if t.is_floating_point() else t for n, t in tensors.items()}


def _diverged(table: Any) -> Any:
    table = table.copy()
    losses = [c for c in table if c.endswith("_loss")]
    table.loc[table.index[len(table) // 2 :], losses] = float("nan")
    return table


def _numbers_to_nan(table: Any) -> Any:
    """As stored: a number that is not finite is null, an array holds NaN."""
    import numpy as np

    table = table.copy()
    for name in table:
        if table[name].dtype.kind == "f" and name != "step":
            table[name] = np.nan
        elif table[name].dtype == object:
            table[name] = [np.full_like(v, np.nan) if isinstance(v, np.ndarray) and v.dtype.kind == "f" else v for v in table[name]]
    return table


def _without_test(probe: Probe) -> Probe:
    return replace(probe, splits={n: mask if n == "train" else mask & False for n, mask in probe.splits.items()})


def _has_its_tensors(subject: Subject) -> bool:
    """Whether a checkpoint always has what it reads: of a family it names, or of one whose forward has run."""
    return bool(subject.cls.families) or subject.contract.category not in ("weights", "trajectory")


NO_TENSOR = "no tensor it knows"
_EMPTY: tuple[tuple[str, tuple[str, ...], Change], ...] = (
    (NO_TENSOR, ("weights", "checkpoints"), Change(tensors=lambda tensors: {})),
    ("no metrics", ("metrics",), Change(metrics=lambda table: table.iloc[:0])),
    ("no row of what it consumes", ("results",), Change(results=lambda table: table.iloc[:0])),
    ("no input in the test split", ("outputs", "probe"), Change(probe=_without_test)),
    ("one checkpoint", ("checkpoints",), Change(steps=lambda steps: steps[-1:])),
)


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


def _raised(subject: Subject, error: BaseException, when: str, fix: str = "") -> Unfit:
    place = (error.place if isinstance(error, Unfit) else None) or subject.source.raised(error.__traceback__) or subject.hook
    said = str(error) if isinstance(error, (StrobeError, Unfit)) else f"{type(error).__name__}: {error}"
    if isinstance(error, SchemaError):
        return Unfit(f"its rows are not as declared {when}: {said}", fix or "change the value, or its declaration in `Row`", place)
    return Unfit(f"it raises {when}: {said.partition(chr(10))[0]}", fix or "mend this line", place)


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
