"""A standalone file of 18 panels: bytes, requests, and time per step in Chromium with the network off.

`python benchmarks/export_html.py WORKSPACE RUN [--file FILE]` needs a run with everything analyzed, and a Chromium. All panels are in sight. For each
step: from the key press to the last repaint. The first round there and back is not counted. A plain fixed loop tells how busy the machine is.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from pathlib import Path

from playwright.sync_api import sync_playwright

from strobe import Workspace
from strobe.export import write_report
from strobe.reports.files import load

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update"]
STEP = """async (places) => {
    const { store, board } = strobe, started = performance.now();
    store.move("step", places);
    while (Number(board.root.dataset.step) !== store.cursor.step) await board.settling;
    await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
    return performance.now() - started;
}"""
LOOP = "() => { const started = performance.now(); let x = 0; for (let i = 0; i < 2e7; i++) x += Math.sqrt(i); return performance.now() - started; }"
READY = (
    "async () => { while (!globalThis.strobe?.board?.root.dataset.step) await new Promise((d) => setTimeout(d, 50)); await strobe.board.settling; }"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workspace")
    parser.add_argument("run", nargs="?", default="modadd_p113_seed999")
    parser.add_argument("--file", help="measure this file instead of writing one")
    parser.add_argument("--steps", type=int, default=20, help="steps measured, each way")
    options = parser.parse_args()
    file = Path(options.file) if options.file else written(options.workspace, options.run)
    print(f"bytes: {file.stat().st_size:,}")
    drive(file, options.steps)


def written(folder: str, run: str) -> Path:
    started, busy = time.perf_counter(), time.process_time()
    output = Path(tempfile.mkdtemp()) / "bench18.html"
    write_report(Workspace(folder), load(Path(__file__).parent / "reports" / "bench18.yaml"), run, output)
    print(f"written in {time.perf_counter() - started:.0f} s ({time.process_time() - busy:.0f} s CPU): {output}")
    return output


def drive(file: Path, steps: int) -> None:
    with sync_playwright() as play:
        chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
        browser = play.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        page = browser.new_context(viewport={"width": 1920, "height": 7000}, offline=True).new_page()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url) if not request.url.startswith(("data:", "blob:", file.as_uri())) else None)
        started = time.perf_counter()
        page.goto(file.resolve().as_uri())
        page.evaluate(READY)
        print(f"open until everything is drawn: {time.perf_counter() - started:.1f} s; cards drawn: {page.evaluate('strobe.board.inSight.length')}")
        rounds = [1] * steps + [-1] * steps
        for places in rounds:
            page.evaluate(STEP, places)
        took, loops = [], []
        for places in rounds:
            loops.append(page.evaluate(LOOP))
            took.append(page.evaluate(STEP, places))
        ordered = sorted(took)
        print(f"ms per step: median {statistics.median(took):.0f}, p90 {ordered[int(0.9 * len(ordered))]:.0f}, least {ordered[0]:.0f}")
        print(f"a loop of 2e7 square roots beside it: median {statistics.median(loops):.0f} ms, least {min(loops):.0f}")
        print(f"requests: {len(asked)}")
        browser.close()


if __name__ == "__main__":
    main()
