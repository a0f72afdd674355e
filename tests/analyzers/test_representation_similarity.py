"""`representation_similarity`: closed forms of CKA and SVCCA, a second implementation, the real run."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from curves import table
from hypothesis import given
from hypothesis import strategies as st
from real_run import passed

from strobe import Results
from strobe_analyzers.activation_sample import drawn
from strobe_analyzers.representation_similarity import RepresentationSimilarity
from strobe_analyzers.similarity import leading, linear_cka, mean_correlation, unbiased_cka


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def svcca(x, y, keep=0.99):
    """As the analyzer composes it: mean canonical correlation of the leading singular directions (Raghu et al. 1706.05806)."""
    return mean_correlation(leading(x, keep), leading(y, keep))


def samples(by_step, indices=None):
    """The table of activation_sample for these samples."""
    rows = []
    for step, x in by_step.items():
        known = x is not None
        scale = float(x.abs().max()) or 1.0 if known else None
        stored = (x / scale).half().numpy() if known else None
        index = np.arange(len(x)) if known else None
        rows.append({"step": step, "layer": 0, "site": "resid_post", "reason": None if known else "activations are not finite",
                     "scale": scale, "indices": index if indices is None else indices[step], "sample": stored})  # fmt: skip
    return pd.DataFrame(rows)


def similarity(by_step, indices=None, **settings):
    analyzer = RepresentationSimilarity(**settings)
    return table(analyzer, analyzer.analyze_results(Results(activation_sample=samples(by_step, indices)))).sort_values("step", ignore_index=True)


@pytest.mark.parametrize("cka", [linear_cka, unbiased_cka])
def test_cka_is_1_for_a_rotated_shifted_and_scaled_copy(cka):
    x = normal(30, 6)
    rotation = torch.linalg.qr(normal(6, 6, seed=1)).Q
    assert cka(x, 3 * x @ rotation + 7) == pytest.approx(1, abs=1e-12)
    assert cka(x, x @ normal(6, 6, seed=2)) < 0.98  # not for a general linear map


def test_svcca_is_1_for_any_invertible_map():
    x = normal(30, 6)
    assert svcca(x, x @ normal(6, 6, seed=2) + 1, keep=1) == pytest.approx(1, abs=1e-9)
    assert svcca(x, x) == pytest.approx(1, abs=1e-9)


@given(st.integers(4, 30), st.integers(1, 12), st.integers(1, 12), st.integers(0, 99))
def test_they_equal_their_definitions_by_kernels(n, d, e, seed):
    x, y = normal(n, d, seed=seed), normal(n, e, seed=seed + 100) + 0.3
    centring = torch.eye(n, dtype=torch.float64) - 1 / n
    k, m = (centring @ z @ z.T @ centring for z in (x, y))
    assert linear_cka(x, y) == pytest.approx(float((k * m).sum() / (k.norm() * m.norm())), rel=1e-9)

    def hsic(a, b):
        a, b = (v - torch.diag(v.diag()) for v in (a, b))
        return float((a @ b).trace() + a.sum() * b.sum() / ((n - 1) * (n - 2)) - 2 / (n - 2) * (a @ b).sum())

    k, m = x @ x.T, y @ y.T  # without centring: the unbiased form needs none
    if hsic(k, k) > 1e-6 and hsic(m, m) > 1e-6:
        assert unbiased_cka(x, y) == pytest.approx(hsic(k, m) / (hsic(k, k) * hsic(m, m)) ** 0.5, rel=1e-6, abs=1e-9)


def test_of_unrelated_representations_only_the_unbiased_one_is_0():
    pairs = [(normal(40, 60, seed=i), normal(40, 60, seed=i + 50)) for i in range(20)]
    assert np.mean([linear_cka(x, y) for x, y in pairs]) > 0.5
    assert abs(np.mean([unbiased_cka(x, y) for x, y in pairs])) < 0.02
    assert np.mean([svcca(x, y) for x, y in pairs]) > 0.9  # more directions than half the inputs: it cannot tell


def test_orthogonal_subspaces_have_0():
    q = torch.linalg.qr(normal(20, 7) - normal(20, 7).mean(0)).Q
    x, y = q[:, :3], q[:, 3:6]
    assert linear_cka(x, y) == pytest.approx(0, abs=1e-9)
    assert svcca(x, y, keep=1) == pytest.approx(0, abs=1e-6)


def test_leading_directions_hold_what_they_should():
    x = torch.diag(torch.tensor([10.0, 1, 0.1, 0])).double()
    x = torch.cat([x, -x])  # centred, singular values in proportion 10 : 1 : 0.1
    assert [leading(x, keep).shape[1] for keep in (0.5, 0.99, 0.995, 1.0)] == [1, 1, 2, 3]


def test_every_step_against_the_last_the_previous_and_all():
    x = normal(64, 8)
    rotation = torch.linalg.qr(normal(8, 8, seed=3)).Q
    found = similarity({0: normal(64, 8, seed=9), 10: x, 30: 2 * x @ rotation})
    assert found["cka_last"].tolist() == [pytest.approx(0, abs=0.1), pytest.approx(1, abs=1e-3), pytest.approx(1)]
    assert found["cka_previous"].isna().tolist() == [True, False, False]
    assert found["cka_previous"][2] == pytest.approx(1, abs=1e-3)
    assert found["previous_step"].tolist()[1:] == [0, 10]
    assert found["svcca_last"][1] == pytest.approx(1, abs=1e-3)
    assert abs(found["cka_null"]).max() < 0.2
    assert (found["svcca_null"] > 0.2).all()  # 8 directions in 64 inputs: about sqrt(8/64)
    np.testing.assert_allclose(np.stack(found["cka_all"]), np.stack(found["cka_all"]).T)
    np.testing.assert_allclose(np.stack(found["cka_all"])[:, -1], found["cka_last"], atol=1e-6)


def test_missing_and_constant_activations_have_reasons():
    x = normal(20, 4)
    found = similarity({0: torch.ones(20, 4), 1: None, 2: x, 3: x})
    assert found["reason"].tolist()[:2] == ["the same for every input", "activations are not finite"]
    assert found["cka_last"].isna().tolist() == [True, True, False, False]
    assert found["previous_step"].tolist()[2:] == [0, 2]
    assert np.isnan(found["cka_previous"][2])


def test_samples_of_other_inputs_are_not_compared():
    x = normal(20, 4)
    found = similarity({0: x, 1: x}, indices={0: np.arange(20), 1: np.arange(1, 21)})
    assert found["reason"][0] == "other inputs than at the last step"
    assert found["reason"].isna().tolist() == [False, True]


def test_one_checkpoint_and_none():
    found = similarity({5: normal(20, 4)})
    assert found["cka_last"].tolist() == [pytest.approx(1)]
    assert found["cka_previous"].isna().all()
    assert similarity({5: None})["reason"].tolist() == ["activations are not finite"]


def test_the_real_run():
    """Biased CKA over all 12,769 inputs as in `reference_extra.json`; unbiased over 512 of them within 0.005 of it."""
    sites = {step: passed(step, "resid_post").sites["blocks.0.resid_post"] for step in (4000, 5500, 25000)}
    sites = {step: x.reshape(len(x), -1) for step, x in sites.items()}
    some = drawn(113**2, 512, 0)
    for step, value in ((4000, 0.3907719586770675), (5500, 0.6526968414605939)):
        whole = linear_cka(sites[step], sites[25000])
        assert whole == pytest.approx(value, rel=1e-4)  # float32 forward
        assert unbiased_cka(sites[step][some], sites[25000][some]) == pytest.approx(whole, abs=0.005)
