"""The page Runs in a real browser: a sweep is started, watched, one run of it cancelled and retried."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from reading import PATIENCE, serving

from strobe import Workspace
from strobe.jobs.processes import runs
from strobe.jobs.queue import JobStore

pytestmark = pytest.mark.browser
TINY = {
    "p": "5, 7",
    "d_model": "8",
    "n_heads": "2",
    "d_mlp": "16",
    "fraction": "0.5",
    "seed": "485, 999",
    "epochs": "400",
    "schedule": "every:100",
}
WATCH = """() => {
  window.seen = {}
  setInterval(() => document.querySelectorAll('[class*="st-key-job-"]').forEach(row => {
    const id = row.className.match(/st-key-job-(\\w+)/)[1], bar = row.querySelector('[role=progressbar]')
    if (bar) (window.seen[id] ??= []).push(Number(bar.getAttribute('aria-valuenow')))
  }), 50)
}"""
"""Notes how far the bar of each job is, twenty times a second."""


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    """An empty one; the worker that the app starts in it is ended."""
    made = Workspace(tmp_path / "workspace")
    made.root.mkdir()
    yield made
    for worker in JobStore(made.root).workers():
        with contextlib.suppress(ProcessLookupError):  # it ends by itself when it has nothing to do
            os.kill(worker["pid"], signal.SIGTERM)


@pytest.fixture
def address(workspace: Workspace, tmp_path: Path) -> Iterator[str]:
    """The app, running on the workspace."""
    with serving(workspace.root, tmp_path) as found:
        yield found


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    """A page that fails its test when a script of it fails. Closed before the app ends."""
    tab = browser.new_page(viewport={"width": 1280, "height": 1600})
    tab.set_default_timeout(PATIENCE)
    problems: list[str] = []
    tab.on("pageerror", lambda error: problems.append(str(error)))
    tab.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    yield tab
    tab.close()
    assert problems == []


def type_into(page: Page, label: str, text: str) -> None:
    box = page.get_by_role("textbox", name=label, exact=True)
    box.fill(text)
    box.press("Enter")


def stopped(store: JobStore) -> str:
    """A job that runs and gets no further: it cannot be done before somebody has clicked."""
    end = time.monotonic() + PATIENCE / 1000
    while time.monotonic() < end:
        for job in store.all(["running"]):
            with contextlib.suppress(ProcessLookupError):
                if job.pid:
                    os.kill(job.pid, signal.SIGSTOP)
                    if runs(job.pid, job.mark):
                        return job.id
        time.sleep(0.02)
    raise AssertionError("no job runs")


def test_a_sweep_is_started_watched_cancelled_and_retried(page: Page, address: str, workspace: Workspace) -> None:
    page.goto(address)
    page.get_by_role("link", name="Runs").click()
    expect(page.get_by_role("button", name="Train 1 run")).to_be_enabled(timeout=PATIENCE)
    for label, text in TINY.items():
        type_into(page, label, text)
    start = page.get_by_role("button", name="Train 4 runs")
    expect(start).to_be_enabled(timeout=PATIENCE)
    page.evaluate(WATCH)
    start.click()
    chosen = stopped(JobStore(workspace.root))
    row = page.locator(f".st-key-job-{chosen}")
    expect(row).to_contain_text("running", timeout=PATIENCE)
    rows = page.locator("[class*='st-key-job-']")
    expect(rows).to_have_count(4, timeout=PATIENCE)
    row.get_by_role("button", name="Cancel").click()
    expect(row).to_contain_text("cancelled", timeout=PATIENCE)
    row.get_by_role("button", name="Retry").click()
    expect(rows.filter(has_text="done").filter(has_text="100 %")).to_have_count(4, timeout=2 * PATIENCE)  # each is a process of its own
    expect(row).to_contain_text("attempt 2")

    jobs = JobStore(workspace.root).all()
    assert [(job.state, job.progress) for job in jobs] == [("done", 1.0)] * 4
    assert [job.attempt for job in jobs] == [2 if job.id == chosen else 1 for job in jobs]
    assert {(r.record.parameters["p"], r.record.parameters["seed"]) for r in workspace.runs()} == {(p, s) for p in (5, 7) for s in (485, 999)}
    assert all(run.steps == (0, 100, 200, 300, 400) for run in workspace.runs())
    page.wait_for_function("Object.values(window.seen).every((values) => values.at(-1) === 100)", timeout=PATIENCE)
    seen = page.evaluate("window.seen")
    assert seen.keys() == {job.id for job in jobs}
    for values in seen.values():
        assert values == sorted(values)
        assert values[-1] == 100
    expect(page.get_by_test_id("stDataFrame").first).to_be_visible()
    assert page.locator("[data-testid=stException]").count() == 0
