"""Strobe: what happened in there?

Every public name is here. Importing the package imports nothing else (PEP 562), so `strobe --help` starts without torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import charts as charts
    from . import maths as maths
    from . import testing as testing
    from .analyzer import Analyzer as Analyzer
    from .arguments import Activations as Activations
    from .arguments import Attention as Attention
    from .arguments import Checkpoints as Checkpoints
    from .arguments import Context as Context
    from .arguments import Outputs as Outputs
    from .arguments import Probe as Probe
    from .arguments import Results as Results
    from .deprecation import StrobeDeprecation as StrobeDeprecation
    from .errors import StrobeError as StrobeError
    from .family import Family as Family
    from .frame import Frame as Frame
    from .hookspecs import hookimpl as hookimpl
    from .loss import Loss as Loss
    from .module_family import ModuleFamily as ModuleFamily
    from .renderer import Dim as Dim
    from .renderer import Number as Number
    from .renderer import Pick as Pick
    from .renderer import Renderer as Renderer
    from .schema import Row as Row
    from .schema import array as array
    from .schema import dim as dim
    from .schema import metric as metric
    from .sites import Last as Last
    from .sites import Positions as Positions
    from .sites import Tap as Tap
    from .training.loop import Training as Training
    from .version import __version__ as __version__
    from .weights import Weights as Weights
    from .workspace import Workspace as Workspace

_HOMES = {
    "analyzer": "Analyzer",
    "arguments": "Activations Attention Checkpoints Context Outputs Probe Results",
    "deprecation": "StrobeDeprecation",
    "errors": "StrobeError",
    "family": "Family",
    "frame": "Frame",
    "hookspecs": "hookimpl",
    "loss": "Loss",
    "module_family": "ModuleFamily",
    "renderer": "Dim Number Pick Renderer",
    "schema": "Row array dim metric",
    "sites": "Last Positions Tap",
    "training.loop": "Training",
    "version": "__version__",
    "weights": "Weights",
    "workspace": "Workspace",
}
_HOME = {name: module for module, names in _HOMES.items() for name in names.split()}
_MODULES = ("charts", "maths", "testing")
__all__ = [*_HOME, *_MODULES]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"strobe.{name}")
    if name not in _HOME:
        raise AttributeError(f"module 'strobe' has no attribute {name!r}")
    return getattr(import_module(f"strobe.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
