"""`ModuleFamily`: any `torch.nn.Module` with inputs and targets as a family, in about ten lines."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from .arguments import Probe
from .errors import StrobeError
from .family import Family
from .modules.data import Data, data
from .modules.layout import Place, aliases, as_site, batch_axis, is_query, places, site_shape, tensor_in, watched
from .modules.skeleton import Skeleton, skeleton
from .sites import Tap

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    from .training.loop import Training

SAMPLE = 1000
"""Inputs of the probe `sample`."""


class ModuleFamily(Family):
    """Any PyTorch module as a family: write `build`, which returns it, and `data`, which returns inputs and targets.

        class Digits(ModuleFamily):
            hidden: int = 64
            site_names = {"blocks.0.mlp.post": "act"}

            def build(self):
                return MyNet(self.hidden)

            def data(self):
                return inputs, targets

    Parameters, buffers and their shapes are those of the module's `state_dict`; the forward runs it in eval mode with a checkpoint's tensors in the
    place of its own (`torch.func.functional_call`). The output of every submodule that is a tensor is a site by the submodule's name, `name:2` at its
    second call; `site_names` gives canonical names to some (`*` stands for the number of a layer on both sides), which is how measures find them.
    Outputs are [batch, pos, d]: [batch, d] has one position, an image [batch, channel, height, width] one per place. Where the module wants more
    than the inputs, override `call`; where the answer is not the tensor it returns (or its `logits`), override `logits`.
    """

    site_names: ClassVar[Mapping[str, str]] = {}
    class_attributes: ClassVar[frozenset[str]] = Family.class_attributes | {"site_names"}

    seed: int = Field(0, ge=0, description="of the initial weights, and of the split where `data` gives none")
    fraction: float = Field(0.8, gt=0, le=1, description="share of the inputs that is trained on, where `data` gives no split")

    # --- what one writes -------------------------------------------------------------------------------------------------------------------

    def data(self) -> Any:
        """`(inputs [n, ...], targets [n])`, tensors or arrays, or `{"train": (inputs, targets), "test": (inputs, targets)}`.

        Targets are classes (integers), or the values of a regression (floating point, [n] or [n, values]): then the loss is the mean squared error
        unless you override `loss`. Every input is run at every checkpoint: give as many as you want to look at, a few thousand.
        """
        raise self._missing("data")

    def call(self, module: torch.nn.Module, inputs: torch.Tensor) -> Any:
        """What the module returns for inputs: `module(inputs)`, unless you say otherwise (`module(input_ids=inputs, use_cache=False)`)."""
        return module(inputs)

    def logits(self, output: Any) -> torch.Tensor:
        """The answer [batch, classes] or [batch, pos, classes] in what the module returned: the tensor, its `logits`, or the first of a tuple."""
        found = tensor_in(output)
        if found is None:
            raise StrobeError(
                f"{self._who}: the module returns a {type(output).__name__}; override `logits(self, output)` to return the answer in it"
            )
        return found

    # --- what follows from it --------------------------------------------------------------------------------------------------------------

    @property
    def _who(self) -> str:
        return f"family {type(self).__qualname__}"

    @property
    def _skeleton(self) -> Skeleton:
        return _skeleton(type(self), self.model_dump_json())

    @property
    def _model(self) -> Model:
        return _model(type(self), self.model_dump_json())

    def parameters(self) -> dict[str, tuple[int, ...]]:
        """What `module.named_parameters()` names, as PyTorch keeps it (`nn.Linear` as [out, in]). Builds on the meta device, where that works."""
        return dict(self._skeleton.parameters)

    def buffers(self) -> dict[str, tuple[int, ...]]:
        """What else its `state_dict` holds, such as the running statistics of batch norm."""
        return dict(self._skeleton.buffers)

    def problems(self, shapes: Mapping[str, tuple[int, ...]]) -> list[str]:
        """As of any family; counters of batch norm may be missing, since nothing reads them."""
        counters = {name: shape for name, shape in self.buffers().items() if name.endswith("num_batches_tracked")}
        return super().problems({**counters, **shapes})

    def initial(self) -> dict[str, torch.Tensor]:
        """The tensors of a newly built module, parameters and buffers, drawn from `seed`."""
        tensors = dict(self._model.module.state_dict())
        return {name: tensors[name].detach().clone() for name in (*self.parameters(), *self.buffers())}

    def load(self, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Under the module's names: without what stands before all of them (`model.`), and tied weights under their first name."""
        return self._skeleton.loaded(tensors)

    def sites(self) -> dict[str, tuple[str | int, ...]]:
        """Site -> `("batch", positions, d)`, in the order the forward reaches them. Cost: two runs on a few inputs, once per process."""
        return dict(self._model.shapes)

    def forward(self, weights: Mapping[str, torch.Tensor], inputs: torch.Tensor, tap: Tap) -> torch.Tensor:
        """Logits [batch, classes] at the last position, by the module with these weights. Hooks are on the submodules that are looked at only."""
        model = self._model
        with watched(model.module, model.watched(tap), lambda name, call, output: model.show(tap, name, call, output)):
            answer = self.logits(model.run(weights, inputs))
        logits = as_site(answer, model.answer)
        tap("logits", logits)
        return logits[:, -1]

    @property
    def regression(self) -> bool:
        """Whether `data` gives floating point targets."""
        return self._model.data.targets.is_floating_point()

    @property
    def loss_unit(self) -> str:
        return "squared error" if self.regression else "nats"

    def loss(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Loss per input [batch]: cross-entropy in nats of classes, the mean squared error of values."""
        return (logits - targets.to(logits.dtype)).square().mean(-1) if targets.is_floating_point() else super().loss(logits, targets)

    def training_forward(
        self, weights: Mapping[str, torch.Tensor], inputs: torch.Tensor, seed: int
    ) -> tuple[torch.Tensor, Mapping[str, torch.Tensor]]:
        """Logits [batch, classes] by the module in train mode, and the buffers after it. What is random is drawn from torch's generator."""
        model = self._model
        output, buffers = model.run_in_training(weights, inputs, seed)
        return as_site(self.logits(output), model.answer)[:, -1], buffers

    def split(self) -> dict[str, torch.Tensor]:
        """As `data` gives it; else a share of `fraction` is `train`, drawn from `seed`, and the rest `test`."""
        import torch

        if self._model.data.split:
            return dict(self._model.data.split)
        n = len(self._model.data.targets)
        order = torch.randperm(n, generator=torch.Generator().manual_seed(self.seed))
        n_train = max(1, round(self.fraction * n))
        return {"train": order[:n_train].sort().values, "test": order[n_train:].sort().values}

    def probes(self, split: Mapping[str, torch.Tensor]) -> dict[str, Callable[[], Probe]]:
        """`inputs`: all that `data` gives, in its order. `sample`: the first 1,000 of more."""
        found: dict[str, Callable[[], Probe]] = {"inputs": lambda: self._probe("inputs", split)}
        if len(self._model.data.targets) > SAMPLE:
            found["sample"] = lambda: self._probe("sample", split, SAMPLE)
        return found

    def _probe(self, name: str, split: Mapping[str, torch.Tensor], most: int | None = None) -> Probe:
        import torch

        inputs, targets = self._model.data.inputs, self._model.data.targets
        masks = {part: torch.zeros(len(targets), dtype=torch.bool).index_fill_(0, indices.long(), True) for part, indices in split.items()}
        return Probe(name, inputs[:most], targets[:most], {part: mask[:most] for part, mask in masks.items()})

    @classmethod
    def report(cls) -> Path | str | None:
        """*Any model*: what can be said of any network."""
        return "any_model"

    def training(self) -> Training:
        """1,000 updates of AdamW on batches of 64, in train mode; 40 checkpoints, more of them early."""
        from .training.loop import Training

        return Training(epochs=1_000, lr=1e-3, weight_decay=0.01, betas=(0.9, 0.999), batch_size=64, mode="train")


class Model:
    """A module that was built once for a process, its data, and where it can be looked at."""

    def __init__(self, family: ModuleFamily) -> None:
        import torch

        self.family = family
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(family.seed)
            self.module = _checked(family, family.build())
            if any(torch.nn.parameter.is_lazy(p) for p in self.module.parameters()):
                with torch.no_grad():
                    family.call(self.module, self.data.inputs[:1])
        self.module.eval()
        self._called = _called(family, self.module)

    @functools.cached_property
    def data(self) -> Data:
        return data(self.family.data(), self.family._who)

    def run(self, weights: Mapping[str, torch.Tensor], inputs: torch.Tensor) -> Any:
        """What the module returns with these tensors in the place of its own. Inputs and what it does not save are brought to their type."""
        import torch

        like = self._like(weights)
        return torch.func.functional_call(self._called, self._tensors(weights, like), (_like(inputs, like),))

    def run_in_training(self, weights: Mapping[str, torch.Tensor], inputs: torch.Tensor, seed: int) -> tuple[Any, dict[str, torch.Tensor]]:
        """The same in train mode, with the buffers after it: those that a checkpoint holds and that it changed."""
        import torch

        like = self._like(weights)
        held = [name for name in self.family.buffers() if name in weights]
        own = {name: buffer.clone() for name, buffer in self.module.named_buffers()}  # what it does not save starts anew at each update
        tensors = self._tensors({**own, **weights, **{name: weights[name].clone() for name in held}}, like)
        self._called.train()
        try:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                output = torch.func.functional_call(self._called, tensors, (_like(inputs, like),))
        finally:
            self._called.eval()
        after = {name: tensors[f"module.{name}"].detach() for name in held}  # assigned anew or changed in place: `functional_call` gives both
        return output, {name: t for name, t in after.items() if not torch.equal(t, weights[name])}

    def _like(self, weights: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """A weight whose type and device the others are brought to."""
        return next(w for name in self.family.parameters() if (w := weights[name]).is_floating_point())

    def _tensors(self, weights: Mapping[str, torch.Tensor], like: torch.Tensor) -> dict[str, torch.Tensor]:
        own = dict(self.module.named_buffers())
        own |= {name: weights[name] for name in (*self.family.parameters(), *own) if name in weights}
        return {f"module.{name}": _like(tensor, like) for name, tensor in own.items()}

    @functools.cached_property
    def _seen(self) -> tuple[dict[str, Place], int, tuple[int, int]]:
        """Outputs by the names of their submodules, the batch axis of the answer, and its (positions, classes)."""
        import torch

        answers = []
        weights = dict(self.module.state_dict())

        def run(n: int) -> None:
            inputs = self.data.inputs[torch.arange(n) % len(self.data.inputs)]
            answers.append(tuple(self.family.logits(self.run(weights, inputs)).shape))

        with torch.no_grad():
            found = places(self.module, self.family._skeleton.children, run)
        axis = batch_axis(*answers)
        rest = answers[0][:axis] + answers[0][axis + 1 :] if axis is not None else ()
        if axis is None or len(rest) > 2:
            raise StrobeError(
                f"{self.family._who}: the module answers {list(answers[0])} for 2 inputs, expected [batch, classes] or [batch, pos, classes]; "
                "override `logits(self, output)` to return that"
            )
        positions, classes = site_shape(rest)
        targets = self.data.targets
        if targets.is_floating_point() and targets.shape[1] != classes:
            raise StrobeError(f"{self.family._who}: a target has {targets.shape[1]} values, and the module answers {classes}")
        if not targets.is_floating_point() and (largest := int(targets.max())) >= classes:
            raise StrobeError(f"{self.family._who}: targets go up to {largest}, and the module answers {classes} classes (0 to {classes - 1})")
        return found, axis, (positions, classes)

    @property
    def answer(self) -> int:
        """The batch axis of the logits."""
        return self._seen[1]

    @functools.cached_property
    def sites(self) -> dict[str, Place]:
        """Site -> output, canonical names before the module's own, in the order the forward reaches them; without the logits."""
        own = {name: place for name, place in self._seen[0].items() if name != "logits"}
        named = aliases(self.family.site_names, self._seen[0], self.family._skeleton.children, self.family._who)
        order = {place: i for i, place in enumerate(self._seen[0].values())}
        return dict(sorted({**named, **{n: p for n, p in own.items() if n not in named}}.items(), key=lambda item: order[item[1]]))

    @functools.cached_property
    def shapes(self) -> dict[str, tuple[str | int, ...]]:
        found = {site: self._shape(site, place) for site, place in self.sites.items()}
        return {**found, "logits": ("batch", *self._seen[2])}

    def _shape(self, site: str, place: Place) -> tuple[str | int, ...]:
        return ("batch", *(place.rest if is_query(site) else site_shape(place.rest)))

    def watched(self, tap: Tap) -> list[str]:
        """The submodules whose outputs somebody wants."""
        return list(dict.fromkeys(place.module for site, place in self.sites.items() if tap.wants(site)))

    def show(self, tap: Tap, module: str, call: int, output: Any) -> None:
        """Hand an output to the tap under each of its names."""
        for site, place in self.sites.items():
            if (place.module, place.call) == (module, call) and tap.wants(site):
                tensor = tensor_in(output)
                assert tensor is not None
                tap(site, as_site(tensor, place.axis, query=is_query(site)))


def _like(tensor: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    return tensor.to(other.device, other.dtype) if tensor.is_floating_point() else tensor.to(other.device)


def _called(family: ModuleFamily, module: torch.nn.Module) -> torch.nn.Module:
    """A module that does what the family's `call` does, so that its tensors can be replaced while it does."""
    import torch

    class Called(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.module = module

        def forward(self, inputs: torch.Tensor) -> Any:
            return family.call(self.module, inputs)

    return Called().eval()


def _checked(family: ModuleFamily, module: Any) -> torch.nn.Module:
    import torch

    if not isinstance(module, torch.nn.Module):
        raise StrobeError(f"{family._who}: build() returned a {type(module).__name__}; return the torch.nn.Module itself")
    return module


@functools.lru_cache(maxsize=4)
def _model(cls: type[ModuleFamily], parameters: str) -> Model:
    """Runs are opened anew for every checkpoint; their module and data are made once per process."""
    return Model(cls.model_validate_json(parameters))


@functools.lru_cache(maxsize=16)
def _skeleton(cls: type[ModuleFamily], parameters: str) -> Skeleton:
    """Built without memory on the meta device; for real where a module cannot be (it reads a value, or draws its size from the data)."""
    import torch

    family = cls.model_validate_json(parameters)
    if inspect.isabstract(cls) or cls.build is Family.build:
        raise family._missing("build")
    try:
        with torch.device("meta"), torch.random.fork_rng(devices=[]):
            return skeleton(_checked(family, family.build()))
    except StrobeError:
        raise
    except Exception:  # whatever somebody's constructor does where there are no values; building it for real says what is wrong
        return skeleton(_model(cls, parameters).module)
