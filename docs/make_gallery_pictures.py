# SPDX-License-Identifier: Apache-2.0
"""Write the pictures of docs/gallery.md: the gallery of a data set in a headless browser.

python docs/make_gallery_pictures.py demo/out/gallery
"""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks.browser import headless, set_window

IMAGES = Path(__file__).resolve().parent / "images"
DESK, PHONE = (1360, 900), (390, 844)
# Name, window, dark, address, and what is done before the picture is taken.
PICTURES: tuple[tuple[str, tuple[int, int], bool, str, str], ...] = (
    ("gallery-desktop", DESK, False, "task=visual_correspondence.match.choice", ""),
    ("gallery-dark", DESK, True, "task=navigation.instructions", "pane.scrollTop = 520"),
    ("gallery-phone", PHONE, False, "", ""),
    ("gallery-phone-record", PHONE, True, "task=object_perception.height",
     "document.querySelector('.row').click()"),
)  # fmt: skip
READY = """
const end = arguments[0];
const whole = () => document.querySelector('.row .question')
  && [...document.images].filter((i) => i.getBoundingClientRect().top < innerHeight)
    .every((i) => i.complete && i.naturalWidth);
const wait = () => whole() ? setTimeout(end, 300) : setTimeout(wait, 20);
setTimeout(wait, 300);
"""


def main(gallery: str) -> None:
    """Write the pictures."""
    page = (Path(gallery) / "index.html").resolve().as_uri()
    with headless() as driver:
        driver.set_script_timeout(60)
        for name, size, dark, address, act in PICTURES:
            set_window(driver, size, dark=dark)
            driver.get("about:blank")
            driver.get(f"{page}#{address}")
            driver.execute_async_script(READY)
            driver.execute_script(act or "return 0")
            driver.execute_async_script(READY)
            _save(driver, name)


def _save(driver: Any, name: str) -> None:
    with Image.open(io.BytesIO(driver.get_screenshot_as_png())) as shot:
        shot.convert("RGB").save(IMAGES / f"{name}.webp", "WEBP", quality=80, method=6)


if __name__ == "__main__":
    main(sys.argv[1])
