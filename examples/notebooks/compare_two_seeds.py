# %% [markdown]
# # Two seeds
#
# The same model is trained twice; only the seed of its first weights differs. What is the same, and what is not? Ten seconds on one core.

# %%
import altair as alt

import strobe

alt.renderers.enable("png", ppi=96)  # charts as pictures, so that they are seen without running anything

ws = strobe.Workspace("two-seeds")
small = {"p": 13, "d_model": 64, "d_mlp": 128, "fraction": 0.8}
training = {"epochs": 900, "lr": 3e-3, "weight_decay": 3.0, "schedule": "every:50"}
runs = [ws.train("modular_addition", name=f"seed{seed}", seed=seed, training=training, **small) for seed in (4, 6)]
runs

# %% [markdown]
# One call analyzes both. What both analyzers need of a checkpoint is captured in one forward pass; what looks at weights or metrics needs none.

# %%
report = ws.analyze(runs, ["phases", "dominant_frequencies", "key_frequencies", "loss_and_accuracy"])
report.counters["forwards"], report.failures

# %% [markdown]
# When did each memorise, and when did it generalise? Tables are pandas data frames; an event that did not happen has no step.

# %%
ws.table("phases").pivot(index="event", columns="run", values="at_step")

# %% [markdown]
# The loss on pairs that neither saw, on one axis. `align="turn"` would set both to nought where their own test loss begins to fall.

# %%
ws.view("runs_over_steps", runs[0], "metrics", slots={"y": "test_loss"}, runs=runs)

# %% [markdown]
# Both learn addition with a few rotations: frequencies of the residues. Which ones, the seed decides. SQL over the results of all runs:

# %%
ws.sql("""
    select frequency,
           max(case when run = 'seed4' then power end) as seed4,
           max(case when run = 'seed6' then power end) as seed6
    from (select run, frequency, round(sum(share), 3) as power from dominant_frequencies
          where view = 'W_E' and step = 900 and frequency > 0 group by run, frequency)
    group by frequency order by frequency
""")

# %%
ws.view("frequency_spectrum", runs[0], step=900)

# %%
ws.view("frequency_spectrum", runs[1], step=900)

# %% [markdown]
# The same question over many seeds: `strobe train modular_addition --set seed=1,2,3,4`, and the report `compare_runs` of the app.
