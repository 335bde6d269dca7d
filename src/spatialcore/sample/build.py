# SPDX-License-Identifier: Apache-2.0
"""Make a whole sample set: rooms and clips in three layouts, in parallel, always the same bytes."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from spatialcore.errors import UsageError
from spatialcore.files import explained, swept
from spatialcore.folders import remove_files
from spatialcore.sample.config import LAYOUTS, REVISITED, SampleConfig
from spatialcore.sample.dice import Dice
from spatialcore.sample.files import Written, combined_hash, write_file
from spatialcore.sample.labels import label_table
from spatialcore.sample.presets import PRESETS, resolved
from spatialcore.sample.rooms import Room
from spatialcore.sample.scan import Scan, ScanFrame
from spatialcore.sample.templates import TEMPLATES
from spatialcore.sample.tiny import tiny_room
from spatialcore.sample.write_posed import export_frames, write_intrinsics
from spatialcore.sample.write_rescan import write_room_list, write_visits
from spatialcore.sample.write_scannet import mesh_files, write_sens
from spatialcore.sample.write_tapvid3d import write_clip, write_clip_lists
from spatialcore.workers import Lost, Workers, run_pieces

MANIFEST = "sample.json"
UNFINISHED = "sample.partial.json"  # the configuration of a set that is being made
FORMAT = 5  # changes when the bytes of a set change


@dataclass(frozen=True, slots=True)
class SampleEvent:
    """Progress: one room or clip is done.

    Attributes:
        item: Its id.
        done: Items done so far.
        total: Items in all.
        files: What was written for it.
    """

    item: str
    done: int
    total: int
    files: tuple[Written, ...]


@dataclass(frozen=True, slots=True)
class SampleSummary:
    """The finished set.

    Attributes:
        root: Its folder.
        sha256: Over the sorted lines `sha256  path` of all files but the manifest.
        bytes: Size of all files.
        files: Number of files.
        bytes_by_layout: Size by top folder.
        already_done: Whether the folder held this very set.
        lost: Rooms and clips whose workers died twice: the set is not finished.
    """

    root: str
    sha256: str
    bytes: int
    files: int
    bytes_by_layout: dict[str, int]
    already_done: bool = False
    lost: tuple[str, ...] = ()


def scene_ids(config: SampleConfig) -> list[str]:
    """Scene ids of the set: the room, then the walk; scans of one room share their space."""
    config = resolved(config)
    rooms, walks = range(config.rooms or 0), range(config.walks)
    return [f"scene{room:04d}_{walk:02d}" for room in rooms for walk in walks]


def make_room(config: SampleConfig, number: int) -> Room:
    """The furnished room `number` of the set, the same for all of its walks."""
    room_id = f"scene{number:04d}_00"
    templates = (tiny_room,) if config.preset == "tiny" else TEMPLATES
    return templates[number % len(templates)](room_id, Dice(config.seed, room_id))


def write_room(root: Path, config: SampleConfig, number: int) -> list[Written]:
    """Make one scan of a room, by its number among all scans, and write the layouts asked for."""
    config = resolved(config)
    preset, room_id = PRESETS[config.preset], scene_ids(config)[number]
    room = make_room(config, number // config.walks)
    scan = Scan(room, preset, config.frames or 1, Dice(config.seed, room_id))
    raw, exported = f"scannet/scans/{room_id}/{room_id}", f"posed_images/{room_id}/{room_id}"
    written: list[Written] = []
    frames: Iterator[ScanFrame] = (scan.frame(k) for k in range(scan.frame_count))
    truth = json.dumps(scan.truth(), indent=1).encode()
    places = []
    if "posed_images" in config.layouts:
        folder = f"posed_images/{room_id}/posed_images"
        written += write_intrinsics(root, folder, preset.color, preset.depth)
        frames = export_frames(root, folder, frames, written)
        places.append(exported)
    if "scannet" in config.layouts:
        places.append(raw)
        written.append(write_sens(root, f"{raw}.sens", scan, frames))
    else:
        for _ in frames:
            pass
    for ending, content in mesh_files(scan).items():
        written += [write_file(root, place + ending, content) for place in places]
    written += [
        write_file(root, f"{place.rpartition('/')[0]}/ground_truth.json", truth) for place in places
    ]
    return written


def write_revisit(root: Path, config: SampleConfig, number: int) -> list[Written]:
    """Make both visits of a room, in the layout of 3RScan."""
    config = resolved(config)
    room = make_room(config, number)
    return write_visits(root, room, PRESETS[config.preset], config.frames or 1)


def _common_files(root: Path, config: SampleConfig) -> list[Written]:
    """Split lists, the label table, and the note that says what this is."""
    ids, every = scene_ids(config), PRESETS[config.preset].val_every
    val = [name for k, name in enumerate(ids) if k // config.walks % every == every - 1]
    lists = {"train": [name for name in ids if name not in val], "val": val}
    written = []
    for layout in ("scannet", "posed_images"):
        if layout not in config.layouts or not ids:
            continue
        for split, names in lists.items():
            text = "".join(f"{name}\n" for name in names)
            written.append(write_file(root, f"{layout}/scannetv2_{split}.txt", text.encode()))
        table = label_table().encode()
        written.append(write_file(root, f"{layout}/scannetv2-labels.combined.tsv", table))
    if "tapvid3d" in config.layouts:
        written += write_clip_lists(root, config.clips or 0)
    note = README.format(seed=config.seed, preset=config.preset)
    if REVISITED in config.layouts and ids:
        rooms = (make_room(config, number) for number in range(config.rooms or 0))
        written.append(write_room_list(root, rooms, val))
        note += REVISITED_NOTE
    written.append(write_file(root, "README.txt", note.encode()))
    written.append(write_file(root, "LICENSE.txt", LICENSE.encode()))
    return written


LICENSE = "CC0 1.0: rendered by `spatialcore sample`, free for any use.\n"


README = """Procedural rooms and clips made by `spatialcore sample` (seed {seed}, preset {preset}).
Nothing here is licensed material: pictures, meshes and tracks are computed. Same seed, same bytes.

scannet/        raw ScanNet layout: scans/<id>/<id>.sens and the mesh, segments, objects beside it
posed_images/   exported layout: <id>/posed_images/NNNNN.jpg|png|txt, every fifth frame of the walks
tapvid3d/       clips of 3-D point tracks: <source>/<clip>.npz
*/ground_truth.json   the known floor area, polygon, object boxes and hidden things of a room
"""


REVISITED_NOTE = """rescan/         3RScan's layout: every room scanned twice, things moved between
"""


def _read_mark(path: Path, own: frozenset[str]) -> dict[str, Any] | None:
    """What a set says of itself, None when it is not there; SampleError when it is not ours."""
    if not path.is_file():
        return None
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        if not own <= value.keys() or not all(
            isinstance(file["path"], str) and isinstance(file["size"], int)
            for file in value.get("files", [])
        ):
            raise ValueError
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise SampleError(
            f"{path} is damaged, or not of `spatialcore sample`; nothing was removed; "
            "choose another folder"
        ) from None
    return dict(value)


_MANIFEST_KEYS = frozenset({"format", "config", "sha256", "bytes", "files"})


def _jobs(config: SampleConfig) -> list[tuple[str, int]]:
    jobs = (
        [("room", k) for k in range(len(scene_ids(config)))]
        if {"scannet", "posed_images"} & set(config.layouts)
        else []
    )
    if REVISITED in config.layouts:
        jobs += [("visits of room", k) for k in range(config.rooms or 0)]
    return jobs + (
        [("clip", k) for k in range(config.clips or 0)] if "tapvid3d" in config.layouts else []
    )


def _run(root: Path, config: SampleConfig, job: tuple[str, int]) -> list[Written]:
    return {"room": write_room, "visits of room": write_revisit, "clip": write_clip}[job[0]](
        root, config, job[1]
    )


def write_sample(
    root: str | os.PathLike[str], config: SampleConfig | None = None, *, workers: int | None = None
) -> Iterator[SampleEvent | SampleSummary]:
    """Write a sample set and yield an event for each item, then the summary.

    Args:
        root: Folder of the set; its parents are made.
        config: What to make.
        workers: Processes; None = the cores of the affinity mask; 1 = this process alone.

    Yields:
        SampleEvent for each room and clip in the order they finish, at last a SampleSummary.
    """
    config, asked = resolved(config or SampleConfig()), Workers.of(workers)
    folder = Path(root)
    with explained(folder):
        (folder / MANIFEST).unlink(missing_ok=True)
    write_file(folder, UNFINISHED, json.dumps(asdict(config)).encode())
    files = _common_files(folder, config)
    jobs = _jobs(config)
    lost: list[str] = []
    results = run_pieces(partial(_run, folder, config), jobs, asked, _name)
    with swept(partial(_own_folders, folder)), closing(results):
        for done, (position, written) in enumerate(results, start=1):
            if isinstance(written, Lost):
                lost.append(str(written))
                written = []
            files += written
            yield SampleEvent(_name(jobs[position]), done, len(jobs), tuple(written))
    yield _finish(folder, config, files, tuple(sorted(lost)))


def _own_folders(folder: Path) -> list[Path]:
    """The folder, and all below it that are a set's."""
    own = [folder / name for name in (*LAYOUTS, REVISITED)]
    return [folder] + [Path(at) for top in own for at, _, _ in os.walk(top)]


def _name(job: tuple[str, int]) -> str:
    return f"{job[0]} {job[1]}"


def _finish(
    folder: Path, config: SampleConfig, files: list[Written], lost: tuple[str, ...]
) -> SampleSummary:
    by_layout: dict[str, int] = {}
    for file in files:
        top = file.path.partition("/")[0]
        by_layout[top] = by_layout.get(top, 0) + file.size
    total = sum(by_layout.values())
    summary = SampleSummary(
        str(folder), combined_hash(files), total, len(files), by_layout, lost=lost
    )
    if lost:
        return summary
    manifest = {
        "format": FORMAT,
        "config": asdict(config),
        "sha256": summary.sha256,
        "bytes": total,
        "files": [asdict(f) for f in sorted(files, key=lambda f: f.path)],
    }
    write_file(folder, MANIFEST, (json.dumps(manifest, indent=1) + "\n").encode())
    with explained(folder):
        (folder / UNFINISHED).unlink(missing_ok=True)
    return summary


class SampleError(UsageError):
    """The folder cannot take the set: it holds something else."""


def make_sample(
    root: str | os.PathLike[str],
    config: SampleConfig | None = None,
    *,
    workers: int | None = None,
    overwrite: bool = False,
) -> Iterator[SampleEvent | SampleSummary]:
    """`write_sample` with a look at the folder first.

    A finished set of the same configuration is left as it is; one that was interrupted is made
    again, with the same bytes.

    Raises:
        SampleError: The folder holds another set or other files and `overwrite` is False; or it
            holds files of a set's names without its manifest, or a damaged manifest.
    """
    config = resolved(config or SampleConfig())
    folder = Path(root)
    wanted = json.loads(json.dumps(asdict(config)))
    manifest = _read_mark(folder / MANIFEST, _MANIFEST_KEYS)
    unfinished = _read_mark(folder / UNFINISHED, frozenset(wanted))
    if manifest is not None and not overwrite:
        if manifest.get("format") != FORMAT or manifest.get("config") != wanted:
            difference = _difference(manifest.get("config"), wanted)
            raise SampleError(f"{folder} holds another set ({difference}); --overwrite replaces it")
        yield _known(folder, manifest)
        return
    resumes = unfinished == wanted
    if manifest is None and unfinished is None:
        _check_stranger(folder, overwrite)
    elif not overwrite and not resumes:
        raise SampleError(f"{folder} holds another unfinished set; --overwrite replaces it")
    if manifest is not None:
        remove_files(folder, [MANIFEST, *(file["path"] for file in manifest["files"])])
    yield from write_sample(folder, config, workers=workers)


def _check_stranger(folder: Path, overwrite: bool) -> None:
    """A folder that holds no set takes one beside what it holds, and nothing is written over."""
    if folder.exists() and not folder.is_dir():
        raise SampleError(f"{folder} is a file; choose another folder")
    held = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    if held and not overwrite:
        raise SampleError(f"{folder} is not empty; --overwrite writes a set beside what it holds")
    if taken := sorted(held & _TOP):
        raise SampleError(
            f"{folder} holds {taken[0]!r}, which is not of a set and would be written over; "
            "nothing was; choose another folder"
        )


_TOP = {*LAYOUTS, REVISITED, "README.txt", "LICENSE.txt", MANIFEST, UNFINISHED}


def _difference(stored: Any, wanted: dict[str, Any]) -> str:
    if not isinstance(stored, dict):
        return "made by another release"
    fields = [
        f"{k} {stored.get(k)!r} instead of {v!r}" for k, v in wanted.items() if stored.get(k) != v
    ]
    return ", ".join(fields) or "made by another release"


def _known(folder: Path, manifest: dict[str, Any]) -> SampleSummary:
    sizes: dict[str, int] = {}
    for file in manifest["files"]:
        path = folder / file["path"]
        if not path.is_file() or path.stat().st_size != file["size"]:
            raise SampleError(f"{path} is missing or changed; --overwrite makes the set again")
        top = file["path"].partition("/")[0]
        sizes[top] = sizes.get(top, 0) + file["size"]
    return SampleSummary(
        str(folder), manifest["sha256"], manifest["bytes"], len(manifest["files"]), sizes, True
    )
