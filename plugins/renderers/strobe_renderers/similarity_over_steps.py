"""How alike the representations of each step are to the last ones and to those just before."""

from __future__ import annotations

import altair as alt
import pandas as pd

from strobe import Frame, Renderer, charts, hookimpl

STRIPS = {
    "similarity to the last step": {"cka_last": "CKA", "svcca_last": "SVCCA", "cka_null": "CKA, null", "svcca_null": "SVCCA, null"},
    "similarity to the step before": {"cka_previous": "CKA", "svcca_previous": "SVCCA"},
}


class SimilarityOverSteps(Renderer):
    """CKA and SVCCA of the residual stream at each step with the last step, above, and with the step before, below; phases marked.

    1: the same up to rotation (CKA) or any linear map (SVCCA). The pale dashed lines are what unrelated inputs score: SVCCA is far from 0 by itself.
    The last layer unless `layer` says another.
    """

    consumes = ("representation_similarity", "phases")
    over = ("step",)

    layer: int | None = None
    width: int = charts.WIDTH
    height: int = 120
    step_scale: charts.StepScale = "sqrt"

    @hookimpl
    def render(self, frame: Frame) -> alt.VConcatChart | alt.Chart:
        data = one_layer(frame.data, self.layer)
        if not len(data) or not data["cka_last"].notna().any():
            return charts.note("No similarity of representations was computed for this run.", width=self.width)
        steps = charts.step_axis(data["step"], width=self.width, scale=self.step_scale)
        strips = []
        for i, (title, columns) in enumerate(STRIPS.items()):
            rows = pd.concat([pd.DataFrame({"step": data["step"], "series": s, "value": data[c].astype(float)}) for c, s in columns.items()])
            values = charts.value_axis([0.0, 1.0, *rows["value"].dropna()], title, height=self.height, log=False)
            shared = {"phases": frame.others.get("phases"), "cursor": frame.cursor, "top": i == 0, "bottom": i == len(STRIPS) - 1}
            strips.append(charts.step_lines(rows, _lines(columns.values()), steps, values, name=title, **shared))
        return charts.described(charts.strips(*strips, spacing=26), "Similarity of representations to the last and the previous step, over steps.")


def one_layer(data: pd.DataFrame, layer: int | None) -> pd.DataFrame:
    """The rows of one layer, the last when None."""
    return data[data["layer"] == (data["layer"].max() if layer is None else layer)].sort_values("step") if len(data) else data


def _lines(names: object) -> dict[str, charts.Line]:
    found = {}
    for name in names:  # type: ignore[attr-defined]
        null = name.endswith("null")
        dash = (4.0, 3.0) if null else (7.0, 3.0) if name.startswith("SVCCA") else (1.0, 0.0)
        found[name] = charts.Line(name, charts.colour("muted" if null else "ink"), dash=dash, width=1.0 if null else 1.75)
    return found
