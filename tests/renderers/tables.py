"""Synthetic tables with the columns of the built-in analyzers, for any modulus."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from strobe import Frame, Renderer, Results
from strobe.renderer import bind
from strobe.schema import Column, TableSchema
from strobe_analyzers.neuron_timeline import NeuronTimeline

STEPS = (0, 100, 500, 2000, 3000)


class Family(NamedTuple):
    p: int
    loss_unit: str = "nats"


def tables(p: int, *, neurons: int = 32, heads: int = 4) -> dict[str, pd.DataFrame]:
    """Every table, over `STEPS`, from seeded noise; the key frequencies are 1 and the largest."""
    rng = np.random.default_rng(p)
    n_k = (p - 1) // 2
    keys = np.unique([1, n_k])
    return {
        "metrics": _metrics(),
        "phases": _phases(),
        "dominant_frequencies": pd.DataFrame([row for s in STEPS for row in _spectrum(s, n_k, rng, heads)]),
        **_commitments(pd.DataFrame([_neuron(s, n, n_k, rng) for s in STEPS for n in range(neurons)])),
        "cohort_norms": pd.DataFrame([_cohort(s, int(k)) for k in keys for s in STEPS]),
        "loss_slope": pd.DataFrame([{"signal": f"{n}_loss", "step": s, "slope": 0.1 - s / 100} for n in ("train", "test") for s in STEPS]),
        "activation_maps": pd.DataFrame(
            [{"step": s, "layer": 0, "neuron": n, "map": rng.random((min(p, 28),) * 2)} for s in STEPS for n in range(3)]
        ),
        "full_activation_maps": pd.DataFrame(
            [{"step": s, "layer": 0, "neuron": n, "map": rng.random((p, p)), "scale": 1.0} for s in STEPS for n in (1, 2)]
        ),
        **_neurons(neurons, n_k),
        **_heads(heads, p, rng),
        "attention_maps": pd.DataFrame([row for s in STEPS for row in _attention(s, p, heads, rng)]),
        "head_frequency": pd.DataFrame([_head(s, h, n_k, rng) for s in STEPS for h in range(heads)]),
        "effective_dimensionality": pd.DataFrame([row for s in STEPS for row in _spectra(s, rng)]),
        "weight_norms": pd.DataFrame(
            [{"step": s, "parameter": n, "frobenius": rng.random() + 1, "spectral": 1.0, "max_abs": 1.0} for s in STEPS for n in NAMES]
        ),
        "progress_measures": pd.DataFrame([row for s in STEPS for row in _progress(s, keys, rng)]),
        "loss_and_accuracy": pd.DataFrame(
            [{"step": s, "split": n, "accuracy": s / 3000, "loss": 1 / (s + 1)} for s in STEPS for n in ("train", "test", "all")]
        ),
        "key_frequencies": _keys(keys, n_k),
        "axis_ratio": pd.DataFrame([row for s in STEPS for row in _axis_ratios(s, n_k, rng, heads)]),
        "spectral_gap": pd.DataFrame([row for s in STEPS for row in _gaps(s, rng)]),
        "circuits": pd.DataFrame([_circuit(s, c, h, rng) for s in STEPS for c in ("OV", "QK") for h in range(heads)]),
        "query_frequency": pd.DataFrame([_query(s, h, key, p, rng) for s in STEPS for h in range(heads) for key in (0, 1)]),
        "attention_entropy": pd.DataFrame([row for s in STEPS for row in _entropies(s, heads, rng)]),
        "centroid_planes": pd.DataFrame([_plane(s, int(k), p, rng) for s in STEPS for k in keys]),
        "representation_geometry": pd.DataFrame([_geometry(s, site, n_k, rng) for s in STEPS for site in ("resid_pre", "resid_post")]),
        "coarseness": pd.DataFrame([_coarseness(s, kind, i, rng) for s in STEPS for kind, n in (("neuron", 9), ("head", heads)) for i in range(n)]),
        "dormant_neurons": pd.DataFrame([row for s in STEPS for row in _dormant(s, rng)]),
        "parameter_trajectory": pd.DataFrame([row for i, s in enumerate(STEPS) for row in _path(i, s)]),
        "margins": pd.DataFrame(
            [{"step": s, "split": "all", "minimum": s / 300 - 5, "p01": s / 300 - 3, "median": s / 200, "maximum": s / 150} for s in STEPS]
        ),
        "input_trace": pd.DataFrame([_trace(s, p, rng) for s in STEPS]),
        "ablation": pd.DataFrame([row for s in STEPS for row in _ablation(s, keys, heads, rng)]).astype({"frequency": "Int64", "head": "Int64"}),
        "events": _events(),
        "representation_similarity": _similarity(rng),
        "function_velocity": _function_velocity(rng),
        "trajectory_loops": _loops(),
        "dimensionality_threshold": _dates(),
        "run_summary": _runs(rng),
        "anomalies": _anomalies(),
        "shared_trajectory": pd.DataFrame(
            [row | {"run": r} for j, r in enumerate(("r", "r1")) for i, s in enumerate(STEPS) for row in _path(i + j, s)]
        ),
        "run_groups": _groups(),
        "parameter_pca": pd.DataFrame([_cloud(s, p, rng) for s in STEPS]),
        "turn_predictors": _predictors(),
        "run_correlations": pd.DataFrame([{"x": "turn", "y": "generalised", "runs": 5, "rho": 0.9, "low": 0.5, "high": 1.0, "excludes_zero": True}]),
        **_landscape(rng),
        "parameter_velocity": pd.DataFrame(
            [
                {"group": g, "step": s, "previous_step": 0, "velocity": rng.random() / s}
                for s in STEPS[1:]
                for g in ("all", "embedding", "attention", "mlp")
            ]
        ),
    }


NAMES = (
    "embed.W_E",
    "pos_embed.W_pos",
    "blocks.0.attn.W_Q",
    "blocks.0.mlp.W_in",
    "blocks.0.mlp.b_in",
    "blocks.0.mlp.W_out",
    "unembed.W_U",
    "odd.thing",
)


def _neurons(neurons: int, n_k: int) -> dict[str, pd.DataFrame]:
    known = [{"layer": 0, "neuron": n, "frequency": n % n_k + 1, "switches": float(n % 3), "commitment_step": 2000.0} for n in range(neurons)]
    grouped = [{"step": 3000, "layer": 0, "neuron": n, "cluster": n % 4, "representative": n < 4} for n in range(neurons)]
    return {"neuron_dynamics": pd.DataFrame(known), "neuron_profiles": pd.DataFrame(grouped)}


def _heads(heads: int, p: int, rng: np.random.Generator) -> dict[str, pd.DataFrame]:
    at = [{"step": s, "layer": 0, "head": h} for s in STEPS for h in range(heads)]
    scores = [{**place, "pattern": name, "score": 0.2 * place["head"]} for place in at for name in ("previous_token", "induction")]
    labels = [{**place, "label": "leaning", "frequency": 1, "fraction": 0.4, "since": 500.0} for place in at]
    shares = {"shares": np.array([0.4, 0.3, 0.1])}
    own = [{"step": s, "layer": 0, "site": "resid_post", "frame": "own", **shares, "coordinates": rng.standard_normal((p, 3))} for s in STEPS]
    return {"head_scores": pd.DataFrame(scores), "head_labels": pd.DataFrame(labels), "centroid_pca": pd.DataFrame(own)}


def _metrics() -> pd.DataFrame:
    step = np.arange(0, 3001, 10)
    frame = pd.DataFrame({"step": step, "train_loss": 5 * np.exp(-step / 200) + 1e-7})
    for column, values in (("test_loss", 9 / (1 + step)), ("train_accuracy", np.minimum(step / 300, 1)), ("test_accuracy", step / 3000)):
        frame[column] = np.where(step % 50 == 0, values, np.nan)
    return frame


def _phases() -> pd.DataFrame:
    found = [("memorised", 130), ("peak", 260), ("turn", 1500), ("generalised", 1600), ("accurate", 1590), ("regress", None)]
    rows = [
        {"signal": "loss", "event": e, "at_step": s, "interpolated_step": s, "lower": s, "upper": s and s + 10, "value": s and 0.1} for e, s in found
    ]
    return pd.DataFrame(rows).astype({"at_step": "Int64", "interpolated_step": "float64", "lower": "Int64", "upper": "Int64", "value": "float64"})


def _spectrum(step: int, n_k: int, rng: np.random.Generator, heads: int) -> list[dict[str, Any]]:
    rows = []
    for view, head in [("W_E", None), ("W_U", None), ("W_L", None), *(("W_E.W_V.W_O", h) for h in range(heads))]:
        share = rng.dirichlet(np.ones(2 * n_k))
        labels = [(c, k) for k in range(1, n_k + 1) for c in ("cos", "sin")]
        rows += [{"step": step, "view": view, "head": head, "component": "const", "frequency": 0, "amplitude": 1.0, "share": None}]
        rows += [
            {"step": step, "view": view, "head": head, "component": c, "frequency": k, "amplitude": s**0.5, "share": s}
            for (c, k), s in zip(labels, share, strict=True)
        ]
    return rows


def _neuron(step: int, neuron: int, n_k: int, rng: np.random.Generator) -> dict[str, Any]:
    if neuron % 7 == 0:
        return {"step": step, "layer": 0, "neuron": neuron, "frequency": None, "fraction": None, "fractions": None, "dead": step == 0}
    share = rng.dirichlet(np.ones(n_k) * (0.02 if step > 1000 else 1))
    return {
        "step": step,
        "layer": 0,
        "neuron": neuron,
        "frequency": int(share.argmax()) + 1,
        "fraction": share.max(),
        "fractions": share,
        "dead": False,
    }


def _commitments(neurons: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The table of neurons and, made of it as the analyzer does, the small one of all of training."""
    rows = NeuronTimeline().analyze_results(Results(neuron_frequency=neurons))
    return {"neuron_frequency": neurons, "neuron_timeline": pd.DataFrame([row.model_dump() for row in rows])}


def _cohort(step: int, k: int) -> dict[str, Any]:
    lost = k == 1 and step == STEPS[-1]
    return {
        "layer": 0,
        "frequency": k,
        "step": step,
        "members": 9,
        "members_step": 500,
        "norm": 0.1 if lost else 1.0,
        "change": -0.9 if lost else 0.0,
    }


def _head(step: int, head: int, n_k: int, rng: np.random.Generator) -> dict[str, Any]:
    share = rng.dirichlet(np.ones(n_k) * 0.2)
    return {"step": step, "layer": 0, "head": head, "frequency": int(share.argmax()) + 1, "fraction": share.max(), "fractions": share}


def _attention(step: int, p: int, heads: int, rng: np.random.Generator) -> list[dict[str, Any]]:
    return [
        {"step": step, "layer": 0, "head": h, "query": 2, "key": k, "map": rng.random((p, p)).astype("float16")}
        for h in range(heads)
        for k in range(3)
    ]


def _spectra(step: int, rng: np.random.Generator) -> list[dict[str, Any]]:
    rows = []
    for name, head in [
        ("embed.W_E", None),
        ("blocks.0.attn.W_Q", None),
        ("blocks.0.attn.W_Q", 0),
        ("blocks.0.mlp.W_in", None),
        ("blocks.0.mlp.W_out", None),
        ("unembed.W_U", None),
    ]:
        s = np.sort(rng.random(6))[::-1]
        sigma, lambda_ = s.sum() ** 2 / (s**2).sum(), (s**2).sum() ** 2 / (s**4).sum()
        rows.append(
            {
                "step": step,
                "parameter": name,
                "head": head,
                "participation_ratio_sigma": sigma,
                "participation_ratio_lambda": lambda_,
                "singular_values": s,
            }
        )
    return rows


def _progress(step: int, keys: np.ndarray, rng: np.random.Generator) -> list[dict[str, Any]]:
    losses = lambda: 10.0 ** rng.uniform(-6, 1)  # noqa: E731
    return [
        {"step": step, "split": s, "keys": "union", "full_loss": losses(), "restricted_loss": losses(), "excluded_loss": losses(),
         "excluded_by_frequency": rng.random(len(keys)), "key_frequencies": keys, "n_keys": len(keys)}
        for s in ("train", "test", "all")
    ]  # fmt: skip


def _keys(keys: np.ndarray, n_k: int) -> pd.DataFrame:
    own = [{"set": "own", "step": s, "frequencies": np.arange(1, n_k + 1) if s < 500 else keys} for s in STEPS]
    rows = [*own, {"set": "last", "step": None, "frequencies": keys[:1]}, {"set": "union", "step": None, "frequencies": keys}]
    return pd.DataFrame([{**r, "n_keys": len(r["frequencies"]), "flag": None} for r in rows]).astype({"step": "Int64"})


def _path(i: int, step: int) -> list[dict[str, Any]]:
    return [
        {"group": g, "step": step, "component": c, "coordinate": np.cos((i + 1) * c), "variance_share": 0.6 / c}
        for g in ("all", "mlp")
        for c in (1, 2, 3)
    ]


def _axis_ratios(step: int, n_k: int, rng: np.random.Generator, heads: int) -> list[dict[str, Any]]:
    views = [("W_E", None), ("W_U", None), ("W_L", None), *(("W_O.W_U", h) for h in range(heads))]
    return [
        {"step": step, "view": view, "head": head, "frequency": k, "axis_ratio": None if step == 0 and k == 2 else rng.random(), "cos_share": 0.5}
        for view, head in views
        for k in range(1, n_k + 1)
    ]


def _gaps(step: int, rng: np.random.Generator) -> list[dict[str, Any]]:
    numbers = lambda: {"top_over_rest": rng.random(), "top_growth": None if step == 0 else 0.1, "rest_growth": None if step == 0 else -0.1}  # noqa: E731
    known = [n for n in NAMES if ".W_" in n]
    whole = [{"step": step, "parameter": n, "head": None, "k": int(rng.integers(1, 10)), "gap": 1 + 9 * rng.random(), **numbers()} for n in known]
    return [*whole, {"step": step, "parameter": "blocks.0.attn.W_Q", "head": 0, "k": None, "gap": None, **numbers()}]


def _circuit(step: int, circuit: str, head: int, rng: np.random.Generator) -> dict[str, Any]:
    if step == 0 and head == 1:
        empty = dict.fromkeys(("score", "singular_values", "eigenvalues_real", "eigenvalues_imag"))
        return {"step": step, "circuit": circuit, "layer": 0, "head": head, **empty, "reason": "weights are not finite"}
    real, imaginary = rng.standard_normal((2, 8))
    size = np.hypot(real, imaginary)
    values = {"singular_values": np.sort(size)[::-1], "eigenvalues_real": real, "eigenvalues_imag": imaginary}
    return {"step": step, "circuit": circuit, "layer": 0, "head": head, "score": float(real.sum() / size.sum()), **values, "reason": None}


def _query(step: int, head: int, key: int, p: int, rng: np.random.Generator) -> dict[str, Any]:
    scores, n_k = rng.standard_normal(p), (p - 1) // 2
    shares = rng.dirichlet(np.ones(n_k) * 0.2)
    told = {"frequency": int(shares.argmax()) + 1, "share": shares.max(), "mean": 0.5, "deviation": 1.0, "scores": scores, "shares": shares}
    return {"step": step, "layer": 0, "head": head, "key": key, **told}


def _entropies(step: int, heads: int, rng: np.random.Generator) -> list[dict[str, Any]]:
    values = lambda n: {"entropy": np.log(n) * (share := rng.random()), "normalised": share, "keys": n}  # noqa: E731
    return [{"step": step, "layer": 0, "head": h, "query": q, **values(q + 1)} for h in range(heads) for q in (1, 2)]


def _plane(step: int, k: int, p: int, rng: np.random.Generator) -> dict[str, Any]:
    angle = 2 * np.pi * k * np.arange(p) / p
    places = (1 + step) * np.stack([np.cos(angle), 0.5 * np.sin(angle)], 1) + rng.standard_normal((p, 2))
    share = 0.001 if step == 0 else rng.random()
    return {"step": step, "layer": 0, "site": "resid_post", "frequency": k, "share": share, "axis_ratio": 0.5, "coordinates": places}


def _geometry(step: int, site: str, n_k: int, rng: np.random.Generator) -> dict[str, Any]:
    known = site == "resid_post"
    numbers = {"snr": rng.random(), "alignment": None if step == 500 else rng.random(), "alignment_null_95": 0.07}
    arrays = {"frequency_shares": rng.dirichlet(np.ones(n_k)), "axis_ratios": rng.random(n_k)}
    measured = {name: value if known else None for name, value in (numbers | arrays).items()}
    return {"step": step, "layer": 0, "site": site, "reason": None if known else "the same vector for every input", **measured}


def _coarseness(step: int, kind: str, i: int, rng: np.random.Generator) -> dict[str, Any]:
    constant = kind == "neuron" and i == 0
    shares = dict.fromkeys(("low_frequency_energy", "variance_preserved", "gradient_over_std"), None if constant else rng.random())
    unit = {"neuron": i if kind == "neuron" else None, "head": i if kind == "head" else None}
    return {"step": step, "layer": 0, "kind": kind, **unit, **shares, "gradient": 0.1, "std": 0.2}


def _dormant(step: int, rng: np.random.Generator) -> list[dict[str, Any]]:
    counts = lambda: {"neurons": 32, "dormant": int(rng.integers(0, 9)), "dead": int(rng.integers(0, 3))}  # noqa: E731
    return [{"step": step, "layer": 0, "split": split, **counts()} for split in ("train", "all")]


def _trace(step: int, p: int, rng: np.random.Generator) -> dict[str, Any]:
    wrong = rng.random(p * p) > step / 3000
    margin, confidence = np.where(wrong, -1.0, 1.0) * rng.random(p * p), rng.random(p * p).astype("float16")
    return {
        "step": step,
        "correct": int((~wrong).sum()),
        "rank": wrong.astype("uint16"),
        "margin": margin.astype("float16"),
        "confidence": confidence,
    }


def _ablation(step: int, keys: np.ndarray, heads: int, rng: np.random.Generator) -> list[dict[str, Any]]:
    parts = [("cluster", int(k), None, 7) for k in keys] + [("committed", None, None, 14)] + [("head", None, h, None) for h in range(heads)]
    return [
        {"step": step, "part": part, "frequency": k, "head": h, "neurons": n, "split": "test", "loss": rng.random(), "full_loss": 1e-3, "inputs": 9}
        for part, k, h, n in parts
    ]


def _events() -> pd.DataFrame:
    found = [
        ("memorised", "train_loss", 130, 120, 130),
        ("cohort pruned", "neurons of k 3", 2000, 500, 2000),
        ("turning point", "PC1", 500, 100, 2000),
    ]
    return pd.DataFrame(
        [{"event": e, "subject": s, "at_step": u, "interpolated_step": float(u), "lower": a, "upper": b, "detail": ""} for e, s, u, a, b in found]
    )


def _similarity(rng: np.random.Generator) -> pd.DataFrame:
    n, names = len(STEPS), ("cka_last", "cka_previous", "svcca_last", "svcca_previous", "cka_null", "svcca_null")
    rows = [{"layer": 0, "step": s, **{name: rng.random() for name in names}, "cka_all": rng.random(n)} for s in STEPS]
    return pd.DataFrame([rows[0] | {"cka_previous": None, "svcca_previous": None}, *rows[1:]]).astype(
        {"cka_previous": float, "svcca_previous": float}
    )


def _function_velocity(rng: np.random.Generator) -> pd.DataFrame:
    sites = [{"layer": 0, "site": "resid_post", "step": s, "velocity": rng.random() / s, "logit_velocity": None} for s in STEPS[1:]]
    logits = [{"layer": None, "site": "logits", "step": s, "velocity": None, "logit_velocity": rng.random()} for s in STEPS[1:]]
    return pd.DataFrame([*sites, *logits]).astype({"velocity": float, "logit_velocity": float, "layer": "Int64"})


def _loops() -> pd.DataFrame:
    counts = {"crossings": 0, "crossings_gap_weighted": 1, "crossings_robust": 0, "null_crossing_rate": 0.0, "null_gap_weighted_rate": 1.0}
    more = {"reading": "none", "closest": 0.3, "closest_null": 0.1}
    planes = [(g, x, y) for g in ("all", "mlp") for x, y in ((1, 2), (2, 3))]
    return pd.DataFrame([{"group": g, "x": x, "y": y, **counts, **more, "crossing_distances": np.array([0.85] * (y - 2))} for g, x, y in planes])


def _dates() -> pd.DataFrame:
    rows = [
        {
            "parameter": n,
            "ratio": r,
            "level": level,
            "interpolated_step": 2000.0 + i,
            "lower": 500.0,
            "upper": 2000.0,
            "at_step": 2000.0,
            "minus_turn": 9.0,
        }
        for i, n in enumerate(("embed.W_E", "blocks.0.mlp.W_in"))
        for r in ("sigma", "lambda")
        for level in (30.0, 25.0)
    ]
    return pd.DataFrame([*rows, {"parameter": "unembed.W_U", "ratio": "sigma", "level": 30.0}])


def _runs(rng: np.random.Generator) -> pd.DataFrame:
    names = ("memorised", "turn", "generalised", "delay", "final_test_loss")
    runs = [
        {"run": r, "varying": f"seed={i}", **{n: rng.random() * 10**i for n in names}, "key_frequencies": "1, 2"}
        for i, r in enumerate(("r", "r1", "r2"))
    ]
    return pd.DataFrame([*runs, {"run": "dead", "varying": "seed=9", "key_frequencies": None}])


def _anomalies() -> pd.DataFrame:
    lost = {"run": "r1", "column": "n_lost", "anomalous": True, "rank": 1, "z": 8.0, "value": 1.0, "null_rate": 0.0, "why": "1 is above its 5 peers"}
    turn = lost | {"run": "r", "column": "turn", "anomalous": False, "rank": 1, "z": -0.5, "why": "in line"}
    nothing = {"anomalous": False, "z": None, "rank": None, "value": None, "null_rate": None, "why": "has none"}
    missing = lost | nothing | {"column": "generalised", "anomalous": True, "why": "has none; all 5 peers do"}
    return pd.DataFrame([lost, turn, missing, turn | nothing]).astype({"z": float, "rank": "Int64", "value": float, "null_rate": float})


def _groups() -> pd.DataFrame:
    more = {"runs": 6, "known": 6, "deviation": 90.0, "low": 800.0, "high": 1100.0, "kind": "consistent", "between": 0.8, "between_null": 0.3}
    groups = (("all", "all"), ("fraction", "0.5"), ("fraction", "0.7"))
    rows = [{"parameter": n, "group": g, "column": c, "mean": 900.0 + i, **more} for n, g in groups for i, c in enumerate(("turn", "generalised"))]
    return pd.DataFrame([*rows, rows[0] | {"column": "n_keys", "mean": None}])


def _cloud(step: int, p: int, rng: np.random.Generator) -> dict[str, Any]:
    places = {name: rng.standard_normal(p) for name in ("first", "second", "third")}
    return {"step": step, "parameter": "embed.W_E", "points": p, "first_share": 0.5, "shares": np.array([0.5, 0.3, 0.1]), **places}


def _predictors() -> pd.DataFrame:
    date = {"onset": 500.0, "half": 1400.0, "half_lower": 500, "half_upper": 2000, "half_minus_turn": -100.0, "order": "around"}
    pairs = [(n, s) for n in ("blocks.0.mlp.W_in", "unembed.W_U") for s in ("participation_ratio_sigma", "spectral_gap")]
    rows = [{"parameter": n, "signal": s, **date} for n, s in pairs]
    return pd.DataFrame([*rows, {"parameter": "embed.W_E", "signal": "stable_rank"}])


UNITS = {"participation_ratio_sigma": "1", "participation_ratio_lambda": "1", "full_loss": "nats"}


def schema(data: pd.DataFrame) -> TableSchema:
    """A schema as an analyzer would have declared it: floats are metrics, arrays are arrays, the rest dimensions."""
    columns = {}
    for name, values in data.items():
        arrays = any(isinstance(v, np.ndarray) for v in values)
        kind = "array" if arrays else "metric" if values.dtype.kind == "f" and name not in ("step", "head") else "dim"
        type_ = "float64" if kind != "dim" else "string" if values.dtype == object or str(values.dtype).startswith("str") else "int64"
        columns[str(name)] = Column(str(name), kind, f"the {name}", type_, unit=UNITS.get(str(name), "1"))
    return TableSchema(columns)


def frame(renderer: type[Renderer], all_tables: dict[str, pd.DataFrame], step: int, p: int, table: str = "effective_dimensionality") -> Frame:
    """What the workspace hands a renderer: its table cut at the cursor, the others whole."""
    name, *others = renderer.tables() or (table,)
    cursor = {"run": "r", "step": step, "layer": 0, "neuron": 1}
    whole = all_tables[name]
    data = whole if "step" in renderer.over or "step" not in whole else whole[whole["step"] == step]
    for c in renderer.at:
        data = data[data[c] == cursor[c]]
    known = schema(whole)
    return Frame(data.reset_index(drop=True), known, bind(renderer.slots, known) or {}, {n: all_tables[n] for n in others}, Family(p), cursor)  # type: ignore[arg-type]


def _landscape(rng: np.random.Generator) -> dict[str, pd.DataFrame]:
    """Tables of the landscape analyzers."""
    alphas, both = np.linspace(-1, 1, 5), ("test", "train")
    return {
        "flatness": pd.DataFrame([_flat(s, split, rng) for s in STEPS for split in both]),
        "hessian": pd.DataFrame([_hessian(s, rng) for s in STEPS]),
        "loss_slice": pd.DataFrame(
            [{"step": s, "split": n, "alphas": alphas, "betas": np.zeros(1), "losses": rng.random((1, 5))} for s in STEPS for n in both]
        ),
        "mode_connectivity": pd.DataFrame(
            [{"step": s, "split": n, "barrier": rng.random(), "alphas": alphas, "losses": rng.random(5)} for s in STEPS for n in both]
        ),
        "gradient_alignment": pd.DataFrame(
            [_aligned(s, g, o, rng) for s in STEPS for g, o in (("embedding", "attention"), ("attention", "mlp"), ("mlp", "mlp"))]
        ),
        "local_learning_coefficient": pd.DataFrame([_chain(s, c, rng) for s in STEPS for c in (0, 1, None)]).astype({"chain": "Int64"}),
    }


def _flat(step: int, split: str, rng: np.random.Generator) -> dict[str, Any]:
    deltas = {"plus": rng.random(4), "minus": rng.random(4)}
    return {"step": step, "split": split, "alpha": 0.03, "curvature": 2 * rng.random(), "curvature_se": 0.1, **deltas}


def _hessian(step: int, rng: np.random.Generator) -> dict[str, Any]:
    density = {"density_nodes": np.sort(rng.random(5)), "density_shares": np.full(5, 0.2)}
    return {"step": step, "split": "train", "lambda_max": rng.random(), "trace": 3 * rng.random(), **density}


def _aligned(step: int, group: str, other: str, rng: np.random.Generator) -> dict[str, Any]:
    cosine = 2 * rng.random() - 1 if group == other else None
    return {"step": step, "group": group, "other": other, "alignment": rng.random(), "null_95": 0.3, "train_test_cosine": cosine}


def _chain(step: int, chain: int | None, rng: np.random.Generator) -> dict[str, Any]:
    numbers = {"label": "ok", "llc": 1.0, "llc_se": 0.1, "baseline": 0.1, "nbeta": 100.0, "curvature_to_prior": 3.0}
    return {"step": step, "chain": chain, **numbers, "losses": None if chain is None else rng.random(20)}
