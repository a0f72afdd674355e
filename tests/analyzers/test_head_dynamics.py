"""`head_dynamics`: sequences by hand."""

from __future__ import annotations

import pandas as pd
import pytest

from strobe import Results
from strobe.schema import to_arrow
from strobe_analyzers.head_dynamics import HeadDynamics


def rows(*heads, turn=None, **settings):
    """Per head a list of (frequency, fraction) per step 0, 10, 20, ..., None where it is constant."""
    cells = [
        {"step": 10 * i, "layer": 0, "head": h, "frequency": cell and cell[0], "fraction": cell and cell[1]}
        for h, sequence in enumerate(heads)
        for i, cell in enumerate(sequence)
    ]
    phases = pd.DataFrame({"event": ["turn", "generalised"], "interpolated_step": [turn, None]}).astype({"interpolated_step": "float64"})
    frame = pd.DataFrame(cells).astype({"frequency": "Int64", "fraction": "float64"})
    found = list(HeadDynamics(**settings).analyze_results(Results(head_frequency=frame, phases=phases)))
    to_arrow(HeadDynamics.Row, found)
    return {r.head: r for r in found}


def test_agreeing_and_parting():
    found = rows([None, (4, 0.6), (4, 0.9), (4, 0.9)], [(4, 0.9), (4, 0.4), (4, 0.9), (3, 0.6)], turn=12.5)
    layer = found[None]
    assert layer.followed.tolist() == [1, 1, 1, 2]
    assert (layer.consensus_step, layer.diversification_step) == (20, 30)
    assert (layer.consensus_minus_turn, layer.diversification_minus_turn) == (7.5, 17.5)
    assert layer.consensus_minus_generalised is None
    assert (layer.switches, layer.frequency) == (1, None)
    assert (found[1].switch_steps.tolist(), found[1].switch_lowers.tolist(), found[1].switch_frequencies.tolist()) == ([0, 30], [0, 20], [4, 3])
    assert (found[0].switches, found[0].frequency, found[1].frequency) == (0, 4, 3)


def test_gaps_are_no_switches():
    row = rows([(4, 0.9), (7, 0.2), (4, 0.9)])[0]
    assert (row.switches, row.switch_steps.tolist()) == (0, [0])


def test_heads_that_never_follow_anything():
    found = rows([None, (1, 0.1)], [None, None])
    assert (found[None].consensus_step, found[None].diversification_step, found[None].consensus_minus_turn) == (None,) * 3
    assert (found[0].frequency, found[0].switches, len(found[0].switch_steps)) == (None, 0, 0)


@pytest.mark.parametrize(("threshold", "consensus"), [(0.5, 0), (0.8, 10)])
def test_the_threshold_is_a_setting(threshold, consensus):
    assert rows([(4, 0.6), (4, 0.9)], threshold=threshold)[None].consensus_step == consensus
