# SPDX-License-Identifier: Apache-2.0
"""One sound scene of every layout, which damages are done to: written by the layouts' own tests."""

from __future__ import annotations

import json
import shutil
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from spatialcore.types import Camera
from tests import rays
from tests.fabricate import (
    COLOR_K,
    COLOR_SIZE,
    DEPTH_K,
    DEPTH_SIZE,
    annotate,
    clip_arrays,
    matrix_text,
    padded,
    ply,
    png16,
    sens,
    write_npz,
)
from tests.io import test_bop as bop
from tests.io import test_hypersim as hypersim
from tests.io import test_matterport3d as matterport
from tests.io import test_nerfstudio_lists as nerfstudio_lists
from tests.io import test_object_files as object_files
from tests.io import test_reconstructions as reconstructions
from tests.io import test_rescan as rescan
from tests.phones import (
    arkit_annotation,
    arkitscenes_video,
    dslr,
    held,
    jpg,
    polycam,
    record3d,
    scannetpp,
    stray,
)

SCAN = "scene0000_00"
_SIZE = (64, 48)


def shots(count: int = 4) -> list[rays.Shot]:
    """Frames of the ray-cast room that agree with each other."""
    return rays.shots([rays.pinhole(*_SIZE)] * count)


def millimetres(shot: rays.Shot) -> bytes:
    return png16(np.rint(shot.depth * 1000).astype(np.uint16))


def posed(root: Path) -> None:
    folder = root / SCAN / "posed_images"
    folder.mkdir(parents=True)
    for k, shot in enumerate(shots()):
        (folder / f"{k:05d}.jpg").write_bytes(jpg(shot.colour))
        (folder / f"{k:05d}.png").write_bytes(millimetres(shot))
        (folder / f"{k:05d}.txt").write_text(matrix_text(shot.world_from_cam))
    for name in ("intrinsic.txt", "depth_intrinsic.txt"):
        (folder / name).write_text(matrix_text(padded(rays.pinhole(*_SIZE).K)))
    (folder / "scene_meta.json").write_text('{"world_up": [0, 0, 1]}')
    annotated(root / SCAN)


def annotated(folder: Path) -> None:
    """ScanNet's annotation, of a mesh of eight vertices in the room."""
    annotate(folder, SCAN)
    corners = [[x, y, z] for x in (2.0, 4.0) for y in (1.0, 3.0) for z in (0.0, 1.5)]
    (folder / f"{SCAN}_vh_clean_2.ply").write_bytes(ply(corners, [(0, 1, 2), (5, 6, 7)]))


def folders(root: Path) -> None:
    """The other form of posed images: a folder for each part."""
    for k, shot in enumerate(shots()):
        parts = (
            (f"color/{k}.jpg", jpg(shot.colour)),
            (f"depth/{k}.png", millimetres(shot)),
            (f"pose/{k}.txt", matrix_text(shot.world_from_cam).encode()),
        )
        for name, content in parts:
            path = root / "room" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    intrinsic = root / "room/intrinsic/intrinsic_color.txt"
    intrinsic.parent.mkdir()
    intrinsic.write_text(matrix_text(padded(rays.pinhole(*_SIZE).K)))


def sens_of(frames: list[rays.Shot], **options: object) -> bytes:
    """A `.sens` of the room; its depth camera is smaller, so maps are shot with that."""
    rows = []
    for shot in frames:
        small = rays.shoot(shot.world_from_cam, Camera(DEPTH_K, *DEPTH_SIZE))
        large = rays.shoot(shot.world_from_cam, Camera(COLOR_K, *COLOR_SIZE))
        depth = zlib.compress(np.rint(small.depth * 1000).astype("<u2").tobytes())
        rows.append((shot.world_from_cam, jpg(large.colour), depth))
    return sens(rows, **options)


def scannet(root: Path) -> None:
    folder = root / "scans" / SCAN
    folder.mkdir(parents=True)
    annotated(folder)
    (folder / f"{SCAN}.sens").write_bytes(sens_of(shots(11)))
    (root / "scannetv2-labels.combined.tsv").write_text(
        "id\traw_category\tcategory\tcount\tnyu40id\n1\tchair\tchair\t5\t5\n"
    )


def clips(root: Path) -> None:
    write_npz(root / "clips" / "walk.npz", clip_arrays())


def tum(root: Path) -> None:
    folder = root / "desk"
    color, depth, truth = ["# list"], ["# list"], ["# seconds tx ty tz qx qy qz qw"]
    for k, shot in enumerate(shots()):
        time = 1305031102.0 + k / 30
        for part, content in (("rgb", jpg(shot.colour)), ("depth", fifths(shot))):
            path = folder / part / f"{time:.6f}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        color.append(f"{time:.6f} rgb/{time:.6f}.png")
        depth.append(f"{time:.6f} depth/{time:.6f}.png")
        w, x, y, z = reconstructions.quaternion(shot.world_from_cam[:3, :3])
        place = " ".join(map(str, shot.world_from_cam[:3, 3]))
        truth.append(f"{time:.4f} {place} {x} {y} {z} {w}")
    for name, lines in (("rgb", color), ("depth", depth), ("groundtruth", truth)):
        (folder / f"{name}.txt").write_text("\n".join(lines) + "\n")
    (folder / "intrinsic.txt").write_text(matrix_text(rays.pinhole(*_SIZE).K))


def fifths(shot: rays.Shot) -> bytes:
    return png16(np.rint(shot.depth * 5000).astype(np.uint16))


def nerfstudio(root: Path) -> None:
    folder = object_files.write_nerfstudio(root / "kitchen")
    (folder / "objects.json").write_text(json.dumps(object_files.listed(True)))
    names = [f"{k:03d}.png" for k in range(object_files.COUNT)]
    object_files.write_masks(folder, names, "L")


def arkitscenes(root: Path) -> None:
    arkit_annotation(arkitscenes_video(root / "4001", held(4)))


def rescanned(root: Path) -> None:
    folder, _ = rescan.write_scan(root)
    rescan.write_segments(folder)
    rescan.write_mesh(folder)


def matterport_undistorted(root: Path) -> None:
    matterport.write_house(matterport.write_undistorted(root)[0])


def vipe(root: Path) -> None:
    from tests.io.test_vipe import write_vipe

    write_vipe(root / "results")


def predicted(root: Path) -> None:
    from tests.io.test_predicted import arrays

    write_npz(root / "hall" / "results.npz", arrays())


def structured3d(root: Path) -> None:
    from tests.io.test_structured3d import write_house

    write_house(root)


def embodiedscan(root: Path) -> None:
    from tests.io.test_embodiedscan import write_infos

    write_infos(root)


def openspatial(root: Path) -> None:
    from tests.io.test_embodiedscan import write_table

    write_table(root)


def ca1m(root: Path) -> None:
    from tests.io.test_ca1m import write_capture

    write_capture(root)


def ca1m_folder(root: Path) -> None:
    from tests.io.test_ca1m import write_capture

    write_capture(root, packed=False)


def stanford2d3ds(root: Path) -> None:
    from tests.io.test_stanford2d3ds import write_area

    write_area(root)


def multiscan(root: Path) -> None:
    from tests.io.test_multiscan import write_scan

    write_scan(root, count=4)


def open3d(root: Path) -> None:
    from tests.io.test_trajectory import write_open3d

    write_open3d(root / "walk")


def slambook(root: Path) -> None:
    from tests.io.test_trajectory import write_slambook

    write_slambook(root / "walk")


@dataclass(frozen=True)
class Base:
    """A sound scene.

    Attributes:
        kind: Its layout.
        write: Writes it below a folder, which is then named to the verbs.
        needs: Modules without which it cannot be written or read.
        place: What is named to the verbs, below the folder.
    """

    kind: str
    write: Callable[[Path], object]
    needs: tuple[str, ...] = ()
    place: str = ""

    @property
    def there(self) -> bool:
        """Whether what it needs is installed."""
        return all(find_spec(name) for name in self.needs)


BASES = {
    "vipe": Base("vipe", vipe, ("OpenEXR", "av")),
    "predicted": Base("predicted", predicted),
    "structured3d": Base("structured3d", structured3d),
    "embodiedscan": Base("embodiedscan", embodiedscan),
    "openspatial": Base("openspatial", openspatial, place="per_scene/part-0.parquet"),
    "open3d": Base("trajectory", open3d),
    "slambook": Base("trajectory", slambook),
    "posed": Base("posed_images", posed),
    "folders": Base("posed_images", folders),
    "scannet": Base("scannet", scannet),
    "clips": Base("tapvid3d", clips),
    "tum": Base("tum", tum),
    "nerfstudio": Base("nerfstudio", nerfstudio),
    "nerfstudio_splits": Base("nerfstudio", lambda r: nerfstudio_lists.write_blender(r / "lego")),
    "colmap": Base("colmap", lambda r: reconstructions.write_colmap(r / "room", "bin")),
    "colmap_txt": Base("colmap", lambda r: reconstructions.write_colmap(r / "room", "txt")),
    "replica": Base("replica", reconstructions.write_replica),
    "wai": Base("wai", lambda r: reconstructions.write_wai(r / "room")),
    "hypersim": Base("hypersim", hypersim.write_room, ("h5py",)),
    "matterport3d": Base("matterport3d", matterport_undistorted),
    "matterport_raw": Base("matterport3d", matterport.write_raw),
    "bop": Base("bop", lambda r: bop.write_scene(r, split="test")),
    "rescan": Base("rescan", rescanned),
    "arkitscenes": Base("arkitscenes", arkitscenes),
    "polycam": Base("polycam", lambda r: polycam(r / "cap", held(4))),
    "stray": Base("stray", lambda r: stray(r / "cap", held(4)), ("av",)),
    "scannetpp": Base("scannetpp", lambda r: scannetpp(r / "0a1b", held(4)), ("av", "lz4")),
    "scannetpp_dslr": Base("scannetpp_dslr", lambda r: dslr(r / "0a1b", held(4))),
    "record3d": Base("record3d", lambda r: record3d(r / "cap", held(4), newer=True), ("liblzfse",)),
    "ca1m": Base("ca1m", ca1m),
    "ca1m_folder": Base("ca1m", ca1m_folder),
    "stanford2d3ds": Base("stanford2d3ds", stanford2d3ds),
    "multiscan": Base("multiscan", multiscan, ("av",)),
    "unpacked": Base(
        "record3d", lambda r: record3d(r / "cap", held(4), packed=False), ("liblzfse",)
    ),
}


class Written:
    """Sound scenes, each written once and copied for every damage.

    Args:
        folder: Where they are kept.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def original(self, name: str) -> Path:
        """The folder of a sound scene, not to be changed."""
        root = self._folder / name
        if not root.is_dir():
            root.mkdir(parents=True)
            BASES[name].write(root)
        return root

    def all(self) -> None:
        """Write every scene, before several processes copy them."""
        for name, base in BASES.items():
            if base.there:
                self.original(name)

    def named(self, name: str) -> Path:
        """What of a sound scene is named to the verbs."""
        return self.original(name) / BASES[name].place

    def copy(self, name: str, to: Path) -> Path:
        """A scene to be damaged."""
        return Path(shutil.copytree(self.original(name), to, symlinks=True))
