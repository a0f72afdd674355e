"""Whether neurons and heads follow slow or fast changes of their operands, over training."""

from __future__ import annotations

import altair as alt
import pandas as pd

from strobe import Frame, Renderer, charts, hookimpl

MEASURES = {
    "low_frequency_energy": "low-frequency share",
    "variance_preserved": "variance preserved",
    "gradient_over_std": "gradient / standard deviation",
}


class CoarsenessOverSteps(Renderer):
    """Coarseness of the maps over (a, b) over steps, a strip per measure, phases marked: the median neuron in ink, every head in colour.

    Shares near 1 are blobs, near 0 fine stripes or noise; the gradient runs the other way (1.13 for white noise). Falling shares and a rising
    gradient mean that patterns become finer.
    """

    consumes = ("coarseness", "phases")
    over = ("step",)

    layer: int = 0
    width: int = charts.WIDTH
    height: int = 90
    step_scale: charts.StepScale = "sqrt"

    @hookimpl
    def render(self, frame: Frame) -> alt.VConcatChart | alt.Chart:
        data = frame.data
        rows = data[data["layer"] == self.layer] if len(data) else data
        if not len(rows) or rows["gradient_over_std"].isna().all():
            return charts.note(f"No coarseness of layer {self.layer} was computed for this run.", width=self.width)
        steps = charts.step_axis(rows["step"], width=self.width, scale=self.step_scale)
        heads = sorted(rows["head"].dropna().astype(int).unique())
        tints = charts.categories()
        lines = {"neurons": charts.Line("median neuron", width=2.25)}
        lines |= {f"head {h}": charts.Line(f"head {h}", *tints[i % len(tints)], width=1.25) for i, h in enumerate(heads)}
        names = list(MEASURES)
        strips = [self._strip(frame, rows, name, lines, steps, first=name == names[0], last=name == names[-1]) for name in names]
        text = "Three measures of the coarseness of activation and attention maps over training steps: the median neuron, and each head."
        return charts.described(charts.strips(*strips, spacing=26), text)

    def _strip(
        self, frame: Frame, rows: pd.DataFrame, name: str, lines: dict[str, charts.Line], steps: charts.StepAxis, *, first: bool, last: bool
    ) -> alt.LayerChart:
        known = rows.dropna(subset=[name])
        series = ("head " + known["head"].astype("Int64").astype(str)).where(known["kind"] == "head", "neurons")
        table = pd.DataFrame({"step": known["step"].astype(int), "series": series, "value": known[name].astype(float)})
        medians = table.groupby(["step", "series"], as_index=False)["value"].median()
        share = name != "gradient_over_std"
        values = charts.value_axis(medians["value"], MEASURES[name], height=self.height, log=False, zero=share)
        phases = frame.others.get("phases")
        return charts.step_lines(medians, lines, steps, values, phases=phases, cursor=frame.cursor, top=first, bottom=last, name=name)
