"""The checks of a family. Each raises `Unfit` with the line to change, or `NotMeant` with why it says nothing here."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ..family import Family
from ..module_family import ModuleFamily
from ..sites import Last, Positions, Tap, select
from .analyzers import settings_described
from .findings import NotMeant, Source, Unfit
from .state import unharmed
from .tiny import forward, smallest

if TYPE_CHECKING:
    import torch

TOLERANCE = 1e-5
"""How far forward, module and fixed forward may be apart."""


class Subject:
    """A family under examination: its smallest member, its weights and inputs."""

    def __init__(self, family: Family | type[Family], name: str = "") -> None:
        self.cls = family if isinstance(family, type) else type(family)
        self._given = family
        self.source = Source(self.cls)
        self.who = f"family {name or self.cls.__qualname__}"

    @functools.cached_property
    def family(self) -> Family:
        return smallest(self._given) if isinstance(self._given, type) else self._given

    def with_model(self) -> Subject:
        """Itself, where there is a model to look at."""
        if self.cls.weights_only:
            raise NotMeant("it has weights only: no model, and no inputs")
        return self

    @functools.cached_property
    def weights(self) -> Mapping[str, torch.Tensor]:
        """Initial weights, moved a little from their zeros, so that no path can forget a bias."""
        import torch

        self.with_model()

        generator = torch.Generator().manual_seed(1)
        initial = self.family.initial()
        zero = {n for n, t in initial.items() if t.is_floating_point() and not t.any()}
        return {n: t + 0.1 * torch.randn(t.shape, generator=generator) if n in zero else t for n, t in initial.items()}

    @functools.cached_property
    def probe(self) -> Any:
        return next(iter(self.with_model().family.probes(self.family.split()).values()))()

    @functools.cached_property
    def logits(self) -> torch.Tensor:
        return self.family.forward(self.weights, self.probe.inputs, Tap())

    def at(self, method: str) -> Any:
        return self.source.line(method)


Check = Callable[[Subject], None]


def is_documented(subject: Subject) -> None:
    """A docstring, and a description of each parameter."""
    if not (subject.cls.__doc__ or "").strip() or subject.cls.__doc__ == Family.__doc__:
        raise Unfit(f"{subject.cls.__qualname__} has no docstring", "say what is learned, from what", subject.source.line())
    settings_described(subject.cls, subject.source)


def has_what_it_names(subject: Subject) -> None:
    """Initial weights have the names and shapes of `parameters`, the same each time; its identity can be written as JSON."""
    family = subject.with_model().family
    tensors, again = family.initial(), family.initial()
    shapes = {n: tuple(t.shape) for n, t in tensors.items()}
    if problems := family.problems(shapes):
        raise Unfit(f"initial() is not what parameters() says: {problems[0]}", "give both the same names and shapes", subject.at("initial"))
    if odd := [n for n in shapes if n not in family.parameters() and n not in family.buffers()]:
        raise Unfit(f"initial() gives {odd[0]!r}, which parameters() does not name", "name it there", subject.at("parameters"))
    if both := [n for n in family.buffers() if n in family.parameters()]:
        raise Unfit(f"{both[0]!r} is in parameters() and in buffers()", "training moves it or it does not: keep it in one", subject.at("buffers"))
    if differing := [n for n in tensors if not bool((tensors[n] == again[n]).all())]:
        fix = "draw from `torch.Generator().manual_seed(self.seed)`"
        raise Unfit(f"two calls of initial() differ in {differing[0]}", fix, subject.at("initial"))
    json.dumps(family.identity())
    if not family.problems({}):
        raise Unfit("problems() has nothing to say about an empty checkpoint", "name what is missing", subject.at("problems"))


def splits_its_inputs(subject: Subject) -> None:
    """`split` gives indices of the first probe's inputs, no input twice, the same each time; `train` is among them."""
    split, again, n = subject.family.split(), subject.family.split(), len(subject.probe.inputs)
    if "train" not in split:
        raise Unfit("split() has no 'train'", 'return {"train": ..., "test": ...}', subject.at("split"))
    seen: set[int] = set()
    for name, indices in split.items():
        found = indices.tolist()
        if not bool((indices == again[name]).all()):
            raise Unfit(f"two calls of split() differ in {name!r}", "draw from a seeded torch.Generator", subject.at("split"))
        if found and not (min(found) >= 0 and max(found) < n):
            raise Unfit(f"split {name!r} has index {max(found)} of {n} inputs", "index the inputs of the first probe", subject.at("split"))
        if len(set(found)) != len(found) or seen & set(found):
            raise Unfit(f"split {name!r} has an input twice, or one of another split", "give each input to one split", subject.at("split"))
        seen |= set(found)


def makes_its_probes(subject: Subject) -> None:
    """Every probe has as many targets as inputs and masks of that length; the first one's masks are the split."""
    split = subject.with_model().family.split()
    for name, make in subject.family.probes(split).items():
        probe, n = make(), len(make().inputs)
        lengths = {"targets": len(probe.targets), **{f"splits[{k!r}]": len(m) for k, m in probe.splits.items()}}
        if probe.table is not None:
            lengths["table"] = len(probe.table)
        if odd := [(what, m) for what, m in lengths.items() if m != n]:
            raise Unfit(f"probe {name!r}: {odd[0][0]} has {odd[0][1]} entries for {n} inputs", "give one per input", subject.at("probes"))
    for name, indices in split.items():
        mask = subject.probe.splits.get(name)
        if mask is None or sorted(mask.nonzero().flatten().tolist()) != sorted(indices.tolist()):
            raise Unfit(
                f"the first probe's mask of {name!r} is not what split() gives",
                "mark the inputs of the split that is handed in",
                subject.at("probes"),
            )


def answers(subject: Subject) -> None:
    """Finite logits [batch, classes], a loss per input, and a gradient for every parameter that is used."""
    import torch

    family, probe = subject.family, subject.probe
    try:
        logits = subject.logits
    except Exception as e:  # the plugin boundary
        place = subject.source.raised(e.__traceback__) or subject.at("forward")
        raise Unfit(f"forward raises {type(e).__name__}: {str(e).partition(chr(10))[0]}", "mend this line", place) from e
    if logits.ndim != 2 or len(logits) != len(probe.inputs) or not bool(logits.isfinite().all()):
        raise Unfit(
            f"forward gives {list(logits.shape)} for {len(probe.inputs)} inputs", "return finite logits [batch, classes]", subject.at("forward")
        )
    leaves = {n: subject.weights[n].detach().clone().requires_grad_() for n in family.parameters()}
    loss = family.loss(family.forward({**subject.weights, **leaves}, probe.inputs, Tap()).double(), probe.targets)
    if tuple(loss.shape) != (len(probe.inputs),):
        raise Unfit(
            f"loss has shape {list(loss.shape)}, not [{len(probe.inputs)}]", 'return one number per input: `reduction="none"`', subject.at("loss")
        )
    grads = torch.autograd.grad(loss.mean(), list(leaves.values()), allow_unused=True)
    if all(g is None for g in grads):
        raise Unfit("the loss has no gradient: the forward detaches the weights", "leave out `.detach()`, `.data`, `.item()`", subject.at("forward"))


def agrees_with_its_module(subject: Subject) -> None:
    """`build()` loads the canonical weights and gives the same logits to 1e-5."""
    import torch

    if subject.cls.build is Family.build:
        raise NotMeant("it has no `build`: no module to agree with")
    module = subject.family.build().eval()
    if unknown := module.load_state_dict(dict(subject.weights), strict=False).unexpected_keys:
        raise Unfit(f"the module of build() has no tensor {unknown[0]!r}", "give initial() and the module the same names", subject.at("build"))
    with torch.no_grad():
        family, inputs = subject.family, subject.probe.inputs
        theirs = family.logits(family.call(module, inputs)) if isinstance(family, ModuleFamily) else module(inputs)
    theirs = theirs[:, None] if theirs.ndim == 1 else theirs  # one value each
    theirs = select("logits", theirs, subject.family.read_out) if theirs.ndim == 3 else theirs
    _agree(subject, subject.logits, theirs, "the module of build()", "forward")


def agrees_with_its_fixed_forward(subject: Subject) -> None:
    """`fixed_forward(inputs)(weights)` gives the same logits to 1e-5."""
    _agree(subject, subject.logits, subject.family.fixed_forward(subject.probe.inputs)(subject.weights), "fixed_forward", "fixed_forward")


def _agree(subject: Subject, ours: Any, theirs: Any, what: str, method: str) -> None:
    if ours.shape != theirs.shape:
        raise Unfit(f"forward gives {list(ours.shape)}, {what} {list(theirs.shape)}", "read the answer at the same position", subject.at(method))
    worst = float((ours - theirs).abs().max() / (1 + theirs.abs().max()))
    if not worst <= TOLERANCE:
        raise Unfit(
            f"forward and {what} differ by {worst:.2g} of the logits' size (at most {TOLERANCE})",
            "one of them leaves something out",
            subject.at(method),
        )


def has_its_sites(subject: Subject) -> None:
    """Every site of `sites()` is reached, in that order, with the shape it says, at all positions and at the last one; looking changes nothing."""
    import torch

    family, inputs = subject.family, subject.probe.inputs
    shapes = family.sites()
    tap = Tap({site: frozenset({Positions()}) for site in shapes}, stop=False)
    with torch.inference_mode():
        logits = family.forward(subject.weights, inputs, tap)
    reached = [site for site, _ in tap.captured]
    if reached != list(shapes):
        missing = [s for s in shapes if s not in reached]
        said = f"never reaches {', '.join(missing)}" if missing else f"reaches {reached}, sites() says {list(shapes)}"
        raise Unfit(f"the forward {said}", "call `tap(site, x)` at each site, in the order of sites()", subject.at("forward"))
    for (site, _), tensor in tap.captured.items():
        declared = shapes[site]
        fits = len(declared) == tensor.ndim and all(not isinstance(d, int) or d == n for d, n in zip(declared, tensor.shape, strict=False))
        if not fits or tensor.shape[0] != len(inputs):
            raise Unfit(f"site {site} has shape {list(tensor.shape)}, sites() says {list(declared)}", "correct one of the two", subject.at("sites"))
        last = forward(family, subject.weights, inputs, {site: Last()})[site, Last()]
        if last.shape != select(site, tensor, Last()).shape or not bool(
            torch.allclose(last, select(site, tensor, Last()), atol=1e-4, equal_nan=True)
        ):
            raise Unfit(
                f"site {site} at the last position is not what it is among all positions",
                "hand the same values to tap and tap.last",
                subject.at("forward"),
            )
    if not bool(torch.allclose(logits, subject.logits, atol=1e-4)):
        raise Unfit("the logits change when sites are looked at", "return the same logits whatever the tap wants", subject.at("forward"))


def is_independent_of_the_batch_split(subject: Subject) -> None:
    """Two halves of the inputs give the logits of the whole."""
    import torch

    inputs, n = subject.probe.inputs, len(subject.probe.inputs) // 2
    with torch.inference_mode():
        halves = torch.cat([subject.family.forward(subject.weights, part, Tap()) for part in (inputs[:n], inputs[n:])])
    _agree(subject, subject.logits, halves, "the forward on two halves of the inputs", "forward")


def loads_what_it_saves(subject: Subject) -> None:
    """Its own weights pass through a file and `load` unchanged, and have no problems."""
    import tempfile
    from pathlib import Path

    from .. import checkpoints

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "step_0.safetensors"
        checkpoints.write(path, subject.weights)
        found = subject.family.load(checkpoints.read_all(path))
    if problems := subject.family.problems({n: tuple(t.shape) for n, t in found.items()}):
        raise Unfit(f"load() of its own checkpoint: {problems[0]}", "let canonical names pass unchanged", subject.at("load"))
    for name, tensor in subject.weights.items():
        if not bool((found[name] == tensor).all()):
            raise Unfit(f"load() changes {name} of its own checkpoint", "let canonical names pass unchanged", subject.at("load"))


def trains(subject: Subject) -> None:
    """`training()` gives defaults, and one small step along the gradient leaves the weights finite."""
    from ..training.loop import Training
    from .tiny import tiny_run

    if not isinstance(subject.with_model().family.training(), Training):
        raise Unfit("training() gives no strobe.Training", "write `return Training(epochs=..., ...)`", subject.at("training"))
    with unharmed():
        run = tiny_run(subject.family, name="check")
    if not all(bool(t.isfinite().all()) for t in run.checkpoints[run.steps[-1]].values() if t.is_floating_point()):
        raise Unfit("after 20 small steps the weights are not finite", "look for a division by zero in forward or loss", subject.at("forward"))


def names_its_files(subject: Subject) -> None:
    """Reports it ships are there."""
    files = [f for f in [subject.cls.report(), *subject.cls.reports().values()] if f is not None and not isinstance(f, str)]
    if gone := [f for f in files if not f.is_file()]:
        raise Unfit(f"report {gone[0]} is not in the package", "put the file there, beside the module", subject.at("report"))


CHECKS: dict[str, Check] = {
    check.__name__: check
    for check in (
        is_documented,
        has_what_it_names,
        splits_its_inputs,
        makes_its_probes,
        answers,
        agrees_with_its_module,
        agrees_with_its_fixed_forward,
        has_its_sites,
        is_independent_of_the_batch_split,
        loads_what_it_saves,
        trains,
        names_its_files,
    )
}
