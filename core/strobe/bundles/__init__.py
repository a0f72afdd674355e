"""Bundles: runs, results and reports in one file that can be sent, verified, and read without Strobe."""

from __future__ import annotations

from .pack import PARTS, pack
from .unpack import Placed, unpack

__all__ = ["PARTS", "Placed", "pack", "unpack"]
