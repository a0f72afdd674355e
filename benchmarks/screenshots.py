"""Pictures of the shipped reports for docs/images: `python benchmarks/screenshots.py WORKSPACE RUN`, with everything analyzed, and a Chromium.

Each report as a page (its first 4,600 px), 1280 and 1920 px wide, light and dark, opened at the step it opens at; and the first screens of a report
and of the builder (`--screens` takes these alone). PNG of few colours, so that they stay small; the size of each is printed. `--report NAME` and
`--width PX` take some of the pages alone.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright
from ui import ARGUMENTS, app

from strobe import Workspace

REPORTS = {"grokking": "default", "neuron": "neuron", "heads": "heads", "geometry": "geometry", "compare": "compare_runs"}
WIDTHS = (1280, 1920)
THEMES = ("light", "dark")
IMAGES = Path(__file__).parents[1] / "docs" / "images"
COLOURS = (128, 64, 48, 32, 24)
LARGEST = 250_000
"""Bytes of a picture, if that can be had with some of these numbers of colours."""
TALLEST = 4600
"""px of a page that are kept: a page of thirty panels is as tall as twelve screens, and as heavy."""
DRAWN = "() => globalThis.strobe?.board?.settled"
TALL = """() => {
    const main = document.querySelector('[data-testid=stMain]'), side = document.querySelector('[data-testid=stSidebarContent]');
    return Math.max(main.scrollHeight, side.scrollHeight);
}"""

CHART = "document.querySelector('.vega-embed canvas, .vega-embed svg') && !document.querySelector('[data-testid=stStatusWidget]')"
SCREENS = {
    "report": ("?run={run}&report=default", (1920, 1300), DRAWN),
    "builder": ("builder?run={run}&report=heads&step=8000", (1600, 1000), CHART),
}
"""Name of the picture -> its page, how much of it, and when it is there."""
NAMELESS = """document.querySelectorAll("[data-testid=stSidebar] [data-testid=stCaptionContainer] p")
    .forEach(p => { if (p.textContent.includes("/")) p.lastChild.textContent = "my-workspace" })"""
"""A picture for everyone names no folder of this machine."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workspace", nargs="?", default=os.environ.get("STROBE_WORKSPACE", "strobe-workspace"))
    parser.add_argument("run", nargs="?", default="modadd_p113_seed999")
    parser.add_argument("--report", action="append", choices=list(REPORTS))
    parser.add_argument("--width", action="append", type=int)
    parser.add_argument("--theme", action="append", choices=THEMES)
    parser.add_argument("--screens", action="store_true")
    parser.add_argument("--output", type=Path, default=IMAGES)
    parser.add_argument("--query", default="", help="more of the address, such as neuron=3&step=5000")
    options = parser.parse_args()
    with app(Workspace(options.workspace)) as (address, _), sync_playwright() as play:
        chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
        browser = play.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        for name, (path, size, ready) in SCREENS.items() if options.screens or not (options.report or options.width) else ():
            file = options.output / f"{name}.png"
            written = keep(screen(browser, f"{address}/{path.format(run=options.run)}", size, ready), file)
            print(f"{file.name:28} {written / 1000:6.0f} kB", flush=True)
        for name in () if options.screens else options.report or REPORTS:
            for width in options.width or WIDTHS:
                for theme in options.theme or THEMES:
                    query = f"{address}/?run={options.run}&report={REPORTS[name]}&{options.query}"
                    file = options.output / f"{name}-{width}-{theme}.png"
                    size = keep(whole(browser, query, width, theme), file)
                    print(f"{file.name:28} {size / 1000:6.0f} kB", flush=True)
        browser.close()


def whole(browser: Browser, address: str, width: int, theme: str) -> bytes:
    """The page from its top, once everything on it is drawn."""
    page = browser.new_page(viewport={"width": width, "height": 1200}, color_scheme="dark" if theme == "dark" else "light")
    page.goto(address)
    page.wait_for_function(DRAWN, timeout=240_000)
    for _ in range(2):  # cards that come into sight make the page longer
        page.set_viewport_size({"width": width, "height": int(page.evaluate(TALL)) + 40})
        page.wait_for_timeout(500)
        page.wait_for_function(DRAWN, timeout=240_000)
    page.evaluate(NAMELESS)
    page.wait_for_timeout(300)
    taken = page.screenshot(clip={"x": 0, "y": 0, "width": width, "height": min(TALLEST, page.viewport_size["height"])})
    page.close()
    return taken


def screen(browser: Browser, address: str, size: tuple[int, int], ready: str) -> bytes:
    """What is seen of a page without scrolling."""
    page = browser.new_page(viewport={"width": size[0], "height": size[1]})
    page.goto(address)
    page.wait_for_function(ready, timeout=240_000)
    page.wait_for_timeout(1000)
    page.evaluate(NAMELESS)
    taken = page.screenshot()
    page.close()
    return taken


def keep(picture: bytes, file: Path) -> int:
    """Write it with as many colours as it may have for its bytes, without dithering; returns its bytes."""
    whole = Image.open(io.BytesIO(picture)).convert("RGB")
    file.parent.mkdir(parents=True, exist_ok=True)
    for colours in COLOURS:
        whole.quantize(colours, method=Image.Quantize.FASTOCTREE, kmeans=1, dither=Image.Dither.NONE).save(file, optimize=True)
        if file.stat().st_size <= LARGEST:
            break
    return file.stat().st_size


if __name__ == "__main__":
    main()
