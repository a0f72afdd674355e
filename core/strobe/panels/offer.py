"""What can be drawn: the renderers that a table's columns fit, and the columns that fit a slot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import StrobeError
from ..renderer import Dim, Number, Renderer, bind
from ..schema import TableSchema

if TYPE_CHECKING:
    from ..registration.registry import Registry


def offered(registry: Registry, schema: TableSchema, table: str = "") -> list[str]:
    """Names of renderers for a table (none: for the rows of a query): those made for it, then the generic ones whose slots find their columns."""
    loaded = _usable(registry)
    made_for_it = [name for name, cls in loaded.items() if table and cls.tables()[:1] == (table,)]
    generic = [name for name, cls in loaded.items() if cls.slots and not cls.tables() and bind(cls.slots, schema) is not None]
    return [*made_for_it, *generic]


def columns_for(slot: Dim | Number, schema: TableSchema) -> list[str]:
    """Columns that a slot takes, in their order."""
    return [column.name for column in schema.columns.values() if slot.fits(column)]


def _usable(registry: Registry) -> dict[str, type[Renderer]]:
    """Renderers by name; one that cannot be loaded is listed among the plugins with its reason, and is not offered."""
    found: dict[str, type[Renderer]] = {}
    for plugin in registry.all("renderer"):
        try:
            found[plugin.name] = registry.renderer(plugin.name)
        except StrobeError:
            continue
    return found
