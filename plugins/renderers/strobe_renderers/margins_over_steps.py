"""How safe the answers are, over training."""

from __future__ import annotations

import altair as alt
import pandas as pd

from strobe import Frame, Renderer, charts, hookimpl


class MarginsOverSteps(Renderer):
    """Margin of the target over the best other class: smallest, median and largest over the inputs of a split, over steps, with the phases marked.

    Where the smallest is above 0 every answer is right; it keeps moving long after the accuracy is 100 %, and shows a regress that the loss hides.
    Below, once `phases` found the regress: test loss and smallest margin from there on, each on the scale of that time alone.
    """

    consumes = ("margins", "phases", "loss_and_accuracy")
    over = ("step",)

    split: str = "all"
    width: int = charts.WIDTH
    height: int = 180
    zoom_height: int = 60
    """Of the two strips of the regress, px; 0 leaves them out."""
    step_scale: charts.StepScale = "sqrt"

    @hookimpl
    def render(self, frame: Frame) -> alt.VConcatChart | alt.LayerChart | alt.Chart:
        rows = _long(frame.data, self.split)
        if not len(rows):
            return charts.note(f"No margins of the split {self.split!r} were computed for this run.", width=self.width)
        steps = charts.step_axis(rows["step"], width=self.width, scale=self.step_scale)
        values = charts.value_axis(rows["value"], "margin, logits", height=self.height, log=False, zero=True)
        ink, pale = charts.colour("ink"), charts.colour("muted")
        lines = {
            "minimum": charts.Line("smallest", ink),
            "p01": charts.Line("1 %", pale, dash=(4, 3), width=1.25),
            "median": charts.Line("median", pale),
            "maximum": charts.Line("largest", pale, dash=(1.5, 3), width=1.25),
        }
        zoomed = self._regress(frame, rows)
        shared = {"phases": frame.others.get("phases"), "cursor": frame.cursor}
        strips = [charts.step_lines(rows, lines, steps, values, bottom=not zoomed, **shared)]
        for i, (title, part) in enumerate(zoomed.items()):
            axis = charts.value_axis(part["value"], f"{title}, zoomed", height=self.zoom_height, log=False)
            last = charts.number(part.sort_values("step")["value"].iloc[-1])
            line = charts.Line.styled(f"test {last}", "test") if title.startswith("test") else charts.Line(f"smallest {last}", ink)
            strip = charts.step_lines(part, {"zoom": line}, steps, axis, top=False, bottom=i == len(zoomed) - 1, name=title, **shared)
            strip.layer.append(_change(part, title, steps))
            strips.append(strip)
        text = "Smallest, median and largest margin of the right answer over training steps; test loss and smallest margin of the regress, zoomed."
        return charts.described(charts.strips(*strips, spacing=26), text)

    def _regress(self, frame: Frame, rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
        """Title -> rows step, series, value, from the lowest test loss after generalising on; {} without a regress."""
        start = charts.event_steps(frame.others.get("phases")).get("regress")
        losses = frame.others.get("loss_and_accuracy")
        if start is None or losses is None or not len(losses) or not self.zoom_height:
            return {}
        test = losses[losses["split"] == "test"][["step", "loss"]].rename(columns={"loss": "value"})
        parts = {"test loss, nats": test, "smallest margin, logits": rows[rows["series"] == "minimum"][["step", "value"]]}
        late = {title: part[part["step"] >= start].dropna().assign(series="zoom") for title, part in parts.items()}
        return {title: part for title, part in late.items() if len(part) > 1}


def _change(part: pd.DataFrame, title: str, steps: charts.StepAxis) -> alt.Chart:
    """Where it began and by how much it changed, left of the curve, where nothing is drawn."""
    first, last = (float(part.sort_values("step")["value"].iloc[i]) for i in (0, -1))
    grown = f", then {last / first - 1:+.0%}".replace("-", "−") if first > 0 and last > 0 else ""
    row = {"x": float(steps.pixel(part["step"].min())) - 8, "text": f"{charts.number(first)}{grown}"}
    mark = alt.Chart(charts.dataset(f"{title} change", [row])).mark_text(style="annotation", align="right")
    return mark.encode(x=alt.X("x:Q", scale=None, axis=None), y=alt.YValue(12), text=alt.Text("text:N"))


def _long(data: pd.DataFrame, split: str) -> pd.DataFrame:
    """Rows step, series, value."""
    mine = data[data["split"] == split] if len(data) else data
    parts = [
        pd.DataFrame({"step": mine["step"], "series": name, "value": mine[name].astype(float)})
        for name in ("minimum", "p01", "median", "maximum")
        if len(mine)
    ]
    return pd.concat(parts, ignore_index=True).dropna() if parts else pd.DataFrame(columns=["step", "series", "value"])
