"""The contract, hook by hook.

A hook implementation names only the arguments it wants, without defaults: pluggy checks the names at registration and passes only those asked for.
An analyzer implements exactly one `analyze_*` hook, and that hook is its category. It returns an iterator of its `Row`, or `Row.columns(...)`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    import pandas as pd
    import torch

    from .analysis.desk import Call
    from .arguments import Activations, Attention, Checkpoints, Context, Outputs, Probe, Results
    from .frame import Frame
    from .loss import Loss
    from .schema import Columns, Made, Row
    from .weights import Weights

PROJECT = "strobe"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class AnalyzerSpecs:
    """The seven categories of analyzers."""

    # --- once per checkpoint, no forward pass ------------------------------------------------------------------------------------------

    @hookspec
    def analyze_weights(self, weights: Weights, metrics: pd.DataFrame, results: Results, context: Context) -> Iterable[Row] | Columns:
        """Look at the weights of one checkpoint. Called once per checkpoint; reads only the tensors it touches, never builds the model.

        :param weights: lazy mapping canonical name -> read-only tensor in `x @ W` orientation; `weights.matrices(pattern)`, `weights.heads(pattern)`.
        :param metrics: what training recorded (`step`, `train_loss`, ...); gaps are allowed.
        :param results: rows of the analyzers named in `consumes`, of this step and of no step.
        :param context: run, step, family, device, `rng`, logger.
        """

    # --- once per checkpoint and probe, all on one shared forward pass -------------------------------------------------------------------

    @hookspec
    def analyze_activations(
        self, activations: Activations, weights: Weights, probe: Probe, metrics: pd.DataFrame, results: Results, context: Context
    ) -> Iterable[Row] | Columns:
        """Look at activations of the sites declared in `sites = {"blocks.*.mlp.post": Last()}`.

        :param activations: site -> [batch, pos, d], or [batch, d] for `Last()`; `q|k|v|z` [batch, pos, head, d_head].
        :param weights: the checkpoint's weights.
        :param probe: `inputs` [batch, pos], `targets` [batch], `splits`, `table`, `name`, `digest`.
        :param metrics: what training recorded.
        :param results: rows of the analyzers named in `consumes`, of this step and of no step.
        :param context: run, step, family, device, `rng`, logger.
        """

    @hookspec
    def analyze_attention(
        self,
        attention: Attention,
        activations: Activations,
        weights: Weights,
        probe: Probe,
        metrics: pd.DataFrame,
        results: Results,
        context: Context,
    ) -> Iterable[Row] | Columns:
        """Look at attention patterns: all layers and queries, unless `sites` narrows `blocks.*.attn.pattern`.

        :param attention: layer -> [batch, head, query, key], rows summing to 1.
        :param activations: sites declared in `sites`, as in `analyze_activations`.
        :param weights: the checkpoint's weights.
        :param probe: the inputs.
        :param metrics: what training recorded.
        :param results: rows of the analyzers named in `consumes`, of this step and of no step.
        :param context: run, step, family, device, `rng`, logger.
        """

    @hookspec
    def analyze_outputs(
        self,
        outputs: Outputs,
        attention: Attention,
        activations: Activations,
        weights: Weights,
        probe: Probe,
        metrics: pd.DataFrame,
        results: Results,
        context: Context,
    ) -> Iterable[Row] | Columns:
        """Look at what the model answers.

        :param outputs: `logits` [batch, classes], `targets` [batch], `loss` [batch] in nats (float64), `split(name)` -> mask.
        :param attention: layer -> [batch, head, query, key].
        :param activations: sites declared in `sites`.
        :param weights: the checkpoint's weights.
        :param probe: the inputs.
        :param metrics: what training recorded.
        :param results: rows of the analyzers named in `consumes`, of this step and of no step.
        :param context: run, step, family, device, `rng`, logger.
        """

    @hookspec
    def analyze_landscape(
        self, loss: Loss, weights: Weights, probe: Probe, metrics: pd.DataFrame, results: Results, context: Context
    ) -> Iterable[Row] | Columns:
        """Look at the loss around a checkpoint. Its forwards and backwards are its own, counted apart from the shared pass.

        :param loss: `loss("train")`, `.grad()`, `.hvp(v)`, `.at(weights)`.
        :param weights: the checkpoint's weights.
        :param probe: the inputs the loss is taken on.
        :param metrics: what training recorded.
        :param results: rows of the analyzers named in `consumes`, of this step and of no step.
        :param context: run, step, family, device, `rng`, logger.
        """

    # --- once per run ----------------------------------------------------------------------------------------------------------------------

    @hookspec
    def analyze_trajectory(self, checkpoints: Checkpoints, metrics: pd.DataFrame, results: Results, context: Context) -> Iterable[Row] | Columns:
        """Look at a run's weights over all its steps: one pass, bounded memory. Rows may declare `step`.

        With `scope = "runs"` it is called once over several runs, and its rows may declare `run`; `checkpoints` is then a dict run -> checkpoints.

        :param checkpoints: lazy: iterate for `(step, weights)`, index by step; nothing is kept between steps.
        :param metrics: what training recorded.
        :param results: rows of the analyzers named in `consumes`, all steps.
        :param context: run, family, device, `rng`, logger.
        """

    @hookspec
    def analyze_results(self, results: Results, metrics: pd.DataFrame, context: Context) -> Iterable[Row] | Columns:
        """Derive rows from other analyzers' rows and from what training recorded. No model, no checkpoint. Rows may declare `step`.

        With `scope = "runs"` it is called once over several runs, and its rows may declare `run`.

        :param results: rows of the analyzers named in `consumes`, all steps.
        :param metrics: what training recorded (with a `run` column when the scope is several runs).
        :param context: run, family, `rng`, logger; for several runs the `parameters` of each.
        """


class RendererSpecs:
    """Drawing."""

    @hookspec
    def render(self, frame: Frame) -> Any:
        """Draw the rows at the cursor and return an `altair.Chart`, or a `charts.Scene3D` for what is truly three-dimensional.

        The specification must not contain cursor values: a page moves the cursor by replacing the dataset `cursor`.

        :param frame: `data` (rows), `array(name)` (arrays in shape), `column(slot)`, `others` (further tables consumed), `schema`.
        """


class EngineSpecs:
    """Hooks around the core, from the entry-point group `strobe.hooks`."""

    @hookspec(firstresult=True)
    def run_analyzer(self, call: Call) -> Made | None:
        """Call one analyzer and materialise its rows. Wrap this (`@hookimpl(wrapper=True)`) to profile, cache or place on a device;
        wrapping `analyze_*` would see only an unstarted generator. Stops at the first result that is not None; the built-in one comes last.

        :param call: `name`, `analyzer`, `arguments`; calling it does the work.
        """

    @hookspec
    def checkpoint_done(self, run: str, step: int, seconds: float) -> None:
        """A checkpoint's step analyzers are done and about to be stored.

        :param run: the run's name.
        :param step: the checkpoint's step.
        :param seconds: wall time it took.
        """

    @hookspec
    def analyzer_failed(self, run: str, step: int | None, analyzer: str, kind: str, message: str) -> None:
        """An analyzer failed in one cell; everything else goes on.

        :param run: the run's name.
        :param step: the checkpoint's step, None for derived analyzers.
        :param analyzer: its name.
        :param kind: `error`, `schema`, `checkpoint`, `not_finite`, `upstream` or `worker`; and of an isolated one `deadline`, `memory`,
            `crash`, `exit`, `garbage` or `quarantined`.
        :param message: one line: what happened and what to do.
        """

    @hookspec
    def table_written(self, analyzer: str, run: str, rows: int, path: str) -> None:
        """A part of a table is on disk.

        :param analyzer: the analyzer's name.
        :param run: the run's name.
        :param rows: rows in the part.
        :param path: the file.
        """

    @hookspec
    def before_step(self, step: int, parameters: dict[str, torch.Tensor], optimizer: torch.optim.Optimizer) -> None:
        """An intervention, called before each training step of a run that names it (`--intervene NAME`). A class that is a pydantic model has
        settings: `--intervene NAME:start=500,strength=0.1`; they are part of the run's identity.

        :param step: the step about to be taken.
        :param parameters: canonical name -> parameter.
        :param optimizer: the optimizer.
        """


CATEGORY_OF_HOOK = {
    "analyze_weights": "weights",
    "analyze_activations": "activations",
    "analyze_attention": "attention",
    "analyze_outputs": "outputs",
    "analyze_landscape": "landscape",
    "analyze_trajectory": "trajectory",
    "analyze_results": "results",
}
CATEGORIES = tuple(CATEGORY_OF_HOOK.values())
PASS = ("activations", "attention", "outputs")
"""Categories that share the one forward pass."""
STEP = ("weights", *PASS, "landscape")
"""Categories whose unit of work is one checkpoint."""
