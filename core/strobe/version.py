"""The version of Strobe, which the build reads here too, and of what its numbers mean."""

from __future__ import annotations

__version__ = "0.1.0"

RESULTS_VERSION = 1
"""Part of the key of every built-in analyzer's result. Raised when shared code (`maths`, `sites`, `weights`) moves numbers:
a built-in's own module is in its key by digest, what it imports is not."""
