# SPDX-License-Identifier: Apache-2.0
"""Write scenes or clips as a Rerun recording, to look at in 3-D.

Examples:
  spatialcore inspect scans/scene0000_00                   writes scene0000_00.rrd
  spatialcore inspect scans --scene scene0000_00 --rerun scene.rrd --frames 200
  rerun scene0000_00.rrd                                   looks at it
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import tyro

from spatialcore.commands import exit_codes
from spatialcore.commands.guard import run_verb
from spatialcore.commands.parse import or_default
from spatialcore.commands.reading import Reading
from spatialcore.commands.text import fitted, printable
from spatialcore.errors import UsageError


@dataclass(frozen=True)
class Options:
    """Options of `spatialcore inspect`.

    Attributes:
        source: A scene, a clip, or a folder of them; `kind:path` names the reader.
        rerun: The recording to write; an older one is replaced; default: SCENE.rrd here.
        scene: Which of several scenes.
        frames: Frames at most, evenly spread.
        read: How it is read.
        json: Print one JSON object instead of text.
    """

    source: Annotated[str, tyro.conf.Positional]
    read: Reading
    rerun: Path = Path()
    scene: str | None = None
    frames: int = 60
    json: bool = False


def main(argv: list[str]) -> int:
    """Run the command; returns its exit code."""
    return run_verb("inspect", Options, __doc__, or_default(argv, "--rerun"), _run)


def _run(options: Options) -> int:
    from spatialcore.files import child
    from spatialcore.recording import record_source, recording_file
    from spatialcore.scenes import open_scene

    if options.frames < 1:
        raise UsageError(f"--frames must be positive, got {options.frames}")
    scene = open_scene(options.source, options.scene, **asdict(options.read))
    path = child(Path(), f"{scene.id}.rrd") if options.rerun == Path() else options.rerun
    with recording_file(path, scene.id) as stream:
        lost = record_source(stream, scene, most_frames=options.frames)
    if options.json:
        print(json.dumps({"recording": str(path), "scene": scene.id, "lost": lost}))
    else:
        print(fitted(f"{path}: {scene!r}; `rerun {path}` shows it"))
    if lost:
        name, why = next(iter(lost.items()))
        what = f"images or depth maps of {len(lost):,} frames are missing; {name}: {why}"
        print(printable(what), file=sys.stderr)
    return exit_codes.SKIPPED if lost else exit_codes.OK
