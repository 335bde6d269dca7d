# SPDX-License-Identifier: Apache-2.0
"""The tables of a GPU: `python -m benchmarks.device.measure --output FILE [--seconds N]`.

The file is written again after every table, so that a run that is stopped keeps what it has; tables
that would begin after the time is over are named in it.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.device import ceilings, covisibility, occlusion, overlap, pipeline, rigidity
from benchmarks.device.clock import Clock, EventClock, WallClock
from benchmarks.device.tables import Table
from spatialcore import visible_points
from spatialcore.files import write_text


@dataclass(frozen=True)
class Sizes:
    """What is measured; the defaults are for a GPU."""

    scenes: tuple[tuple[int, int], ...] = ((200_000, 300), (1_000_000, 300))
    masks: tuple[tuple[int, int], ...] = ((2000, 1_000_000),)
    clips: tuple[tuple[int, int], ...] = ((150, 1008), (300, 4992))
    scene_batch: tuple[int, int, int] = (32, 50_000, 16)
    mask_batch: tuple[int, int, int] = (64, 40, 50_000)
    clip_batch: tuple[int, int, int] = (64, 60, 256)
    rooms: tuple[int, int] = (1, 100)
    maps: tuple[int, int] = (4, 100)  # every 4th reading of both axes of 100 maps
    scale: int = 1  # divides the sizes of the ceilings


Step = tuple[str, Callable[[], Table]]


def steps(
    sizes: Sizes, device: str, clock: Clock, rates: dict[str, float], folder: Path
) -> list[Step]:
    """Every table, the most telling first."""
    scene = cache(occlusion.scene)

    def occlusion_table(points: int, frames: int) -> Table:
        table = Table(f"occlusion: {points} points x {frames} frames", "point frames/s",
                      points * frames)  # fmt: skip
        return table.measure(clock, occlusion.variants(scene(points, frames), device, rates))

    def coherent_table() -> Table:
        given = scene(*sizes.scenes[0])
        mask = visible_points(**given._asdict())
        return mask_table("visible", mask)

    def mask_table(kind: str, mask: Any) -> Table:
        frames, points = mask.shape
        table = Table(f"overlap: {frames} frames x {points} points, {kind}", "bit pairs/s",
                      frames * (frames + 1) / 2 * points)  # fmt: skip
        return table.measure(clock, overlap.variants(mask, device, rates))

    def clip_table(step_count: int, tracks: int) -> Table:
        table = Table(f"distances: {tracks} tracks x {step_count} steps", "pair steps/s",
                      tracks * (tracks - 1) / 2 * step_count)  # fmt: skip
        return table.measure(clock, rigidity.variants(step_count, tracks, device, rates))

    def batch_tables() -> list[Step]:
        count, points, frames = sizes.scene_batch
        masks, mask_frames, mask_points = sizes.mask_batch
        clips, step_count, tracks = sizes.clip_batch
        return [
            ("occlusion batch", lambda: Table(
                f"occlusion: {count} scenes of {points} points x {frames} frames", "scenes/s",
                count,
            ).measure(clock, occlusion.batch_variants([scene(points, frames)] * count, device))),
            ("overlap batch", lambda: Table(
                f"overlap: {masks} masks of {mask_frames} frames", "masks/s", masks,
            ).measure(clock, overlap.batch_variants(
                [overlap.random_mask(mask_frames, mask_points, k) for k in range(masks)], device))),
            ("distances batch", lambda: Table(
                f"distances: {clips} clips of {tracks} tracks x {step_count} steps", "clips/s",
                clips,
            ).measure(clock, rigidity.batch_variants(clips, step_count, tracks, device))),
        ]  # fmt: skip

    def covisibility_table() -> Table:
        every, frames = sizes.maps
        table = Table(f"covisibility: {frames} maps, every {every}th reading", "map pairs/s",
                      frames**2)  # fmt: skip
        return table.measure(clock, covisibility.variants(every, frames, device))

    def index_table() -> Table:
        rooms, frames = sizes.rooms
        table = Table(f"index: {rooms} rooms of {frames} frames", "rooms/s", rooms)
        return table.measure(WallClock(), pipeline.variants(folder, rooms, frames))

    def of(name: str, make: Callable[..., Table], *arguments: Any) -> Step:
        return name, lambda: make(*arguments)

    first, *more_scenes = sizes.scenes
    short, *long = sizes.clips
    return [
        of("occlusion", occlusion_table, *first),
        of("overlap", coherent_table),
        of("distances", clip_table, *short),
        *batch_tables(),
        of("index", index_table),
        of("covisibility", covisibility_table),
        *(of(f"overlap {f} x {p}", mask_table, "random", overlap.random_mask(f, p))
          for f, p in sizes.masks),
        *(of(f"distances {n}", clip_table, t, n) for t, n in long),
        *(of(f"occlusion {p}", occlusion_table, p, f) for p, f in more_scenes),
    ]  # fmt: skip


def measure(
    sizes: Sizes, device: str, clock: Clock, output: Path, seconds: float, folder: Path
) -> dict[str, Any]:
    """Run the steps while there is time; returns and writes what was measured."""
    until = time.monotonic() + seconds
    content: dict[str, Any] = {"ceilings": {}, "tables": [], "left_out": [], "problems": []}

    def write() -> None:
        write_text(output, json.dumps(content, indent=1) + "\n")

    print("ceilings", flush=True)
    content["ceilings"] = ceilings.measure(device, clock, sizes.scale)
    write()
    for name, run in steps(sizes, device, clock, content["ceilings"], folder):
        if time.monotonic() > until:
            content["left_out"].append(name)
        else:
            table = run()
            content["tables"].append(asdict(table))
            content["problems"] += table.problems()
        write()
    return content


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.device.measure")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=200.0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        content = measure(Sizes(), "cuda", EventClock(), given.output, given.seconds, Path(folder))
    for problem in content["problems"]:
        print(problem, file=sys.stderr)
    return 1 if content["problems"] else 0


if __name__ == "__main__":
    sys.exit(main())
