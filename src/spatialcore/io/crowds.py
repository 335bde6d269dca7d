# SPDX-License-Identifier: Apache-2.0
"""Scenes of very many frames: how many there may be, and when damage ends the reading.

A frame that is damaged masks itself. Where most of thousands are, what is left is no capture, and
opening each of them to say so takes far longer than a refusal may.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

from spatialcore.errors import SceneFormatError

# 36 minutes at 30 Hz. The pairs of many more frames would not fit anywhere.
MAX_FRAMES = 1 << 16
# Frames from which on a scene is a crowd; one of so many is looked into before all are.
CROWD, _EVERY = 4096, 16
# Faults of files that had to be opened; what is missing costs next to nothing.
_DAMAGE = frozenset(("pose_unreadable", "intrinsic_bad", "image_bad", "depth_bad"))
_READ_FEWER = "--stride 10 reads every tenth; or split the capture"


def check_frame_count(count: int, path: Path) -> None:
    """Refuse a scene of more frames than one recording has, before anything is made of them.

    Raises:
        SceneFormatError: Code "too_many_frames".
    """
    if count > MAX_FRAMES:
        what = f"lists more than {MAX_FRAMES:,} frames"
        raise SceneFormatError(path, what, _READ_FEWER, code="too_many_frames")


class Watch:
    """Counts the damaged frames of a scene while they are listed.

    Args:
        path: The scene, for the error.

    Example:
        >>> watch = Watch(Path("scan"))
        >>> for _ in range(4095):
        ...     watch.see("pose_unreadable", str)
        >>> watch.see("pose_unreadable", str)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        spatialcore.errors.SceneFormatError: scan: more than half of its frames are damaged: ...
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._listed = self._looked = 0
        self._faults: Counter[str] = Counter()
        self._found: Counter[str] = Counter()
        self._waiting: list[Callable[[], str]] = []
        self._said = self._seen = 0  # of the faults above, how many are damage

    def see(self, fault: str, look: Callable[[], str]) -> None:
        """Count one more frame.

        Args:
            fault: The reason code that its reader found, or "".
            look: Opens its files: their reason code, or "". Called for one frame of sixteen, and
                not before there are 4,096 frames.

        Raises:
            SceneFormatError: Of 4,096 frames or more, over half are damaged by their readers'
                word, or of those looked into; code "frames_damaged".
        """
        if fault:
            self._faults[fault] += 1
            self._said += fault in _DAMAGE
        elif self._listed % _EVERY == 0:
            self._waiting.append(look)
        self._listed += 1
        if self._listed < CROWD:  # so many files are opened in no time, and once is enough
            return
        for waiting in self._waiting:
            found = waiting()
            self._looked += 1
            self._found[found] += 1
            self._seen += found in _DAMAGE
        self._waiting.clear()
        if 2 * self._said > self._listed:
            self._refuse(self._faults, f"of the first {self._listed:,}")
        if self._looked >= CROWD // _EVERY // 2 and 2 * self._seen > self._looked:
            some = f"of {self._looked:,} that were looked into among the first {self._listed:,}"
            self._refuse(self._found, some)

    def _refuse(self, counts: Counter[str], of: str) -> None:
        damaged = {reason: counts[reason] for reason in _DAMAGE if counts[reason]}
        said = ", ".join(f"{n:,} {reason}" for reason, n in sorted(damaged.items()))
        what = f"more than half of its frames are damaged: {of} {said}"
        raise SceneFormatError(self._path, what, _READ_FEWER, code="frames_damaged")
