"""Packages from strangers: discovered without an import, loaded on first use, refused with the reason and the fix."""

from __future__ import annotations

import importlib
from importlib.metadata import distribution
from pathlib import Path

import pytest
import torch

import strobe
from strobe import Activations, Loss, Results, Weights
from strobe.errors import PluginError
from strobe.registration.registry import Registry
from strobe.schema import to_arrow

HEALTHY = ("strobe-participation", "strobe-sparsity", "strobe-gradient-norm", "strobe-final-norm", "strobe-tally")


def test_healthy_packages_are_listed_and_load(installed) -> None:
    installed(*HEALTHY)
    registry = Registry.discover()
    found = {p.name: (p.kind, p.category, p.package, p.version) for p in registry.all() if p.package in HEALTHY}
    assert found == {
        "participation_ratio": ("analyzer", "weights", "strobe-participation", "1.0"),
        "sparsity": ("analyzer", "activations", "strobe-sparsity", "0.2"),
        "gradient_norm": ("analyzer", "landscape", "strobe-gradient-norm", "0.1"),
        "final_norm": ("analyzer", "results", "strobe-final-norm", "0.1"),
        "sparsity_over_steps": ("renderer", "", "strobe-sparsity", "0.2"),
        "tally": ("hook", "", "strobe-tally", "0.1"),
    }
    for name, (kind, *_) in found.items():
        assert registry.get(kind, name).load().__doc__


BROKEN = {
    "broken_import": "a_package_that_is_not_installed.*pip uninstall strobe-broken",
    "broken_object": "nowhere",
    "broken_type": "derive it from strobe.Analyzer",
    "broken_instance": "derive it from strobe.Analyzer",
    "broken_category": "analyze_activations makes it a 'activations' analyzer.*strobe.analyzers.weights.*move its entry point",
    "broken_argument": "'weight' is not an argument of analyze_weights; did you mean 'weights'",
    "broken_default": "'metrics' has a default",
    "broken_keyword": "'metrics' has a default or is keyword-only",
    "broken_marker": "not marked; write `@hookimpl`",
    "broken_two_hooks": "analyze_weights and analyze_results",
    "broken_no_hook": "did you mean 'analyze_weights'",
    "broken_no_row": "nest `class Row",
    "broken_setting": "setting threshold has no default",
    "broken_group": "spectral is no category",
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_analyzer_says_who_what_and_what_to_do(installed, name: str) -> None:
    installed("strobe-broken")
    with pytest.raises(PluginError, match=BROKEN[name]) as caught:
        Registry.discover().analyzer(name)
    first_line = str(caught.value).splitlines()[0]
    assert name in first_line
    assert "strobe-broken 0.1" in first_line


def test_a_broken_renderer_says_what_is_missing(installed) -> None:
    installed("strobe-broken")
    with pytest.raises(PluginError, match=r"broken_renderer.*consumes = "):
        Registry.discover().renderer("broken_renderer")


def test_broken_neighbours_harm_nobody(installed) -> None:
    installed("strobe-broken", "strobe-future", "strobe-participation")
    assert Registry.discover().analyzer("participation_ratio").__name__ == "ParticipationRatio"


def test_an_incompatible_package_is_refused_without_an_import(installed) -> None:
    installed("strobe-future")
    registry = Registry.discover()
    assert registry.get("analyzer", "from_the_future").listing().state == "incompatible"
    with pytest.raises(PluginError, match=rf"strobe-future 1.0.*needs strobe>=99, this is strobe {strobe.__version__}"):
        registry.analyzer("from_the_future")


def test_a_name_clash_refuses_both_until_one_is_disabled(installed) -> None:
    from strobe.registration.settings import set_disabled

    installed("strobe-clash")
    with pytest.raises(PluginError, match=r"registered by strobe and strobe-clash.*strobe plugins disable"):
        Registry.discover().analyzer("weight_norms")
    set_disabled("strobe-clash:weight_norms", off=True)
    assert Registry.discover().get("analyzer", "weight_norms").package == "strobe"


def test_an_editable_package_is_keyed_by_its_sources(installed) -> None:
    sources = installed("strobe-participation", editable=True)
    before = Registry.discover().get("analyzer", "participation_ratio").code
    module = sources / "strobe_participation.py"
    module.write_text(module.read_text("utf-8") + "\n# edited\n", "utf-8")
    after = Registry.discover().get("analyzer", "participation_ratio").code
    assert before != after
    assert before.startswith("strobe-participation==1.0+")


def test_a_plain_package_is_keyed_by_its_version(installed) -> None:
    installed("strobe-participation")
    assert Registry.discover().get("analyzer", "participation_ratio").code == "strobe-participation==1.0"


def test_the_metadata_is_what_pip_would_write(installed) -> None:
    installed("strobe-participation")
    dist = distribution("strobe-participation")
    assert dist.requires == ["strobe>=0.1,<1"]
    assert {Path(str(f)).name for f in dist.files or ()} >= {"strobe_participation.py", "METADATA", "entry_points.txt"}


# The packages themselves, on inputs whose answers are known. ------------------------------------------------------------------------------


def rows(analyzer: strobe.Analyzer, result: object) -> list[dict[str, object]]:
    return to_arrow(analyzer.Row, result).table.to_pylist()  # type: ignore[arg-type]


def test_participation_of_an_identity_is_its_rank(installed) -> None:
    installed("strobe-participation")
    analyzer = importlib.import_module("strobe_participation").ParticipationRatio()
    (row,) = rows(analyzer, analyzer.analyze_weights(Weights({"embed.W_E": torch.eye(7), "blocks.0.mlp.b_in": torch.ones(7)})))
    assert row == {"parameter": "embed.W_E", "ratio": pytest.approx(7.0, rel=1e-12)}


def test_sparsity_counts_what_is_silent(installed) -> None:
    installed("strobe-sparsity")
    analyzer = importlib.import_module("strobe_sparsity.analyzer").Sparsity()
    post = torch.tensor([[0.0, 2.0, 0.0, 1.0], [0.0, 0.0, 0.0, 3.0]])
    (row,) = rows(analyzer, analyzer.analyze_activations(Activations({"blocks.3.mlp.post": post})))
    assert row == {"layer": 3, "silent": 5 / 8}


def test_gradient_norm_of_a_quadratic(installed) -> None:
    installed("strobe-gradient-norm")
    analyzer = importlib.import_module("strobe_gradient_norm").GradientNorm()
    loss = Loss(lambda weights, split: weights["w"].square().sum() / 2, {"w": torch.tensor([3.0, 4.0])})
    (row,) = rows(analyzer, analyzer.analyze_landscape(loss))
    assert row == {"split": "train", "parameter": "w", "norm": pytest.approx(5.0)}


def test_final_norm_compares_runs_at_their_last_steps(installed) -> None:
    import pandas as pd

    installed("strobe-final-norm")
    analyzer = importlib.import_module("strobe_final_norm").FinalNorm()
    norms = pd.DataFrame(
        {"run": ["a", "a", "a", "b", "c"], "step": [0, 9, 9, 5, 1], "parameter": list("wwvww"), "frobenius": [100.0, 3.0, 4.0, 10.0, 2.5]}
    )
    by_run = {r["run"]: (r["norm"], r["to_median"]) for r in rows(analyzer, analyzer.analyze_results(Results({"weight_norms": norms})))}
    assert by_run == {"a": (5.0, 1.0), "b": (10.0, 2.0), "c": (2.5, 0.5)}
