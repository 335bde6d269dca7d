# SPDX-License-Identifier: Apache-2.0
"""`verify` believes no file of an index: what was made from a false one is found, file by file.

Each file is falsified as it is written, so that the index agrees with itself and records follow
from it; the source alone says that they are wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spatial_engine.check.verify import verify
from spatial_engine.commands import generate
from spatialcore.commands import index
from spatialcore.index import build
from spatialcore.sample import SampleConfig, make_sample

Falsify = Callable[[Any], Any]


class Case(NamedTuple):
    """A false file of an index.

    Attributes:
        file: Its name.
        falsify: Old content -> new content: an array, columns by name, or scene.json.
        tasks: What is asked of it.
        layout: Which scene; "built" is one whose cloud the index builds.
    """

    file: str
    falsify: Falsify
    tasks: str
    layout: str = "scannet"


def columns(**changes: Falsify) -> Falsify:
    """Another table, with some columns changed."""
    return lambda table: table | {name: change(table[name]) for name, change in changes.items()}


def swapped_ids(instance: np.ndarray) -> np.ndarray:
    """Every object under the id of the next one."""
    ids = np.unique(instance[instance >= 0])
    out = instance.copy()
    for k, object_id in enumerate(ids):
        out[instance == object_id] = ids[(k + 1) % len(ids)]
    return out


def rows_of(values: Iterable[np.ndarray]) -> np.ndarray:
    """A column of lists."""
    rows = list(values)
    return np.fromiter(rows, dtype=object, count=len(rows))


def moved_poses(poses: np.ndarray) -> np.ndarray:
    """Every second camera a tenth of a metre aside."""
    aside = 0.1 * np.eye(16)[3]
    return rows_of(pose + aside * (k % 2) for k, pose in enumerate(poses))


def spared_frames(table: dict[str, Any]) -> dict[str, Any]:
    """With a frame that covers a side alone, the next one of its side that does, too."""
    keys = list(zip(table["object_id"], table["axis"], table["recipe"], strict=True))
    frames = list(table["frames"])
    for k in range(len(frames) - 1):
        if keys[k] == keys[k + 1] and len(frames[k]) == len(frames[k + 1]) == 1:
            frames[k] = np.concatenate([frames[k], frames[k + 1]])
    return table | {"frames": rows_of(frames)}


def all_points(words: np.ndarray) -> np.ndarray:
    """Every point of the mask, but for those of the last word, which has bits of none."""
    out = np.full_like(words, np.uint64(2**64 - 1))
    out[:, -1] = words[:, -1]
    return out


def other_lens(meta: dict[str, Any]) -> dict[str, Any]:
    K = [*meta["K_color"]]
    K[0] *= 1.02
    return meta | {"K_color": K}


DEPTH, CAMERA, SIZE = (
    "depth_perception.value.coordinate",
    "camera_movement.*",
    "object_perception.*",
)
CASES = [
    Case("points.npy", lambda points: points + np.float32([0, 0, 0.05]), DEPTH),
    Case("points.npy", lambda points: points + np.float32([0, 0, 0.05]), DEPTH, "built"),
    Case("source_row.npy", lambda rows: np.roll(rows, 1), DEPTH),
    Case("instance.npy", swapped_ids, "scene_layout.absolute_distance"),
    Case("visible.npy", all_points, "scene_layout.object_count.image"),
    Case("askable.npy", all_points, "depth_perception.comparison.coordinate"),
    Case("frames.parquet", columns(world_from_cam=moved_poses), CAMERA),
    Case("pairs.parquet", columns(intersection=lambda n: n + np.uint32(1)), CAMERA),
    Case("objects.parquet", columns(box_size=lambda sides: 1.1 * sides), SIZE),
    Case("object_frames.parquet", columns(hi_oriented=lambda ends: ends + 0.01), SIZE),
    Case("view_sets.parquet", spared_frames, SIZE),
    Case("parts.parquet", columns(label=lambda labels: labels + 1),
         "object_movement.distance.coordinate", "tapvid3d"),
    Case("scene.json", other_lens, DEPTH),
]  # fmt: skip


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """A small room in two layouts, and a clip; the second layout without its mesh."""
    root = tmp_path_factory.mktemp("sources")
    config = SampleConfig(rooms=1, clips=1, frames=40, clip_frames=24, tracks=64)
    for _ in make_sample(root / "set", config):
        pass
    for file in (root / "set" / "posed_images").rglob("*_vh_clean_2*"):
        file.unlink()
    folders = {"scannet": "scannet", "built": "posed_images", "tapvid3d": "tapvid3d"}
    return {name: str(root / "set" / folder) for name, folder in folders.items()}


def falsified(path: Path, falsify: Falsify) -> None:
    """Change a file in place, keeping its types."""
    if path.suffix == ".npy":
        old = np.load(path)
        np.save(path, falsify(old).astype(old.dtype))
        return
    table = pq.read_table(path)
    names = table.column_names
    old = {name: table[name].to_numpy() for name in names}
    new = falsify(old)
    columns = [
        pa.array(new[name], table.schema.field(name).type, from_pandas=True) for name in names
    ]
    pq.write_table(pa.table(columns, names=names), path, store_schema=False)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.file}-{case.layout}")
def test_records_of_a_false_index_are_found(
    sources: Mapping[str, str], case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish, touched = build.publish, []

    def false_publish(path: Path, meta: Any, writers: Mapping[str, Any]) -> Any:
        def write(file: Path) -> None:
            writers[case.file](file)
            falsified(file, case.falsify)
            touched.append(file)

        if case.file == "scene.json":
            touched.append(path)
            return publish(path, case.falsify(dict(meta)), writers)
        return publish(
            path, meta, {**writers, case.file: write} if case.file in writers else writers
        )

    monkeypatch.setattr(build, "publish", false_publish)
    assert index.main([sources[case.layout], "-o", str(tmp_path / "index")]) == 0
    assert touched
    out = tmp_path / "out"
    assert generate.main([str(tmp_path / "index"), "-o", str(out), "--tasks", case.tasks]) == 0
    report = verify(out)
    assert report.checked == report.total > 0
    assert not report.problems
    assert report.mismatch_count > 0


@pytest.mark.parametrize("layout", ["scannet", "built", "tapvid3d"])
def test_true_records_verify(sources: Mapping[str, str], layout: str, tmp_path: Path) -> None:
    assert generate.main([sources[layout], "-o", str(tmp_path / "out")]) == 0
    report = verify(tmp_path / "out")
    assert report.checked == report.total > 0
    assert report.ok, (report.mismatches, report.problems)
