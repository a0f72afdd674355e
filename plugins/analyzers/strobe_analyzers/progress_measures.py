"""How much of what the model does goes through its key frequencies."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from pydantic import field_validator

import strobe
from strobe import Analyzer, Outputs, Probe, Results, StrobeError, array, dim, hookimpl, maths, metric

SETS = ("own", "last", "union")
EXPONENT = 600.0
"""Largest exponent that the factored exponentials take on: e^709 is where float64 ends."""


class ProgressMeasures(Analyzer):
    """Restricted and excluded loss of modular addition: with the key frequencies alone, and without them, per split.

    L are the logits [p*p, p] and P_S L their projection on cos and sin(w_k (a + b)), k in S, w_k = 2 pi k / p, fitted on all p*p pairs:
    restricted loss = CE(P_S L + mean over all pairs of L) ("trig loss" in the paper's code), excluded loss = CE(L - P_S L); the paper's excluded
    loss is the one on `train`. For a model made of the key frequencies alone restricted = full and excluded = ln p, a uniform guess.
    `keys` says which set S: `union` (default), `last` or `own` of the analyzer key_frequencies, or frequencies as JSON, "[24,36]". Before circuits
    form, S may be the whole spectrum and restricted is then the average over each class a + b: read it together with `n_keys` (above 15: too many).
    Where that set is unknown, because the weights are not finite, both losses are null and `reason` says so. Losses in float64 from the model's
    logits. Cost at p=113: 20 ms with 5 keys, 40 ms with all 56. Source: Nanda et al. 2301.05217, 5.1.
    """

    consumes = "key_frequencies"
    families = ("modular_addition", "modular_mlp")
    where = {"operation": ("a+b",), "objective": ("cross_entropy",)}

    keys: str = "union"

    class Row(strobe.Row):
        split: str = dim("split of the probe: train, test, or all")
        keys: str = dim("which set of key frequencies: own, last, union, or the frequencies themselves")
        reason: str | None = dim("why there are no restricted and excluded losses; null when there are")
        full_loss: float = metric("mean cross-entropy of the model", unit="nats")
        restricted_loss: float | None = metric("mean cross-entropy with the key frequencies of a + b and the mean alone", unit="nats")
        excluded_loss: float | None = metric("mean cross-entropy without the key frequencies of a + b", unit="nats")
        excluded_by_frequency: np.ndarray | None = array("the same without one key frequency", dims=["frequency"], dtype="float64", unit="nats")
        key_frequencies: np.ndarray | None = array("the key frequencies, ascending", dims=["frequency"], dtype="int64", unit="1")
        n_keys: int | None = metric("how many key frequencies", unit="1")

    @field_validator("keys", mode="before")
    @classmethod
    def _set_or_list(cls, keys: object) -> object:
        """A list is kept as JSON, ascending, so that the same frequencies are the same setting."""
        return keys if keys in SETS else json.dumps(_parsed(keys), separators=(",", ":"))

    @hookimpl
    def analyze_outputs(self, outputs: Outputs, probe: Probe, results: Results) -> Iterator[Row]:
        p = maths.grid_modulus(probe.inputs)
        if outputs.logits.shape != (p * p, p) or not torch.equal(outputs.targets, maths.sum_classes(p)):
            got = list(outputs.logits.shape)
            raise StrobeError(f"progress_measures: needs logits [{p * p}, {p}] for the task (a + b) mod {p}, got {got} or other targets")
        keys = self._keys(results, p)
        measured = _unknown() if keys is None else _measure(by_class(outputs.logits, p), keys)
        for split in dict.fromkeys([*outputs.splits, "all"]):
            mask = outputs.split(split)
            if mask.any():
                yield self.Row(split=split, keys=self.keys, full_loss=outputs.loss[mask].mean().item(), **measured(mask))

    def _keys(self, results: Results, p: int) -> list[int] | None:
        keys = _of_set(results["key_frequencies"], self.keys) if self.keys in SETS else _parsed(self.keys)
        if keys is None:
            return None
        if odd := [k for k in keys if not 1 <= k <= p // 2]:
            raise StrobeError(f"progress_measures: key frequencies {odd} are outside 1..{p // 2} for p={p}")
        return keys


Measured = Callable[[torch.Tensor], dict[str, Any]]
"""From a mask over the inputs to the metrics of its row."""


def _unknown() -> Measured:
    names = ("restricted_loss", "excluded_loss", "excluded_by_frequency", "key_frequencies", "n_keys")
    return lambda mask: {**dict.fromkeys(names), "reason": "no key frequencies: the weights they are read from are not finite"}


def _measure(logits: torch.Tensor, keys: list[int]) -> Measured:
    """From logits [class r, a, p]: both losses are taken once over all inputs, and averaged over those of a mask."""
    totals = logits.sum(1)  # [class r, p]
    restricted = _per_input(restricted_losses(totals, keys))  # [p*p]
    excluded = _per_input(excluded_losses(logits, totals, [keys, *([k] for k in keys)]))  # [p*p, 1 + keys]

    def measured(mask: torch.Tensor) -> dict[str, Any]:
        without = excluded[mask].mean(0)
        losses = {"restricted_loss": restricted[mask].mean().item(), "excluded_loss": without[0].item(), "excluded_by_frequency": without[1:].numpy()}
        return {**losses, "key_frequencies": np.array(keys, np.int64), "n_keys": len(keys), "reason": None}

    return measured


def _parsed(keys: object) -> list[int]:
    try:
        values = json.loads(keys) if isinstance(keys, str) else keys
    except json.JSONDecodeError:
        values = None
    if not isinstance(values, list) or not all(type(k) is int for k in values):
        raise ValueError(f"keys is {', '.join(SETS)} or a JSON list of frequencies such as [24,36], not {keys!r}")
    return sorted(set(values))


def _of_set(table: pd.DataFrame, name: str) -> list[int] | None:
    """The frequencies of a set; None where some weights were not finite."""
    sets = table.loc[table["set"] == name, "frequencies"].tolist()
    if len(sets) != 1:
        found = f"{len(sets)} times there, not once"
        raise StrobeError(f"progress_measures: key frequencies {name!r} are {found}; name them yourself with --set 'progress_measures.keys=[24,36]'")
    return None if sets[0] is None else sorted(int(k) for k in sets[0])


# --- losses, with inputs ordered by class: x = (r, a), r = (a + b) mod p, so the target of block r is r ------------------------------------------


def by_class(logits: torch.Tensor, p: int) -> torch.Tensor:
    """Logits [p*p, p] of the grid as float64 [class r, a, p]: a projection on functions of a + b is constant over a."""
    return logits[_order(p)].reshape(p, p, p).double()


def _order(p: int) -> torch.Tensor:
    """Grid index of input (r, a), b = (r - a) mod p: int64 [p*p]."""
    r, a = torch.arange(p)[:, None], torch.arange(p)
    return (a * p + (r - a) % p).flatten()


def _per_input(losses: torch.Tensor) -> torch.Tensor:
    """Losses [class, p or 1, ...] back in grid order, [p*p, ...]."""
    p = len(losses)
    flat = losses.expand(p, p, *losses.shape[2:]).flatten(0, 1)
    return torch.empty_like(flat).index_copy_(0, _order(p), flat)


def _less_target(values: torch.Tensor) -> torch.Tensor:
    """Values [class r, ..., p] less the one at target r."""
    r = torch.arange(len(values))
    return values - values[r, ..., r][..., None]


def _mask_target(values: torch.Tensor, fill: float) -> torch.Tensor:
    """Values [class r, ..., p] with `fill` at target r."""
    r = torch.arange(len(values))
    values[r, ..., r] = fill
    return values


def _cross_entropy(differences: torch.Tensor) -> torch.Tensor:
    """log(1 + sum of exp(logit - target's logit) over the other classes), from differences whose target is -inf: exact however small the loss."""
    others = differences.logsumexp(-1)
    return torch.logaddexp(others, torch.zeros_like(others))


def restricted_losses(totals: torch.Tensor, keys: Sequence[int]) -> torch.Tensor:
    """Cross-entropy of P_S L + mean L, float64 [class, 1] (all inputs of a class have the same), from the sum of L over each class [class, p]."""
    mean = totals.mean(0) / len(totals)
    restricted = maths.sum_projection(totals, keys) + mean
    return _cross_entropy(_mask_target(_less_target(restricted), -torch.inf))[:, None]


def excluded_losses(logits: torch.Tensor, totals: torch.Tensor, sets: Sequence[Sequence[int]]) -> torch.Tensor:
    """Cross-entropy of L - P_S L per input and set of frequencies, float64 [class, a, set], from `by_class` logits and their sum over a.

    exp(L - P_S L) = exp(L) exp(-P_S L), and the second factor is the same for all inputs of a class: one exponential of the p^3 logits and one
    matrix product serve all sets. Where the exponents are too large for that, each set takes its own exponentials.
    """
    differences = _less_target(logits)
    removed = torch.stack([_less_target(maths.sum_projection(totals, s)) for s in sets], -1)  # [class, p, set]
    if bool(differences.amax() - removed.amin() <= EXPONENT):  # not so for NaN
        others = _mask_target(differences.exp_(), 0.0) @ (-removed).exp_()
        return torch.log1p(others)
    each = [_cross_entropy(_mask_target(differences - removed[:, None, :, i], -torch.inf)) for i in range(len(sets))]
    return torch.stack(each, -1)
