"""How long a step takes in the browser: 18 panels on the board, and the same as plain charts, in one run; and what 1,000 moves leave in the server.

`python benchmarks/ui.py WORKSPACE RUN` needs a run with everything analyzed, and a Chromium. All 18 panels are in sight. For each step: from the key
press to the last repaint, requests made, CPU time of the page's main thread, and of all processes of the browser (of a round of steps, divided:
asking takes CPU time itself). The first rounds fill the caches and are not counted.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, CDPSession, Page, sync_playwright

from strobe import Workspace
from strobe.reports.files import load, save
from strobe.reports.library import file_of
from strobe.runs.run import Run

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update"]
START = "import sys; from strobe_app.launch import main; sys.exit(main(sys.argv[1], int(sys.argv[2]), headless=True))"
SETTLED = "Number(strobe.board.root.dataset.step) === strobe.store.cursor.step && strobe.board.panels.every(p => p.view)"
REPAINT, MAIN, CPU = "ms to the last repaint", "CPU ms, main thread", "CPU ms, all processes"
STEP = """async (places) => {
    const { store, board } = strobe, started = performance.now();
    store.move("step", places);
    while (Number(board.root.dataset.step) !== store.cursor.step) await board.settling;
    await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
    return performance.now() - started;
}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workspace", nargs="?", default=os.environ.get("STROBE_WORKSPACE", "strobe-workspace"))
    parser.add_argument("run", nargs="?", default="modadd_p113_seed999")
    parser.add_argument("--steps", type=int, default=20, help="steps measured, each way")
    parser.add_argument("--moves", type=int, default=1000, help="of the cursor, for the memory of the server")
    options = parser.parse_args()
    workspace = Workspace(options.workspace)
    save(load(Path(__file__).parent / "reports" / "bench18.yaml"), file_of(workspace, "bench18"))
    with app(workspace) as (address, server), sync_playwright() as play:
        chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
        browser = play.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        query = f"{address}/?run={options.run}&report=bench18&step=0"
        show("board", board(browser, query, options.steps))
        show("plain charts", plain(browser, f"{query}&board=0", min(5, options.steps)))
        browser.close()
        print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
        memory(address, server, workspace.run(options.run), options.moves)


@contextmanager
def app(workspace: Workspace) -> Iterator[tuple[str, int]]:
    """Its address, and the id of the process that serves it."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    child = subprocess.Popen([sys.executable, "-c", START, str(workspace.root.resolve()), str(port)], stdout=subprocess.DEVNULL)
    try:
        for _ in range(300):
            try:
                urllib.request.urlopen(f"http://localhost:{port}/_stcore/health", timeout=2).close()
                break
            except OSError:
                time.sleep(0.2)
        yield f"http://localhost:{port}", served_by(child.pid)
    finally:
        child.terminate()
        child.wait(20)


def board(browser: Browser, address: str, steps: int) -> dict[str, list[float]]:
    page = browser.new_page(viewport={"width": 1920, "height": 7000})
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address)
    page.wait_for_function(f"globalThis.strobe?.board && {SETTLED}", timeout=120_000)
    assert page.evaluate("strobe.board.inSight.length") == 18
    bare = page.evaluate("strobe.board.panels.filter(p => p.shown?.problem).map(p => p.card.title)")
    assert not bare, f"nothing to draw in {bare}: analyze the run first"
    there, back = [1] * steps, [-1] * steps
    for places in [*there, *back]:  # once there and back, so that everything is cached
        page.evaluate(STEP, places)
    page.wait_for_timeout(4000)
    watch = page.context.new_cdp_session(page)
    watch.send("Performance.enable", {"timeDomain": "threadTicks"})
    figures: dict[str, list[float]] = {name: [] for name in (REPAINT, "requests", MAIN, CPU)}
    for places in [*there, *back]:
        before, busy = len(asked), main_thread(watch)
        figures[REPAINT].append(page.evaluate(STEP, places))
        figures[MAIN].append(main_thread(watch) - busy)
        figures["requests"].append(len([url for url in asked[before:] if "/api/frames/" in url]))
    for _ in range(3):
        for way in (there, back):
            busy = cpu(browser)
            for places in way:
                page.evaluate(STEP, places)
            figures[CPU].append((cpu(browser) - busy) / steps)
    page.close()
    return figures


def plain(browser: Browser, address: str, steps: int) -> dict[str, list[float]]:
    """The same panels as `st.vega_lite_chart`: a step is done when no canvas has changed for a second."""
    page = browser.new_page(viewport={"width": 1920, "height": 7000})
    page.goto(address)
    page.wait_for_function("document.querySelectorAll('.vega-embed .marks').length >= 18", timeout=180_000)
    quiet(page)
    figures: dict[str, list[float]] = {REPAINT: [], CPU: []}
    page.get_by_role("slider").focus()
    for key in ["ArrowRight"] * steps + ["ArrowLeft"] * steps:
        busy = cpu(browser)
        page.keyboard.press(key)
        took = quiet(page)
        if key == "ArrowLeft":  # steps the server has drawn before
            figures[REPAINT].append(took)
            figures[CPU].append(cpu(browser) - busy)
    page.close()
    return figures


def quiet(page: Page) -> float:
    """Milliseconds until the charts last changed; returns once they have not for two seconds."""
    took: Any = page.evaluate(
        """async () => {
            const started = performance.now(); let last = started;
            const watch = new MutationObserver(() => (last = performance.now()));
            watch.observe(document.body, { subtree: true, childList: true, attributes: true });
            while (performance.now() - last < 2000) await new Promise((done) => setTimeout(done, 50));
            watch.disconnect();
            return last - started;
        }"""
    )
    return float(took)


def main_thread(watch: CDPSession) -> float:
    """Milliseconds of CPU time of the tasks of the page's main thread."""
    known = {metric["name"]: metric["value"] for metric in watch.send("Performance.getMetrics")["metrics"]}
    return 1000 * known["TaskDuration"]


def cpu(browser: Browser) -> float:
    """Milliseconds of CPU time of all processes of the browser."""
    session = browser.new_browser_cdp_session()
    processes = session.send("SystemInfo.getProcessInfo")["processInfo"]
    session.detach()
    return 1000 * sum(p["cpuTime"] for p in processes)


def served_by(process: int) -> int:
    """The process that Streamlit runs in: the youngest descendant."""
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return served_by(int(children[-1])) if children else process


def memory(address: str, server: int, run: Run, moves: int) -> None:
    """Resident memory of the server after a tenth, a half and all of the moves: over all steps, each round with another neuron, all cards at once."""
    stamp = json.load(urllib.request.urlopen(f"{address}/api/stamp?run={run.name}&report=bench18"))["stamp"]
    cards = ",".join(map(str, range(1, 19)))
    steps, asked = run.steps, f"run={run.name}&report=bench18"

    def move(i: int) -> None:
        place = f"step={steps[i % len(steps)]}&neuron={i // len(steps)}&layer=0&head=0&frequency=1"
        urllib.request.urlopen(f"{address}/api/frames/{stamp}?{asked}&theme=strobe&cards={cards}&{place}").read()

    for i in range(len(steps)):  # every step once, so that what all steps share is in the caches
        move(i)
    before, marks = resident(server), dict[int, float]()
    for i in range(moves):
        move(i)
        if i + 1 in (moves // 10, moves // 2, moves):
            marks[i + 1] = resident(server)
    print(f"server memory  {before:.0f} MB; " + ", ".join(f"{m:.0f} MB after {n:,} moves" for n, m in marks.items()))


def resident(process: int) -> float:
    (line,) = [line for line in Path(f"/proc/{process}/status").read_text().splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) / 1024


def show(name: str, figures: dict[str, list[float]]) -> None:
    for what, values in figures.items():
        print(f"{name:14} {what:24} median {statistics.median(values):8.1f}   90 % {sorted(values)[int(0.9 * len(values))]:8.1f}   n {len(values)}")


if __name__ == "__main__":
    main()
