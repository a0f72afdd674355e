"""Entry points that lead to something that is no analyzer class. `nowhere` does not exist at all."""

from __future__ import annotations


class NotAnAnalyzer:
    """Has the right method, and the wrong base type."""

    def analyze_weights(self, weights: object) -> None: ...


instance = NotAnAnalyzer()
