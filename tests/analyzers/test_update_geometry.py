"""`update_geometry`: straight lines, right angles, circles, random walks, and the real run."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from curves import checkpoints, products, table

from strobe import Results
from strobe_analyzers.update_geometry import UpdateGeometry


def geometry(run):
    return table(UpdateGeometry(), UpdateGeometry().analyze_results(Results(checkpoint_products=products(run))))


def test_a_straight_line():
    found = geometry(checkpoints(np.outer([0, 1, 3, 7], [3.0, 4]), (0, 10, 20, 50)))
    assert found["distance"].tolist() == pytest.approx([5, 10, 20])
    assert found["cosine"].tolist()[1:] == pytest.approx([1, 1])
    assert np.isnan(found["cosine"][0])
    assert found["from_start"].tolist() == pytest.approx([5, 15, 35])
    assert found["to_last"].tolist() == pytest.approx([30, 20, 0], abs=1e-6)
    assert found["efficiency"].tolist() == pytest.approx([1, 1, 1])


def test_there_and_back():
    found = geometry(checkpoints([[0.0, 0], [2, 0], [2, 2], [0, 2], [0, 0]]))
    assert found["cosine"].tolist()[1:] == pytest.approx([0, 0, 0], abs=1e-12)
    assert found["path_length"].tolist() == pytest.approx([2, 4, 6, 8])
    assert found["efficiency"].iloc[-1] == pytest.approx(0, abs=1e-7)
    assert found["efficiency_null"].tolist() == pytest.approx([1, 2**-0.5, 3**-0.5, 0.5])
    assert geometry(checkpoints([[0.0], [1], [0.5]]))["cosine"].iloc[-1] == pytest.approx(-1)


def test_a_random_walk_is_as_efficient_as_its_null_says():
    walk = np.random.default_rng(0).standard_normal((60, 4000)).cumsum(0)
    found = geometry(checkpoints(walk))
    assert found["efficiency"].iloc[-1] == pytest.approx(found["efficiency_null"].iloc[-1], rel=0.05)
    assert abs(found["cosine"].mean()) < 0.02


def test_what_stands_still_has_nulls():
    found = geometry(checkpoints([[1.0, 2], [1, 2], [1, 3]]))
    assert found["efficiency"].isna().tolist() == [True, False]
    assert found["cosine"].isna().all()


def test_one_and_two_checkpoints():
    assert len(geometry(checkpoints([[1.0]]))) == 0
    assert geometry(checkpoints([[1.0], [3]]))["distance"].tolist() == pytest.approx([2])


def test_two_checkpoints_at_one_place_in_time_do_not_matter():
    assert geometry(checkpoints([[0.0], [1], [3]], (0, 5, 6)))["distance"].tolist() == pytest.approx([1, 2])


def test_the_real_run(data):
    """Independent values of `reference_extra.json`, all 43 checkpoints."""
    found = table(
        UpdateGeometry(), UpdateGeometry().analyze_results(Results(checkpoint_products=pd.read_parquet(data / "real_run_products.parquet")))
    )
    whole = found[found["group"] == "all"].set_index("step")
    assert whole["path_length"].iloc[-1] == pytest.approx(194.62795198098084, rel=1e-9)
    assert whole["efficiency"].iloc[-1] == pytest.approx(0.2494210838947456, rel=1e-9)
    assert whole["from_start"][250] == pytest.approx(38.49442144656228, rel=1e-9)
    assert whole["cosine"][100] == pytest.approx(0.25302020835538175, abs=1e-9)  # the reference dates it at the checkpoint between
    assert whole["cosine"][1500] == pytest.approx(0.6433069488455753, abs=1e-9)
    assert whole["efficiency_null"].iloc[-1] == pytest.approx(0.225, abs=5e-4)  # a random walk would have been nearly as efficient
