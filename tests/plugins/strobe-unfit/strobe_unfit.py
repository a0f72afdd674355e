"""Plugins that register, each of which fails one check of the kit. The line that the kit must name ends with "here"."""

from __future__ import annotations

from collections.abc import Iterator

import altair as alt
import numpy as np
import pandas as pd
import torch

import strobe
from strobe import Activations, Analyzer, Context, Family, Frame, Last, Probe, Renderer, Tap, Weights, dim, hookimpl, metric


class Value(strobe.Row):
    parameter: str = dim("canonical parameter name")
    value: float | None = metric("a number", unit="1")


class WritesThroughNumpy(Analyzer):
    """Leaves zeros behind: torch cannot see it."""

    Row = Value

    @hookimpl
    def analyze_weights(self, weights: Weights) -> Iterator[Value]:
        for name in weights:
            plain = weights[name].numpy()
            plain[...] = 0  # here
            yield self.Row(parameter=name, value=float(plain.sum()))


class SeedsTorch(Analyzer):
    """Seeds everyone's generator."""

    Row = Value

    @hookimpl
    def analyze_weights(self, weights: Weights) -> Iterator[Value]:
        torch.manual_seed(0)  # here
        yield self.Row(parameter="all", value=float(torch.rand(())))


class SetsDefaultDtype(Analyzer):
    """Wants float64, for everybody."""

    Row = Value

    @hookimpl
    def analyze_weights(self, weights: Weights) -> Iterator[Value]:
        torch.set_default_dtype(torch.float64)  # here
        yield self.Row(parameter="all", value=float(torch.ones(())))


class DrawsGlobally(Analyzer):
    """Other numbers each time."""

    Row = Value

    @hookimpl
    def analyze_weights(self, weights: Weights) -> Iterator[Value]:
        noise = np.random.rand()  # here
        yield self.Row(parameter="all", value=noise)


class SaysNothing(Analyzer):
    """Has a setting that nothing describes."""

    Row = Value
    cutoff: float = 0.5  # here

    @hookimpl
    def analyze_weights(self, weights: Weights) -> Iterator[Value]:
        yield self.Row(parameter="all", value=self.cutoff)


class RowsAlike(Analyzer):
    """Two rows, and nobody can tell which is which."""

    class Row(strobe.Row):  # here
        parameter: str = dim("canonical parameter name")
        value: float = metric("a number", unit="1")

    @hookimpl
    def analyze_weights(self, weights: Weights) -> Iterator[Row]:
        yield self.Row(parameter="all", value=0.0)
        yield self.Row(parameter="all", value=1.0)


class NeverEnds(Analyzer):
    """Yields for ever."""

    Row = Value

    @hookimpl
    def analyze_weights(self, weights: Weights) -> Iterator[Value]:  # here
        row = self.Row(parameter="all", value=0.0)
        while True:
            yield row


class AsksForMore(Analyzer):
    """Names an argument that it does not use."""

    Row = Value

    @hookimpl
    def analyze_weights(self, weights: Weights, metrics: pd.DataFrame) -> Iterator[Value]:  # here
        yield from (self.Row(parameter=name, value=0.0) for name in weights)


class FailsOnNaN(Analyzer):
    """Takes for granted that something is finite."""

    Row = Value

    @hookimpl
    def analyze_weights(self, weights: Weights) -> Iterator[Value]:
        for name in weights:
            finite = weights[name].flatten()[weights[name].flatten().isfinite()].tolist()
            yield self.Row(parameter=name, value=finite[0])  # here


class NeedsAnEmbedding(Analyzer):
    """Takes for granted that there are weights at all."""

    Row = Value

    @hookimpl
    def analyze_weights(self, weights: Weights) -> Iterator[Value]:
        names = list(weights)
        first = names[0]  # here
        yield self.Row(parameter=first, value=0.0)


class WastesMemory(Analyzer):
    """Takes 400 MB for nothing."""

    Row = Value

    @hookimpl
    def analyze_weights(self, weights: Weights) -> Iterator[Value]:  # here
        yield self.Row(parameter="all", value=float(np.ones(400 * 2**20, np.uint8)[0]))


class WrongType(Analyzer):
    """Says int, gives a float."""

    class Row(strobe.Row):
        parameter: str = dim("canonical parameter name")
        count: int = metric("how many", unit="1")

    @hookimpl
    def analyze_weights(self, weights: Weights) -> Iterator[Row]:
        yield self.Row(parameter="all", count=0.5)  # here


class RunsTheModel(Analyzer):
    """Is said to need no forward, and runs one."""

    Row = Value

    @hookimpl
    def analyze_weights(self, weights: Weights, context: Context) -> Iterator[Value]:  # here
        inputs = next(iter(context.family.probes(context.family.split()).values()))().inputs
        yield self.Row(parameter="all", value=float(context.family.forward(weights, inputs, Tap()).sum()))


class UndeclaredSite(Analyzer):
    """Reads what it has not declared."""

    Row = Value
    sites = {"blocks.*.mlp.post": Last()}

    @hookimpl
    def analyze_activations(self, activations: Activations) -> Iterator[Value]:
        for site in activations:
            yield self.Row(parameter=site, value=activations["blocks.0.mlp.pre"].mean().item())  # here


class LooksAtNeighbours(Analyzer):
    """An input's number depends on the others."""

    sites = {"blocks.0.mlp.post": Last()}

    class Row(strobe.Row):
        input: int = dim("row of the probe")
        value: float = metric("activation over the batch's mean", unit="1")  # here

    @hookimpl
    def analyze_activations(self, activations: Activations) -> Iterator[Row]:
        post = activations["blocks.0.mlp.post"].double().mean(-1)
        for i, value in enumerate((post / post.mean()).tolist()):
            yield self.Row(input=i, value=value)


class WritesTheStep(Renderer):
    """Has the step in its title."""

    consumes = "weight_norms"

    @hookimpl
    def render(self, frame: Frame) -> alt.Chart:  # here
        return alt.Chart(frame.scalars(), title=f"step {frame.cursor['step']}", description="norms").mark_bar().encode(y="frobenius:Q")


class ChangesItsFrame(Renderer):
    """Writes into the rows that everyone draws."""

    consumes = "weight_norms"

    @hookimpl
    def render(self, frame: Frame) -> alt.Chart:
        frame.data["frobenius"] = 0.0  # here
        return alt.Chart(frame.scalars(), description="norms").mark_bar().encode(y="frobenius:Q")


class NeedsARow(Renderer):
    """Looks at the first row, whether there is one or not."""

    consumes = "weight_norms"

    @hookimpl
    def render(self, frame: Frame) -> alt.Chart:
        first = frame.data.iloc[0]["parameter"]  # here
        return alt.Chart(frame.scalars(), description=f"norms, {first}").mark_bar().encode(y="frobenius:Q")


class DrawsRectangles(Renderer):
    """Draws each cell of a map as a rectangle."""

    consumes = "attention_maps"

    @hookimpl
    def render(self, frame: Frame) -> alt.Chart:  # here
        cells = frame.array("map")[:1].ravel() if len(frame.data) else np.zeros(0)
        return alt.Chart(pd.DataFrame({"i": range(len(cells)), "v": cells}), description="map").mark_rect().encode(x="i:O", color="v:Q")


class NoAltText(Renderer):
    """Says nothing to those who cannot see it."""

    consumes = "weight_norms"

    @hookimpl
    def render(self, frame: Frame) -> alt.Chart:  # here
        return alt.Chart(frame.scalars()).mark_bar().encode(y="frobenius:Q")


class ForgetsItsBias(Family):
    """A linear model whose module has a bias that the forward leaves out."""

    def parameters(self):
        return {"W": (4, 3), "b": (3,)}

    def sites(self):
        return {"logits": ("batch", "pos", 3)}

    def initial(self):
        return {"W": torch.arange(12.0).reshape(4, 3) / 12, "b": torch.zeros(3)}

    def build(self):
        return Linear()

    def forward(self, weights, inputs, tap):  # here
        logits = inputs.float() @ weights["W"]
        tap("logits", logits[:, None])
        return logits

    def split(self):
        return {"train": torch.arange(4), "test": torch.arange(4, 8)}

    def probes(self, split):
        inputs = torch.arange(32).reshape(8, 4) % 3
        masks = {name: torch.zeros(8, dtype=torch.bool).index_fill_(0, rows, True) for name, rows in split.items()}
        return {"eight": lambda: Probe("eight", inputs, inputs[:, 0], masks)}


class Linear(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.W, self.b = torch.nn.Parameter(torch.zeros(4, 3)), torch.nn.Parameter(torch.zeros(3))

    def forward(self, inputs):
        return inputs.float() @ self.W + self.b
