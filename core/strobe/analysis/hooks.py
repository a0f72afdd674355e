"""Hooks around the core: what packages of the group `strobe.hooks` do, and what is done when one of them fails.

Observers are called one by one, so that one that raises takes nobody with it. A wrapper of `run_analyzer` that raises by itself is passed over: the
analyzer's rows count. Either is said once per analysis.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pluggy

from ..errors import PluginError
from ..hookspecs import PROJECT, EngineSpecs, hookimpl
from ..schema import Made

if TYPE_CHECKING:
    from ..registration.registry import Plugin, Registry
    from .desk import Call

BUILT_IN = "strobe"


class _RunsIt:
    """The built-in implementation of `run_analyzer`: it comes last, and keeps what came of the call should a wrapper fail around it."""

    def __init__(self) -> None:
        self.made: Made | None = None
        self.raised: Exception | None = None

    @hookimpl(trylast=True)
    def run_analyzer(self, call: Call) -> Made:
        try:
            self.made = call()
        except Exception as e:
            self.raised = e
            raise
        return self.made


def hooks(registry: Registry, problems: list[str] | None = None) -> pluggy.PluginManager:
    """The engine's hooks, with every installed `strobe.hooks` plugin. One that cannot be used is left out, and `problems` says why."""
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(EngineSpecs)
    manager.register(_RunsIt(), BUILT_IN)
    for plugin in registry.all("hook"):
        if plugin.state == "disabled":
            continue
        try:
            _register(manager, plugin)
        except PluginError as e:
            if problems is not None:
                problems.append(f"left out: {e}")
    return manager


def _register(manager: pluggy.PluginManager, plugin: Plugin) -> None:
    """Raises `PluginError` for what cannot be imported, made, or does not fit the hookspecs."""
    found, name = plugin.load(), f"{plugin.package}:{plugin.name}"
    try:
        manager.register(found() if isinstance(found, type) else found, name)
        manager.check_pending()
    except Exception as e:  # the plugin boundary: its constructor may raise anything, and pluggy refuses hooks that it does not know
        if manager.has_plugin(name):
            manager.unregister(name=name)
        reason = str(e).partition("\n")[2].strip() if isinstance(e, pluggy.PluginValidationError) else f"{type(e).__name__}: {e}"
        reason = " ".join((reason or str(e)).split())
        raise PluginError(f"{plugin.who}: {reason}; mend it, or `strobe plugins disable {plugin.name}`") from e


class Hooks:
    """What the engine calls: analyzers through their wrappers, and observers. `problems` says what failed, each once."""

    def __init__(self, manager: pluggy.PluginManager, problems: list[str]) -> None:
        self._manager = manager
        self.problems = problems
        self._said: set[tuple[str, str]] = set()

    @property
    def wrapped(self) -> bool:
        """Whether somebody stands around the calls of analyzers: then they are made one by one."""
        return len(self._manager.hook.run_analyzer.get_hookimpls()) > 1

    def run_analyzer(self, call: Call) -> Made:
        """The rows of a call, through every wrapper. What the analyzer raises comes out; what a wrapper raises does not."""
        own: Any = self._manager.get_plugin(BUILT_IN)
        own.made = own.raised = None
        try:
            made = self._manager.hook.run_analyzer(call=call)
            if isinstance(made, Made):
                return made
            wrong: Exception = TypeError(f"it gave {type(made).__name__}: a wrapper returns what its `yield` gave it, or other rows")
        except Exception as e:  # the plugin boundary
            if e is own.raised:
                raise
            wrong = e
        self._say("run_analyzer", self._raised_in(wrong), wrong)
        if own.raised is not None:
            raise own.raised
        return own.made or call()

    def checkpoint_done(self, run: str, step: int, seconds: float) -> None:
        self._observe("checkpoint_done", run=run, step=step, seconds=seconds)

    def analyzer_failed(self, run: str, step: int | None, analyzer: str, kind: str, message: str) -> None:
        self._observe("analyzer_failed", run=run, step=step, analyzer=analyzer, kind=kind, message=message)

    def table_written(self, analyzer: str, run: str, rows: int, path: str) -> None:
        self._observe("table_written", analyzer=analyzer, run=run, rows=rows, path=path)

    def _observe(self, hook: str, **arguments: Any) -> None:
        for implementation in getattr(self._manager.hook, hook).get_hookimpls():
            try:
                implementation.function(*(arguments[name] for name in implementation.argnames))
            except Exception as e:  # the plugin boundary: an observer looks on
                self._say(hook, implementation.plugin_name, e)

    def _raised_in(self, e: Exception) -> str:
        """The wrapper in whose code an exception was raised, as far as its trace tells."""
        known = {i.function.__code__.co_filename: i.plugin_name for i in self._manager.hook.run_analyzer.get_hookimpls() if i.plugin_name != BUILT_IN}
        trace, found = e.__traceback__, ""
        while trace is not None:
            found = known.get(trace.tb_frame.f_code.co_filename, found)
            trace = trace.tb_next
        return found or (next(iter(known.values())) if len(known) == 1 else ", ".join(known.values()))

    def _say(self, hook: str, who: str, e: Exception) -> None:
        """A sentence for the report: the first time that this hook of this package fails."""
        if (hook, who) not in self._said:
            self._said.add((hook, who))
            fix = f"mend it, or `strobe plugins disable {who.rpartition(':')[2]}`"
            self.problems.append(f"hook {hook} of {who} failed and was passed over: {type(e).__name__}: {e}; {fix}")
