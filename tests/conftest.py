"""Fixtures that tests of several rooms share."""

from __future__ import annotations

import gc
import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings

import compiled
from tenure import privacy

# Tests run side by side, a process a processor: threads of their own would only get in each other's way.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# An expression is many objects, hardly any of which can be collected: looking for them costs more than it frees.
gc.set_threshold(50_000, 20, 50)

compiled.once()

# Nothing is tested by the clock: machines are noisy. And a day's run finds what yesterday's did.
settings.register_profile("tenure", deadline=None, derandomize=True)
settings.load_profile("tenure")

# Programs that need their own folder on the path; nothing in them is a test.
collect_ignore_glob = ["benchmarks/scale/[!t]*.py"]

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@pytest.fixture(autouse=True)
def smallest_group() -> Iterator[None]:
    """What a workbook in this process has set of privacy ends with its test."""
    yield
    privacy.smallest_group = 1


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A headless Chromium: the one in $CHROMIUM, else one on the path; the test is skipped without one."""
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
    if not found:
        pytest.skip("There is no browser: install chromium, or set CHROMIUM to one.")
    playwright = pytest.importorskip("playwright.sync_api", reason="The package playwright is not installed.")
    quiet = [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--no-first-run",
    ]
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=found, headless=True, args=quiet)
        yield chromium
        chromium.close()
