"""Fixtures for tests of plugins. pytest loads this module wherever Strobe is installed, so it imports nothing but pytest; what a fixture needs, it
imports when a test asks for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import pandas as pd

    from ..arguments import Activations, Attention, Checkpoints, Context, Outputs, Probe, Results
    from ..loss import Loss
    from ..weights import Weights
    from .tiny import TinyRun


@pytest.fixture
def strobe_run() -> TinyRun:
    """A tiny run in memory: family, probe, metrics, and checkpoints at steps 0, 5, 10, 15 and 20."""
    from .tiny import tiny_run

    return tiny_run()


@pytest.fixture
def strobe_weights() -> Weights:
    """Weights of the run's last checkpoint."""
    from . import fixtures

    return fixtures.weights()


@pytest.fixture
def strobe_activations() -> Activations:
    """Activations at every site, last position."""
    from . import fixtures

    return fixtures.activations()


@pytest.fixture
def strobe_attention() -> Attention:
    """Attention patterns [batch, head, query, key] by layer."""
    from . import fixtures

    return fixtures.attention()


@pytest.fixture
def strobe_outputs() -> Outputs:
    """Logits, targets and splits."""
    from . import fixtures

    return fixtures.outputs()


@pytest.fixture
def strobe_probe() -> Probe:
    """The inputs."""
    from . import fixtures

    return fixtures.probe()


@pytest.fixture
def strobe_loss() -> Loss:
    """The training loss as a function of the weights."""
    from . import fixtures

    return fixtures.loss()


@pytest.fixture
def strobe_checkpoints() -> Checkpoints:
    """All checkpoints of the run."""
    from . import fixtures

    return fixtures.checkpoints()


@pytest.fixture
def strobe_metrics() -> pd.DataFrame:
    """What training recorded."""
    from . import fixtures

    return fixtures.metrics()


@pytest.fixture
def strobe_results() -> Callable[..., Results]:
    """`strobe_results("weight_norms")`: rows of installed analyzers on the run."""
    from . import fixtures

    return fixtures.results


@pytest.fixture
def strobe_context() -> Context:
    """Run, step and family."""
    from . import fixtures

    return fixtures.context()


@pytest.fixture
def strobe_run_analyzer() -> Callable[..., Any]:
    """`strobe_run_analyzer(Mine(), weights=...)`: rows of one call as a data frame."""
    from .running import run_analyzer

    return run_analyzer
