# SPDX-License-Identifier: Apache-2.0
"""A headless chromium that talks to nobody, for measuring and picturing the gallery."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--hide-scrollbars",
)  # fmt: skip


class NoBrowser(Exception):
    """There is no browser on this machine; the message says what is missing."""


@contextmanager
def headless() -> Iterator[Any]:
    """A selenium driver with a profile of its own, which goes with it.

    Raises:
        NoBrowser: selenium, chromium or its driver is not installed.
    """
    try:
        from selenium import webdriver
        from selenium.webdriver.chrome.service import Service
    except ImportError as error:
        raise NoBrowser("selenium is not installed: pip install '.[test]'") from error
    browser = next(filter(None, map(shutil.which, _BROWSERS)), None)
    helper = shutil.which("chromedriver")
    if browser is None or helper is None:
        raise NoBrowser("no chromium with its chromedriver (Debian: chromium, chromium-driver)")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        options = webdriver.ChromeOptions()
        options.binary_location = browser
        for flag in (*_FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        driver = webdriver.Chrome(options=options, service=Service(helper))
        try:
            yield driver
        finally:
            driver.quit()


def set_window(driver: Any, size: tuple[int, int], *, dark: bool = False, scale: int = 1) -> None:
    """Give the page a window of CSS pixels, a phone's below 600 columns, and a theme."""
    width, height = size
    metrics = {
        "width": width, "height": height, "deviceScaleFactor": scale, "mobile": width < 600,
    }  # fmt: skip
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
