"""What tests of the app share: a browser for each file, and a tab of it.

(One browser for all would leave its event loop running under tests that have their own.)
"""

from __future__ import annotations

from collections.abc import Generator, Iterator

import pytest
from playwright.sync_api import Browser, Page
from reading import ARGUMENTS, PATIENCE, Reader, forget_what_was_there, watched


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Under a test that fails stands what its board was doing."""
    report = yield
    reader = getattr(item, "funcargs", {}).get("reader")
    if report.when == "call" and report.failed and reader is not None:
        report.sections.append(("the board", reader.state()))
    return report


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        opened = play.chromium.launch(executable_path=chromium, args=ARGUMENTS.split())
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def window(browser: Browser) -> Page:
    """One tab for a file: what the app consists of is loaded and compiled once, which takes longer than most tests."""
    context = browser.new_context()
    context.set_default_timeout(PATIENCE)
    return context.new_page()


@pytest.fixture
def problems(window: Page) -> Iterator[list[str]]:
    """What goes wrong in the tab: anything left in it at the end fails the test. What the test left in the tab is forgotten."""
    window.set_viewport_size({"width": 1280, "height": 1400})
    with watched(window) as found:
        yield found
    forget_what_was_there(window)
    assert found == []


@pytest.fixture
def tab(window: Page, problems: list[str]) -> Page:
    """The file's tab, empty, at 1280 × 1400."""
    return window


@pytest.fixture
def reader(tab: Page, problems: list[str], address: str) -> Iterator[Reader]:
    """The tab as a reader's of the board at `address`, which the file has."""
    with Reader.of(tab, address, problems) as made:
        yield made
