"""`function_velocity`: a function that stands still, one that moves by a known amount, and bad input."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from curves import table

from strobe import Results
from strobe_analyzers.function_velocity import FunctionVelocity


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def sampled(by_step, **more):
    rows = []
    for step, x in by_step.items():
        scale = None if x is None else float(x.abs().max())
        values = {"sample": None, "indices": None} if x is None else {"sample": (x / scale).half().numpy(), "indices": np.arange(len(x))}
        rows.append({"step": step, "reason": "not finite" if x is None else None, "scale": scale, **values, **more})
    return pd.DataFrame(rows)


def velocity(sites, logits, **settings):
    analyzer = FunctionVelocity(**settings)
    results = Results(activation_sample=sampled(sites, layer=0, site="resid_post"), logit_sample=sampled(logits))
    found = table(analyzer, analyzer.analyze_results(results))
    return found[found["site"] != "logits"].reset_index(drop=True), found[found["site"] == "logits"].reset_index(drop=True)


X, LOGITS = normal(60, 8), normal(40, 5, seed=1) * 4


def test_rotating_and_scaling_is_standing_still():
    rotation = torch.linalg.qr(normal(8, 8, seed=2)).Q
    site, _ = velocity({0: X, 100: 5 * X @ rotation}, {0: LOGITS})
    assert site["lost"][0] == pytest.approx(0, abs=1e-4)
    still, _ = velocity({0: X, 100: X}, {0: LOGITS})
    assert np.isnan(still["velocity"][0])  # under the rounding of the samples


def test_forgetting_everything_loses_1_over_the_gap():
    site, _ = velocity({0: X, 20: normal(60, 8, seed=7)}, {0: LOGITS})
    assert (site["step"][0], site["previous_step"][0], site["gap"][0]) == (20, 0, 20)
    assert site["lost"][0] == pytest.approx(1, abs=0.1)
    assert site["velocity"][0] == pytest.approx(site["lost"][0] / 20)
    biased, _ = velocity({0: X, 20: normal(60, 8, seed=7)}, {0: LOGITS}, unbiased=False)
    assert biased["lost"][0] < site["lost"][0]


def test_a_known_change_of_the_logits():
    change = torch.tensor([1.0, -1, 1, -1, 0]).double()
    _, found = velocity({0: X}, {0: LOGITS, 50: LOGITS + change, 60: LOGITS + change + 3})
    assert found["logit_change"].tolist() == [pytest.approx(0.8, abs=0.01), pytest.approx(0, abs=0.01)]  # +3 for all is nothing
    assert found["logit_velocity"][0] == pytest.approx(0.8 / 50, abs=3e-4)
    centred = LOGITS + change - (LOGITS + change).mean(1, keepdim=True)
    assert found["relative_change"][0] == pytest.approx(0.8 / float(centred.abs().mean()), rel=0.02)
    assert found["lost"].isna().all()


def test_a_step_without_a_sample_is_bridged():
    site, found = velocity({0: X, 1: None, 2: X}, {0: LOGITS, 1: None, 2: LOGITS})
    assert (site["previous_step"].tolist(), site["step"].tolist(), site["gap"].tolist()) == ([0], [2], [2])
    assert found["gap"].tolist() == [2]


def test_one_checkpoint_has_no_velocity_and_constants_have_nulls():
    site, found = velocity({0: X}, {0: LOGITS})
    assert (len(site), len(found)) == (0, 0)
    site, found = velocity({0: torch.ones(9, 3), 1: torch.ones(9, 3)}, {0: torch.ones(4, 3), 1: torch.ones(4, 3)})
    assert site["lost"].isna().all()
    assert found["relative_change"].isna().all()
