# SPDX-License-Identifier: Apache-2.0
"""TUM lists as people write them: every separator, more columns, pairs, clocks that differ."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from spatialcore.errors import SceneFormatError
from spatialcore.io.clocks import paired
from spatialcore.io.open import open_source
from tests.fabricate import matrix_text
from tests.phones import png, put
from tests.rays import pinhole, png5000, shots

CAMERA = pinhole(64, 48)
START = 1305031102.175304
STEP = 0.1
COUNT = 6


def write(folder: Path, *, sep: str = " ", tail: str = "", lead: str = "", late: float = 0.0,
          pose_late: float = 0.004, poses: int = 1, line: str = "\n") -> Path:  # fmt: skip
    """A walk at ten frames a second; maps `late` seconds, every `poses`-th pose `pose_late`."""
    from scipy.spatial.transform import Rotation

    rgb, depth, truth = ["# seconds file"], ["# seconds file"], ["# seconds pose"]
    for k, shot in enumerate(shots([CAMERA] * COUNT)):
        t = START + STEP * k
        a, b = f"rgb/{t:.6f}.png", f"depth/{t + late:.6f}.png"
        put(folder / a, png(shot.colour))
        put(folder / b, png5000(shot))
        rgb.append(f"{lead}{t:.6f}{sep}{a}{tail}")
        depth.append(f"{lead}{t + late:.6f}{sep}{b}{tail}")
        m = shot.world_from_cam
        numbers = [t + pose_late, *m[:3, 3], *Rotation.from_matrix(m[:3, :3]).as_quat()]
        if k % poses == 0:
            truth.append(lead + sep.join(f"{x:.9f}" for x in numbers) + tail)
    put(folder / "rgb.txt", line.join(rgb) + line)
    put(folder / "depth.txt", line.join(reversed(depth)) + line)
    put(folder / "groundtruth.txt", line.join(truth) + line)
    put(folder / "intrinsic.txt", matrix_text(CAMERA.K))
    return folder


def check_walk(folder: Path, *notes: str) -> None:
    scene = open_source(folder).open(folder.name)
    assert [f.reason for f in scene.frames] == [""] * COUNT
    for frame, shot in zip(scene.frames, shots([CAMERA] * COUNT), strict=True):
        np.testing.assert_allclose(frame.world_from_cam, shot.world_from_cam, atol=1e-6)
        np.testing.assert_allclose(
            scene.read_depth(frame) * scene.depth_scale, shot.depth, atol=1e-4
        )
    assert set(notes) == {n for n in scene.notes if n != "up_unknown"}


@pytest.mark.parametrize("sep", [" ", "\t", ",", ", ", ";", "   ", " \t"])
@pytest.mark.parametrize("lead", ["", "  ", "\t"])
def test_every_separator_and_leading_blanks(tmp_path: Path, sep: str, lead: str) -> None:
    check_walk(write(tmp_path / "desk", sep=sep, lead=lead, line="\r\n" if lead else "\n"))


@pytest.mark.parametrize("sep", [" ", ","])
def test_more_columns_are_said_to_be_ignored(tmp_path: Path, sep: str) -> None:
    check_walk(write(tmp_path / "desk", sep=sep, tail=f"{sep}12{sep}0"), "list_columns_ignored")


@pytest.mark.parametrize("depth_first", [False, True])
@pytest.mark.parametrize("name", ["associations.txt", "associate.txt"])
def test_pairs_of_a_tool_count(tmp_path: Path, name: str, depth_first: bool) -> None:
    folder = write(tmp_path / "desk", late=0.03)
    both = [
        [line.split() for line in (folder / f).read_text().splitlines() if line[0] != "#"]
        for f in ("rgb.txt", "depth.txt")
    ]
    rows = list(zip(both[0], reversed(both[1]), strict=True))
    lines = [" ".join([*d, *c] if depth_first else [*c, *d]) for c, d in rows]
    put(folder / name, "\n".join(lines))
    check_walk(folder)
    for unneeded in ("rgb.txt", "depth.txt"):
        (folder / unneeded).unlink()
    check_walk(folder)
    put(folder / name, "\n".join(lines[2:]))
    assert len(open_source(folder).open("desk").frames) == COUNT - 2
    write(folder)
    assert "pictures_unpaired=2" in open_source(folder).open("desk").notes
    put(folder / name, "1.0 rgb/a.png")
    with pytest.raises(SceneFormatError) as error:
        open_source(folder).open("desk")
    assert error.value.code == "list_bad"


def test_sensors_that_fire_in_turn_are_paired_and_it_is_said(tmp_path: Path) -> None:
    check_walk(write(tmp_path / "desk", late=0.03), "depth_apart_ms=30")
    # Half the step between two maps is as far as a partner may be, and never beyond 50 ms.
    far = write(tmp_path / "far", late=0.052)
    reasons = [f.reason for f in open_source(far).open("far").frames]
    assert reasons == ["depth_missing", *[""] * (COUNT - 1)]


def test_one_lost_map_stays_lost(tmp_path: Path) -> None:
    folder = write(tmp_path / "desk")
    lines = (folder / "depth.txt").read_text().splitlines()
    put(folder / "depth.txt", "\n".join([*lines[:2], *lines[3:]]))
    reasons = [f.reason for f in open_source(folder).open("desk").frames]
    assert sorted(reasons) == [*[""] * (COUNT - 1), "depth_missing"]


def test_poses_between_two_of_a_slow_trajectory(tmp_path: Path) -> None:
    folder = write(tmp_path / "desk", pose_late=0.05)
    scene = open_source(folder).open("desk")
    # The first picture is before the first pose.
    assert [f.reason for f in scene.frames] == ["pose_missing", *[""] * (COUNT - 1)]
    assert f"poses_interpolated={COUNT - 1}" in scene.notes
    truth = [shot.world_from_cam for shot in shots([CAMERA] * COUNT)]
    for k, frame in enumerate(scene.frames[1:]):
        middle = (truth[k][:3, 3] + truth[k + 1][:3, 3]) / 2
        np.testing.assert_allclose(frame.world_from_cam[:3, 3], middle, atol=1e-5)
        R = frame.world_from_cam[:3, :3]
        np.testing.assert_allclose(R @ R.T, np.eye(3), atol=1e-9)


def test_pairing_by_hand() -> None:
    maps = np.arange(5) * 0.1
    assert paired(maps, maps + 0.01, 0.02) == ([0, 1, 2, 3, 4], 0)
    assert paired(maps, maps + 0.04, 0.02) == ([0, 1, 2, 3, 4], 40)
    assert paired(maps, maps[:1] + 9, 0.02) == ([None], 0)
    assert paired(maps[:0], maps, 0.02) == ([None] * 5, 0)


@pytest.mark.parametrize(
    "text", ["1,5 2 3 4 5 6 7 8 9", "1.0, 2 3 4 5 6 7 8", "nan a.png", ",,,", "1.0;", "# none"]
)
@pytest.mark.parametrize("name", ["rgb.txt", "depth.txt", "groundtruth.txt", "associations.txt"])
def test_lists_that_lie(tmp_path: Path, text: str, name: str) -> None:
    folder = write(tmp_path / "desk")
    put(folder / name, text)
    try:
        scene = open_source(folder).open("desk")
    except SceneFormatError:
        return
    assert not any(frame.valid for frame in scene.frames)
