"""Whether parts of a model learn from the same inputs, over training."""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd

from strobe import Frame, Renderer, charts, hookimpl

PAIRS = (("embedding", "attention"), ("attention", "mlp"), ("mlp", "unembedding"))


class GradientAlignmentOverSteps(Renderer):
    """Alignment of the gradients of two parts over steps, phases marked: a strip per pair with the 95 % point of relabelled classes as a dashed line,
    below which it says nothing; and at the bottom the cosine of each part's gradient on train and test: above 0 a step on train helps test."""

    consumes = ("gradient_alignment", "phases")
    over = ("step",)

    pairs: tuple[tuple[str, str], ...] = PAIRS
    """Groups of parameters whose gradients are compared."""
    width: int = charts.WIDTH
    height: int = 80
    step_scale: charts.StepScale = "sqrt"

    @hookimpl
    def render(self, frame: Frame) -> alt.VConcatChart | alt.LayerChart | alt.Chart:
        data = frame.data
        if not len(data):
            return charts.note("No gradient alignment was computed for this run.", width=self.width)
        steps = charts.step_axis(data["step"], width=self.width, scale=self.step_scale)
        shared: dict[str, Any] = {"phases": frame.others.get("phases"), "cursor": frame.cursor}
        drawn = []
        for pair in self.pairs:
            rows = _long(data[(data["group"] == pair[0]) & (data["other"] == pair[1])], {"alignment": "alignment", "null_95": "null_95"})
            if len(rows):
                lines = {"alignment": charts.Line("alignment"), "null_95": charts.Line.styled("relabelled, 95 %", "null")}
                values = charts.ValueAxis(0, 1, f"{pair[0]} and {pair[1]}: CKA", self.height)
                drawn.append(charts.step_lines(rows, lines, steps, values, top=not drawn, bottom=False, name=" ".join(pair), **shared))
        drawn.append(self._train_test(data, steps, shared, top=not drawn))
        text = "Alignment of the gradients of parts of the model with its null, and cosine of train and test gradients, over training steps."
        return charts.described(charts.strips(*drawn, spacing=26), text)

    def _train_test(self, data: pd.DataFrame, steps: charts.StepAxis, shared: dict[str, Any], *, top: bool) -> alt.LayerChart:
        same = data[data["group"] == data["other"]]
        rows = pd.DataFrame({"step": same["step"].astype(int), "series": same["group"], "value": same["train_test_cosine"].astype(float)}).dropna()
        looks = ("embedding", "attention", "mlp", "unembedding")
        lines = {g: charts.Line.styled(g, f"group-{g}") if g in looks else charts.Line(g) for g in dict.fromkeys(rows["series"])}
        values = charts.ValueAxis(-1, 1, "train against test: cosine", self.height)
        return charts.step_lines(rows, lines, steps, values, top=top, name="train test", **shared)


def _long(rows: pd.DataFrame, series: dict[str, str]) -> pd.DataFrame:
    parts = [pd.DataFrame({"step": rows["step"].astype(int), "series": name, "value": rows[column].astype(float)}) for name, column in series.items()]
    return pd.concat(parts, ignore_index=True).dropna()
