"""Renderers that cannot draw."""

from __future__ import annotations

from typing import Any

from strobe import Frame, Renderer, hookimpl


class DrawsNothing(Renderer):
    """Says nothing about what it draws."""

    @hookimpl
    def render(self, frame: Frame) -> Any:
        return None


class RaisesWhenDrawn(Renderer):
    """Registers, and raises when it is asked to draw."""

    consumes = "weight_norms"

    @hookimpl
    def render(self, frame: Frame) -> Any:
        raise ValueError("cannot draw this")
