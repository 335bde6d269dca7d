# SPDX-License-Identifier: Apache-2.0
"""Why an entry of a folder of scenes is no scene: what lies there, and what it lacks."""

from __future__ import annotations

import errno
import os
import stat
import struct
import zlib
from pathlib import Path

import numpy as np

from spatialcore.errors import BackendUnavailable, OutputError, SceneFormatError
from spatialcore.io.names import path_fault
from spatialcore.io.paths import list_names

_NAMES = {
    "name_not_utf8": "has a name that is not UTF-8",
    "name_unsafe": "has a control character, a backslash or a # in its name",
}
_PACKED = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".zst", ".7z", ".rar")
_OS = {
    errno.ELOOP: ("link_loop", "is a link that leads back to itself"),
    errno.ENOENT: ("link_dangling", "is a link to something that is not there"),
    errno.EACCES: ("permission", "may not be read by this user"),
    errno.EPERM: ("permission", "may not be read by this user"),
    errno.ENAMETOOLONG: ("name_too_long", "has a name that the file system refuses"),
}
_MACHINE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE)
_KINDS: tuple[tuple[tuple[type[Exception], ...], str], ...] = (
    ((MemoryError,), "memory"),
    ((RecursionError,), "nested_too_deep"),
    ((UnicodeError,), "not_text"),
    ((struct.error, zlib.error, EOFError), "damaged"),
    ((ArithmeticError, np.linalg.LinAlgError), "number_out_of_range"),
)
# What a layout cannot do without, and the files that tell that the layout was meant.
_LACKS = (
    ("sens_missing", "{name}.sens", ("{name}.aggregation.json", "{name}_vh_clean_2.ply",
                                     "{name}_vh_clean.aggregation.json", "{name}.sens")),
    ("list_missing", "lowres_wide.traj beside lowres_wide/ and lowres_wide_intrinsics/",
     ("lowres_wide", "lowres_depth", "{name}_frames")),
    ("list_missing", "rgb.mp4 with odometry.csv", ("odometry.csv", "camera_matrix.csv")),
    ("frames_missing", "keyframes/images/ with keyframes/cameras/", ("keyframes",)),
    ("frames_missing", "iphone/pose_intrinsic_imu.json, and no dslr/colmap/ with render_depth/",
     ("iphone", "dslr")),
    ("transforms_missing", "transforms.json", ("images", "depth", "depths", "images_2")),
    ("list_missing", "rgb.txt, depth.txt and groundtruth.txt", ("rgb.txt", "depth.txt",
                                                              "groundtruth.txt")),
    ("frames_missing", "color/ and pose/ with files", ("color", "rgb", "pose", "poses",
                                                       "intrinsic.txt", "intrinsic")),
)  # fmt: skip


def os_refusal(path: Path, error: OSError) -> SceneFormatError:
    """An error of the file system in words, with its own reason code."""
    known = _OS.get(error.errno or 0)
    code, what = known or ("unreadable", f"cannot be read: {error.strerror or 'unknown error'}")
    return SceneFormatError(path, what, code=code)


def scene_fault(path: Path, error: Exception) -> SceneFormatError:
    """Whatever a reader or builder raised for one scene, as that scene's typed error.

    Args:
        path: The scene.
        error: A SceneFormatError stays as it is; others keep their kind in the message.

    Raises:
        BackendUnavailable: Raised again: it concerns every scene.
        OutputError: Raised again: what is written is at fault, not what is read.
        OSError: Raised again when the machine is at fault: no space, no handles left.
    """
    if isinstance(error, SceneFormatError):
        return error
    if isinstance(error, BackendUnavailable | OutputError):
        raise error
    if isinstance(error, OSError):
        if error.errno in _MACHINE:
            raise error
        return os_refusal(path, error)
    code = next((code for kinds, code in _KINDS if isinstance(error, kinds)), "reader_failed")
    what = f"cannot be indexed: {type(error).__name__}: {str(error)[:200]}"
    return SceneFormatError(path, what, code=code)


def refusal(path: Path) -> SceneFormatError:
    """Why an entry cannot be read as a scene."""
    path = Path(os.path.normpath(path))
    fault = path_fault(path.name)
    if fault:
        return SceneFormatError(path, _NAMES[fault], "rename it", code=fault)
    try:
        mode = path.stat().st_mode
        names = [entry.name for entry in path.iterdir()] if stat.S_ISDIR(mode) else []
    except OSError as error:
        return os_refusal(path, error)
    if not stat.S_ISDIR(mode):
        if not stat.S_ISREG(mode):
            return SceneFormatError(path, "is neither a file nor a folder", code="not_a_file")
        packed = path.suffix.lower() in _PACKED
        what, hint = ("is packed", "unpack it, and name the folder") if packed else (
            "is a file of no layout", "",
        )  # fmt: skip
        return SceneFormatError(path, what, hint, "not_recognised")
    if not names:
        return SceneFormatError(path, "is an empty folder", code="folder_empty")
    for code, missing, signs in _LACKS:
        if any(sign.format(name=path.name) in names for sign in signs):
            lacking = missing.format(name=path.name)
            return SceneFormatError(path, f"has no {lacking}", holds(path), code=code)
    return SceneFormatError(path, f"has no known layout; it {holds(path)}", code="not_recognised")


def present(path: Path) -> bool:
    """Whether an optional file is there, as a regular file.

    Raises:
        SceneFormatError: Something else has its name: a pipe, a folder, a link that leads nowhere.
            To take that for absence would leave out what a person put there.
    """
    try:
        mode = path.lstat().st_mode
    except OSError:
        return False
    try:
        if stat.S_ISLNK(mode):
            mode = path.stat().st_mode
    except OSError as error:
        raise os_refusal(path, error) from error
    if stat.S_ISREG(mode):
        return True
    what = "is a folder, not a file" if stat.S_ISDIR(mode) else "is neither a file nor a folder"
    raise SceneFormatError(path, what, code="not_a_file")


def is_empty(path: Path) -> bool:
    """Whether an entry is a folder with nothing in it."""
    try:
        with os.scandir(path) as entries:
            return next(entries, None) is None
    except OSError:
        return False


def holds(path: Path) -> str:
    """The first names of a folder, for messages."""
    names = list_names(path)
    shown = ", ".join(names[:6]) + (", ..." if len(names) > 6 else "")
    return f"holds {len(names)} entries ({shown})" if names else "is an empty folder"
