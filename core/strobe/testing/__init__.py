"""For authors of plugins: tiny fixtures, `run_analyzer` without a workspace, and conformance suites to inherit.

```python
from strobe.testing import AnalyzerConformance, run_analyzer

class TestMine(AnalyzerConformance):
    analyzer = Mine
```

The same checks run as `strobe plugins check`. With pytest, the fixtures `strobe_weights`, `strobe_activations`, ... and `strobe_run_analyzer` are
there without an import.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .conformance import AnalyzerConformance as AnalyzerConformance
    from .conformance import FamilyConformance as FamilyConformance
    from .conformance import RendererConformance as RendererConformance
    from .findings import Unfit as Unfit
    from .fixtures import activations as activations
    from .fixtures import attention as attention
    from .fixtures import checkpoints as checkpoints
    from .fixtures import context as context
    from .fixtures import frame as frame
    from .fixtures import loss as loss
    from .fixtures import metrics as metrics
    from .fixtures import outputs as outputs
    from .fixtures import probe as probe
    from .fixtures import results as results
    from .fixtures import weights as weights
    from .running import run_analyzer as run_analyzer
    from .tiny import TinyRun as TinyRun
    from .tiny import tiny_run as tiny_run

_HOMES = {
    "conformance": "AnalyzerConformance FamilyConformance RendererConformance",
    "findings": "Unfit",
    "fixtures": "activations attention checkpoints context frame loss metrics outputs probe results weights",
    "running": "run_analyzer",
    "tiny": "TinyRun tiny_run",
}
_HOME = {name: module for module, names in _HOMES.items() for name in names.split()}
__all__ = [*_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'strobe.testing' has no attribute {name!r}")
    return getattr(import_module(f"strobe.testing.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
