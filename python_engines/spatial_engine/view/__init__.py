# SPDX-License-Identifier: Apache-2.0
"""Pages of records to look at: the gallery, the report, and the drawings that say why."""

from spatial_engine.view.choose import choose, choose_examples
from spatial_engine.view.gallery import GalleryReport, write_gallery

__all__ = ["GalleryReport", "choose", "choose_examples", "write_gallery"]
