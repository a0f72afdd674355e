"""What renderers draw with: themes, colours, step axes with events and cursor, labelled lines, maps as images, scenes in three dimensions, words.

Importing it makes the themes `strobe`, `strobe_dark` and `strobe_paper` known to Altair, enables the first unless another theme was chosen, and
lifts Altair's limit of 5,000 rows: so a chart looks the same in a report, a notebook and a file.
"""

from __future__ import annotations

from .colours import OTHER, FrequencyColours, categories, frequency_colours
from .compose import below, beside, layers
from .data import Dataset, dataset, records
from .grids import sorted_grid
from .images import category_url, differences, diverging, heatmap, image_rows, of_differences, png_url, ramp, viridis, whole_pixels
from .lines import LOG_LABEL, Line, ValueAxis, end_labels, room, spread, step_lines, strip, strips, value_axis
from .scene import Line3D, Points3D, Scene3D, project
from .spans import Spans
from .steps import Placed, StepAxis, StepScale, cursor_rows, cursor_rule, event_rules, event_steps, place_labels, step_axis, thin
from .theme import DARK, LABELS, LIGHT, PAPER, WIDTH, active, colour, look, register, style, theme, use
from .words import described, note, number, text_grid

__all__ = [
    "DARK",
    "LABELS",
    "LIGHT",
    "LOG_LABEL",
    "OTHER",
    "PAPER",
    "WIDTH",
    "Dataset",
    "FrequencyColours",
    "Line",
    "Line3D",
    "Placed",
    "Points3D",
    "Scene3D",
    "Spans",
    "StepAxis",
    "StepScale",
    "ValueAxis",
    "active",
    "below",
    "beside",
    "categories",
    "category_url",
    "colour",
    "cursor_rows",
    "cursor_rule",
    "dataset",
    "described",
    "differences",
    "diverging",
    "end_labels",
    "event_rules",
    "event_steps",
    "frequency_colours",
    "heatmap",
    "image_rows",
    "layers",
    "look",
    "note",
    "number",
    "of_differences",
    "place_labels",
    "png_url",
    "project",
    "ramp",
    "records",
    "register",
    "room",
    "sorted_grid",
    "spread",
    "step_axis",
    "step_lines",
    "strip",
    "strips",
    "style",
    "text_grid",
    "theme",
    "thin",
    "use",
    "value_axis",
    "viridis",
    "whole_pixels",
]

register()  # at import, unlike everything else here: a chart must look the same whoever renders it
