"""What a plugin must be, checked when it is registered. Every error names plugin, package and hook, and says what to write instead."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

import pluggy

from ..analyzer import Analyzer
from ..deprecation import HOOK_ARGUMENTS
from ..errors import ContractError, did_you_mean
from ..hookspecs import CATEGORY_OF_HOOK, PASS, PROJECT, AnalyzerSpecs, RendererSpecs
from ..renderer import Renderer
from ..schema import Row
from ..sites import Positions

ADDED = ("run", "step", "probe")
DERIVED = ("trajectory", "results")
"""Categories whose rows may declare steps, and whose scope may be several runs."""


@dataclass(frozen=True)
class Contract:
    """What an analyzer promises: its hook, hence its category, and the arguments it asks for."""

    hook: str
    category: str
    arguments: tuple[str, ...]


def analyzer_contract(cls: type[Analyzer], who: str, group_category: str | None = None) -> Contract:
    """Check an analyzer class; `who` is how messages call it (`analyzer 'x' (package 1.0)`)."""
    hook = _one_hook(cls, who)
    category = CATEGORY_OF_HOOK[hook]
    if group_category is not None and group_category != category:
        raise ContractError(
            f"{who}: {hook} makes it a {category!r} analyzer, but it is registered under strobe.analyzers.{group_category}; "
            f"move its entry point to strobe.analyzers.{category}"
        )
    arguments = _arguments(cls, hook, who, AnalyzerSpecs)
    if not isinstance(getattr(cls, "Row", None), type) or not issubclass(cls.Row, Row):
        raise ContractError(f"{who}: no result type; nest `class Row(strobe.Row): ...` in {cls.__qualname__}")
    _check_row(cls, category, who)
    _check_class_attributes(cls, category, who)
    return Contract(hook, category, arguments)


def renderer_contract(cls: type[Renderer], who: str) -> None:
    """Check a renderer class."""
    if not hasattr(cls, "render"):
        raise ContractError(f"{who}: no render hook; write `@hookimpl def render(self, frame): ...`")
    _arguments(cls, "render", who, RendererSpecs)
    if not cls.tables() and not cls.slots:
        raise ContractError(f'{who}: says nothing about what it draws; write `consumes = "<analyzer>"` or `slots = {{"y": Number()}}`')


def _one_hook(cls: type[Analyzer], who: str) -> str:
    hooks = [name for name in CATEGORY_OF_HOOK if callable(getattr(cls, name, None))]
    if len(hooks) > 1:
        raise ContractError(f"{who}: implements {' and '.join(hooks)}; an analyzer has exactly one hook: make two analyzers")
    if not hooks:
        near = [n for n in vars(cls) if n.startswith("analy")]
        hint = did_you_mean(near[0], CATEGORY_OF_HOOK) if near else f"; write one of {', '.join(CATEGORY_OF_HOOK)}"
        raise ContractError(f"{who}: implements no hook{hint}")
    return hooks[0]


def _arguments(cls: type[Any], hook: str, who: str, specs: type[Any]) -> tuple[str, ...]:
    """The argument names of a hook, as pluggy sees them."""
    method = getattr(cls, hook)
    if not hasattr(method, f"{PROJECT}_impl"):
        raise ContractError(f"{who}: {hook} is not marked; write `@hookimpl` above it (from strobe import hookimpl)")
    known = [p for p in inspect.signature(getattr(specs, hook)).parameters if p != "self"]
    for p in list(inspect.signature(method).parameters.values())[1:]:
        if p.default is not p.empty or p.kind is p.KEYWORD_ONLY:
            raise ContractError(
                f"{who}: {hook}: argument {p.name!r} has a default or is keyword-only, and pluggy would never pass it; "
                f"write `def {hook}(self, {p.name})`, and make constants settings of the class"
            )
        if p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL):
            raise ContractError(f"{who}: {hook}: {p} is not passed; name the arguments you want: {', '.join(known)}")
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(_only(hook, specs))
    try:
        manager.register(_only(hook, cls), name=cls.__qualname__)
    except pluggy.PluginValidationError as e:
        unknown = [a for a in list(inspect.signature(method).parameters)[1:] if a not in known]
        hints = "; ".join(f"{a!r} is not an argument of {hook}{did_you_mean(a, known)}" for a in unknown)
        raise ContractError(f"{who}: {hints or e}; {hook} may ask for {', '.join(known)}") from e
    asked = tuple(getattr(manager.hook, hook).get_hookimpls()[0].argnames)
    for argument in asked:
        if (hook, argument) in HOOK_ARGUMENTS:
            HOOK_ARGUMENTS[hook, argument].warn(who)
    return asked


def _only(hook: str, cls: type[Any]) -> Any:
    """One hook of a class, for pluggy to look at: registering must not construct a plugin, and a model has a hundred attributes to look through."""
    return type(cls.__name__, (), {hook: getattr(cls, hook), "__dir__": lambda self: [hook]})()


def _check_row(cls: type[Analyzer], category: str, who: str) -> None:
    allowed = ({"step", "run"} if cls.scope == "runs" else {"step"}) if category in DERIVED else set()
    if taken := set(ADDED) & set(cls.Row.model_fields) - allowed:
        extra = f" ({category} rows may declare {', '.join(sorted(allowed))})" if allowed else ""
        raise ContractError(f"{who}: Row declares {', '.join(sorted(taken))}, which the engine adds{extra}; remove it from {cls.Row.__qualname__}")


def _check_class_attributes(cls: type[Analyzer], category: str, who: str) -> None:
    if cls.scope == "runs" and category not in DERIVED:
        raise ContractError(f'{who}: scope = "runs" is for analyze_results and analyze_trajectory, not {category}')
    for pattern, where in cls.sites.items():
        if not isinstance(where, Positions):
            raise ContractError(f"{who}: sites[{pattern!r}] = {where!r} is not a position; write `Last()` or `Positions(...)`")
    if category not in PASS and cls.sites:
        raise ContractError(f"{who}: a {category} analyzer sees no forward pass; remove `sites`")
