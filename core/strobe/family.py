"""`Family`: a kind of model and task. How to build it, its data, its sites, its fast forward, and its training defaults."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from .analysis.counters import count
from .errors import did_you_mean
from .plugin import Plugin
from .sites import Last, Positions, Tap

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    from .arguments import Probe
    from .training.loop import Training

Split = Mapping[str, "torch.Tensor"]
"""Split name -> int64 indices into the task's inputs, in the family's order; stored with each run and never recomputed."""


def shape_problem(name: str, expected: tuple[int, ...], shapes: Mapping[str, tuple[int, ...]]) -> str:
    """Why a tensor is not as expected, '' when it is."""
    if name not in shapes:
        return f"tensor {name} {expected} is missing{did_you_mean(name, shapes)}"
    return "" if shapes[name] == expected else f"tensor {name} has shape {shapes[name]}, expected {expected}"


def _counted(method: Callable[..., Any], what: str) -> Callable[..., Any]:
    @functools.wraps(method)
    def counted(*args: Any, **kwargs: Any) -> Any:
        count(what)
        return method(*args, **kwargs)

    return counted


class Family(Plugin):
    """A kind of model and task; its fields are its parameters (p, d_model, seed, ...), each with a default.

    Subclasses implement `parameters`, `sites`, `initial`, `build`, `forward`, `split`, `probes`, and where they differ from the defaults
    `loss`, `load`, `training`, `problems`. `read_out` is where the answer is read; `aliases` maps keys of foreign run descriptions to fields
    (`{"train_fraction": "fraction"}`). The forward takes weights under canonical names: no checkpoint is loaded into a module to be analyzed.
    """

    step_name: ClassVar[str] = "step"
    compute_path: ClassVar[str] = "plain"
    read_out: ClassVar[Positions] = Last()
    aliases: ClassVar[Mapping[str, str]] = {}
    weights_only: ClassVar[bool] = False
    """True for tensors without a model: no forward, and so no sites, split or probes. `strobe import` without --family makes such runs."""
    class_attributes: ClassVar[frozenset[str]] = frozenset({"step_name", "compute_path", "read_out", "aliases", "weights_only"})

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        for method, what in (("forward", "forwards"), ("build", "models_built")):
            if method in vars(cls):
                setattr(cls, method, _counted(vars(cls)[method], what))

    def identity(self) -> dict[str, Any]:
        """All that moves results besides the code: parameters, compute path, dtype. Part of every cell's key."""
        return {"parameters": self.model_dump(mode="json"), "compute_path": self.compute_path, "dtype": "float32"}

    def parameters(self) -> dict[str, tuple[int, ...]]:
        """Canonical parameter name -> shape, in `x @ W` orientation. Builds nothing."""
        raise self._missing("parameters")

    def buffers(self) -> dict[str, tuple[int, ...]]:
        """Name -> shape of what else a checkpoint holds and the forward reads: running statistics, counters, masks. Nothing trains, differentiates or
        measures them; `initial` gives them too. Builds nothing."""
        return {}

    def problems(self, shapes: Mapping[str, tuple[int, ...]]) -> list[str]:
        """What is wrong with a checkpoint's tensors, one sentence each: missing names and wrong shapes. Tensors of other names are allowed."""
        wanted = {**self.parameters(), **self.buffers()}
        return [problem for name, shape in wanted.items() if (problem := shape_problem(name, shape, shapes))]

    @classmethod
    def of_tensors(cls, tensors: Mapping[str, torch.Tensor]) -> dict[str, Any]:
        """Parameters of the family that a checkpoint's tensors tell, used by `strobe import` where nobody says otherwise."""
        return {}

    def sites(self) -> dict[str, tuple[str | int, ...]]:
        """Site -> named shape, `("batch", "pos", 128)`, in the order the forward reaches them. Builds nothing."""
        raise self._missing("sites")

    def initial(self) -> dict[str, torch.Tensor]:
        """Freshly initialised parameters (step 0), by canonical name. Deterministic in the family's seed."""
        raise self._missing("initial")

    def build(self) -> torch.nn.Module:
        """The plain module, for anyone who wants to use the model elsewhere; the forward must agree with it to 1e-5."""
        raise self._missing("build")

    def forward(self, weights: Mapping[str, torch.Tensor], inputs: torch.Tensor, tap: Tap) -> torch.Tensor:
        """Logits [batch, classes] at the read-out position, calling `tap` at each site on the way. May raise `Stop` through the tap."""
        raise self._missing("forward")

    def training_forward(
        self, weights: Mapping[str, torch.Tensor], inputs: torch.Tensor, seed: int
    ) -> tuple[torch.Tensor, Mapping[str, torch.Tensor]]:
        """Logits [batch, classes] as an update of a training with `mode=train` computes them, and the buffers that it changes, after it.

        Deterministic in its arguments (what is random is drawn from `seed`), and it changes none of them. Without it there is only `mode=eval`.
        """
        raise self._missing("training_forward")

    def fixed_forward(self, inputs: torch.Tensor) -> Callable[[Mapping[str, torch.Tensor]], torch.Tensor]:
        """Weights -> logits [batch, classes] over fixed inputs, for training with `device=cuda`: made once, then captured in a CUDA graph.

        What depends on the inputs alone (checks, indices) belongs before the returned function. That function must read no value back (`.item()`,
        `if tensor:`), have the same shapes every time, and agree with `forward` to 1e-5. Default: `forward` itself.
        """
        return lambda weights: self.forward(weights, inputs, Tap())

    @property
    def regression(self) -> bool:
        """Whether targets are values (floating point, [batch] or [batch, values]) and not classes. Measures of answers to a question with right and
        wrong answers (accuracy, margins, classes) then do not apply."""
        return False

    @property
    def loss_unit(self) -> str:
        """What `loss` is measured in; charts of the recorded losses say it."""
        return "nats"

    def loss(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Loss per input in nats [batch], in the precision of the logits it is given: cross-entropy unless a family says otherwise."""
        import torch

        return torch.nn.functional.cross_entropy(logits, targets, reduction="none")

    def split(self) -> dict[str, torch.Tensor]:
        """Split name -> int64 indices of its inputs, as a new run would draw it."""
        raise self._missing("split")

    def probes(self, split: Split) -> dict[str, Callable[[], Probe]]:
        """Probe name -> how to make it, the default probe first; `split` is the run's stored one."""
        raise self._missing("probes")

    def load(self, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Foreign checkpoint tensors under canonical names and orientation. Unknown tensors pass unchanged; the importer checks what is missing."""
        return dict(tensors)

    def training(self) -> Training:
        """Training defaults: optimizer, epochs, checkpoint schedule."""
        from .training.loop import Training

        return Training()

    @classmethod
    def demo(cls) -> tuple[dict[str, Any], Training] | None:
        """Parameters and training of a small run that shows what the family is about within a minute on two cores (`strobe demo`); None: no demo."""
        return None

    @classmethod
    def tiny(cls) -> dict[str, Any]:
        """Parameters of a member as small as can be that still has every part: what `strobe.testing` tries analyzers on. {}: the defaults."""
        return {}

    @classmethod
    def report(cls) -> Path | str | None:
        """The default report of its runs: a YAML file in the package (see `strobe.reports.model`), or the name of a report that some package brings;
        None: Strobe makes one of what is stored."""
        return None

    @classmethod
    def reports(cls) -> Mapping[str, Path]:
        """Further reports of its runs by name, YAML files in the package. A report of the same name in the workspace comes first."""
        return {}

    @classmethod
    def story(cls) -> Path | None:
        """What `strobe summary` tells of its runs, a YAML file in the package (see `strobe.summaries.story`); None: metrics, and what is stored."""
        return None

    def _missing(self, method: str) -> NotImplementedError:
        signature = inspect.signature(getattr(type(self), method))
        return NotImplementedError(f"family {type(self).__qualname__} does not implement {method}{signature}")
