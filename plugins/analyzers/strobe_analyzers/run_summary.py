"""All runs in one table."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pandas as pd

from strobe import Analyzer, Context, Results, dim, hookimpl, metric

from .run_profile import Profile
from .run_table import varying


class RunSummary(Analyzer):
    """One row per run: what it was made with, and its profile (run_profile), so that runs can be laid side by side, sorted and drawn.

    `varying` names the parameters in which these runs differ, with this run's values; `parameters` holds all of them as JSON. One run alone is fine:
    nothing varies. The table is of exactly the runs that were analyzed together; name all that you want to compare. A run that is still training
    has `complete` false and the dates it has reached so far. Cost: reads one row per run.
    """

    scope = "runs"
    consumes = "run_profile"
    families = ("modular_addition", "modular_mlp")

    class Row(Profile):
        run: str = dim("run")
        family: str | None = dim("family")
        varying: str = dim("parameters in which the runs differ, with this run's values")
        parameters: str = dim("all parameters of family and training, as JSON")
        complete: bool | None = dim("whether it was trained for as many steps as it was to be; null when that is not known")
        seed: int | None = metric("seed of the initial weights", unit="1")
        p: int | None = metric("modulus", unit="1")
        fraction: float | None = metric("share of all pairs that it was trained on, 0..1", unit="1")
        weight_decay: float | None = metric("weight decay", unit="1")
        lr: float | None = metric("learning rate", unit="1")

    @hookimpl
    def analyze_results(self, results: Results, context: Context) -> Iterator[Row]:
        table = results["run_profile"].drop_duplicates("run", keep="last")
        differing = varying(context.parameters, table["run"].astype(str))
        for row in table.to_dict("records"):
            run = str(row["run"])
            own = dict(context.parameters.get(run, {}))
            profile = {name: None if pd.isna(row[name]) else row[name] for name in Profile.model_fields}
            planned = own.get("epochs")
            yield self.Row(
                **profile,
                run=run,
                family=own.get("family"),
                varying=", ".join(f"{name}={own.get(name)}" for name in differing),
                parameters=json.dumps(own, sort_keys=True, default=str),
                complete=None if planned is None or profile["epochs"] is None else bool(profile["epochs"] >= planned),
                **{name: own.get(name) for name in ("seed", "p", "fraction", "weight_decay", "lr")},
            )
