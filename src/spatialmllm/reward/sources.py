# SPDX-License-Identifier: Apache-2.0
"""Episodes of scenes and clips, and traces as rows of a file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from spatialcore.errors import SceneFormatError, UsageError
from spatialcore.files import whole_file
from spatialcore.types import Scene, Track3D
from spatialmllm.reward.episode import Episode, RewardTrace

if TYPE_CHECKING:
    import pyarrow as pa
    from PIL.Image import Image

    from spatialcore.types import Frame

Float64 = NDArray[np.float64]
_GROUP_ROWS = 16_384


def episode_of(item: Scene | Track3D) -> Episode:
    """A clip with its tracks, or a scene with its poses and depth maps, as an episode.

    Frames of a scene that cannot be used have no pose: their steps are invalid. Times are the
    frames' own where all of them have one.
    """
    times = [frame.time for frame in item.frames]
    common: dict[str, Any] = {
        "id": item.id,
        "length": len(item.frames),
        "times_s": None if any(t is None for t in times) else np.array(times, dtype=np.float64),
        "world_from_cam": _poses(item.frames),
        "image": _images(item),
    }
    if isinstance(item, Track3D):
        return Episode(
            **common,
            tracks=item.tracks_cam,
            in_camera=True,
            static_camera=item.static_camera,
            camera=item.camera,
        )
    aligned = item.depth is None and item.depth_size == item.color.size
    return Episode(**common, camera=item.color, depth_m=_depths(item) if aligned else None)


def _poses(frames: Sequence[Frame]) -> Float64:
    unknown = np.full((4, 4), np.nan)
    return np.stack(
        [unknown if f.world_from_cam is None or not f.valid else f.world_from_cam for f in frames]
    )


def _images(item: Scene | Track3D) -> Any:
    from spatialcore.io.images import open_image

    def image(number: int) -> Image:
        uri = item.frames[number].image
        if uri is None:
            raise SceneFormatError(item.root, f"frame {number} of {item.id} has no image",
                                   code="image_missing")  # fmt: skip
        return open_image(item.root, uri)

    return image


def _depths(scene: Scene) -> Any:
    def depth(number: int) -> NDArray[np.float32]:
        stored = np.asarray(scene.read_depth(scene.frames[number]))
        return (stored.astype(np.float64) * scene.depth_scale).astype(np.float32)

    return depth


def rows_of(trace: RewardTrace, times_s: Float64 | None) -> Iterator[dict[str, Any]]:
    """One row for each step; an episode without a trace is one row with its error."""
    if trace.error:
        yield {"episode": trace.id, "error": trace.error}
        return
    for i in range(len(trace.reward)):
        row: dict[str, Any] = {
            "episode": trace.id,
            "step": i,
            "time_s": None if times_s is None else float(times_s[i]),
            "reward": _number(trace.reward[i]),
            "distance_to_goal_m": _number(trace.distance_to_goal_m[i + 1]),
            "displacement_m": [_number(value) for value in trace.displacement_m[i]],
            "moved": bool(trace.moved[i]),
            "success": bool(trace.success[i]),
            "confidence": _number(trace.confidence[i]),
            "valid": bool(trace.valid[i]),
            "source": trace.source,
        }
        if trace.questions:
            row |= {"question": trace.questions[i], "answer": trace.answers[i]}
        yield row


def lerobot_rows(
    trace: RewardTrace, number: int, times_s: Float64 | None, fps: float
) -> Iterator[dict[str, Any]]:
    """One row for each frame, in the columns of a LeRobot data set.

    `next.reward` and `next.success` of a frame belong to the step that starts there, so the last
    frame has a reward of 0 and closes the episode (`next.done`). Invalid steps have NaN.
    """
    steps = len(trace.reward)
    for frame in range(steps + 1 if steps else 0):
        inner = frame < steps
        yield {
            "episode_index": number,
            "frame_index": frame,
            "timestamp": frame / fps if times_s is None else float(times_s[frame] - times_s[0]),
            "next.reward": float(trace.reward[frame]) if inner else 0.0,
            "next.success": bool(trace.success[frame] if inner else trace.success[-1]),
            "next.done": not inner,
        }


def lerobot_schema() -> pa.Schema:
    """Types of LeRobot's own columns."""
    import pyarrow as pa

    return pa.schema(
        [
            ("episode_index", pa.int64()), ("frame_index", pa.int64()),
            ("timestamp", pa.float32()), ("next.reward", pa.float32()),
            ("next.success", pa.bool_()), ("next.done", pa.bool_()),
        ]
    )  # fmt: skip


def row_schema() -> pa.Schema:
    """Types of the rows of `rows_of`."""
    import pyarrow as pa

    return pa.schema(
        [
            ("episode", pa.string()), ("step", pa.int32()), ("time_s", pa.float64()),
            ("reward", pa.float64()), ("distance_to_goal_m", pa.float64()),
            ("displacement_m", pa.list_(pa.float64())), ("moved", pa.bool_()),
            ("success", pa.bool_()), ("confidence", pa.float64()), ("valid", pa.bool_()),
            ("source", pa.string()), ("question", pa.string()), ("answer", pa.string()),
            ("error", pa.string()),
        ]
    )  # fmt: skip


def write_rows(path: Path, rows: Iterable[dict[str, Any]], schema: pa.Schema) -> int:
    """Write rows as JSON lines (.jsonl) or Parquet (.parquet), whole or not at all; how many.

    Raises:
        UsageError: Another suffix.
    """
    import json

    import pyarrow as pa
    import pyarrow.parquet as pq

    if path.suffix not in (".jsonl", ".parquet"):
        raise UsageError(f"{path}: rewards are written as .jsonl or .parquet")
    count = 0
    with whole_file(path) as temporary:
        if path.suffix == ".jsonl":
            with temporary.open("w", encoding="utf-8") as file:
                for row in rows:
                    file.write(json.dumps(row) + "\n")
                    count += 1
        else:
            with pq.ParquetWriter(temporary, schema) as writer:
                remaining = iter(rows)
                while group := list(islice(remaining, _GROUP_ROWS)):
                    writer.write_table(pa.Table.from_pylist(group, schema))
                    count += len(group)
    return count


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
