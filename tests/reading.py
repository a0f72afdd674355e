"""The app as a reader meets it: started once per file of tests, and a tab that fails its test when a script fails."""

from __future__ import annotations

import contextlib
import os
import random
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import ConsoleMessage, Error, FloatRect, Locator, Page, Request, WebSocket, expect
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

ARGUMENTS = "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync"
START = "import sys; from strobe_app.launch import main; sys.exit(main(sys.argv[1], int(sys.argv[2]), headless=True))"
PATIENCE = 120_000
"""Milliseconds to wait for what takes a second on a machine that does nothing else; nothing is slower for it unless it fails."""
expect.set_options(timeout=PATIENCE)
SETTLED = """(step) => {
  const ready = globalThis.strobe?.board?.settled && (step === null || strobe.store.cursor.step === step) && document.fonts.status !== "loading";
  const layout = ready ? strobe.board.inSight.map(({ element }) => Object.values(element.getBoundingClientRect().toJSON())).join() : null;
  const frames = ready && layout === globalThis.settledAs?.layout ? globalThis.settledAs.frames + 1 : 0;
  globalThis.settledAs = frames < 3 ? { layout, frames } : null;
  return frames === 3;
}"""
"""Everything in sight shows the whole of the store's place, and stands where it stood some frames ago: what a scroll brings into sight is noticed
a frame later, and what is drawn above moves what is below."""


STATE = """() => {
  const { board, store, watch } = strobe, { frames, settled, shows, asking, broken } = board, { told, pause, closed } = watch;
  const problem = (p) => p.element.querySelector(".problem")?.textContent;
  const panel = (p) => ({ card: p.card.number, at: p.element.dataset.at, busy: p.element.ariaBusy, here: !!frames.get(p.card, p.cursor),
    shown: !!p.shown, drawn: !!p.view, problem: problem(p) });
  const asked = { settled, shows, asking: !!asking, broken: !!broken, gone: frames.gone, flying: [...frames.flying.keys()] };
  return JSON.stringify({ place: store.place, ...asked, watch: { told, pause, closed }, panels: board.inSight.map(panel) }, null, 1);
}"""


def free_port() -> int:
    """A port that nobody has, and that nobody is given who asks for any port: browsers and servers beside this one open hundreds a minute."""
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0]) if Path("/proc/sys").exists() else 32768
    draw = random.Random(os.urandom(8))  # tests seed the global one, each process alike
    while True:
        with socket.socket() as free, contextlib.suppress(OSError):
            free.bind(("localhost", port := draw.randrange(10240, lowest)))
            return port


@contextmanager
def serving(root: Path, cwd: Path, environment: Mapping[str, str] | None = None) -> Iterator[str]:
    """The address of the app, running on a workspace until the end of the block."""
    port = free_port()
    child = subprocess.Popen([sys.executable, "-c", START, str(root), str(port)], env={**os.environ, **(environment or {})}, cwd=cwd)
    try:
        end = time.monotonic() + PATIENCE / 1000
        while not answers(f"http://localhost:{port}/_stcore/health"):
            assert child.poll() is None, "the app ended"
            assert time.monotonic() < end, "the app did not answer"
            time.sleep(0.1)
        yield f"http://localhost:{port}"
    finally:
        child.terminate()
        child.wait(PATIENCE / 1000)


def answers(address: str) -> bool:
    try:
        urllib.request.urlopen(address, timeout=10).close()
    except OSError:
        return False
    return True


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
        self.runs = 0

    @classmethod
    @contextmanager
    def of(cls, tab: Page, address: str, problems: list[str]) -> Iterator[Reader]:
        made = cls(tab, address, problems)

        def ask(request: Request) -> None:
            if "/api/frames" in request.url:
                made.asked.append(request.url)

        def connected(socket: WebSocket) -> None:
            socket.on("framereceived", heard)

        def heard(message: str | bytes) -> None:
            made.runs += isinstance(message, bytes) and ForwardMsg.FromString(message).WhichOneof("type") == "script_finished"

        tab.on("request", ask)
        tab.on("websocket", connected)
        yield made
        tab.remove_listener("websocket", connected)
        tab.remove_listener("request", ask)

    @contextmanager
    def python_runs(self) -> Iterator[None]:
        """What happens in the block has Python run, a while later; on leaving it, that run has ended."""
        still(self.tab)
        before, end = self.runs, time.monotonic() + PATIENCE / 1000
        yield
        while self.runs == before:
            assert time.monotonic() < end, "Python was not told"
            self.tab.wait_for_timeout(25)

    def open(self, report: str, run: str = "small", **cursor: int) -> Reader:
        query = "&".join(f"{name}={value}" for name, value in {"run": run, "report": report, **cursor}.items())
        self.tab.goto(f"{self.address}/?{query}")
        self.settled()
        return self

    def settled(self, step: int | None = None) -> None:
        """Everything in sight shows the cursor's place, at this step, and stays where it is."""
        self.tab.wait_for_function(SETTLED, arg=step, timeout=PATIENCE)

    def state(self) -> str:
        """What the board shows and waits for, for whoever wonders why a test failed."""
        try:
            return str(self.tab.evaluate(STATE))
        except Error as e:
            return f"no board: {e}"

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
        canvas, box = self.canvas(card)
        canvas.click(position={"x": box["width"] * x, "y": box["height"] * y})

    def canvas(self, card: int) -> tuple[Locator, FloatRect]:
        """A card's chart, in sight, and where it has come to rest."""
        canvas = self.tab.locator(f"#card-{card} canvas").first
        canvas.scroll_into_view_if_needed()
        self.settled()
        box = canvas.bounding_box()
        assert box is not None
        return canvas, box


def still(page: Page) -> None:
    """Wait until Streamlit has nothing left to run. See an effect of a click first: until its run begins, there is nothing to run either."""
    page.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]", timeout=PATIENCE)


def chosen(page: Page, box: Locator, option: str) -> None:
    """Choose in a list of Streamlit's: typing finds the option. A list that a late answer of the server has closed is opened again."""
    for _ in range(12):
        still(page)
        try:
            box.click(timeout=5000)
            box.fill(option, timeout=5000)
            return page.get_by_role("option", name=option, exact=True).first.click(timeout=5000)
        except Error:
            page.keyboard.press("Escape")
    raise AssertionError(f"there is no option {option}")


def until(page: Page, condition: str) -> None:
    """As Playwright's `wait_for_function`, which evaluates strings in the page: its policy forbids that."""
    assert page.evaluate(
        f"(async () => {{ for (let i = 0; i < 4800 && !({condition}); i++) await new Promise((d) => setTimeout(d, 25)); return {condition} }})()"
    )
