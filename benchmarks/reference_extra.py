"""How each quantity of `reference_extra.json` is read off the tables, at one step; `check_real.py` compares.

A reader takes the tables, a step and what the reference says of it, and yields (quantity, found, expected, tolerance) with, for numbers that may be
near zero, a floor below which the difference counts and not the ratio. Tolerances are relative: 1e-6 where both sides are float64 from the weights,
1e-3 where a float32 forward lies between, and what is said beside it where a quantity is more delicate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

import strobe

EXACT, WEIGHTS, FORWARD = 0.0, 1e-6, 1e-3
GEOMETRY = 1e-4
SMALL_DIRECTIONS = 3e-3
"""Effective rank of activations: float32 rounds what lies in the smallest of 512 directions."""
Found = Iterator[tuple[Any, ...]]

NOT_BUILT_HERE = {
    "cka_resid_post": "similarity of all activations of two steps: a measure of comparisons (activation_sample keeps 512 inputs for it)",
    "flatness": "landscape",
    "hessian": "landscape",
    "llc": "landscape; no reference value, as its own settings say",
}
"""Keys of the reference whose measures are built elsewhere. Of parameter_trajectory: crossings, areas, returns and gap-weighted shares too."""


class Tables:
    """The tables of one run, each read once, by step."""

    def __init__(self, ws: strobe.Workspace, run: str) -> None:
        self.ws, self.run = ws, run
        self.kept: dict[str, dict[Any, pd.DataFrame]] = {}

    def __call__(self, name: str, step: int, **settings: Any) -> pd.DataFrame:
        """The rows of an analyzer at a step."""
        key = f"{name} {settings}"
        if key not in self.kept:
            table = self.ws.table(name, runs=self.run, settings=settings or None)
            self.kept[key] = dict(iter(table.groupby("step")))
        return self.kept[key].get(step, next(iter(self.kept[key].values())).head(0))


def _loss(t: Tables, step: int, expected: Mapping[str, float]) -> Found:
    table, lens = t("loss_and_accuracy", step).set_index("split"), t("logit_lens", step).set_index(["site", "split"])
    yield from (("loss", table["loss"][split], value, FORWARD) for split, value in expected.items())
    yield from (("loss by the lens", lens["loss"]["blocks.0.resid_post", split], value, FORWARD) for split, value in expected.items())


def _accuracy(t: Tables, step: int, expected: Mapping[str, float]) -> Found:
    table = t("loss_and_accuracy", step).set_index("split")
    yield from (("accuracy", table["accuracy"][split], value, FORWARD) for split, value in expected.items())


def _margin(t: Tables, step: int, expected: Mapping[str, float]) -> Found:
    row = t("margins", step).set_index("split").loc["all"]
    yield "logit_margin: min", row["minimum"], expected["min"], 1e-5, 0.1
    yield "logit_margin: mean", row["mean"], expected["mean"], 1e-5, 0.1


def _restricted(keys: str) -> Callable[[Tables, int, Mapping[str, float]], Found]:
    def read(t: Tables, step: int, expected: Mapping[str, float]) -> Found:
        table = t("progress_measures", step, keys=keys).set_index("split")
        yield from ((f"restricted_loss, keys {keys}", table["restricted_loss"][split], value, FORWARD) for split, value in expected.items())

    return read


def _excluded(keys: str) -> Callable[[Tables, int, float], Found]:
    def read(t: Tables, step: int, expected: float) -> Found:
        table = t("progress_measures", step, keys=keys).set_index("split")
        yield f"excluded_loss_train, keys {keys}", table["excluded_loss"]["train"], expected, FORWARD

    return read


def _union(t: Tables, step: int, expected: Mapping[str, Any]) -> Found:
    table = t("progress_measures", step).set_index("split")
    yield from (("restricted_loss, keys union", table["restricted_loss"][split], value, FORWARD) for split, value in expected["restricted"].items())
    yield "excluded_loss_train, keys union", table["excluded_loss"]["train"], expected["excluded_train"], FORWARD
    keys = [str(k) for k in table["key_frequencies"]["train"]]
    yield "union of key frequencies", keys == list(expected["excluded_per_k"]), True, EXACT
    each = dict(zip(keys, table["excluded_by_frequency"]["train"], strict=True))
    yield from (("excluded_loss_train, per frequency", each.get(k, np.nan), value, FORWARD) for k, value in expected["excluded_per_k"].items())


def _keys(rule: str) -> Callable[[Tables, int, Sequence[int]], Found]:
    def read(t: Tables, step: int, expected: Sequence[int]) -> Found:
        table = t("key_frequencies", step, **({} if rule == "W_L" else {"rule": rule}))
        found = table[table["set"] == "own"]["frequencies"].item()
        yield f"key_frequencies, rule {rule}", found.tolist() == list(expected), True, EXACT

    return read


FVE = {"grand": "fve", "class_mean_removed": "fve_class_mean_removed", "input_mean_removed": "fve_input_mean_removed", "both": "fve_both_removed"}


def _fve(keys: str) -> Callable[[Tables, int, Mapping[str, float]], Found]:
    def read(t: Tables, step: int, expected: Mapping[str, float]) -> Found:
        row = t("logit_fourier", step).set_index("keys").loc[keys]
        yield from ((f"logit_fve, keys {keys}", row[ours], expected[theirs], 1e-5, 1e-6) for theirs, ours in FVE.items())

    return read


def _coefficients(t: Tables, step: int, expected: Mapping[str, float]) -> Found:
    found = t("logit_fourier", step).set_index("keys")["coefficients"]["all"]
    yield from (("cos_coefficients", found[int(k) - 1], value, 1e-5, 1.0) for k, value in expected.items())


def _circle(t: Tables, step: int, expected: Mapping[str, Mapping[str, float]]) -> Found:
    rows, spectrum = t("axis_ratio", step), t("dominant_frequencies", step)
    ratios = rows[rows["view"] == "W_E"].set_index("frequency")
    amplitudes = spectrum[spectrum["view"] == "W_E"].set_index(["frequency", "component"])["amplitude"]
    for k, values in expected.items():
        yield from ((f"cos_sin_W_E: {name}", ratios[name][int(k)], values[name], WEIGHTS) for name in ("cos_share", "axis_ratio"))
        yield from ((f"cos_sin_W_E: {name}", amplitudes[int(k), name], values[name], WEIGHTS) for name in ("cos", "sin"))


def _neurons(t: Tables, step: int, expected: Mapping[str, Any]) -> Found:
    one, two = t("neuron_frequency", step), t("neuron_frequency", step, harmonics=2)
    yield "neurons: dead", one["dead"].sum(), expected["dead_max0"], EXACT
    yield "neurons: median fraction", _lower_median(one["fraction"]), expected["median1"], FORWARD
    for name, threshold in (("", 0.85), ("_07", 0.7)):
        held = one[one["fraction"].astype(float) >= threshold]
        clusters = {str(k): n for k, n in held["frequency"].value_counts().items()}
        yield f"neurons: explained at {threshold}", len(held), expected[f"explained1{name}"], EXACT
        yield f"neurons: clusters at {threshold}", clusters == expected[f"clusters1{name}"], True, EXACT
    yield "neurons: on k = 56", _on_the_last(one, expected["best56"]), True, EXACT
    yield "neurons, two harmonics: explained", (two["fraction"].astype(float) >= 0.85).sum(), expected["explained2_5x5_argmax1"], EXACT
    yield "neurons, two harmonics: median fraction", _lower_median(two["fraction"]), expected["median2_5x5"], FORWARD


def _on_the_last(neurons: pd.DataFrame, expected: int) -> bool:
    """Whether so many neurons follow the last frequency. A neuron that answers one single input follows all alike: such ties may go either way."""
    fractions = np.stack(neurons["fractions"].dropna().to_list())
    last, best = fractions[:, -1], fractions[:, :-1].max(1)
    return bool((last > best * (1 + 1e-6)).sum() <= expected <= (last > best * (1 - 1e-6)).sum())


def _lower_median(fractions: pd.Series) -> float:
    """The lower of the two middle values, as torch has it, where their number is even."""
    return float(np.quantile(fractions.dropna().astype(float), 0.5, method="lower"))


def _dormant(split: str) -> Callable[[Tables, int, Mapping[str, int]], Found]:
    def read(t: Tables, step: int, expected: Mapping[str, int]) -> Found:
        row = t("dormant_neurons", step).set_index("split").loc[split]
        for tau, count in expected.items():
            yield f"dormant neurons, {split}", (np.asarray(row["scores"]) <= float(tau)).sum(), count, EXACT
        yield f"dormant neurons, {split}: dead", row["dead"], expected["0"], EXACT
        yield f"dormant neurons, {split}: at the default tau", row["dormant"], expected["0.025"], EXACT

    return read


def _dimension(t: Tables, step: int, expected: Mapping[str, float]) -> Found:
    row = t("activation_rank", step).set_index("site").loc["mlp.post"]
    yield "mlp_post: effective rank", row["effective_rank"], expected["erank"], SMALL_DIRECTIONS
    yield "mlp_post: participation ratio", row["participation_ratio_lambda"], expected["pr_lambda"], 1e-5


def _attention(t: Tables, step: int, expected: Mapping[str, Any]) -> Found:
    maps = t("attention_maps", step).sort_values(["head", "key"])["map"]
    means = zip((m.astype(float).mean() for m in maps), np.ravel(expected["mean"]), strict=True)
    yield from (("attention: mean weight", found, value, FORWARD, 1e-4) for found, value in means)  # of float16 maps, which end at 6e-8
    entropy = t("attention_entropy", step)
    last = entropy[entropy["query"] == entropy["query"].max()].sort_values("head")["normalised"]
    yield from (("attention: entropy", found, value, FORWARD) for found, value in zip(last, expected["entropy"], strict=True))
    heads = t("head_frequency", step).sort_values("head")
    for frequency, fraction, (k, share) in zip(heads["frequency"], heads["fraction"], expected["freq"], strict=True):
        yield "attention: frequency of a head", frequency, k, EXACT
        yield "attention: its fraction", fraction, share, FORWARD


MATRICES = {"W_E": "embed.W_E", "W_pos": "pos_embed.W_pos", "W_U": "unembed.W_U", "W_in": "blocks.0.mlp.W_in", "W_out": "blocks.0.mlp.W_out"}
SPECTRA = {
    "pr_s": "participation_ratio_sigma",
    "pr_l": "participation_ratio_lambda",
    "stable": "stable_rank",
    "erank": "effective_rank",
    "d90": "dims_90",
    "d99": "dims_99",
}


def _matrix(name: str) -> tuple[str, int]:
    """Parameter and head (-1: heads side by side) of `W_in`, `W_Q.3` or `W_O_stack`."""
    short, _, head = name.replace("_stack", "").partition(".")
    return MATRICES.get(short, f"blocks.0.attn.{short}"), int(head) if head else -1


def _by_matrix(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(head=table["head"].fillna(-1).astype(int)).set_index(["parameter", "head"]).sort_index()


def _spectra(t: Tables, step: int, expected: Mapping[str, Mapping[str, float]]) -> Found:
    spectra, gaps = _by_matrix(t("effective_dimensionality", step)), _by_matrix(t("spectral_gap", step))
    for name, values in expected.items():
        row, gap = spectra.loc[_matrix(name)], gaps.loc[_matrix(name)]
        yield from ((f"spectra: {ours}", row[ours], values[theirs], WEIGHTS) for theirs, ours in SPECTRA.items())
        yield "spectra: frobenius", np.linalg.norm(row["singular_values"]), values["fro"], WEIGHTS
        yield "spectra: k of the gap", gap["k"], values["gap_k_le_half"], EXACT
        yield "spectra: gap", gap["gap"], values["gap_max_le_half"], WEIGHTS


def _singular_values(t: Tables, step: int, expected: Mapping[str, Sequence[float]]) -> Found:
    spectra = _by_matrix(t("effective_dimensionality", step))["singular_values"]
    for name, values in expected.items():
        found = spectra[_matrix(name)]
        yield from (("singular values, first 25", found[i], value, WEIGHTS, 1e-6) for i, value in enumerate(values))


SITES = {"mid": "resid_mid", "post": "resid_post", "mlp_post": "mlp.post"}
NUMBERS = {
    "spread": "centre_spread",
    "snr_mean_of_r2": "snr",
    "fisher_mean": "fisher_mean",
    "fisher_min": "fisher_min",
    "class_dim_mean": "class_dimension",
    "circularity": "circularity",
}


def _geometry(t: Tables, step: int, expected: Mapping[str, Mapping[str, Any]]) -> Found:
    rows = t("representation_geometry", step).set_index("site")
    for short, values in expected.items():
        row = rows.loc[SITES[short]]
        yield from ((f"geometry: {ours}", row[ours], values[theirs], GEOMETRY) for theirs, ours in NUMBERS.items())
        yield from ((f"geometry: pc{i + 1}_share", row[f"pc{i + 1}_share"], values["shares"][i], GEOMETRY) for i in range(3))
        if values["shares"][1] >= 1.1 * values["shares"][2]:  # else the plane is arbitrary, and the row says null
            yield "geometry: alignment", row["alignment"], values["alignment"], GEOMETRY
            yield "geometry: frequency of the alignment", row["alignment_frequency"], values["k"], EXACT


def _centroid_frequency(t: Tables, step: int, expected: Mapping[str, Sequence[float]]) -> Found:
    row = t("representation_geometry", step).set_index("site").loc["resid_post"]
    planes = t("centroid_planes", step)
    drawn = planes[planes["site"] == "resid_post"].set_index("frequency")
    for k, (share, ratio) in expected.items():
        yield "centroids: share at k", row["frequency_shares"][int(k) - 1], share, FORWARD
        yield "centroids: axis ratio at k", row["axis_ratios"][int(k) - 1], ratio, FORWARD, 1e-1
        yield "centroid_planes: share", drawn["share"][int(k)], share, FORWARD, 1e-4  # its centroids are float16
        if share > 1e-4:
            yield "centroid_planes: axis ratio", drawn["axis_ratio"][int(k)], ratio, FORWARD, 1.0


HEAD_COARSENESS = {"varpres_aa": "variance_preserved", "grad": "gradient", "grad_over_std": "gradient_over_std"}
NEURON_COARSENESS = {
    "low_.125p_median": "low_frequency_energy",
    "varpres_aa_median": "variance_preserved",
    "grad_median": "gradient",
    "grad_over_std_median": "gradient_over_std",
}


def _coarseness(t: Tables, step: int, expected: Mapping[str, Any]) -> Found:
    table = t("coarseness", step)
    heads, neurons = table[table["kind"] == "head"].set_index("head"), table[(table["kind"] == "neuron") & (table["std"] > 0)]
    for head, values in enumerate(expected["heads"]):
        yield "coarseness of heads: low_frequency_energy", heads["low_frequency_energy"][head], values["low"]["r=.125*p"], GEOMETRY, 1e-2
        yield from ((f"coarseness of heads: {o}", heads[o][head], values[r], GEOMETRY, 1e-2) for r, o in HEAD_COARSENESS.items())
    for theirs, ours in NEURON_COARSENESS.items():
        yield f"coarseness of neurons: median {ours}", neurons[ours].astype(float).median(), expected["neurons"][theirs], GEOMETRY, 1e-2


READERS: Mapping[str, Callable[[Tables, int, Any], Found]] = {
    "loss": _loss,
    "accuracy": _accuracy,
    "logit_margin": _margin,
    "restricted_loss_keys_last": _restricted("last"),
    "excluded_loss_train_keys_last": _excluded("last"),
    "restricted_loss_keys_own": _restricted("own"),
    "excluded_loss_train_keys_own": _excluded("own"),
    "key_frequencies_rule_i": _keys("W_L"),
    "key_frequencies_rule_iii": _keys("W_E"),
    "progress_keys_union": _union,
    "logit_fve_key_last": _fve("last"),
    "logit_fve_all56": _fve("all"),
    "cos_coefficients": _coefficients,
    "cos_sin_W_E": _circle,
    "neurons": _neurons,
    "dormant": _dormant("all"),
    "dormant_train": _dormant("train"),
    "mlp_post_dimension": _dimension,
    "attention": _attention,
    "spectra": _spectra,
    "singular_values_top25": _singular_values,
    "geometry": _geometry,
    "centroid_frequency_resid_post": _centroid_frequency,
    "coarseness": _coarseness,
}
"""Key of the reference -> how one step of it is read."""

ANALYZERS = [
    *["loss_and_accuracy", "logit_lens", "margins", "progress_measures", "key_frequencies", "logit_fourier", "axis_ratio", "dominant_frequencies"],
    *["neuron_frequency", "dormant_neurons", "activation_rank", "attention_maps", "attention_entropy", "head_frequency", "weight_norms"],
    *["effective_dimensionality", "spectral_gap", "representation_geometry", "centroid_planes", "coarseness", "centroid_pca"],
    *["parameter_trajectory", "parameter_velocity", "group_norms", "phases"],
]
SETTINGS: tuple[dict[str, dict[str, Any]], ...] = (
    {"progress_measures": {"keys": "own"}, "neuron_frequency": {"harmonics": 2}},
    {"progress_measures": {"keys": "last"}},
    {"key_frequencies": {"rule": "W_E"}},
)
"""What has to be analyzed besides the defaults."""


def at_steps(t: Tables, reference: Mapping[str, Any]) -> Iterator[tuple[str, int, tuple[Any, ...]]]:
    """(key of the reference, step, what its reader found). Raises `KeyError` for a key that is neither read nor said to be built elsewhere."""
    for key, entry in reference.items():
        if key.startswith("_") or key in NOT_BUILT_HERE or key in ("parameter_trajectory", "progress_measures_wd01"):
            continue
        for step, expected in entry["values"].items():
            yield from ((key, int(step), found) for found in READERS[key](t, int(step), expected))


def trajectory(t: Tables, reference: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, int, tuple[Any, ...]]]:
    """Coordinates, shares, velocities and lengths of each group of parameters."""
    tables = {name: t.ws.table(name, runs=t.run) for name in ("parameter_trajectory", "parameter_velocity", "group_norms")}
    for group, values in reference.items():
        path, speed, norms = (table[table["group"] == group] for table in tables.values())
        by_step, at = path.set_index(["step", "component"]).sort_index(), speed.set_index("step")
        last = int(speed["step"].max())
        for i, share in enumerate(values["shares"]):
            yield "trajectory: variance share", last, ("trajectory: variance share", by_step["variance_share"][last, i + 1], share, WEIGHTS, 1e-3)
        for step, coordinates in values["coords"].items():
            for i, value in enumerate(coordinates):
                found = by_step["coordinate"][int(step), i + 1]
                yield "trajectory", int(step), ("trajectory: coordinate", found, value, WEIGHTS, 1.0)
        for name, column in (("velocity", "velocity"), ("velocity_sqrt", "per_root_gap")):
            yield from (("velocity", int(s), (f"velocity: {column}", at[column][int(s)], v, WEIGHTS)) for s, v in values[name].items())
        turns = dict(zip(speed["step"].astype(int), speed["cosine"].shift(-1), strict=True))
        yield from (("velocity", int(s), ("velocity: cosine of successive moves", turns[int(s)], v, WEIGHTS)) for s, v in values["cos_succ"].items())
        sizes = norms.set_index("step")["norm"]
        yield from (("norm", int(s), ("norm of a group", sizes[int(s)], v, WEIGHTS)) for s, v in values["norm"].items())
        yield "velocity", last, ("velocity: path length", at["path_length"][last], values["path"], WEIGHTS)
        yield from (("velocity", int(s), ("velocity: from the start", at["from_start"][int(s)], v, WEIGHTS)) for s, v in values["dist0"].items() if v)


def published(values: Mapping[str, Any]) -> dict[str, Any]:
    """What the reference says of the published run, under the keys and in the shapes of the other one."""
    progress = {
        "restricted": values["restricted_ref"],
        "excluded_train": values["excluded_ref_train"],
        "excluded_per_k": values["excluded_per_k_train"],
    }
    dimension = {"erank": values["h_erank"], "pr_lambda": values["h_PR_lambda"]}
    attention = {"mean": values["attn"], "entropy": values["attn_entropy_norm"], "freq": values["head_freq"]}
    singular = {name: s["s"] for name, s in values["spectra"].items() if name in ("W_E", "W_in", "W_out", "W_U")}
    return {
        "loss": values["loss"],
        "accuracy": values["acc"],
        "logit_margin": {"min": values["margin_min"], "mean": values["margin_mean"]},
        "key_frequencies_rule_i": values["key_own"],
        "key_frequencies_rule_iii": values["key_iii"],
        "restricted_loss_keys_own": values["restricted_own"],
        "excluded_loss_train_keys_own": values["excluded_own_train"],
        "progress_keys_union": progress,
        "logit_fve_key_last": values["fve_ref_keys"],
        "logit_fve_all56": values["fve_all56"],
        "cos_coefficients": values["cos_coef"],
        "cos_sin_W_E": values["cos_sin"],
        "neurons": values["neurons"],
        "dormant": values["dormant"],
        "dormant_train": values["dormant_train"],
        "mlp_post_dimension": dimension,
        "attention": attention,
        "spectra": values["spectra"],
        "singular_values_top25": singular,
        "geometry": values["geom"],
        "coarseness": {"heads": values["coarse_heads"], "neurons": values["coarse_neurons"]},
    }
