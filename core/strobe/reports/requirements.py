"""What a report needs that is not here: plugins by name, packages by requirement."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..errors import UsageError
from .model import Panel, Report

if TYPE_CHECKING:
    from ..registration.registry import Plugin
    from ..workspace import Workspace


def installed(workspace: Workspace, report: Report, panel: Panel) -> Plugin:
    """The plugin of a panel's renderer. Raises `UsageError` that says what to install; a report names no files, whoever wrote it."""
    if ".py:" in panel.renderer:
        raise UsageError(f"renderer {panel.renderer!r} is a file, and a report brings no code: install it as a package, and name it")
    try:
        return workspace.registry.get("renderer", panel.renderer)
    except UsageError as e:
        if missing := unmet(report.requires):
            wanted = " ".join(f"'{line}'" if re.search(r"[<>\s;]", line) else line for line in missing)
            raise UsageError(f"renderer {panel.renderer!r} is not installed: `pip install {wanted}`") from e
        raise UsageError(f"{e}. If {panel.renderer!r} comes with a package, `pip install` that package.") from e


def unmet(requires: Iterable[str]) -> list[str]:
    """The requirements of a report that are not installed, or not in a version that will do."""
    from importlib.metadata import PackageNotFoundError, version

    from packaging.requirements import Requirement

    def met(requirement: Requirement) -> bool:
        try:
            return requirement.specifier.contains(version(requirement.name), prereleases=True)
        except PackageNotFoundError:
            return False

    return [line for line in requires if not met(Requirement(line))]
