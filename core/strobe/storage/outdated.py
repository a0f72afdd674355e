"""Results that nothing shows any more: their code, their settings or what they were computed from has changed since, or their run is gone."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..errors import PluginError, UsageError
from .reading import FAILURES, usable
from .store import Address

if TYPE_CHECKING:
    from ..workspace import Workspace


def outdated(workspace: Workspace) -> list[Address]:
    """See `Workspace.outdated`."""
    return [a for a in workspace.store.addresses() if is_outdated(workspace, a)]


def is_outdated(workspace: Workspace, address: Address) -> bool:
    """Whether an analysis with its settings would be stored elsewhere now; never for an analyzer that cannot be used here, so none will be."""
    if address.analyzer == FAILURES or not usable(workspace, address.analyzer):
        return False
    if address.run is not None and not (workspace.root / "runs" / address.run / "run.json").is_file():
        return True
    runs = [] if address.run is None else [workspace.run(address.run)]
    settings = workspace.store.about(address).get("settings")
    try:
        return workspace.addresses(address.analyzer, runs, address.probe or "", settings)[0] != address
    except (UsageError, PluginError):  # settings, or a probe, that this version does not have
        return True


def bytes_of(workspace: Workspace, address: Address) -> int:
    return sum(f.stat().st_size for f in address.folder(workspace.store.root).glob("*.parquet"))


def delete(workspace: Workspace, addresses: Iterable[Address]) -> None:
    """Take results away. Raises `UsageError` while a job works on one of their runs."""
    from ..runs.labels import refuse_busy

    chosen = list(addresses)
    for name in sorted({a.run for a in chosen if a.run is not None and (workspace.root / "runs" / a.run / "run.json").is_file()}):
        refuse_busy(workspace, workspace.run(name))
    for address in chosen:
        folder = address.folder(workspace.store.root)
        shutil.rmtree(folder, ignore_errors=True)
        for parent in folder.parents[:3]:  # analyzer, run and probe, once nothing is left in them
            if parent != workspace.store.root and parent.is_dir() and not any(parent.iterdir()):
                parent.rmdir()
