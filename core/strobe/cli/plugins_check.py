"""plugins check: every check of `strobe.testing` on a folder, a file, an installed package or a plugin."""

from __future__ import annotations

from typing import Any

from .output import print_json

SIGNS = {"passed": "ok", "failed": "FAILED", "skipped": "-"}


def check(what: str, as_json: bool, verbose: bool) -> int:
    """Print what was found; the exit status: 1 when something failed."""
    import torch

    from ..testing.check import examine
    from ..testing.packages import target

    torch.set_num_threads(1)
    found = target(what)
    findings = []
    for finding in examine(found):
        findings.append(finding)
        if not as_json:
            _print(finding, verbose)
    failed = sum(f.state == "failed" for f in findings)
    if as_json:
        print_json([f.to_json() for f in findings])
    else:
        counts = {state: sum(f.state == state for f in findings) for state in SIGNS}
        plugins = f"{len(found.plugins)} plugin{'' if len(found.plugins) == 1 else 's'}"
        print(f"{found.title}: {plugins}, {', '.join(f'{n} {state}' for state, n in counts.items() if n)}")
    return 1 if failed else 0


def _print(finding: Any, verbose: bool) -> None:
    """One line, and for a failure the line to change."""
    if finding.state == "passed" and not verbose:
        return
    if finding.state == "skipped" and not verbose:
        return
    who = f"{finding.kind} {finding.plugin}".strip()
    print(f"{SIGNS[finding.state]:6} {who}: {finding.check}{': ' if finding.problem else ''}{finding.problem}")
    if finding.state == "failed" and (finding.fix or finding.place):
        print(f"       {': '.join(str(part) for part in (finding.place, finding.fix) if part)}")
