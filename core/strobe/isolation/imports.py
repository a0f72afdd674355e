"""A stranger's module is imported in a throwaway process first: an import that hangs, exits or crashes takes nobody else with it.

What came of it is remembered beside the settings until the package's files change, so that it is tried once per version and machine.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ..checkpoints import write_atomically
from ..errors import PluginError, StoreError
from .limits import SUPPORTED, WORKER, Isolation, half_of_memory, importing

if TYPE_CHECKING:
    from ..registration.registry import Plugin

FILE = "imports.json"
_known: dict[str, str] = {}
"""What is known in this process, for where nothing can be written."""


@contextmanager
def tried_first(plugin: Plugin, module: str, files: Callable[[], list[Path]]) -> Iterator[None]:
    """Around the import of a stranger's module: refused with `PluginError` when it did harm elsewhere; global state is put back after it."""
    if not SUPPORTED or module in sys.modules or WORKER in os.environ:
        yield
        return
    if why := _verdict(plugin, module, files):
        raise PluginError(
            f"{plugin.who}: it was imported in a process of its own first, and {why}; "
            f"mend it, or `pip uninstall {plugin.package}`; `strobe plugins enable {plugin.name}` has it tried again"
        )
    from .watch import unchanged

    with unchanged():
        yield


def forget() -> None:
    """Try all imports again when they are next wanted."""
    _known.clear()
    _file().unlink(missing_ok=True)


def _verdict(plugin: Plugin, module: str, files: Callable[[], list[Path]]) -> str:
    """Why a module must not be imported here, '' when it may."""
    from ..analysis.plan import fingerprint
    from ..registration.code import digest_of

    try:
        digest = digest_of(files())
    except (PluginError, OSError):  # there is nothing to import: that says so itself
        return ""
    key = fingerprint(plugin.package, plugin.version, module, digest, sys.version_info[:2])
    if key not in _known:
        _known.update(_read())
    if key not in _known:
        _known[key] = _try(plugin)
        with contextlib.suppress(StoreError, OSError):  # a home that cannot be written to only means that it is tried again
            write_atomically(_file(), json.dumps({**_read(), key: _known[key]}).encode())
    return _known[key]


def _try(plugin: Plugin) -> str:
    from .orders import Import, portable
    from .process import Died, WorkerProcess
    from .workers import MUCH

    limits = Isolation("all", importing(), half_of_memory(), Path(os.devnull))
    worker = WorkerProcess.start(plugin.package, limits)
    try:
        answer = worker.ask(Import(1, (portable(plugin),)), [], limits.deadline, limits.memory)
    except Died as e:
        return str(e).replace("--deadline", "$STROBE_IMPORT_DEADLINE")
    finally:
        worker.end()
    if answer.kind == "exit":
        return answer.message
    if worker.bytes_printed > MUCH:
        return f"it printed {worker.bytes_printed:,} bytes"
    return "; ".join(answer.notes) if answer.spent else ""


def _file() -> Path:
    from ..registration.settings import settings_file

    return settings_file().with_name(FILE)


def _read() -> dict[str, str]:
    with contextlib.suppress(OSError, ValueError):
        return {str(k): str(v) for k, v in json.loads(_file().read_text()).items()}
    return {}
