"""The version of the installed distribution, and of what its numbers mean."""

from __future__ import annotations

from importlib.metadata import version

__version__ = version("strobe")

RESULTS_VERSION = 1
"""Part of the key of every built-in analyzer's result. Raised when shared code (`maths`, `sites`, `weights`) moves numbers:
a built-in's own module is in its key by digest, what it imports is not."""
