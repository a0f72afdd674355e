"""What tests of the app share: a browser for each file. (One for all would leave its event loop running under tests that have their own.)"""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[object]:
    from playwright.sync_api import sync_playwright
    from reading import ARGUMENTS

    with sync_playwright() as play:
        opened = play.chromium.launch(executable_path=chromium, args=ARGUMENTS.split())
        yield opened
        opened.close()
