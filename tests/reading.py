"""The app as a reader meets it: started once per file of tests, and a tab that fails its test when a script fails."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import ConsoleMessage, Page, Request

ARGUMENTS = "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync"
START = "import sys; from strobe_app.launch import main; sys.exit(main(sys.argv[1], int(sys.argv[2]), headless=True))"
PATIENCE = 60_000
"""Milliseconds to wait for what takes a second on a machine that does nothing else; nothing is slower for it unless it fails."""


@contextmanager
def serving(root: Path, cwd: Path, environment: Mapping[str, str] | None = None) -> Iterator[str]:
    """The address of the app, running on a workspace until the end of the block."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    child = subprocess.Popen([sys.executable, "-c", START, str(root), str(port)], env={**os.environ, **(environment or {})}, cwd=cwd)
    try:
        for _ in range(300):
            try:
                urllib.request.urlopen(f"http://localhost:{port}/_stcore/health", timeout=2).close()
                break
            except OSError:
                assert child.poll() is None, "the app ended"
                time.sleep(0.2)
        yield f"http://localhost:{port}"
    finally:
        child.terminate()
        child.wait(20)


@contextmanager
def watched(tab: Page) -> Iterator[list[str]]:
    """What goes wrong in a tab until the end of the block: errors of its scripts, and complaints of the browser."""
    problems: list[str] = []

    def failed(error: object) -> None:
        problems.append(str(error))

    def said(message: ConsoleMessage) -> None:
        if message.type == "error":
            problems.append(message.text)

    tab.on("pageerror", failed)
    tab.on("console", said)
    yield problems
    tab.remove_listener("pageerror", failed)
    tab.remove_listener("console", said)


def forget_what_was_there(tab: Page) -> None:
    """Leave the page, and what it stored and how requests were changed; files that were loaded stay in the browser's cache."""
    tab.unroute_all(behavior="ignoreErrors")
    if tab.url.startswith("http"):
        tab.evaluate("localStorage.clear(); sessionStorage.clear()")
    tab.goto("about:blank")


class Reader:
    """A tab with the board in it, and what it asked the server for."""

    def __init__(self, tab: Page, address: str, problems: list[str]) -> None:
        self.tab, self.address, self.problems = tab, address, problems
        self.asked: list[str] = []

    @classmethod
    @contextmanager
    def of(cls, tab: Page, address: str, problems: list[str]) -> Iterator[Reader]:
        made = cls(tab, address, problems)

        def ask(request: Request) -> None:
            if "/api/frames" in request.url:
                made.asked.append(request.url)

        tab.on("request", ask)
        yield made
        tab.remove_listener("request", ask)

    def open(self, report: str, run: str = "small", **cursor: int) -> Reader:
        query = "&".join(f"{name}={value}" for name, value in {"run": run, "report": report, **cursor}.items())
        self.tab.goto(f"{self.address}/?{query}")
        self.settled()
        return self

    def settled(self, step: int | None = None) -> None:
        """Everything in sight shows the cursor's step."""
        wanted = f"strobe.store.cursor.step === {step} && " if step is not None else ""
        ready = "Number(strobe.board.root.dataset.step) === strobe.store.cursor.step && !strobe.board.root.querySelector('[aria-busy=true]')"
        seen = "strobe.board.inSight.length"  # before anything is in sight, all of it is settled
        self.tab.wait_for_function(f"globalThis.strobe?.board && {seen} && {wanted}{ready}", timeout=PATIENCE)

    def at(self, name: str = "step") -> int:
        return int(self.tab.evaluate("name => strobe.store.cursor[name]", name))

    def picture(self, card: int) -> str:
        """The chart, and where the cursor lies over it."""
        drawn = "canvases => canvases.map(c => c.toDataURL() + c.style.transform).join()"
        return str(self.tab.locator(f"#card-{card} .chart canvas").evaluate_all(drawn))

    def key(self, name: str, step: int) -> None:
        self.tab.keyboard.press(name)
        self.settled(step)

    def click(self, card: int, x: float, y: float) -> None:
        """Click a card's chart at a share of its width and height."""
        canvas = self.tab.locator(f"#card-{card} canvas").first
        canvas.scroll_into_view_if_needed()
        box = canvas.bounding_box()
        assert box is not None
        canvas.click(position={"x": box["width"] * x, "y": box["height"] * y})


def until(page: Page, condition: str) -> None:
    """As Playwright's `wait_for_function`, which evaluates strings in the page: its policy forbids that."""
    assert page.evaluate(
        f"(async () => {{ for (let i = 0; i < 2400 && !({condition}); i++) await new Promise((d) => setTimeout(d, 25)); return {condition} }})()"
    )
