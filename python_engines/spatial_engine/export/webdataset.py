# SPDX-License-Identifier: Apache-2.0
"""WebDataset: a tar of samples, each a JSON file and its numbered images."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

from spatial_engine.export.sample import Sample


class Writer:
    """Members of this format; a key holds no dot, since the first one ends it."""

    def __init__(self, path: Path) -> None:
        self._tar = tarfile.open(path, "w", format=tarfile.PAX_FORMAT)  # noqa: SIM115  # kept open
        self._count = 0

    def write(self, sample: Sample) -> None:
        """Write the members of one sample."""
        key = f"{self._count:09d}"
        row = {"id": sample.record.id, "messages": sample.turns}
        self._add(f"{key}.json", json.dumps(row, ensure_ascii=False).encode())
        for number, content in enumerate(sample.contents):
            suffix = "png" if content.startswith(b"\x89PNG") else "jpg"
            self._add(f"{key}.{number}.{suffix}", content)
        self._count += 1

    def _add(self, name: str, content: bytes) -> None:
        member = tarfile.TarInfo(name)  # time 0 and no owner: equal exports give equal bytes
        member.size = len(content)
        self._tar.addfile(member, io.BytesIO(content))
        # A TarFile remembers every member, though only reading needs them: memory stays flat.
        self._tar.members.clear()  # type: ignore[attr-defined]  # not in the stubs

    def close(self) -> None:
        """End the archive."""
        self._tar.close()
