"""Names cut to as many characters as there is room for."""

from __future__ import annotations


def without_end(name: str, room: int) -> str:
    return name if len(name) <= room else f"{name[: room - 1]}…"


def without_start(name: str, room: int) -> str:
    return name if len(name) <= room else f"…{name[1 - room :]}"


def without_middle(name: str, room: int) -> str:
    half = (room - 1) // 2
    return name if len(name) <= room else f"{name[:half]}…{name[-half:]}"
