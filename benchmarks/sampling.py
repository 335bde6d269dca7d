# SPDX-License-Identifier: Apache-2.0
"""How much of a scene the frames of each sampler see: voxels of the chosen over voxels of all.

python -m benchmarks.sampling --real ../shared/data -o benchmarks/results/sampling.json \
    --plot docs/images/sampling.png

Every method is judged on one voxel set. Sample rooms are rendered; captured scenes are read from
--real. The video has poses for every frame and depth for a quarter of them: the points of those
depth images are projected into each video frame and the nearest of every 6 x 6 pixels is kept.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from spatialcore import project_points
from spatialcore.files import write_text
from spatialcore.io.images import open_image
from spatialcore.io.open import open_source
from spatialcore.types import invert_pose
from spatialmllm.data.preprocessing import uniform_indices
from spatialmllm.geometry import PointMaps, from_depth, unproject
from spatialmllm.sampling import coverage_of, frame_scores, select_frames, spread_by_score
from spatialmllm.voxels import voxel_sets

FRAMES = (8, 16, 32)
LONGEST = 32
DRAWS = 20
CANDIDATES = 128
CELL = 6  # pixels of a video frame that share one depth
METHODS = ("uniform", "random", "score", "space_aware")


class Clip(NamedTuple):
    name: str
    count: int
    geometry: Callable[[Sequence[int]], PointMaps]
    grey: Callable[[int], Any]
    digest: str


def grey_of(image: Any) -> Any:
    image = image.convert("L")
    image.thumbnail((320, 320))
    return np.asarray(image, dtype=np.float64) / 255


def scene_clips(source: str, label: str) -> list[Clip]:
    opened = open_source(source)
    clips = []
    for name in opened.scene_ids():
        scene: Any = opened.open(name)
        rows = [i for i, frame in enumerate(scene.frames) if frame.valid]
        provider = from_depth(scene)
        poses = np.stack([scene.frames[i].world_from_cam for i in rows])
        clips.append(
            Clip(
                f"{label} {name}".strip(),
                len(rows),
                lambda at, provider=provider, rows=rows: provider([rows[i] for i in at]),
                lambda i, scene=scene, rows=rows: grey_of(
                    open_image(scene.root, scene.frames[rows[i]].image)
                ),
                hashlib.blake2b(poses.tobytes(), digest_size=8).hexdigest(),
            )
        )
    return clips


def video_clip(real: Path) -> Clip:
    import av

    folder = real / "video"
    name = "hololens_office_000"
    text = (folder / f"{name}_poses.txt").read_bytes()
    world_from_cam = np.array(text.split(), dtype=np.float64).reshape(-1, 4, 4)
    K = np.loadtxt(folder / f"{name}_intrinsic.txt")[:3, :3]
    with av.open(str(folder / f"{name}.mp4")) as container:
        grey = [grey_of(frame.to_image()) for frame in container.decode(video=0)]
        width, height = container.streams.video[0].width, container.streams.video[0].height
    scene: Any = open_source(f"posed_images:{real / 'rgbd'}").open(name)
    maps = from_depth(scene)([i for i, frame in enumerate(scene.frames) if frame.valid])
    points = maps.points_world[np.isfinite(maps.points_world).all(axis=-1)]

    def geometry(at: Sequence[int]) -> PointMaps:
        return splatted(points, K, world_from_cam[list(at)], width, height)

    digest = hashlib.blake2b(text, digest_size=8).hexdigest()
    return Clip(f"video {name}", len(world_from_cam), geometry, grey.__getitem__, digest)


def splatted(points: Any, K: Any, world_from_cam: Any, width: int, height: int) -> PointMaps:
    """Point maps of cameras whose depth is the nearest point that falls into each cell."""
    rows, columns = height // CELL, width // CELL
    coarse = np.diag([1 / CELL, 1 / CELL, 1.0]) @ K
    depth = np.full((len(world_from_cam), rows * columns), np.inf)
    for frame, pose in enumerate(world_from_cam):
        uv, z = project_points(points, coarse, invert_pose(pose)[None])
        cell = np.rint(np.nan_to_num(uv[0], nan=-1, posinf=-1, neginf=-1))
        inside = (z[0] > 0) & (cell >= 0).all(axis=1)
        inside &= (cell[:, 0] < columns) & (cell[:, 1] < rows)
        index = (cell[inside, 1] * columns + cell[inside, 0]).astype(np.int64)
        np.minimum.at(depth[frame], index, z[0][inside])
    depth = np.where(np.isfinite(depth), depth, 0).reshape(-1, rows, columns)
    world = [unproject(d, coarse, m) for d, m in zip(depth, world_from_cam, strict=True)]
    known = np.where(depth > 0, depth, np.nan).astype(np.float32)
    return PointMaps(np.stack(world), (depth > 0).astype(np.float32), known)


def measure(clip: Clip) -> dict[str, Any]:
    """Coverage for every number of frames up to 32 that leaves a choice, by method."""
    candidates = uniform_indices(clip.count, CANDIDATES)
    maps = clip.geometry(candidates)
    voxels = voxel_sets(maps)
    n = len(candidates)
    scores = frame_scores(maps, [clip.grey(i) for i in candidates])
    best = select_frames(n, min(LONGEST, n), "space_aware", geometry=lambda _: maps,
                         max_candidates=n).order  # fmt: skip
    curves: dict[str, list[float]] = {name: [] for name in (*METHODS, "random_sd")}
    for k in range(1, min(LONGEST, n - 1) + 1):
        drawn = [
            coverage_of(voxels, select_frames(n, k, "random", seed=s, key=clip.name).indices)
            for s in range(DRAWS)
        ]
        curves["uniform"].append(coverage_of(voxels, uniform_indices(n, k)))
        curves["random"].append(float(np.mean(drawn)))
        curves["random_sd"].append(float(np.std(drawn)))
        curves["score"].append(coverage_of(voxels, spread_by_score(scores, k)[0]))
        curves["space_aware"].append(coverage_of(voxels, best[:k]))
    rounded = {name: [round(x, 4) for x in values] for name, values in curves.items()}
    return {
        "frames": clip.count,
        "candidates": n,
        "voxels": voxels.seen.point_count,
        "voxel_edge_m": round(voxels.edge, 4),
        "poses_blake2b": clip.digest,
        "coverage": rounded,
    }


def table(results: dict[str, Any]) -> str:
    lines = [
        "| clip | candidates | voxels | frames | uniform | random | score | space_aware |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, result in results.items():
        curves = result["coverage"]
        for k in FRAMES:
            # A scene with fewer than 33 frames leaves no choice of 32.
            if k > len(curves["uniform"]):
                continue
            shares = {m: f"{100 * curves[m][k - 1]:.1f}" for m in METHODS}
            shares["random"] += f" ± {100 * curves['random_sd'][k - 1]:.1f}"
            cells = " | ".join(shares[m] for m in METHODS)
            lines.append(
                f"| {name} | {result['candidates']} | {result['voxels']:,} | {k} | {cells} |"
            )
    return "\n".join(lines)


def plot(results: dict[str, Any], path: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    columns = min(3, len(results))
    rows = -(-len(results) // columns)
    figure, axes = pyplot.subplots(
        rows, columns, figsize=(4.2 * columns, 3.2 * rows), squeeze=False, sharey=True
    )
    colours = {"uniform": "C0", "random": "0.5", "score": "C1", "space_aware": "C2"}
    for axis, (name, result) in zip(axes.flat, results.items(), strict=False):
        curves = {key: 100 * np.array(values) for key, values in result["coverage"].items()}
        x = np.arange(1, len(curves["uniform"]) + 1)
        low, high = (curves["random"] + sign * curves["random_sd"] for sign in (-1, 1))
        axis.fill_between(x, low, high, color="0.85", linewidth=0)
        for method, colour in colours.items():
            axis.plot(x, curves[method], color=colour, label=method.replace("_", "-"))
        axis.set_title(f"{name}, {result['frames']} frames", fontsize=9)
        axis.set_xlim(1, x[-1])
        axis.set_xlabel("frames chosen")
        axis.grid(alpha=0.3)
    for axis in axes[:, 0]:
        axis.set_ylabel("voxels seen, % of all")
    for axis in list(axes.flat)[len(results) :]:
        axis.axis("off")
    axes[0, 0].legend(fontsize=8, loc="lower right")
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def rooms(count: int, folder: Path) -> list[Clip]:
    from spatialcore.sample.build import make_sample
    from spatialcore.sample.config import SampleConfig

    for _ in make_sample(folder, SampleConfig(rooms=count, clips=0), workers=1):
        pass
    return scene_clips(f"scannet:{folder / 'scannet'}", "sample room")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--real", type=Path)
    parser.add_argument("--rooms", type=int, default=2)
    parser.add_argument("-o", "--out", type=Path)
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        clips = rooms(options.rooms, Path(folder) / "sample") if options.rooms else []
        if options.real is not None:
            clips = [*scene_clips(f"posed_images:{options.real / 'rgbd'}", ""), *clips]
            clips = [video_clip(options.real), *clips]
        for clip in clips:
            results[clip.name] = measure(clip)
    print(table(results))
    if options.out is not None:
        write_text(options.out, json.dumps(results, indent=1) + "\n")
    if options.plot is not None:
        plot(results, options.plot)


if __name__ == "__main__":
    main()
