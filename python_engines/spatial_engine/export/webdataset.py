# SPDX-License-Identifier: Apache-2.0
"""WebDataset: tars of samples, each a JSON file and its numbered images.

Loaders take the columns of a data set from its first rows, and drop the images of wider ones
without a word. So all samples of a tar show the same number of images, and the names of tars sort
the widest first: whoever reads them in order has every column.
"""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

from spatial_engine.export.sample import Sample

_MOST = 999  # images of a record


def group_of(sample: Sample) -> str:
    """Beginning of the name of the file that a sample goes to: a number that falls, the images."""
    count = len(sample.contents)
    return f"{_MOST - count:03d}-{count}-images-"


class Writer:
    """Members of this format; a key holds no dot, since the first one ends it."""

    def __init__(self, path: Path) -> None:
        self._tar = tarfile.open(path, "w", format=tarfile.PAX_FORMAT)  # noqa: SIM115  # kept open

    def write(self, sample: Sample) -> None:
        """Write the members of one sample."""
        key = sample.record.id.rpartition("/")[2]  # unique in a data set
        row = {**sample.named, "messages": sample.turns}
        self._add(f"{key}.json", json.dumps(row, ensure_ascii=False).encode())
        for number, content in enumerate(sample.contents):
            suffix = "png" if content.startswith(b"\x89PNG") else "jpg"
            self._add(f"{key}.{number}.{suffix}", content)

    def _add(self, name: str, content: bytes) -> None:
        member = tarfile.TarInfo(name)  # time 0 and no owner: equal exports give equal bytes
        member.size = len(content)
        self._tar.addfile(member, io.BytesIO(content))
        # A TarFile remembers every member, though only reading needs them: memory stays flat.
        self._tar.members.clear()  # type: ignore[attr-defined]  # not in the stubs

    def close(self) -> None:
        """End the archive."""
        self._tar.close()
