"""A renderer's settings as the fields of a form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..renderer import Renderer

KINDS = {"integer": "integer", "number": "number", "boolean": "bool", "string": "text"}


def form(renderer: Renderer) -> list[dict[str, Any]]:
    """One field per setting: name, kind (`integer`, `number`, `bool`, `choice`, `text`; `json` for lists and the like), its value, whether it may be
    empty (`optional`), and what the schema says: `choices`, `least`, `most`, `help`.
    """
    properties = type(renderer).model_json_schema().get("properties", {})
    values = renderer.model_dump(mode="json")
    return [{"name": name, "value": values[name], **_field(schema)} for name, schema in properties.items() if name in values]


def _field(schema: Mapping[str, Any]) -> dict[str, Any]:
    variants = schema.get("anyOf", [schema])
    kinds = [v for v in variants if v.get("type") != "null"]
    core = kinds[0] if len(kinds) == 1 else {}
    told: dict[str, Any] = {"kind": "choice" if "enum" in core else KINDS.get(str(core.get("type")), "json")}
    if "enum" in core:
        told["choices"] = core["enum"]
    for ours, theirs in (("least", "minimum"), ("most", "maximum")):
        if theirs in core:
            told[ours] = core[theirs]
    if text := schema.get("description"):
        told["help"] = " ".join(str(text).split())
    return {**told, "optional": len(kinds) < len(variants)}
