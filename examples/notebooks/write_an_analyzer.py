# %% [markdown]
# # An analyzer of one's own
#
# A question about every checkpoint is a class with a `Row` (what one result is) and a hook (what it looks at). Here: over how many Fourier
# frequencies does the embedding spread its power?

# %%
from collections.abc import Iterator

import altair as alt
import torch

import strobe
from strobe import Analyzer, Context, Weights, dim, hookimpl, maths, metric

alt.renderers.enable("png", ppi=96)


class FrequencySpread(Analyzer):
    """Over how many frequencies the embedding spreads its power: exp of the entropy of their shares, from 1 to (p - 1) / 2."""

    families = ("modular_addition",)

    class Row(strobe.Row):
        parameter: str = dim("canonical parameter name")
        frequencies: float | None = metric("effective number of frequencies: exp(entropy of their shares of the power)", unit="1")

    @hookimpl
    def analyze_weights(self, weights: Weights, context: Context) -> Iterator[Row]:
        table = weights["embed.W_E"][: context.family.p].double()  # without "="
        yield self.Row(parameter="embed.W_E", frequencies=spread(maths.frequency_powers(table)))


def spread(powers: torch.Tensor) -> float | None:
    """exp of the entropy of non-negative powers, None when all are zero."""
    total = powers.sum()
    return torch.special.entr(powers / total).sum().exp().item() if total > 0 else None


# %% [markdown]
# A known answer first: one frequency is one, equal ones are counted, nothing has no spread.

# %%
spread(torch.tensor([0.0, 3.0, 0.0])), spread(torch.ones(6)), spread(torch.zeros(6))

# %%
ws = strobe.Workspace("my-analyzer")
training = {"epochs": 900, "lr": 3e-3, "weight_decay": 3.0, "schedule": "every:50"}
run = ws.train("modular_addition", name="small", seed=3, p=13, d_model=64, d_mlp=128, fraction=0.8, training=training)
report = ws.analyze(run, [FrequencySpread()])
report.counters["forwards"], report.failures

# %% [markdown]
# No forward pass: it looks at weights. The engine added `run`, `step` and `probe`:

# %%
ws.table("frequency_spread", runs=run).iloc[::3]

# %% [markdown]
# Any table with steps can be drawn at once; units and words come from the `Row`.

# %%
ws.view("line_over_steps", run, "frequency_spread")

# %% [markdown]
# Asked again, nothing is computed: results are keyed by the class's own source, its settings and the checkpoint.

# %%
again = ws.analyze(run, [FrequencySpread()])
again.counters["checkpoints_read"]

# %% [markdown]
# Without opening the notebook again: save it, and `strobe plugins new strobe-spread --from write_an_analyzer.ipynb:FrequencySpread` writes a package
# around the class, with a test; `strobe plugins check strobe-spread` tries it on a tiny run.
