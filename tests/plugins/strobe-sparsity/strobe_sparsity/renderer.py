from __future__ import annotations

import altair as alt

from strobe import Frame, Renderer, hookimpl


class SparsityOverSteps(Renderer):
    """Share of silent MLP activations over training, one line per layer."""

    consumes = "sparsity"
    over = ("step",)

    @hookimpl
    def render(self, frame: Frame) -> alt.Chart:
        y = alt.Y("silent:Q", title="share of silent activations", scale=alt.Scale(domain=[0, 1]))
        return (
            alt.Chart(frame.data, description="Share of silent activations over training steps")
            .mark_line()
            .encode(x=alt.X("step:Q", title="step"), y=y, color="layer:N")
        )
