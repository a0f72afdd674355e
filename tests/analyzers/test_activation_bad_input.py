"""Every analyzer of activations on models that are too small, dead, broken or coarse: a stated result, never a crash and never a silent NaN."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pandas as pd
import pytest
import torch

from strobe import Activations, Analyzer, Attention, Last, Outputs, Results, Weights
from strobe.schema import declared, to_arrow, to_pandas
from strobe.sites import Tap
from strobe_analyzers.activation_maps import ActivationMaps
from strobe_analyzers.activation_rank import ActivationRank
from strobe_analyzers.activation_sample import ActivationSample
from strobe_analyzers.attention_maps import AttentionMaps
from strobe_analyzers.centroid_pca import CentroidPca
from strobe_analyzers.centroid_planes import CentroidPlanes
from strobe_analyzers.centroids import Centroids
from strobe_analyzers.coarseness import Coarseness
from strobe_analyzers.dormant_neurons import DormantNeurons
from strobe_analyzers.map_convergence import MapConvergence
from strobe_analyzers.neural_collapse import NeuralCollapse
from strobe_analyzers.neuron_frequency import NeuronFrequency
from strobe_analyzers.neuron_profiles import NeuronProfiles
from strobe_analyzers.representation_geometry import RepresentationGeometry
from strobe_families.modular_addition import ModularAddition

Tensors = dict[str, torch.Tensor]
SITES = [f"blocks.0.{s}" for s in ("resid_pre", "resid_mid", "mlp.post", "mlp.out", "resid_post", "attn.pattern")]
STEP = (
    ActivationRank, ActivationSample, Centroids, Coarseness, DormantNeurons, NeuralCollapse, NeuronFrequency, RepresentationGeometry,
    ActivationMaps, AttentionMaps,
)  # fmt: skip
DERIVED = {"centroid_planes": CentroidPlanes, "centroid_pca": CentroidPca, "map_convergence": MapConvergence, "neuron_profiles": NeuronProfiles}


def _dead(t: Tensors) -> Tensors:
    return t | {"blocks.0.mlp.b_in": torch.full_like(t["blocks.0.mlp.b_in"], -1e3)}


def _filled(name: str, value: float) -> Callable[[Tensors], Tensors]:
    return lambda t: t | {name: torch.full_like(t[name], value)}


def _cast(dtype: torch.dtype) -> Callable[[Tensors], Tensors]:
    return lambda t: {name: x.to(dtype) for name, x in t.items()}


CASES: Mapping[str, Callable[[Tensors], Tensors]] = {
    "untrained": lambda t: t,
    "all neurons dead": _dead,
    "all weights zero": lambda t: {name: torch.zeros_like(x) for name, x in t.items()},
    "NaN in the embedding": _filled("embed.W_E", torch.nan),
    "infinite output weights": _filled("blocks.0.mlp.W_out", torch.inf),
    "float16": _cast(torch.float16),
    "bfloat16": _cast(torch.bfloat16),
}


def tables(p: int, case: str, step: int = 0) -> dict[str, pd.DataFrame]:
    """What every step analyzer stores of such a checkpoint; fails where a number is neither finite nor null."""
    family = ModularAddition(p=p, d_model=8, n_heads=2, d_mlp=16, fraction=0.5)
    tensors = CASES[case](family.initial())
    probe = family.probes(family.split())["grid"]()
    tap = Tap({site: frozenset([Last()]) for site in SITES}, stop=False)
    with torch.inference_mode():
        logits = family.forward(tensors, probe.inputs, tap)
    captured = {site: x for (site, _), x in tap.captured.items()}
    found = {}
    for analyzer in (cls() for cls in STEP):
        result = _called(analyzer, captured, Weights(tensors), probe, logits)
        made = to_arrow(analyzer.Row, result)
        assert unsaid(analyzer, made.not_finite, case) == set(), type(analyzer)
        name = "".join("_" * c.isupper() + c.lower() for c in type(analyzer).__name__).lstrip("_")
        found[name] = to_pandas(made.table).assign(step=step)
    return found


def unsaid(analyzer: Analyzer | type[Analyzer], not_finite: Mapping[str, int], case: str) -> set[str]:
    """Columns that are not finite: arrays may be where the weights are not, and are flagged by the engine."""
    columns = declared(analyzer.Row)
    return {name for name in not_finite if columns[name].kind != "array" or not case.startswith(("NaN", "infinite"))}


def _called(analyzer: Analyzer, captured, weights, probe, logits):
    asked = [site.replace("*", "0") for site in analyzer.sites]
    given = Activations({site: x for site, x in captured.items() if site in asked})
    match analyzer:
        case Coarseness():
            return analyzer.analyze_attention(Attention({0: given["blocks.0.attn.pattern"]}), given, probe)
        case AttentionMaps():
            return analyzer.analyze_attention(Attention({0: given["blocks.0.attn.pattern"]}), probe)
        case NeuralCollapse():
            return analyzer.analyze_outputs(Outputs(logits, probe.targets, probe.splits), given, weights)
        case DormantNeurons():
            return analyzer.analyze_activations(given, weights, probe)
        case ActivationRank() | ActivationSample():
            return analyzer.analyze_activations(given)
        case _:
            return analyzer.analyze_activations(given, probe)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("p", [3, 4, 6, 13, 30])
def test_a_stated_result_on_every_input(p, case):
    found = tables(p, case)
    for name in ("representation_geometry", "centroids", "activation_rank", "activation_sample"):
        finite = found[name].select_dtypes("float").notna().any(axis=1)
        assert (finite | found[name]["reason"].notna()).all(), name
    if case.startswith(("NaN", "infinite")):
        assert (found["neural_collapse"]["reason"] == "activations are not finite").all()
    if "dead" in case:
        assert (found["dormant_neurons"]["dead"] == 16).all()
        geometry = found["representation_geometry"].set_index("site")["reason"]
        assert geometry["mlp.post"] == "the same vector for every input"
        assert pd.isna(geometry["resid_post"])


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("steps", [(0,), (0, 100)])
def test_derived_analyzers_of_one_and_of_two_identical_checkpoints(case, steps):
    parts = [tables(6, case, step) for step in steps]
    results = Results({name: pd.concat([part[name] for part in parts], ignore_index=True) for name in parts[0]})
    results["key_frequencies"] = pd.DataFrame({"set": ["union"], "step": [None], "frequencies": [[1, 3]]})  # 3 = p/2 has no sine
    for cls in DERIVED.values():
        found = list(cls().analyze_results(results))
        assert unsaid(cls, to_arrow(cls.Row, found).not_finite, case) == set(), cls
        if case == "untrained":
            assert found
    if case == "untrained":
        correlations = [r.correlation for r in MapConvergence().analyze_results(results) if r.step is not None]
        assert correlations
        assert all(c is None or c == pytest.approx(1, abs=1e-9) for c in correlations)
