# %% [markdown]
# # One input through the turn
#
# A model learns (a + b) mod 13 from most of the pairs, and is asked for one that it never saw. When does it know, and which part of it says so?

# %%
import altair as alt
import numpy as np
import pandas as pd

import strobe
from strobe import charts

alt.renderers.enable("png", ppi=96)
charts.use("strobe")  # the look of the panels, for charts of one's own too

ws = strobe.Workspace("one-input")
training = {"epochs": 900, "lr": 3e-3, "weight_decay": 3.0, "schedule": "every:25"}
run = ws.train("modular_addition", name="small", seed=3, p=13, d_model=64, d_mlp=128, fraction=0.8, training=training)
ws.analyze(run, ["phases", "input_trace", "direct_logit_attribution"]).failures

# %% [markdown]
# `input_trace` has one row per step; its arrays are in the order of the inputs, a * p + b. Of the pairs outside the training set, take the one that
# is answered right last.

# %%
trace = ws.table("input_trace", runs=run)
margins = np.stack(trace["margin"]).astype(float)  # [step, input]
splits = trace["splits"].iloc[0].split(",")
unseen = np.flatnonzero(trace["split"].iloc[0] == splits.index("test"))
wrong_until = np.where(margins[:, unseen] <= 0, trace["step"].to_numpy()[:, None], -1).max(0)
learned = wrong_until < trace["step"].max()
chosen = int(unseen[learned][wrong_until[learned].argmax()])
a, b = divmod(chosen, 13)
print(f"{len(unseen)} pairs were never seen, {learned.sum()} of them are right in the end.")
print(f"The last to come: {a} + {b} = {(a + b) % 13} mod 13, wrong for the last time at step {wrong_until[learned].max()}.")

# %% [markdown]
# What it answers instead, how sure it is, and how many classes stand before the right one:

# %%
columns = ["prediction", "rank", "confidence", "margin"]
one = pd.DataFrame({"step": trace["step"], **{name: [row[chosen].item() for row in trace[name]] for name in columns}})
one.iloc[::3].round({"confidence": 3, "margin": 2})

# %% [markdown]
# Its margin (logit of the right answer less the largest other: above 0 it is right) beside the mean over all unseen pairs:

# %%
lines = pd.DataFrame({"step": trace["step"], f"{a} + {b}": margins[:, chosen], "all unseen pairs": margins[:, unseen].mean(1)})
chart = alt.Chart(lines.melt("step", var_name="input", value_name="margin")).mark_line()
chart.encode(x="step:Q", y=alt.Y("margin:Q", title="margin, logits"), color=alt.Color("input:N", title=None)).properties(width=520, height=220)

# %% [markdown]
# The same for every pair at once: where the model is still wrong (bright) at a step before, and at the end.

# %%
from strobe_renderers.error_map import ErrorMap

ws.view(ErrorMap(show="margin", size=260), run, step=100)

# %%
ws.view(ErrorMap(show="margin", size=260), run, step=900)

# %% [markdown]
# Who writes the answer? What each part of the model adds directly to the right logit, mean over the unseen pairs; the parts add up to `total`.

# %%
parts = ws.table("direct_logit_attribution", runs=run).query("split == 'test'")
parts = parts.assign(part=[c if h is pd.NA else f"{c} {h}" for c, h in zip(parts["component"], parts["head"], strict=True)])
parts.pivot(index="step", columns="part", values="contribution").iloc[::6].round(2)

# %% [markdown]
# The same arrays lie in Parquet, and in the app the report `grokking` shows them step by step.
