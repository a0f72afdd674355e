"""Named groups of parameters, whose paths are followed together."""

from __future__ import annotations

from collections.abc import Sequence

from strobe import Checkpoints, StrobeError

GROUPS = {
    "all": ("*",),
    "embedding": ("embed.W_E", "pos_embed.W_pos", "unembed.W_U"),
    "unembedding": ("unembed.W_U",),
    "attention": ("blocks.*.attn.W_[QKVO]",),
    "mlp": ("blocks.*.mlp.*",),
}


def members(checkpoints: Checkpoints, groups: Sequence[str], analyzer: str) -> dict[str, list[str]]:
    """Group -> its parameters. A named group that this model lacks is left out; a pattern that matches nothing is an error that names `analyzer`."""
    if not len(checkpoints):
        return {}
    weights = checkpoints[checkpoints.steps[0]]
    found = {group: sorted({n for pattern in GROUPS.get(group, (group,)) for n in weights.named(pattern)}) for group in groups}
    if empty := [group for group, names in found.items() if not names and group not in GROUPS]:
        raise StrobeError(f"{analyzer}: group {empty[0]!r} matches no parameter; a group is one of {', '.join(GROUPS)} or a pattern")
    return {group: names for group, names in found.items() if names}
