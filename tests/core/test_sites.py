"""Capture: canonical names, positions, one forward that stops as early as it can, and copies that keep nothing else alive."""

from __future__ import annotations

import pytest
import torch

from strobe import Last, Positions, StrobeError, Tap
from strobe.sites import Stop, canonical, resolve, select, union, unmatched

ALL = Positions()
X = torch.arange(2 * 3 * 4.0).reshape(2, 3, 4)  # [batch, pos, d]
PATTERN = torch.arange(2 * 5 * 3 * 3.0).reshape(2, 5, 3, 3)  # [batch, head, query, key]


@pytest.mark.parametrize(
    ("spelling", "name"),
    {
        "hook_embed": "embed",
        "hook_pos_embed": "pos_embed",
        "blocks.0.hook_resid_pre": "blocks.0.resid_pre",
        "blocks.11.hook_resid_mid": "blocks.11.resid_mid",
        "blocks.*.hook_resid_post": "blocks.*.resid_post",
        "blocks.0.attn.hook_q": "blocks.0.attn.q",
        "blocks.0.attn.hook_z": "blocks.0.attn.z",
        "blocks.0.attn.hook_pattern": "blocks.0.attn.pattern",
        "blocks.0.attn.hook_attn_scores": "blocks.0.attn.scores",
        "blocks.0.hook_attn_out": "blocks.0.attn.out",
        "blocks.0.mlp.hook_pre": "blocks.0.mlp.pre",
        "blocks.0.mlp.hook_post": "blocks.0.mlp.post",
        "blocks.0.hook_mlp_out": "blocks.0.mlp.out",
        "ln_final.hook_normalized": "final_norm",
        "blocks.0.mlp.post": "blocks.0.mlp.post",
        "my.own.site": "my.own.site",
    }.items(),
)
def test_transformer_lens_spellings_resolve_to_canonical_names(spelling: str, name: str) -> None:
    assert canonical(spelling) == name


def test_patterns_are_resolved_against_what_a_family_has() -> None:
    known = ["embed", "blocks.0.mlp.post", "blocks.1.mlp.post", "logits"]
    asked = {"blocks.*.mlp.hook_post": Last(), "logits": ALL, "blocks.*.attn.z": ALL}
    assert resolve(asked, known) == {"blocks.0.mlp.post": Last(), "blocks.1.mlp.post": Last(), "logits": ALL}
    assert unmatched(asked, known) == ["blocks.*.attn.z"]


def test_the_union_of_requests_keeps_every_position() -> None:
    assert union([{"a": Last()}, {"a": ALL, "b": ALL}, {"a": Last()}]) == {"a": {Last(), ALL}, "b": {ALL}}


# --- positions -----------------------------------------------------------------------------------------------------------------------------


def test_positions_of_activations() -> None:
    assert torch.equal(select("embed", X, ALL), X)
    assert torch.equal(select("embed", X, Last()), X[:, -1])  # axis dropped: [batch, d]
    assert torch.equal(select("embed", X, Positions(2, 0)), X[:, [2, 0]])  # in that order, axis kept
    assert torch.equal(select("embed", X, Positions(-1)), X[:, [-1]])


def test_positions_of_patterns_select_the_query_and_keep_the_axis() -> None:
    site = "blocks.0.attn.pattern"
    assert torch.equal(select(site, PATTERN, Last()), PATTERN[:, :, -1:])
    assert torch.equal(select(site, PATTERN, Positions(0, 2)), PATTERN[:, :, [0, 2]])
    assert torch.equal(select("blocks.3.attn.scores", PATTERN, Last()), PATTERN[:, :, -1:])


def test_a_position_that_does_not_exist_is_an_error_and_not_another_position() -> None:
    with pytest.raises(StrobeError, match=r"embed.*position 3.*3 positions"):
        select("embed", X, Positions(3))
    with pytest.raises(StrobeError, match=r"position -4"):
        select("embed", X, Positions(-4))


def test_last_is_not_the_list_of_the_last() -> None:
    assert Last() == Last()
    assert Last() != Positions(-1)


# --- the tap -------------------------------------------------------------------------------------------------------------------------------


def tap(**wanted: Positions) -> Tap:
    return Tap({site: frozenset([where]) for site, where in wanted.items()})


def test_it_captures_what_was_asked_for_and_nothing_else() -> None:
    t = tap(a=ALL, b=Last())
    t("other", X)
    t("a", X)
    with pytest.raises(Stop):
        t("b", X)
    assert set(t.captured) == {("a", ALL), ("b", Last())}
    assert torch.equal(t.captured["b", Last()], X[:, -1])


def test_one_site_at_two_positions() -> None:
    t = Tap({"a": frozenset([ALL, Last()])}, stop=False)
    t("a", X)
    assert {where: tuple(x.shape) for (_, where), x in t.captured.items()} == {ALL: (2, 3, 4), Last(): (2, 4)}


def test_the_forward_stops_after_the_last_needed_site() -> None:
    reached = []

    def forward(t: Tap) -> None:
        for site in ("embed", "mid", "post", "logits"):
            reached.append(site)
            t(site, X)

    with pytest.raises(Stop):
        forward(tap(mid=ALL, embed=ALL))
    assert reached == ["embed", "mid"]


def test_a_tap_without_requests_never_stops() -> None:
    t = Tap()
    assert t("logits", X) is X
    assert t.last("logits", X[:, -1]).shape == (2, 4)
    assert t.captured == {}


def test_a_site_that_fires_twice_is_an_error() -> None:
    t = tap(a=ALL, b=ALL)
    t("a", X)
    with pytest.raises(StrobeError, match=r"site a fired twice in one forward pass"):
        t("a", X)


def test_no_larger_buffer_stays_alive_behind_a_capture() -> None:
    t = tap(a=Last(), b=Positions(1), c=ALL)
    t("a", X)
    t("b", X)
    with pytest.raises(Stop):
        t("c", X.expand(2, 3, 4)[:, :, :2])
    for x in t.captured.values():
        assert x.untyped_storage().nbytes() == x.nbytes
    assert t.bytes == sum(x.nbytes for x in t.captured.values()) == 4 * (2 * 4 + 2 * 4 + 2 * 3 * 2)


def test_captures_are_read_only() -> None:
    t = tap(a=ALL, b=ALL)
    with torch.inference_mode():
        t("a", X.clone())
    kept = t.captured["a", ALL]
    with pytest.raises(RuntimeError, match=r"[Ii]nplace update to inference tensor"):
        kept.zero_()
    assert torch.equal(kept.clone().zero_(), torch.zeros_like(X))  # a copy is anyone's own


def test_a_capture_is_a_copy_of_what_was_there_at_that_moment() -> None:
    x = X.clone()
    t = tap(a=ALL, b=ALL)
    t("a", x)
    x.zero_()
    assert torch.equal(t.captured["a", ALL], X)


def test_last_only_lets_a_family_compute_one_position() -> None:
    assert tap(a=Last(), b=Last()).last_only
    assert Tap().last_only
    assert not tap(a=Last(), b=ALL).last_only
    t = tap(a=Last(), b=Last())
    t.last("a", X[:, -1])
    assert torch.equal(t.captured["a", Last()], X[:, -1])


def test_a_forward_that_gives_less_than_was_asked_for_is_told() -> None:
    with pytest.raises(StrobeError, match=r"site a: the forward gave the last position"):
        tap(a=ALL, b=ALL).last("a", X[:, -1])
