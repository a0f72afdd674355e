"""`phase_time`: the map by hand, and the delays of ten published curves."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from strobe import Results
from strobe.schema import to_arrow
from strobe_analyzers.phase_time import PhaseTime
from strobe_analyzers.phases import Phases


def rows(metrics, phases=None, **settings):
    if phases is None:
        phases = to_arrow(Phases.Row, Phases().analyze_results(metrics)).table.to_pandas()
    return to_arrow(PhaseTime.Row, PhaseTime(**settings).analyze_results(Results(phases=phases), metrics)).table.to_pandas()


def events(memorised, turn, generalised):
    steps = [memorised, turn, generalised]
    return pd.DataFrame({"event": ["memorised", "turn", "generalised"], "at_step": steps, "interpolated_step": steps}).astype("object")


def test_knots_and_between():
    metrics = pd.DataFrame({"step": [0, 5, 10, 20, 40, 60, 80], "test_loss": 1.0})
    found = rows(metrics, events(10, 20, 40))
    assert found["time"].tolist() == [0, 0.5, 1, 2, 3, 3.5, 4]
    assert set(found["delay"]) == {4.0}
    assert not found["no_delay"].any()


def test_out_of_order_has_no_time_but_a_delay():
    found = rows(pd.DataFrame({"step": [0, 50], "test_loss": 1.0}), events(40, 10, 20))
    assert found["time"].isna().all()
    assert (found["delay"].iloc[0], found["no_delay"].iloc[0]) == (0.5, True)


@pytest.mark.parametrize("missing", [(None, 20, 40), (10, 20, None), (0, 20, 40)])
def test_what_did_not_happen_is_null(missing):
    found = rows(pd.DataFrame({"step": [0, 50], "test_loss": 1.0}), events(*missing))
    assert found["delay"].isna().all()
    assert found["no_delay"].isna().all()


def test_nothing_recorded_is_one_row_of_nulls():
    found = rows(pd.DataFrame(), events(1, 2, 3))
    assert len(found) == 1
    assert found[["step", "time"]].isna().all(axis=None)


DELAY = {0.95: 0.64, 0.9: 0.75, 0.8: 0.78, 0.7: 1.43, 0.6: 2.18, 0.5: 3.51, 0.4: 11.6}


@pytest.mark.parametrize("fraction", [0.95, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.28, 0.25])
def test_published_curves(data, fraction):
    curves = pd.read_parquet(data / "fraction_sweep.parquet").rename(columns={"epoch": "step"})
    found = rows(curves[np.isclose(curves.fraction, fraction)])
    if fraction in DELAY:
        assert found["delay"].iloc[0] == pytest.approx(DELAY[fraction], abs=0.006 if fraction > 0.4 else 0.05)
    assert found["no_delay"].iloc[0] == (fraction >= 0.7)
    known = found["time"].dropna()
    assert not len(known) or (known.is_monotonic_increasing and known.iloc[-1] == 4)
