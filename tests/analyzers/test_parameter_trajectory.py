"""`parameter_trajectory`: an exact PCA, with signs, groups and null checkpoints."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from strobe import Checkpoints, StrobeError, Weights
from strobe.schema import to_arrow, to_pandas
from strobe_analyzers import parameter_trajectory
from strobe_analyzers.parameter_trajectory import ParameterTrajectory

NAMES = {
    "embed.W_E": (6, 4),
    "pos_embed.W_pos": (3, 4),
    "blocks.0.attn.W_Q": (2, 4, 2),
    "blocks.0.attn.W_O": (2, 2, 4),
    "blocks.0.mlp.W_in": (4, 8),
    "blocks.0.mlp.b_in": (8,),
    "unembed.W_U": (4, 5),
}
MEMBERS = {
    "all": list(NAMES),
    "embedding": ["embed.W_E", "pos_embed.W_pos", "unembed.W_U"],
    "unembedding": ["unembed.W_U"],
    "attention": ["blocks.0.attn.W_Q", "blocks.0.attn.W_O"],
    "mlp": ["blocks.0.mlp.W_in", "blocks.0.mlp.b_in"],
}


@pytest.fixture
def run() -> dict[int, dict[str, torch.Tensor]]:
    """A random walk of seven checkpoints at uneven steps."""
    rng = np.random.default_rng(0)
    steps = [0, 1, 5, 10, 50, 60, 100]
    walks = {name: torch.from_numpy(rng.standard_normal((len(steps), *shape)).cumsum(0)).float() for name, shape in NAMES.items()}
    return {step: {name: walk[i] for name, walk in walks.items()} for i, step in enumerate(steps)}


def table(run, **settings):
    checkpoints = Checkpoints(tuple(run), lambda step: Weights(run[step]))
    return to_pandas(to_arrow(ParameterTrajectory.Row, ParameterTrajectory(**settings).analyze_trajectory(checkpoints)).table)


def coordinates(found, group):
    return found[found.group == group].pivot(index="step", columns="component", values="coordinate").to_numpy(float)


def direct(run, names):
    """The same by a dense SVD of the centred rows: coordinates with the sign rule, and variance shares."""
    rows = np.stack([np.concatenate([weights[name].numpy().ravel() for name in names]) for weights in run.values()]).astype(float)
    u, s, v = np.linalg.svd(rows - rows.mean(0), full_matrices=False)
    n = len(rows) - 1
    signs = np.sign(v[np.arange(n), np.abs(v[:n]).argmax(1)])
    return (u * s)[:, :n] * signs, (s**2 / (s**2).sum())[:n]


@pytest.mark.parametrize("block", [3, 1 << 15])
def test_every_group_is_the_exact_pca_with_positive_largest_loading(run, block, monkeypatch):
    monkeypatch.setattr(parameter_trajectory, "BLOCK", block)
    found = table(run)
    assert found.group.unique().tolist() == list(MEMBERS)
    for group, names in MEMBERS.items():
        expected, shares = direct(run, names)
        np.testing.assert_allclose(coordinates(found, group), expected, atol=1e-9)
        np.testing.assert_allclose(found[(found.group == group) & (found.step == 0)].variance_share, shares, rtol=1e-9)


def test_a_straight_line_has_one_component():
    line = {step: {"W": torch.tensor([[3.0, -4.0]]) * step} for step in (0, 10, 40)}
    found = table(line, groups=("all",))
    np.testing.assert_allclose(found[found.component == 1].coordinate, [250 / 3, 100 / 3, -350 / 3])  # 4 weighs most and must be positive
    assert found[(found.component == 1)].variance_share.tolist() == pytest.approx([1, 1, 1])
    assert found[(found.component == 2)].coordinate.tolist() == pytest.approx([0, 0, 0], abs=1e-5)


def test_components_are_as_many_as_asked_for_or_as_there_are(run):
    assert table(run, components=2).component.unique().tolist() == [1, 2]
    assert table(run).component.max() == 6  # seven points span six dimensions


def test_a_pattern_is_a_group(run):
    pattern = table(run, groups=("unembed.*",))
    np.testing.assert_array_equal(coordinates(pattern, "unembed.*"), coordinates(table(run, groups=("unembedding",)), "unembedding"))


def test_a_pattern_that_matches_nothing_is_an_error(run):
    with pytest.raises(StrobeError, match=r"'blocks.7.*' matches no parameter.*embedding"):
        table(run, groups=("blocks.7.*",))


def test_a_named_group_that_the_model_lacks_is_left_out(run):
    without = {step: {name: w for name, w in weights.items() if ".mlp." not in name} for step, weights in run.items()}
    assert table(without).group.unique().tolist() == ["all", "embedding", "unembedding", "attention"]


def test_a_checkpoint_with_nan_is_null_in_its_groups_and_moves_no_other(run):
    broken = {step: dict(weights) for step, weights in run.items()}
    broken[10]["unembed.W_U"] = torch.full((4, 5), torch.nan)
    found = table(broken)
    assert np.isnan(coordinates(found, "all")[3]).all()
    np.testing.assert_array_equal(coordinates(found, "mlp"), coordinates(table(run), "mlp"))
    kept = coordinates(found, "embedding")[[0, 1, 2, 4, 5, 6]]
    expected, _ = direct({step: weights for step, weights in run.items() if step != 10}, MEMBERS["embedding"])
    np.testing.assert_allclose(kept, expected, atol=1e-9)


def test_frozen_parameters_have_no_shares():
    frozen = {step: {"W": torch.ones(2, 2)} for step in (0, 1, 2)}
    found = table(frozen, groups=("all",))
    assert found.coordinate.tolist() == [0] * 6
    assert found.variance_share.isna().all()


def test_one_checkpoint_has_no_trajectory(run):
    assert len(table({0: run[0]})) == 0


def test_the_result_repeats_bit_by_bit(run):
    assert table(run).coordinate.tolist() == table(run).coordinate.tolist()


def test_gap_weights_are_a_weighted_svd(run):
    """Trapezoid half-gaps: the mean and the variance weigh each checkpoint by the steps that it stands for."""
    steps = np.array(list(run), float)
    weights = np.r_[0, np.diff(steps)] / 2 + np.r_[np.diff(steps), 0] / 2
    weights /= weights.sum()
    rows = np.stack([np.concatenate([w[name].numpy().ravel() for name in MEMBERS["mlp"]]) for w in run.values()]).astype(float)
    centred = rows - weights @ rows
    _, s, v = np.linalg.svd(weights[:, None] ** 0.5 * centred, full_matrices=False)
    signs = np.sign(v[np.arange(6), np.abs(v[:6]).argmax(1)])
    found = table(run, groups=("mlp",), weighting="gap")
    np.testing.assert_allclose(coordinates(found, "mlp"), (centred @ v[:6].T) * signs, atol=1e-9)
    np.testing.assert_allclose(found[found.step == 0].variance_share, (s**2 / (s**2).sum())[:6], rtol=1e-9)


def test_even_gaps_make_no_difference_but_at_the_ends(run):
    doubled = {0: run[0], 1: run[0]} | {step + 1: run[step] for step in list(run)[1:]}
    found = table(doubled, weighting="gap")
    assert (
        found[(found.group == "all") & (found.step == 0)].coordinate.tolist() == found[(found.group == "all") & (found.step == 1)].coordinate.tolist()
    )


def test_gap_weights_of_the_real_run(data):
    """Independent shares of `reference_extra.json`, 43 checkpoints."""
    import pandas as pd

    from strobe_analyzers.paths import components, paths

    found = {path.group: path for path in paths(pd.read_parquet(data / "real_run_products.parquet"))}
    expected = {
        ("all", False): [0.6745315127496482, 0.19253154876793588, 0.056433587204027816, 0.03582783498954156, 0.015757377589903303],
        ("all", True): [0.7530793822025317, 0.12166699434456799, 0.06167381535857325, 0.025098894899854438, 0.013811079930371131],
        ("mlp", True): [0.7466894993295072, 0.12538272829108812, 0.061053293499037195, 0.028650074312290816, 0.013502416778456875],
    }
    for (group, gap), shares in expected.items():
        np.testing.assert_allclose(components(found[group], 5, gap_weighted=gap).shares, shares, rtol=1e-9)
