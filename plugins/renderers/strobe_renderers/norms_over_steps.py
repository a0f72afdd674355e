"""How large the weights are, over training."""

from __future__ import annotations

import altair as alt

from strobe import Frame, Renderer, charts, hookimpl

GROUPS = {"embedding": ("embed.", "pos_embed."), "attention": (".attn.",), "MLP": (".mlp.",), "unembedding": ("unembed.",)}


class NormsOverSteps(Renderer):
    """Norm of the weights over steps, phases marked: the squared norm of all parameters above, the Frobenius norm per group below."""

    consumes = ("weight_norms", "phases")
    over = ("step",)

    width: int = charts.WIDTH
    height: int = 120
    step_scale: charts.StepScale = "sqrt"

    @hookimpl
    def render(self, frame: Frame) -> alt.VConcatChart | alt.Chart:
        known = frame.data.dropna(subset=["frobenius"]) if len(frame.data) else frame.data
        if not len(known):
            return charts.note("No weight norms were computed for this run.", width=self.width)
        squares = known.assign(square=known["frobenius"].astype(float) ** 2, series=known["parameter"].map(group))
        whole = squares.groupby("step", as_index=False)["square"].sum().rename(columns={"square": "value"}).assign(series="all")
        parts = squares.groupby(["step", "series"], as_index=False)["square"].sum().assign(value=lambda t: t["square"] ** 0.5)
        steps = charts.step_axis(known["step"], width=self.width, scale=self.step_scale)
        lines = {n: charts.Line.styled(n, f"group-{n.lower()}") for n in GROUPS} | {"other": charts.Line("other", charts.colour("faint"))}
        lines = {n: line for n, line in lines.items() if (parts["series"] == n).any()}
        shared = {"phases": frame.others.get("phases"), "cursor": frame.cursor}
        above = charts.value_axis(whole["value"], "squared norm of all parameters", height=self.height, log=False, zero=True)
        below = charts.value_axis(parts["value"], "Frobenius norm", height=self.height, log=False, zero=True)
        total = charts.step_lines(whole, {"all": charts.Line("all")}, steps, above, bottom=False, name="squared norm", **shared)
        groups = charts.step_lines(parts, lines, steps, below, top=False, name="norms", **shared)
        return charts.described(
            charts.strips(total, groups, spacing=26), "Squared norm of all parameters and Frobenius norm per group over training steps."
        )


def group(parameter: str) -> str:
    """The group a parameter belongs to; `unembed.` before `embed.`, which it contains."""
    if parameter.startswith("unembed."):
        return "unembedding"
    return next((name for name, marks in GROUPS.items() if any(m in parameter for m in marks)), "other")
