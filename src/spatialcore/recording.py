# SPDX-License-Identifier: Apache-2.0
"""A scene or a clip as a Rerun recording (extra `viz`): cloud, cameras, images, boxes, tracks.

Paths of a recording: `world/cloud`, `world/boxes`, `world/walk`, `world/camera` with its `image`
and `depth`; of clips `world/points` and `world/tails`. Time is the sequence `frame`. Lengths are
those of the source's world, cameras are OpenCV's (x right, y down, z forward).
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spatialcore.errors import SpatialCoreError, UsageError
from spatialcore.files import whole_file
from spatialcore.io.images import image_bytes, open_image
from spatialcore.types import Camera, Frame, Scene, Track3D, invert_pose, transform_points

if TYPE_CHECKING:
    from rerun import RecordingStream

APPLICATION = "spatialcore"
_MOST_POINTS = 500_000  # of a cloud: beyond, every k-th
_POINT_M = 0.006
_PLANE_M = 0.25  # distance of an image plane from its camera
_TAIL = 12  # frames that a track's tail reaches back
_PALETTE = np.array([  # of instances; walls and what belongs to nothing are grey
    (230, 85, 66), (66, 135, 245), (63, 173, 95), (240, 173, 51), (150, 97, 201), (38, 186, 186),
    (222, 105, 170), (140, 109, 73), (120, 160, 40), (90, 90, 220),
], dtype=np.uint8)  # fmt: skip
_GREY = 150


def _rerun() -> Any:
    """The package, or a ModuleNotFoundError that says where it comes from."""
    try:
        import rerun
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "recordings need rerun-sdk: pip install 'spatialcore-mllm[viz]'", name=error.name
        ) from None
    return rerun


@contextmanager
def recording_file(path: str | Path, name: str) -> Iterator[RecordingStream]:
    """A recording that is written to a file: whole when the block ends, absent when it fails.

    Args:
        path: The `.rrd` file; an older one is replaced.
        name: Of the recording: the same name gives the same id.
    """
    rr = _rerun()

    with whole_file(Path(path)) as temporary:
        stream = rr.RecordingStream(APPLICATION, recording_id=name)
        stream.save(temporary)
        lenient = not rr.strict_mode()
        rr.set_strict_mode(True)  # what it cannot write is an error, no warning
        try:
            yield stream
        finally:
            rr.set_strict_mode(not lenient)
            stream.flush()
            stream.disconnect()


def show(scene: Scene | Track3D, path: str | Path | None = None, *, most_frames: int = 60) -> None:
    """Open a scene or a clip in the Rerun viewer, or write it as a recording.

    Args:
        scene: The scene or clip.
        path: Of the `.rrd` file; None opens the viewer of this machine.
        most_frames: Frames that are shown, evenly spread.

    Raises:
        ModuleNotFoundError: rerun-sdk (extra `viz`) is not installed.
        UsageError: There is no screen for the viewer, or it does not start.
        SceneFormatError: The cloud cannot be read.
    """
    if path is not None:
        with recording_file(path, scene.id) as stream:
            record_source(stream, scene, most_frames=most_frames)
        return
    rr = _rerun()

    stream = rr.RecordingStream(APPLICATION, recording_id=f"{scene.id}-{time.time_ns()}")
    _open_viewer(stream)
    record_source(stream, scene, most_frames=most_frames)


def _open_viewer(stream: RecordingStream) -> None:
    """Start the viewer that came with the package, whether or not its folder is on the PATH."""
    instead = "write a recording: show('SCENE.rrd')"
    screens = ("DISPLAY", "WAYLAND_DISPLAY")
    if sys.platform.startswith("linux") and not any(os.environ.get(name) for name in screens):
        raise UsageError(f"the Rerun viewer needs a screen, and there is none; {instead}")
    path = os.environ.get("PATH", "")
    os.environ["PATH"] = os.pathsep.join([path, str(Path(sys.executable).parent)])
    try:
        stream.spawn()
    except RuntimeError as error:
        first = str(error).partition("\n")[0]
        raise UsageError(f"the Rerun viewer does not start: {first}; {instead}") from None
    finally:
        os.environ["PATH"] = path


def record_source(
    stream: RecordingStream, scene: Scene | Track3D, *, most_frames: int = 60
) -> dict[str, str]:
    """Write a scene or a clip into a recording.

    Args:
        stream: The recording.
        scene: The scene or clip.
        most_frames: Frames that are shown, evenly spread; points of a cloud are thinned likewise.

    Returns:
        Frame name -> why its image or its depth map is not in the recording.
    """
    if isinstance(scene, Track3D):
        return _record_clip(stream, scene, most_frames)
    return _record_scene(stream, scene, most_frames)


def _record_scene(stream: RecordingStream, scene: Scene, most_frames: int) -> dict[str, str]:
    import rerun as rr

    view_up(stream, scene.world_up)
    cloud = scene.read_cloud() if scene.read_cloud is not None else None
    if cloud is not None:
        record_cloud(stream, "world/cloud", cloud.points_world, cloud.instance, cloud.colour)
    boxes = [(obj.box, obj.category) for obj in scene.objects if obj.box is not None]
    if boxes:
        record_boxes(
            stream, "world/boxes", [box.center for box, _ in boxes], [box.size for box, _ in boxes],
            [box.R for box, _ in boxes], [name for _, name in boxes],
        )  # fmt: skip
    frames = [frame for frame in scene.frames if frame.valid]
    centres = [np.asarray(frame.world_from_cam)[:3, 3] for frame in frames]
    stream.log("world/walk", rr.LineStrips3D([centres], colors=[(120, 120, 120)]), static=True)
    lost: dict[str, str] = {}
    for frame in _spread(frames, most_frames):
        stream.set_time("frame", sequence=frame.index)
        camera = scene.color_of(frame)
        record_camera(stream, "world/camera", frame.world_from_cam, camera)
        _try(lost, frame, partial(_log_image, stream, scene.root, frame))
        if frame.depth is not None:
            _try(lost, frame, partial(_log_depth, stream, scene, frame))
    return lost


def _record_clip(stream: RecordingStream, clip: Track3D, most_frames: int) -> dict[str, str]:
    import rerun as rr

    view_up(stream, clip.world_up)
    world = np.stack([
        transform_points(invert_pose(pose), points)
        for pose, points in zip(clip.cam_from_world, clip.tracks_cam, strict=True)
    ])  # fmt: skip
    colours = _PALETTE[np.arange(world.shape[1]) % len(_PALETTE)]
    lost: dict[str, str] = {}
    for frame in _spread(clip.frames, most_frames):
        t = frame.index
        stream.set_time("frame", sequence=t)
        record_camera(stream, "world/camera", invert_pose(clip.cam_from_world[t]), clip.camera)
        there = np.isfinite(world[t]).all(axis=1)
        seen = there & clip.visible[t]
        stream.log("world/points", rr.Points3D(world[t][seen], colors=colours[seen], radii=0.01))
        tails = world[max(0, t - _TAIL) : t + 1].transpose(1, 0, 2)[there]
        whole = np.isfinite(tails).all(axis=(1, 2))
        stream.log("world/tails", rr.LineStrips3D(tails[whole], colors=colours[there][whole]))
        _try(lost, frame, partial(_log_image, stream, clip.root, frame))
    return lost


def _spread(frames: Sequence[Frame], most: int) -> list[Frame]:
    if len(frames) <= most:
        return list(frames)
    return [frames[k] for k in np.linspace(0, len(frames) - 1, most).round().astype(int)]


def _try(lost: dict[str, str], frame: Frame, log: Callable[[], None]) -> None:
    """A frame whose image or depth cannot be read is told, and costs no other."""
    try:
        log()
    except (SpatialCoreError, OSError) as error:
        lost[frame.name] = str(error)


def _log_image(stream: RecordingStream, root: Path, frame: Frame) -> None:
    if frame.image is not None:
        log_image(stream, "world/camera/image", root, frame.image)


def _log_depth(stream: RecordingStream, scene: Scene, frame: Frame) -> None:
    import rerun as rr

    depth = np.asarray(scene.read_depth(frame))
    if scene.depth_of(frame) is None and depth.shape[::-1] != scene.color_of(frame).size:
        return  # on a grid of its own, whose camera nobody knows
    image = rr.DepthImage(depth, meter=1.0 / scene.depth_scale)
    camera = scene.depth_of(frame) or scene.color_of(frame)
    record_camera(stream, "world/depth_camera", frame.world_from_cam, camera)
    stream.log("world/depth_camera/depth", image)


def view_up(stream: RecordingStream, world_up: ArrayLike | None) -> None:
    """Tell the viewer what is up, where an axis is."""
    import rerun as rr

    up = np.zeros(3) if world_up is None else np.asarray(world_up, dtype=np.float64)
    names = ("RIGHT_HAND_X_UP", "RIGHT_HAND_Y_UP", "RIGHT_HAND_Z_UP",
             "RIGHT_HAND_X_DOWN", "RIGHT_HAND_Y_DOWN", "RIGHT_HAND_Z_DOWN")  # fmt: skip
    axis = int(np.abs(up).argmax())
    if abs(up[axis]) > 0.99:
        name = names[axis + (3 if up[axis] < 0 else 0)]
        stream.log("world", getattr(rr.ViewCoordinates, name), static=True)


def record_cloud(
    stream: RecordingStream,
    path: str,
    points_world: NDArray[Any],
    instance: NDArray[Any] | None = None,
    colour: NDArray[np.uint8] | None = None,
    *,
    static: bool = True,
) -> None:
    """Write (P, 3) points; without colours of their own, those of their instances."""
    import rerun as rr

    some = slice(None, None, -(-max(len(points_world), 1) // _MOST_POINTS))
    if colour is None:
        colour = np.full((len(points_world), 3), _GREY, np.uint8)
        if instance is not None:
            known = np.asarray(instance) >= 0
            colour[known] = _PALETTE[np.asarray(instance)[known] % len(_PALETTE)]
    shown = rr.Points3D(points_world[some], colors=colour[some], radii=_POINT_M)
    stream.log(path, shown, static=static)


def record_boxes(
    stream: RecordingStream,
    path: str,
    centers: ArrayLike,
    sizes: ArrayLike,
    rotations: ArrayLike,
    names: Sequence[str],
    *,
    static: bool = True,
    colour: tuple[int, int, int] = (90, 90, 90),
) -> None:
    """Write N boxes: (N, 3) centres and sizes, (N, 3, 3) `world_from_box`, and names."""
    import rerun as rr
    from scipy.spatial.transform import Rotation

    turns = np.asarray(rotations, dtype=np.float64).copy()
    turns[np.linalg.det(turns) < 0, :, 0] *= -1  # a box is its own mirror image
    boxes = rr.Boxes3D(
        centers=centers, half_sizes=np.asarray(sizes, dtype=np.float64) / 2,
        quaternions=Rotation.from_matrix(turns).as_quat(), labels=list(names),
        colors=[colour] * len(names),
    )  # fmt: skip
    stream.log(path, boxes, static=static)


def record_camera(
    stream: RecordingStream, path: str, world_from_cam: ArrayLike | None, camera: Camera
) -> None:
    """Write a camera's pose, (4, 4), and its pinhole."""
    import rerun as rr

    pose = np.asarray(world_from_cam, dtype=np.float64)
    stream.log(path, rr.Transform3D(translation=pose[:3, 3], mat3x3=pose[:3, :3]))
    pinhole = rr.Pinhole(
        image_from_camera=camera.K, resolution=camera.size, camera_xyz=rr.ViewCoordinates.RDF,
        image_plane_distance=_PLANE_M,
    )  # fmt: skip
    stream.log(path, pinhole)


def log_image(stream: RecordingStream, path: str, root: Path, uri: str) -> None:
    """Write an image: as it is stored where the viewer reads it, else decoded."""
    import rerun as rr

    try:
        content = image_bytes(root, uri)
    except SpatialCoreError:
        content = b""
    kind = {b"\xff\xd8": "image/jpeg", b"\x89P": "image/png"}.get(content[:2])
    if kind is not None:
        stream.log(path, rr.EncodedImage(contents=content, media_type=kind))
    else:
        stream.log(path, rr.Image(np.asarray(open_image(root, uri).convert("RGB"))).compress())
