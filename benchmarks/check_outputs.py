"""Reference values of margins and logit spectra of a real run: `python benchmarks/check_outputs.py WORKSPACE DATA [RUN]`.

DATA is the folder of the run with reference_extra.json; WORKSPACE holds its analyzed import. Every checkpoint is compared; a float32 forward lies in
between, so 1e-5 relative (of a margin: to at least 0.1 logits; of a share: to at least 1e-6). Exits with 1 when a value is further off.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import strobe

TOLERANCE = 1e-5
FVE = {"grand": "fve", "class_mean_removed": "fve_class_mean_removed", "input_mean_removed": "fve_input_mean_removed", "both": "fve_both_removed"}
Compared = Iterator[tuple[str, float, float, float]]
"""(quantity, found, expected, floor)."""


def compare(ws: strobe.Workspace, run: str, reference: dict[str, Any]) -> Compared:
    yield from _margins(ws, run, reference["logit_margin"]["values"])
    fourier = ws.table("logit_fourier", runs=[run])
    for keys, name in (("last", "logit_fve_key_last"), ("all", "logit_fve_all56")):
        rows = fourier[fourier["keys"] == keys].set_index("step")
        for step, values in reference[name]["values"].items():
            yield from ((f"{name}: {ours}", rows[ours][int(step)], values[theirs], 1e-6) for theirs, ours in FVE.items())
    rows = fourier[fourier["keys"] == "all"].set_index("step")
    for step, values in reference["cos_coefficients"]["values"].items():
        yield from (("cos_coefficients", rows["coefficients"][int(step)][int(k) - 1], c, 1.0) for k, c in values.items())
    yield from _lens(ws, run, reference["loss"]["values"])


def _margins(ws: strobe.Workspace, run: str, reference: dict[str, Any]) -> Compared:
    table = ws.table("margins", runs=[run])
    rows = table[table["split"] == "all"].set_index("step")
    for step, values in reference.items():
        yield "logit_margin: min", rows["minimum"][int(step)], values["min"], 0.1
        yield "logit_margin: mean", rows["mean"][int(step)], values["mean"], 0.1


def _lens(ws: strobe.Workspace, run: str, reference: dict[str, Any]) -> Compared:
    """The lens at the last site is the model: its loss is the model's."""
    table = ws.table("logit_lens", runs=[run])
    rows = table[table["site"] == "blocks.0.resid_post"].set_index(["step", "split"])["loss"]
    for step, values in reference.items():
        yield from (("loss, by the lens", rows[int(step), split], value, 1e-12) for split, value in values.items())


def main(workspace: str, data: str, run: str = "modadd_p113_seed999") -> int:
    reference = json.loads((Path(data) / "reference_extra.json").read_text("utf-8"))
    worst: dict[str, tuple[float, int]] = {}
    for quantity, found, expected, floor in compare(strobe.Workspace(workspace), run, reference):
        error = abs(float(found) - expected) / max(abs(expected), floor)
        before, many = worst.get(quantity, (0.0, 0))
        worst[quantity] = (error if error != error else max(before, error), many + 1)
    for quantity, (error, many) in worst.items():
        print(f"{'ok  ' if error <= TOLERANCE else 'DIFF'}  {quantity:<44} {many:>4} values, worst relative error {error:.1e}")
    return 0 if all(error <= TOLERANCE for error, _ in worst.values()) else 1


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
