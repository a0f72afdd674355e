"""How many directions each weight matrix uses, over training."""

from __future__ import annotations

import altair as alt
import pandas as pd

from strobe import Frame, Renderer, charts, hookimpl

GREEK = {"sigma": "σ", "lambda": "λ"}
RATIOS = {"participation_ratio_sigma": "sigma", "participation_ratio_lambda": "lambda"}


class DimensionalityOverSteps(Renderer):
    """Both participation ratios of the weight matrices over steps, phases marked: MLP weights above, embedding and unembedding below; and the squared
    norm of all weights, where `weight_norms` was computed.

    PR_sigma = (sum s)^2 / sum s^2 of the singular values (strong lines), PR_lambda = the same of their squares (pale lines). They fall at different
    times, so name the one you quote. First matrix of a strip solid, second dashed.
    """

    consumes = ("effective_dimensionality", "phases", "weight_norms")
    over = ("step",)

    parameters: tuple[tuple[str, ...], ...] = (("W_in", "W_out"), ("W_E", "W_U"))
    layer: int = 0
    width: int = charts.WIDTH
    height: int = 150
    norm_height: int = 70
    """Of the strip of the squared norm, px; 0 leaves it out."""
    step_scale: charts.StepScale = "sqrt"

    @hookimpl
    def render(self, frame: Frame) -> alt.VConcatChart | alt.LayerChart | alt.Chart:
        data = frame.data[frame.data["head"].isna()] if len(frame.data) else frame.data
        groups = [(names, self._rows(data, names)) for names in self.parameters] if len(data) else []
        groups = [(names, rows) for names, rows in groups if len(rows)]
        if not groups:
            return charts.note("No spectra of weight matrices were computed for this run.", width=self.width)
        steps = charts.step_axis(data["step"], width=self.width, scale=self.step_scale)
        strips, norm = [], self._norm(frame)
        for i, (names, rows) in enumerate(groups):
            values = charts.value_axis(rows["value"], "dimensions", height=self.height, log=False, zero=True)
            ends = {"top": i == 0, "bottom": i == len(groups) - 1 and not len(norm)}
            phases = frame.others.get("phases")
            strips.append(charts.step_lines(rows, _lines(names), steps, values, phases=phases, cursor=frame.cursor, name=" and ".join(names), **ends))
        if len(norm):
            values = charts.value_axis(norm["value"], "squared norm of all weights", height=self.norm_height, log=False, zero=True)
            shared = {"phases": frame.others.get("phases"), "cursor": frame.cursor, "top": False, "name": "norm"}
            strips.append(charts.step_lines(norm, {"norm": charts.Line("all")}, steps, values, **shared))
        text = "Participation ratios of the weight matrices, and the squared norm of all weights, over training steps."
        return charts.described(charts.strips(*strips, spacing=26), text)

    def _norm(self, frame: Frame) -> pd.DataFrame:
        """Rows step, series, value: the sum of the squares of all parameters."""
        norms = frame.others.get("weight_norms")
        if norms is None or not len(norms) or not self.norm_height:
            return pd.DataFrame()
        squares = norms.assign(value=norms["frobenius"].astype(float) ** 2).groupby("step", as_index=False)["value"].sum()
        return squares.assign(series="norm")

    def _rows(self, data: pd.DataFrame, names: tuple[str, ...]) -> pd.DataFrame:
        parts = [pd.DataFrame(columns=["step", "series", "value"])]
        for name in names:
            mine = data[data["parameter"].str.endswith(f".{name}") & ~_elsewhere(data["parameter"], self.layer)]
            for column, ratio in RATIOS.items():
                known = mine[["step", column]].dropna()
                parts += [
                    pd.DataFrame({"step": known["step"].astype(int), "series": f"{name} {ratio}", "value": known[column].astype(float)})
                ] * bool(len(known))
        return pd.concat(parts[1:] or parts)


def _elsewhere(parameters: pd.Series, layer: int) -> pd.Series:
    """Whether a parameter belongs to another block than `layer`."""
    return parameters.str.startswith("blocks.") & ~parameters.str.startswith(f"blocks.{layer}.")


def _lines(names: tuple[str, ...]) -> dict[str, charts.Line]:
    dashes = [tuple(dash) or (1, 0) for dash in charts.look()["dash"]]
    tint = {"sigma": charts.colour("ink"), "lambda": charts.colour("muted")}
    return {
        f"{name} {ratio}": charts.Line(f"{name} {GREEK[ratio]}", tint[ratio], dash=dashes[i % len(dashes)])
        for i, name in enumerate(names)
        for ratio in RATIOS.values()
    }
