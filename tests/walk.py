# SPDX-License-Identifier: Apache-2.0
"""The walk of one depth map through the code, from its reader to its bits in the index.

    python -m tests.walk SOURCE SCENE

Whoever wants to know what becomes of a depth map reads the functions that move it, in order. This
counts how often that reader changes the file. A scene of one frame is indexed under a profiler. The
map is its stored bytes, its readings, or its bits in visible.npy, in whatever array, container or
object of the package: contents decide, so a copy is the map too. A call moves it where

- what it returns or yields holds the map,
- or an argument holds it at the end (a path: the file there) that did not at the start,
- or it calls the compiled module with it,
- or a call that it makes moves it.

What only looks (checks, counts, properties of the map) is left out; so are opening the scene and
finding its files. The files of the calls that move, and of those that they come back to, make a
sequence. A *stay* is a stretch of it in one file, a *return* a stay in a file that the walk was in
before. A function of the compiled module is a stay in `_cpu`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import FrameType, MethodType
from typing import Any, NamedTuple

import numpy as np

import spatialcore
from spatialcore.index import build
from spatialcore.index.config import IndexConfig
from spatialcore.io.open import open_sources
from spatialcore.io.options import ReadOptions
from spatialcore.types import Scene

PACKAGE = Path(spatialcore.__file__).parent
_LEVELS = 5  # how deep what a call holds is looked into
_LONGEST = 64  # elements of a container that are looked at


class Stay(NamedTuple):
    """A stretch of the walk in one file.

    Attributes:
        file: Relative to the package; "_cpu" for the compiled module.
        functions: What was entered there, in order.
        again: Whether the walk was there before.
    """

    file: str
    functions: tuple[str, ...]
    again: bool


@dataclass(frozen=True, slots=True)
class _Opened:
    """A source of one open scene."""

    root: Path
    scene: Scene
    options: ReadOptions

    def open(self, scene_id: str) -> Scene:
        del scene_id
        return self.scene


@dataclass(slots=True)
class _Call:
    file: str
    caller: _Call | None
    without: list[Any]  # arguments that do not hold the map when it begins
    moves: bool = False

    def mark(self) -> None:
        call: _Call | None = self
        while call is not None and not call.moves:
            call.moves = True
            call = call.caller


class _Recorder:
    """A profiler that notes calls and ends, and which calls move the map."""

    def __init__(self, contents: list[bytes]) -> None:
        self._contents = contents
        self._sizes = {len(content) for content in contents}
        self._stacks: dict[int, list[_Call]] = {}
        self._events: list[tuple[_Call, str]] = []  # a call and its function, or "" for coming back

    def __call__(self, frame: FrameType, event: str, arg: Any) -> None:
        file = _file_of(frame)
        if file is None:
            return
        stack = self._stacks.setdefault(threading.get_ident(), [])
        if event == "call":
            given = [*frame.f_locals.values()]
            without = [value for value in given if not self._holds([value])]
            stack.append(_Call(file, stack[-1] if stack else None, without))
            self._events.append((stack[-1], frame.f_code.co_qualname))
        elif event == "return" and stack:
            call = stack.pop()
            if self._holds([arg, *call.without]):
                call.mark()
            self._come_back(stack)
        elif event == "c_call" and stack and self._is_given(arg, frame):
            call = _Call("_cpu", stack[-1], [])
            call.mark()
            self._events.append((call, arg.__name__))
            self._come_back(stack)

    def _come_back(self, stack: list[_Call]) -> None:
        if stack:
            self._events.append((stack[-1], ""))

    def stays(self) -> list[Stay]:
        """The walk."""
        stretches: list[tuple[str, list[str]]] = []
        for call, function in self._events:
            if not call.moves:
                continue
            if not stretches or stretches[-1][0] != call.file:
                stretches.append((call.file, []))
            stretches[-1][1].extend([function] if function else [])
        files = [file for file, _ in stretches]
        return [
            Stay(file, tuple(functions), file in files[:k])
            for k, (file, functions) in enumerate(stretches)
        ]

    def _is_given(self, function: Any, frame: FrameType) -> bool:
        return _is_compiled(function) and self._holds([*frame.f_locals.values()])

    def _holds(self, values: list[Any], levels: int = _LEVELS) -> bool:
        if any(self._is_map(value) for value in values):
            return True
        return levels > 1 and any(self._holds(_parts(value), levels - 1) for value in values)

    def _is_map(self, value: Any) -> bool:
        if isinstance(value, np.ndarray) and value.nbytes in self._sizes:
            return value.tobytes() in self._contents
        if isinstance(value, Path) and value.is_file():
            value = value.read_bytes()
            return any(value.endswith(content) for content in self._contents[:2])
        return isinstance(value, (bytes, bytearray)) and value in self._contents


def _file_of(frame: FrameType) -> str | None:
    name = frame.f_code.co_filename
    return str(Path(name).relative_to(PACKAGE)) if name.startswith(f"{PACKAGE}/") else None


def _is_compiled(function: Any) -> bool:
    return "_cpu" in str(getattr(function, "__module__", "") or getattr(function, "__self__", ""))


def _parts(value: Any) -> list[Any]:
    """What a container, or an object of the package, holds."""
    if isinstance(value, dict):
        return [*value.values()][:_LONGEST]
    if isinstance(value, (list, tuple, set, frozenset)):
        return [*value][:_LONGEST]
    if isinstance(value, MethodType):
        return [value.__self__]
    if isinstance(value, partial):
        return [*value.args, *value.keywords.values(), value.func]
    if type(value).__module__.startswith("spatialcore."):
        slots = [name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ())]
        held = [getattr(value, name) for name in slots if hasattr(value, name)]
        return [*held, *getattr(value, "__dict__", {}).values()]
    return []


def walk(place: Path, scene_id: str) -> list[Stay]:
    """The stays of the first usable frame of a scene.

    Args:
        place: A source.
        scene_id: Its scene.
    """
    source = next(iter(open_sources(place)))
    scene = source.open(scene_id)
    assert isinstance(scene, Scene)
    frame = next(f for f in scene.frames if not f.reason and f.depth)
    opened = _Opened(source.root, replace(scene, frames=(frame,)), source.options)
    config = IndexConfig()
    with tempfile.TemporaryDirectory() as folder:
        run = partial(build.build_scene, opened, scene_id, config, threads=1)
        run(path=Path(folder) / "before")  # modules are imported, and the bits are known
        bits = np.load(Path(folder) / "before/visible.npy")
        contents = [np.ascontiguousarray(scene.read_depth(frame)).tobytes(), bits.tobytes()]
        stored = scene.root / str(frame.depth)
        if stored.is_file():
            contents.append(stored.read_bytes())
        recorder = _Recorder(contents)
        threading.setprofile(recorder)
        sys.setprofile(recorder)
        try:
            run(path=Path(folder) / "walked")
        finally:
            sys.setprofile(None)
            threading.setprofile(None)
    return recorder.stays()


def lines(stays: list[Stay]) -> Iterator[str]:
    """The walk as text, and its sums."""
    for number, stay in enumerate(stays, 1):
        mark = "<-" if stay.again else "  "
        yield f"{number:3} {mark} {stay.file:32} {', '.join(stay.functions)}"
    files = len({stay.file for stay in stays})
    yield f"{len(stays)} stays in {files} files, {sum(stay.again for stay in stays)} returns"


def main() -> None:
    """Print the walk of a scene."""
    parser = argparse.ArgumentParser(prog="python -m tests.walk", description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("scene")
    given = parser.parse_args()
    print("\n".join(lines(walk(given.source, given.scene))))


if __name__ == "__main__":
    main()
