# SPDX-License-Identifier: Apache-2.0
"""Choose frames of scenes for a model, and measure what they see.

Examples:
  spatialcore frames demo/scenes/scannet --frames 16 --sampler space_aware
  spatialcore frames demo/scenes/scannet --frames 8 --compare
  spatialcore frames demo/scenes/scannet --scenes scene0000_00 --save chosen
  spatialcore frames demo/scenes/scannet --geometry vggt --model VGGT-1B
  spatialcore frames demo/scenes/scannet --geometry maps     # maps/SCENE.npz, a row for each frame
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from spatialcore.commands import exit_codes
from spatialcore.commands.guard import run_verb
from spatialcore.commands.text import fitted, one_line, printable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from spatialcore.types import Scene
    from spatialmllm.geometry import GeometryProvider, PointMaps
    from spatialmllm.sampling import FrameSelection

RANDOM_DRAWS = 20


@dataclass(frozen=True)
class Options:
    """Options of `spatialcore frames`.

    Attributes:
        source: Scenes, as a path or `kind:path`.
        frames: Frames to choose.
        sampler: How.
        scenes: Only these scene ids.
        geometry: Where points come from: `depth` (depth images and poses), `vggt` (the images
            alone, with --model), or an npz file of point maps, or a folder with one for each scene.
        model: VGGT or Spatial-MLLM folder for --geometry vggt.
        point_source: Of vggt: its depth and cameras, or its point head.
        device: cpu or cuda, for vggt; default: the GPU where there is one.
        compare: Print the share of voxels seen by uniform, random (20 draws) and space_aware.
        fill: Whether space_aware completes to the number of frames asked for.
        max_candidates: Frames that are looked at, spread over time.
        seed: Seed of the random sampler.
        save: Folder for the chosen images, named by scene and 6-digit frame.
        json: Print one JSON object a scene instead of text.
    """

    source: Annotated[str, tyro.conf.Positional]
    frames: int = 16
    sampler: Literal["uniform", "random", "space_aware", "score"] = "space_aware"
    scenes: tuple[str, ...] = ()
    geometry: str = "depth"
    model: Path | None = None
    point_source: Literal["depth", "point_head"] = "depth"
    device: str | None = None
    compare: bool = False
    fill: Literal["uniform", "none"] = "uniform"
    max_candidates: int = 128
    seed: int = 0
    save: Path | None = None
    json: bool = False


def main(argv: list[str]) -> int:
    """Run the command; returns its exit code."""
    return run_verb("frames", Options, __doc__, argv, _run)


def _run(options: Options) -> int:
    from spatialcore.errors import SpatialCoreError

    skipped = 0
    geometry_of = _geometry(options)
    for scene in _scenes(options):
        try:
            report = _report(options, scene, geometry_of)
        except (SpatialCoreError, ValueError) as error:
            print(f"skipped {printable(scene.id)}: {one_line(str(error))}", file=sys.stderr)
            skipped += 1
            continue
        print(json.dumps(report) if options.json else _text(report))
    return exit_codes.SKIPPED if skipped else exit_codes.OK


def _geometry(options: Options) -> Callable[[Scene], GeometryProvider]:
    """Scene -> provider of point maps, by position in the scene's frames."""
    from spatialcore.errors import UsageError
    from spatialmllm.geometry import from_depth, from_npz

    if options.geometry == "depth":
        return from_depth
    if options.geometry == "vggt":
        return _from_vggt(options)
    path = Path(options.geometry)
    if path.is_dir():
        return lambda scene: from_npz(path / f"{scene.id}.npz")
    if not path.is_file():
        raise UsageError(
            f"--geometry takes depth, vggt, an npz file or a folder of them; {path} is not there"
        )
    if len(options.scenes) != 1:
        raise ValueError("one file of point maps describes one scene: name it with --scenes")
    return lambda _: from_npz(path)


def _from_vggt(options: Options) -> Callable[[Scene], GeometryProvider]:
    from spatialcore.io.images import open_image

    if options.model is None:
        raise ValueError("--geometry vggt needs --model, a VGGT or Spatial-MLLM folder")
    from spatialmllm.data.walk_geometry import vggt_of

    through = vggt_of(str(options.model), options.point_source, options.device)

    def provider(scene: Scene) -> GeometryProvider:
        return through(lambda index: open_image(scene.root, _uri(scene, index)))

    return provider


def _scenes(options: Options) -> Iterator[Scene]:
    from spatialcore.io.open import open_source
    from spatialcore.types import Scene

    source = open_source(options.source)
    known = source.scene_ids()
    if unknown := sorted(set(options.scenes) - set(known)):
        raise ValueError(f"no scene {unknown[0]!r} in {options.source}")
    for name in options.scenes or known:
        scene = source.open(name)
        if isinstance(scene, Scene):
            yield scene


def _report(
    options: Options, scene: Scene, geometry_of: Callable[[Scene], GeometryProvider]
) -> dict[str, Any]:
    from spatialmllm.sampling import select_frames

    rows = [i for i, frame in enumerate(scene.frames) if frame.valid]
    if not rows:
        raise ValueError("no valid frame")
    geometry: GeometryProvider | None = None
    if options.compare or options.sampler in ("space_aware", "score"):
        by_position = geometry_of(scene)

        def of_valid(at: Sequence[int]) -> PointMaps:
            return by_position([rows[i] for i in at])

        geometry = of_valid
    images = _grey(scene, rows) if options.sampler == "score" else None
    chosen = select_frames(
        len(rows), options.frames, options.sampler,
        geometry=geometry, images=images, max_candidates=options.max_candidates, fill=options.fill,
        seed=options.seed, key=f"{scene.source}/{scene.id}",
    )  # fmt: skip
    report: dict[str, Any] = {
        "scene": scene.id,
        "sampler": options.sampler,
        "frames": [scene.frames[rows[i]].index for i in chosen.indices],
        "selection": asdict(chosen),
    }
    if options.compare and geometry is not None:
        report["coverage"] = _compare(options, scene, len(rows), geometry)
    if options.save is not None:
        _save(options.save, scene, rows, chosen)
    return report


def _compare(
    options: Options, scene: Scene, count: int, geometry: GeometryProvider
) -> dict[str, Any]:
    """Share of the candidates' voxels that each sampler's frames see; one voxel set for all."""
    import numpy as np

    from spatialmllm.data.preprocessing import uniform_indices
    from spatialmllm.sampling import coverage_of, select_frames
    from spatialmllm.voxels import voxel_sets

    candidates = uniform_indices(count, options.max_candidates)
    maps = geometry(candidates)
    voxels = voxel_sets(maps)

    def share(method: Literal["uniform", "random", "space_aware"], seed: int = 0) -> float:
        made = select_frames(
            len(candidates), options.frames, method, geometry=lambda _: maps, seed=seed,
            key=scene.id, max_candidates=len(candidates),
        )  # fmt: skip
        return coverage_of(voxels, made.indices)

    drawn = [share("random", seed) for seed in range(RANDOM_DRAWS)]
    return {
        "candidates": len(candidates),
        "voxels": voxels.seen.point_count,
        "uniform": share("uniform"),
        "random": float(np.mean(drawn)),
        "random_sd": float(np.std(drawn)),
        "space_aware": share("space_aware"),
    }


def _grey(scene: Scene, rows: list[int]) -> Any:
    import numpy as np

    from spatialcore.io.images import open_image

    def provide(index: int) -> NDArray[np.float64]:
        image = open_image(scene.root, _uri(scene, rows[index])).convert("L")
        image.thumbnail((320, 320))
        return np.asarray(image, dtype=np.float64) / 255

    return provide


def _uri(scene: Scene, index: int) -> str:
    uri = scene.frames[index].image
    if uri is None:
        raise ValueError(f"frame {scene.frames[index].name} has no image")
    return uri


def _save(folder: Path, scene: Scene, rows: list[int], chosen: FrameSelection) -> None:
    from spatialcore.files import child, whole_file
    from spatialcore.io.images import open_image

    for i in chosen.indices:
        frame = scene.frames[rows[i]]
        if frame.image is not None:
            name = f"{scene.id}_frame_{frame.index:06d}.png"
            with whole_file(child(folder, name), durable=False) as temporary:
                open_image(scene.root, frame.image).save(temporary, "PNG")


def _text(report: dict[str, Any]) -> str:
    frames = " ".join(map(str, report["frames"]))
    lines = [f"{report['scene']}: {report['sampler']} {frames}"]
    covered = report["selection"]["covered"]
    if covered is not None:
        lines.append(f"  {100 * covered:.1f} % of the voxels of all candidates")
    if "coverage" in report:
        c = report["coverage"]
        lines.append(
            f"  coverage of {c['voxels']:,} voxels: uniform {100 * c['uniform']:.1f} %, "
            f"random {100 * c['random']:.1f} +- {100 * c['random_sd']:.1f} %, "
            f"space_aware {100 * c['space_aware']:.1f} %"
        )
    return fitted("\n".join(lines))
