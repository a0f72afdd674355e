"""Results that an earlier form of the same package version has left: its `Row` changed, its version did not."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from ..storage.store import Store
from .plan import Bound


def changed_rows(store: Store, bound: Iterable[Bound]) -> list[str]:
    """A sentence for each analyzer whose stored rows, made by the same code version, are declared otherwise than now.

    Such rows have keys of their own, so nothing stale is taken for fresh; but whoever reads the files meets two kinds of rows of one version.
    Built-ins and editable packages are keyed by their sources and cannot get here. Cost: a footer per stored result of each package's analyzer.
    """
    return [said for b in bound if "+" not in b.code for said in [_changed(store, b)] if said]


def _changed(store: Store, b: Bound) -> str:
    now = json.loads(b.signature)
    for folder in sorted((store.root / b.name).glob("*/*/*")):
        address = store.address_at(folder)
        about: Mapping[str, Any] = store.about(address) if address is not None else {}
        then = about.get("row")
        if about.get("code") == b.code and then is not None and then != now:
            package, _, version = b.code.partition("==")
            return (
                f"{b.name}: {package} {version} has stored rows that are declared otherwise ({_difference(then, now)}); "
                f"they are computed anew. Raise the version of {package} whenever `Row` changes, and delete {folder}"
            )
    return ""


def _difference(then: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    parts = [f"without {n}" for n in now if n not in then] + [f"with {n}" for n in then if n not in now]
    return ", ".join(parts + [f"another {n}" for n in now if n in then and then[n] != now[n]])
