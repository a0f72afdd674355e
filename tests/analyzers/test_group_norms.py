"""`group_norms` and `regularised_loss`: sums known by hand, and the published run."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from strobe import Results, StrobeError, Weights
from strobe.schema import to_arrow, to_pandas
from strobe_analyzers.group_norms import GroupNorms
from strobe_analyzers.regularised_loss import RegularisedLoss
from strobe_analyzers.weight_norms import WeightNorms
from strobe_families.modular_addition import ModularAddition

FAMILY = ModularAddition(p=5, d_model=8, n_heads=2, d_mlp=6)


def norms(*steps):
    """A `weight_norms` table of the family: every entry of checkpoint i is i + 1."""
    tables = []
    for i, step in enumerate(steps):
        weights = Weights({name: tensor * 0 + i + 1 for name, tensor in FAMILY.initial().items()})
        tables.append(to_pandas(to_arrow(WeightNorms.Row, WeightNorms().analyze_weights(weights)).table).assign(step=step))
    return pd.concat(tables, ignore_index=True)


def grouped(table, **settings):
    return {(row.step, row.group): row for row in GroupNorms(**settings).analyze_results(Results(weight_norms=table))}


def regularised(table, metrics, **settings):
    context = SimpleNamespace(family=FAMILY)
    return list(RegularisedLoss(**settings).analyze_results(Results(weight_norms=table), pd.DataFrame(metrics), context))


def test_groups_hold_the_squares_of_their_parameters():
    sizes = {"all": 0, "embedding": 6 * 8 + 3 * 8 + 8 * 5, "unembedding": 8 * 5, "attention": 4 * 2 * 8 * 4, "mlp": 8 * 6 + 6 + 6 * 8 + 8}
    sizes["all"] = sizes["embedding"] + sizes["attention"] + sizes["mlp"]
    found = grouped(norms(0, 10))
    assert {group: found[0, group].sum_of_squares for group in sizes} == pytest.approx(sizes)
    assert {group: found[10, group].norm for group in sizes} == pytest.approx({group: 2 * n**0.5 for group, n in sizes.items()})


def test_patterns_are_groups_and_unknown_ones_errors():
    assert grouped(norms(0), groups=("blocks.0.mlp.W_in",))[0, "blocks.0.mlp.W_in"].sum_of_squares == pytest.approx(48)
    with pytest.raises(StrobeError, match=r"'mpl' matches no parameter.*mlp"):
        grouped(norms(0), groups=("mpl",))


def test_a_group_that_the_model_lacks_is_left_out():
    table = norms(0)
    assert {group for _, group in grouped(table[~table["parameter"].str.contains("attn")])} == {"all", "embedding", "unembedding", "mlp"}


def test_a_group_with_a_weight_that_is_not_finite_is_null_and_spares_the_others():
    table = norms(0, 1)
    table.loc[(table["parameter"] == "blocks.0.mlp.W_in") & (table["step"] == 1), "frobenius"] = np.nan
    found = grouped(table)
    assert [(found[1, g].norm is None) for g in ("all", "mlp", "attention")] == [True, True, False]
    assert found[0, "all"].norm is not None


def test_the_regularised_loss_by_hand():
    rows = regularised(norms(0, 10), {"step": [0, 5, 10], "train_loss": [2.0, 9.0, 1.0], "test_loss": [3.0, 9.0, None]}, weight_decay=0.1)
    size = 112 + 256 + 110
    assert [row.step for row in rows] == [0, 10]
    assert [row.penalty for row in rows] == pytest.approx([0.05 * size, 0.2 * size])
    assert (rows[0].train, rows[0].test) == pytest.approx((2 + 0.05 * size, 3 + 0.05 * size))
    assert (rows[1].train, rows[1].test) == (pytest.approx(1 + 0.2 * size), None)


def test_the_decay_defaults_to_the_familys_and_is_stored():
    (row,) = regularised(norms(0), {"step": [0], "train_loss": [2.0]})
    assert (row.weight_decay, row.test) == (FAMILY.training().weight_decay, None)
    (row,) = regularised(norms(0), {"step": [0], "train_loss": [2.0]}, weight_decay=0.0)
    assert (row.penalty, row.train) == (0, 2)


def test_weights_that_are_not_finite_and_losses_never_recorded_are_null():
    table = norms(0)
    table.loc[0, "frobenius"] = np.nan
    (row,) = regularised(table, {"step": [0], "train_loss": [2.0]})
    assert (row.sum_of_squares, row.penalty, row.train) == (None, None, None)
    (row,) = regularised(norms(0), {"step": [7], "train_loss": [2.0]})
    assert (row.penalty is not None, row.train) == (True, None)


def test_the_published_run(data):
    folder = data / "progress_measures_wd01"
    reference = json.loads((folder / "reference.json").read_text())
    reference = reference if "spectra" in reference else next(iter(reference.values()))
    weights = Weights.open(folder / "epoch_107791.safetensors")
    table = to_pandas(to_arrow(WeightNorms.Row, WeightNorms().analyze_weights(weights)).table).assign(step=107791)
    assert grouped(table)[107791, "all"].sum_of_squares == pytest.approx(reference["sum_of_squares"], rel=1e-6)
