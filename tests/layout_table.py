# SPDX-License-Identifier: Apache-2.0
"""Write the table of docs/inputs.md: what each layout gives, from tiny scenes and real captures.

python -m tests.layout_table

Every row is a run of `check`, `generate` and `verify` on what a test of the layout writes byte by
byte, or on a captured scene of SPATIALCORE_REAL_DATA.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from spatial_engine.commands import generate, verify
from spatial_engine.dataset.dataset import open_records
from spatialcore.commands.check_tasks import task_counter
from spatialcore.io.open import open_sources
from spatialcore.io.survey import SceneReport, survey
from spatialcore.sample import SampleConfig, make_sample
from tests import phones
from tests.engines import test_one_scene_many_forms as forms
from tests.fabricate import write_npz
from tests.io import (
    test_bop,
    test_ca1m,
    test_embodiedscan,
    test_hypersim,
    test_matterport3d,
    test_multiscan,
    test_nerfstudio_lists,
    test_predicted,
    test_reconstructions,
    test_rescan,
    test_stanford2d3ds,
    test_structured3d,
    test_trajectory,
    test_tum_lists,
    test_vipe,
)
from tests.phones import put
from tests.rays import pinhole

PAGE = Path(__file__).resolve().parents[1] / "docs/inputs.md"
BEGIN, END = "<!-- layouts: written by tests/layout_table.py -->", "<!-- end of layouts -->"
HEAD = (
    "| layout | kind | frames used | depth, agreement | labels | tasks | records, verified |\n"
    "|---|---|---|---|---|---|---|"
)
CAMERA = pinhole(160, 120)


class Row(NamedTuple):
    """One line of the table: its name, the options it is read with, and what writes the scene."""

    name: str
    write: Callable[[Path], object]
    options: tuple[str, ...] = ()


def held(turn: float = 90) -> list[phones.Shot]:
    return phones.held(12, turn, CAMERA)


def labelled(write: Callable[[Path], object]) -> Callable[[Path], None]:
    """A scene of the five layouts with masks and names."""

    def written(root: Path) -> None:
        write(root / "room")
        forms.labelled(root / "room")

    return written


def arkitscenes(root: Path) -> None:
    phones.arkit_annotation(phones.arkitscenes_video(root / "4001", held()))


def rescan(root: Path) -> None:
    folder, _ = test_rescan.write_scan(root)
    test_rescan.write_segments(folder)
    test_rescan.write_mesh(folder)


def matterport(raw: bool) -> Callable[[Path], None]:
    write = test_matterport3d.write_raw if raw else test_matterport3d.write_undistorted
    return lambda root: test_matterport3d.write_house(write(root)[0])


def colmap(root: Path) -> None:
    test_reconstructions.write_colmap(root / "room", "bin")


def blender(root: Path) -> None:
    test_nerfstudio_lists.write_blender(root / "lego")


def predicted(root: Path) -> None:
    write_npz(root / "hall/exports/npz/results.npz", test_predicted.arrays())


FIXTURES = (
    Row("posed images, flat", labelled(forms.posed_images), ("--world-up", "z")),
    Row("nerfstudio", labelled(forms.nerfstudio), ("--world-up", "z")),
    Row("nerfstudio, a list a split", blender, ("--world-up", "z")),
    Row("TUM RGB-D", lambda root: test_tum_lists.write(root / "desk"), ("--world-up", "z")),
    Row("Open3D", labelled(forms.trajectory), ("--world-up", "z")),
    Row("slambook", lambda root: test_trajectory.write_slambook(root / "lab")),
    Row("COLMAP", colmap),
    Row("Replica (NICE-SLAM)", labelled(forms.replica)),
    Row("WAI", labelled(forms.wai), ("--world-up", "z")),
    Row("ViPE", test_vipe.write_vipe, ("--world-up", "z")),
    Row("Depth Anything 3", predicted),
    Row("EmbodiedScan", test_embodiedscan.write_infos),
    Row("OpenSpatial", test_embodiedscan.write_table),
    Row("Structured3D", test_structured3d.write_house),
    Row("Hypersim", test_hypersim.write_room),
    Row("Matterport3D, undistorted", matterport(raw=False)),
    Row("Matterport3D, raw", matterport(raw=True)),
    Row("BOP", test_bop.write_scene),
    Row("3RScan", rescan),
    Row("ARKitScenes", arkitscenes),
    Row("ScanNet++, iPhone", lambda root: phones.scannetpp(root / "0a1b", held())),
    Row("ScanNet++, camera", lambda root: phones.dslr(root / "0a1b", held(0))),
    Row("Polycam", lambda root: phones.polycam(root / "cap", held())),
    Row("Stray Scanner", lambda root: phones.stray(root / "cap", held())),
    Row("Record3D", lambda root: phones.record3d(root / "cap", held())),
    Row("CA-1M", test_ca1m.write_capture),
    Row("2D-3D-S", test_stanford2d3ds.write_area),
    Row("MultiScan", lambda root: test_multiscan.write_scan(root, count=12)),
)
SAMPLES = ("scannet", "posed_images", "tapvid3d")
REAL = (
    "rgbd/hololens_office_000", "rgbd/apc_shelf_0000", "tracks/hololens_static_000_024.npz",
    "tracks/mocap_box_lift.npz", "hypersim_ai_037_002",
)  # fmt: skip


def cells(name: str, source: Path, out: Path, options: tuple[str, ...]) -> tuple[str, ...]:
    """The row of one source: surveyed, generated from and verified."""
    sources = open_sources(source)
    reports = [report for opened in sources for report in survey(opened)]
    kinds = ", ".join(sorted({opened.kind for opened in sources}))
    command = [str(source), "-o", str(out), "--workers", "1", *options]
    said = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said):
        made = generate.main(command)
        sound = made in (0, 3) and verify.main([str(out), "--all", "--workers", "1"]) == 0
    tasks, records = record_cells(out, sound, said.getvalue())
    return name, kinds, *scene_cells(reports), f"{tasks}/{task_count(reports)}", records


def task_count(reports: list[SceneReport]) -> int:
    """Tasks of the kinds of scenes that there are."""
    counter = task_counter()
    assert counter is not None
    return len({task for report in reports for task in counter.locked_tasks(report)})


def scene_cells(reports: list[SceneReport]) -> tuple[str, str, str]:
    """Frames used, depth with its agreement, and labels."""
    used, total = (sum(getattr(r, n) for r in reports) for n in ("usable_count", "frame_count"))
    shares = [r.depth_share for r in reports if r.depth_share is not None]
    agreed = [r.agreement for r in reports if r.agreement is not None]
    depth = f"{min(shares):.0%}" if shares else "none"
    if agreed:
        depth += f", {min(agreed):.1%}"
    if any(r.kind == "clip" for r in reports):
        depth = "tracks"
    refused = sorted({r.code for r in reports if r.code})
    labels = str(sum(r.object_count for r in reports))
    return f"{used}/{total}", depth, ", ".join(refused) if refused else labels


def record_cells(out: Path, sound: bool, said: str) -> tuple[str, str]:
    """Tasks that have records, and how many records are verified, or why there are none."""
    if not (out / "manifest.json").is_file():
        reasons = re.findall(r"\b([a-z]+(?:_[a-z]+)+)(?= [\d,]+|:)", said)
        return "0", f"none: {', '.join(dict.fromkeys(reasons))}"
    records = [opened.record for opened in open_records(out)]
    return str(len({r.task for r in records})), f"{len(records)}, {'yes' if sound else 'NO'}"


def rows() -> Iterator[tuple[str, ...]]:
    """All rows; each layout in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        top = Path(folder)
        config = SampleConfig(rooms=1, clips=1, frames=60, clip_frames=24, tracks=96)
        for _ in make_sample(top / "sample", config):
            pass
        for name in SAMPLES:
            yield cells(f"sample: {name}", top / "sample" / name, top / f"{name}_out", ())
        for number, row in enumerate(FIXTURES):
            root = top / f"row{number}"
            put(root / "notes.md", row.name)
            row.write(root)
            yield cells(row.name, root, top / f"{number}_out", row.options)
        real = Path(os.environ.get("SPATIALCORE_REAL_DATA", PAGE.parents[2] / "shared/data"))
        for place in REAL:
            if (real / place).exists():
                name = f"real: {Path(place).stem}"
                yield cells(name, real / place, top / f"{Path(place).stem}_out", ())


def written(page: str, lines: list[str]) -> str:
    """The page with the present table."""
    between = re.compile(f"(?<={re.escape(BEGIN)}\n).*(?=\n{re.escape(END)})", re.DOTALL)
    return between.sub(lambda _: "\n".join([HEAD, *lines]), page)


def main() -> None:
    """Run every layout and write the page."""
    lines = []
    for row in rows():
        lines.append(f"| {' | '.join(row)} |")
        print(lines[-1], flush=True)
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8"), lines), encoding="utf-8")


if __name__ == "__main__":
    main()
