# %% [markdown]
# # A path through weight space, turning
#
# All parameters of a run, at every checkpoint, are a path. On its first three principal components it can be looked at from all sides.

# %%
import altair as alt
from IPython.display import Image

import strobe
from strobe_renderers.trajectory_3d import Trajectory3D

alt.renderers.enable("png", ppi=96)

ws = strobe.Workspace("trajectory")
training = {"epochs": 900, "lr": 3e-3, "weight_decay": 3.0, "schedule": "every:25"}
run = ws.train("modular_addition", name="small", seed=3, p=13, d_model=64, d_mlp=128, fraction=0.8, training=training)
ws.analyze(run, ["parameter_trajectory", "dominant_frequencies"]).failures

# %% [markdown]
# A renderer is bound to a run and a cursor. The ring is the cursor's step; the dashed ghost is what a random walk of the same steps would do.

# %%
view = ws.view(Trajectory3D(width=420, height=320), run, step=300)
view

# %% [markdown]
# `over` is the coordinate that runs. `azimuth` turns a scene once around:

# %%
film = view.animate("turning.gif", over="azimuth", values=range(0, 360, 30), fps=6, hold=0, width=520, scale=1, processes=1)
Image(film.read_bytes(), format="gif")

# %% [markdown]
# Over `step`, any panel becomes a film of training; axes hold all frames, and each says its step. `.mp4` and `.webp` are made the same way.

# %%
spectrum = ws.view("frequency_spectrum", run)
steps = [step for step in ws.table("dominant_frequencies", runs=run)["step"].unique() if step % 100 == 0]
film = spectrum.animate("spectrum.gif", over="step", values=steps, fps=3, ease="in-out", width=620, scale=1, processes=1)
Image(film.read_bytes(), format="gif")
