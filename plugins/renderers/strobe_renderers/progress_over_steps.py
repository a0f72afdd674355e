"""Progress measures: what the network does with its key frequencies alone, and without them."""

from __future__ import annotations

import altair as alt
import numpy as np
import pandas as pd

from strobe import Frame, Renderer, charts, hookimpl


class ProgressOverSteps(Renderer):
    """Above: test loss, restricted loss (key frequencies alone) and excluded train loss (without them). Below: excluded loss per key frequency.

    The excluded loss rises long before the test loss falls: the circuit is being built while nothing shows. Definitions: Nanda et al. 2023, 5.1.
    """

    consumes = ("progress_measures", "key_frequencies", "phases")
    over = ("step",)

    width: int = charts.WIDTH
    height: int = 150
    step_scale: charts.StepScale = "sqrt"

    @hookimpl
    def render(self, frame: Frame) -> alt.VConcatChart | alt.Chart:
        rows = _totals(frame.data) if len(frame.data) else frame.data
        if not len(rows):
            return charts.note("No progress measures were computed for this run.", width=self.width)
        keys = charts.frequency_colours(frame.others.get("key_frequencies"), _key_frequencies(frame.data))
        each = _by_frequency(frame.data)
        steps = charts.step_axis(rows["step"], width=self.width, scale=self.step_scale)
        shared = {"phases": frame.others.get("phases"), "cursor": frame.cursor}
        lines = {"test": charts.Line.styled("test", "test", charts.colour("test_text"))}
        lines |= {n: charts.Line.styled(n, n) for n in ("restricted", "excluded")}
        above = charts.value_axis(rows["value"], "loss, nats", height=self.height)
        below = charts.value_axis(each["value"], "train loss without one frequency, nats", height=self.height)
        total = charts.step_lines(rows, lines, steps, above, bottom=False, name="losses", **shared)
        single = charts.step_lines(each, _lines(each, keys), steps, below, top=False, name="excluded by frequency", **shared)
        return charts.described(
            charts.strips(total, single, spacing=26), "Restricted and excluded loss over training steps, and excluded loss per key frequency."
        )


def _totals(data: pd.DataFrame) -> pd.DataFrame:
    picks = (("test", "test", "full_loss"), ("restricted", "test", "restricted_loss"), ("excluded", "train", "excluded_loss"))
    parts = []
    for series, split, column in picks:
        known = data[data["split"] == split][["step", column]].dropna()
        parts.append(pd.DataFrame({"step": known["step"].astype(int), "series": series, "value": known[column].astype(float)}))
    return pd.concat(parts, ignore_index=True)


def _key_frequencies(data: pd.DataFrame) -> list[int]:
    return sorted({int(k) for keys in data["key_frequencies"] if keys is not None for k in keys})


def _by_frequency(data: pd.DataFrame) -> pd.DataFrame:
    """Excluded train loss per key frequency: rows step, series (the frequency), value."""
    train = data[(data["split"] == "train") & data["key_frequencies"].notna()]
    cells = [
        (int(step), str(int(k)), float(loss))
        for step, keys, losses in zip(train["step"], train["key_frequencies"], train["excluded_by_frequency"], strict=True)
        for k, loss in zip(keys, np.asarray(losses), strict=True)
    ]
    return pd.DataFrame(cells, columns=["step", "series", "value"])


def _lines(each: pd.DataFrame, keys: charts.FrequencyColours) -> dict[str, charts.Line]:
    fills, words = (dict(zip(s.domain, s.range, strict=True)) for s in (keys.scale(), keys.text_scale()))
    names = sorted(set(each["series"]), key=int)
    return {k: charts.Line(f"k {k}", fills[keys.group(int(k))], words[keys.group(int(k))]) for k in names}
