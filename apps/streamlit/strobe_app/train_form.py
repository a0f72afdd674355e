"""The form that starts trainings: a family, its parameters, the training; a preview of every run of the sweep; one job per run."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import streamlit as st

from strobe import Family, StrobeError, Training, Workspace
from strobe.cli.jobs import duration
from strobe.jobs.job import Prepared
from strobe.jobs.kinds import kind_of
from strobe.jobs.queue import JobStore
from strobe.jobs.worker import cores, ensure_worker
from strobe.registration.registry import Plugin
from strobe.training.trainer import held, seconds_per_epoch
from strobe_app import forms

EXPLICIT = re.compile(r"(?:^|\+)at:(?P<steps>[\d,]+)|-(?P<end>\d+):\d+")
"""Steps that a schedule of checkpoints names."""


@dataclass(frozen=True)
class Variant:
    """One run of a sweep: what is asked for, and the request as it was checked."""

    parameters: Mapping[str, Any]
    training: Mapping[str, Any]
    prepared: Prepared

    @property
    def config(self) -> Training:
        return Training(**self.prepared.request["training"])


@dataclass
class Sweep:
    """Every run that the form asks for, or why there is none."""

    variants: list[Variant] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    swept: list[str] = field(default_factory=list)


def _trainable(plugin: Plugin) -> bool:
    """Whether a family has a model; a broken one stays in the list, and says what is wrong with it when it is chosen."""
    try:
        return not plugin.load().weights_only
    except StrobeError:
        return True


@st.fragment
def show(workspace: Workspace) -> None:
    """The form, the preview, and the button."""
    families = [p.name for p in workspace.registry.all("family") if p.state == "ready" and _trainable(p)]
    name = st.selectbox("Family", families, key="train family", width=320)
    try:
        cls = workspace.registry.family(name)
    except StrobeError as e:
        st.error(str(e))
        return
    st.caption(cls.summary())
    st.markdown("**Parameters**")
    parameters = forms.show(cls, f"train {name}")
    st.markdown("**Training**")
    training = forms.show(Training, f"train {name} training", cls().training().model_dump(mode="json", by_alias=True))
    parameters.check()
    training.check(cls().training().model_dump(by_alias=True))
    _beyond(training, cls().training())
    given = st.text_input("Name", key=f"train {name} name", placeholder="made of family, parameters and identity", width=320, help="of a single run")
    _preview(workspace, cls, planned(workspace, name, parameters, training, given.strip()))


def planned(workspace: Workspace, family: str, parameters: forms.Form, training: forms.Form, name: str) -> Sweep:
    """Every combination of what was typed, checked as a job is."""
    sweep = Sweep(swept=[*parameters.swept, *training.swept])
    sweep.problems = [message for form in (parameters, training) for key, message in form.problems.items() if key not in form.slots]
    runs = forms.count(parameters.values) * forms.count(training.values)
    if runs > forms.MOST:
        sweep.problems.append(f"This is a sweep of {runs:,} runs; start at most {forms.MOST} at once.")
    if name and runs > 1:
        sweep.problems.append(f"{runs} runs cannot share the name {name!r}: leave the name empty.")
    if sweep.problems or parameters.problems or training.problems:
        return sweep
    kind = kind_of("train")
    try:
        for p in forms.combinations(parameters.values):
            for t in forms.combinations(training.values):
                request = {"target": family, "name": name, "training": t, **p}
                sweep.variants.append(Variant(p, t, kind.prepare(workspace, request)))
    except StrobeError as e:
        return Sweep(problems=[str(e)])
    return sweep


def _beyond(form: forms.Form, defaults: Training) -> None:
    """Say which steps of a schedule no run of the sweep reaches: they are left out, which is rarely what was meant."""
    if form.problems:
        return
    schedule = str(form.values.get("schedule", [defaults.schedule])[0])
    last = max(form.values.get("epochs", [defaults.epochs]))
    beyond = [step for step in named_steps(schedule) if step > last]
    if beyond:
        some = f"{', '.join(f'{step:,}' for step in beyond[:3])}{', ...' if len(beyond) > 3 else ''}"
        form.slots["schedule"].warning(f"Beyond the last epoch, {last:,}, and left out: {some}.")


def named_steps(schedule: str) -> list[int]:
    """The steps that a schedule names outright: those of `at:`, and the ends of ranges."""
    found = [(m["steps"] or m["end"]).split(",") for m in EXPLICIT.finditer(schedule)]
    return sorted({int(step) for steps in found for step in steps if step})


# --- preview ---------------------------------------------------------------------------------------------------------------------------------


def _preview(workspace: Workspace, cls: type[Family], sweep: Sweep) -> None:
    for problem in [*sweep.problems, *filter(None, [st.session_state.pop("train said", "")])]:
        st.error(problem)
    new = [v for v in sweep.variants if not v.prepared.finished]
    if sweep.variants:
        _forecast(workspace, cls, sweep, new)
    label = f"Train {len(new)} run{'' if len(new) == 1 else 's'}" if new else "Train"
    if st.button(label, type="primary", disabled=not new, key="train start", icon=":material/play_arrow:"):
        _start(workspace, new)


def _forecast(workspace: Workspace, cls: type[Family], sweep: Sweep, new: Sequence[Variant]) -> None:
    """What the runs would be: names, steps, bytes, and time once somebody wants it measured."""
    seconds: dict[str, float] = st.session_state.setdefault("train seconds", {})
    rows = pd.DataFrame([_row(cls, v, sweep.swept, seconds) for v in sweep.variants])
    done = len(sweep.variants) - len(new)
    said = f"**{len(sweep.variants)} run{'' if len(sweep.variants) == 1 else 's'}**"
    said += f", {done} complete already" if done else ""
    said += f", {rows['checkpoints'].sum():,} checkpoints, {rows['MB'].sum():,.1f} MB"
    if new and all(_speed_key(v) in seconds for v in new):
        said += f", about {_time(sum(seconds[_speed_key(v)] * v.config.epochs for v in new), len(new))}"
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(said, width="content")
        if new and any(_speed_key(v) not in seconds for v in new):
            st.button("Estimate the time", key="train time", on_click=_measure, args=(cls, new), help="from a few updates of the real thing")
    whole = {"epochs": st.column_config.NumberColumn(format="localized")}
    st.dataframe(rows, hide_index=True, height=min(38 + 35 * len(rows), 260), column_config=whole)
    steps = sweep.variants[0].config.steps()
    st.caption(
        f"Checkpoints{' of the first' if len(rows) > 1 else ''}: {', '.join(f'{s:,}' for s in steps[:80])}{', ...' if len(steps) > 80 else ''}"
    )


def _row(cls: type[Family], v: Variant, swept: Sequence[str], seconds: Mapping[str, float]) -> dict[str, Any]:
    config = v.config
    size = sum(4 * math.prod(shape) for shape in cls(**v.parameters).parameters().values()) * len(config.steps())
    per_epoch = seconds.get(_speed_key(v))
    return {
        "run": v.prepared.run,
        **{name: forms.shown({**v.parameters, **v.training}[name]) for name in swept},
        "epochs": config.epochs,
        "checkpoints": len(config.steps()),
        "MB": round(size / 1e6, 2),
        "time": "" if per_epoch is None else duration(per_epoch * config.epochs),
        "state": "complete already" if v.prepared.finished else "new",
    }


def _speed_key(v: Variant) -> str:
    """What decides how long an epoch takes: everything but seeds."""
    same = {k: value for k, value in {**v.prepared.request["parameters"], **v.training}.items() if "seed" not in k}
    return json.dumps([v.prepared.request["target"], same], sort_keys=True, default=str)


def _measure(cls: type[Family], new: Sequence[Variant]) -> None:
    seconds = st.session_state["train seconds"]
    for v in new:
        key = _speed_key(v)
        if key not in seconds:
            try:
                seconds[key] = seconds_per_epoch(cls(**v.parameters), v.config)
            except StrobeError as e:  # a device that is not there, for one
                st.session_state["train said"] = str(e)
                return


def _time(seconds: float, runs: int) -> str:
    at_once = min(runs, cores())
    return duration(seconds / at_once) + (f" with {at_once} at a time" if at_once > 1 else "")


# --- start -----------------------------------------------------------------------------------------------------------------------------------


def _start(workspace: Workspace, new: Sequence[Variant]) -> None:
    """Queue one job per run, unless one of the runs is being trained by somebody else."""
    try:
        for v in new:
            refuse_trained(workspace, v.prepared.run)
    except StrobeError as e:
        st.error(str(e))
        return
    store = JobStore(workspace.root)
    for v in new:
        store.submit("train", v.prepared)
    ensure_worker(workspace.root)
    st.rerun(scope="app")


def refuse_trained(workspace: Workspace, name: str) -> None:
    """Raise `StrobeError` when a process that is no job of this workspace trains a run."""
    if not (workspace.root / "runs" / name / "run.json").is_file():
        return
    if not any(job.run == name for job in JobStore(workspace.root).all(("queued", "running"))):  # a job of ours finds out by itself
        with held(workspace.run(name)):
            pass
