# SPDX-License-Identifier: Apache-2.0
"""The export: parts in workers, each whole or absent, then what names them to trainers, and a card.

Several processes may make parts of one export (`shard`); the one that finds all of them done writes
the registrations and the card. The same request resumes. Targets of several runs lie beside each
other in one folder, which may be that of the data set itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spatial_engine.export.card import write_card
from spatial_engine.export.images import count_images
from spatial_engine.export.part import (
    EVALUATION,
    HOLDS_IMAGES,
    TARGETS,
    export_part,
    module_of,
    read_done,
)
from spatial_engine.export.request import (
    Exported,
    Finished,
    Part,
    Request,
    part_files,
    parts_of,
)
from spatialcore.errors import FolderInUse, UsageError
from spatialcore.files import explained, remove_leftovers, write_json
from spatialcore.folders import check_ours, claim, remove_files
from spatialcore.locks import locked
from spatialcore.workers import Lost, Workers, run_pieces

if TYPE_CHECKING:
    from spatial_engine.dataset.dataset import Dataset

__all__ = ["EVALUATION", "TARGETS", "Exported", "Request", "check_export", "export"]
_STATE = "export.json"


def export(
    dataset: Dataset,
    folder: str | Path,
    request: Request,
    *,
    workers: int | Workers | None = 1,
    shard: tuple[int, int] = (0, 1),
    overwrite: bool = False,
) -> Iterator[Exported]:
    """Write the records of a data set in the formats of trainers; yields the counts as they grow.

    Args:
        dataset: The data set.
        folder: Of the export: absent, empty, an earlier export, or the data set's own.
        request: What is exported.
        workers: Who makes the parts; the files are the same for any number.
        shard: (i, n): only parts whose position is i modulo n.
        overwrite: Make the targets anew where they were exported in another way.

    Raises:
        UsageError: An unknown target, options that contradict each other, or a marked record
            without `render_marks`.
        FolderInUse: The folder holds something else, or a target of another request.
        UnsafeName: A record's scene, source or frame is no name of a file.
    """
    folder = Path(folder).resolve()
    check_export(folder, request, dataset)
    claim(folder, "export", known=partial(_is_of, dataset=dataset))
    with locked(folder, "export", wait=True):
        for target in request.targets:
            _prepare(folder, target, request.asked(dataset), overwrite=overwrite)
    parts = parts_of(dataset, request)
    mine = parts[shard[0] :: shard[1]]
    make = partial(
        export_part, dataset=dataset.path, roots=tuple(sorted(dataset.given.items())),
        folder=folder, request=request,
    )  # fmt: skip
    counts = Exported()
    try:
        with closing(run_pieces(make, mine, workers, _name)) as results:
            for _, report in results:
                if isinstance(report, Lost):
                    counts.lost.append(str(report))
                else:
                    counts.add(report)
                yield counts
    finally:
        for target in request.targets:
            for path in (folder / target, *(folder / target).glob("*/")):
                remove_leftovers(path)
    yield _finish(folder, dataset, request, parts, counts)


def check_export(folder: Path, request: Request, dataset: Dataset | None = None) -> None:
    """Refuse what cannot be exported: to be known before long work; see `export`."""
    unknown = [name for name in request.targets if name not in TARGETS]
    if unknown or not request.targets:
        raise UsageError(f"--to must name targets of {', '.join(TARGETS)}; got {unknown}")
    if request.images == "none" and request.embed:
        raise UsageError("--embed-images needs images: leave out --images none")
    if request.images == "none" and set(request.targets) & set(HOLDS_IMAGES):
        raise UsageError("webdataset holds its images: leave out --images none")
    silent = sorted(set(request.targets) & {*EVALUATION, "trl-grpo"})
    if request.chains and silent:
        raise UsageError(f"{', '.join(silent)} hold no assistant turn: leave out --chains")
    if request.circular and (others := sorted(set(request.targets) - set(EVALUATION))):
        raise UsageError(
            f"--circular asks choices several times, for {' and '.join(EVALUATION)}; leave out "
            f"{', '.join(others)}"
        )
    check_ours(folder.resolve(), "export", known=partial(_is_of, dataset=dataset))


def _is_of(folder: Path, dataset: Dataset | None) -> bool:
    return dataset is not None and folder == dataset.path


def _name(part: Part) -> str:
    return f"{part.split} part {part.number}, {part.rows} records"


def _prepare(folder: Path, target: str, asked: dict[str, Any], *, overwrite: bool) -> None:
    """Make the folder of a target, or see that it is being made of the same request."""
    path = folder / target / _STATE
    found = sorted(p.name for p in path.parent.iterdir()) if path.parent.is_dir() else []
    if found and _STATE not in found:
        raise FolderInUse(
            path.parent, f"is not of an export: it holds {found[0]!r}",
            "nothing was removed; choose another -o",
        )  # fmt: skip
    if found:
        try:
            old = json.loads(path.read_text(encoding="utf-8"))["asked"]
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            old = {}
        differs = [name for name, value in asked.items() if old.get(name, ...) != value]
        if not differs:
            return
        name = differs[0]
        if not overwrite:
            what = "another data set" if name == "data_set" else f"{name} {old.get(name)!r}"
            raise FolderInUse(
                path.parent, f"holds an export of {what}",
                "use --overwrite to make it anew, or choose another -o",
            )  # fmt: skip
        _clear(folder / target)
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, {"target": target, "asked": asked})


def _clear(folder: Path) -> None:
    """Remove the files of a target that exports name so; others stay."""
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*.*")]
    ours = ("done/", "train/", "val/")
    remove_files(folder, [n for n in names if n.startswith(ours) or "/" not in n])


def _finish(
    folder: Path, dataset: Dataset, request: Request, parts: list[Part], counts: Exported
) -> Exported:
    """Count all parts; where all are done, register them and write the card."""
    total = Exported(lost=counts.lost, chains=request.chains, limit=request.limit)
    for part in parts:
        reports = [read_done(folder, target, part.number) for target in request.targets]
        if any(report is None for report in reports):
            total.waiting += 1
        else:
            total.add(reports[0] or {})
    total.waiting -= len(total.lost)
    total.images = count_images(folder)
    if total.waiting or total.lost:
        return total
    with locked(folder, "export", wait=True):
        for target in request.targets:
            module = module_of(target)
            if hasattr(module, "register"):
                files = list(part_files(folder, target))
                of_files = _counts(folder, target, dataset, request)
                module.register(Finished(folder, files, of_files, dataset.path, request))
        write_card(folder, dataset, total)
    return total


def _counts(folder: Path, target: str, dataset: Dataset, request: Request) -> dict[str, int]:
    """Records of each file of a target, by its path relative to the target."""
    found: dict[str, int] = {}
    for part in parts_of(dataset, request):
        report = read_done(folder, target, part.number) or {}
        for name in report.get("files", {}):
            found[name] = report["splits"].get(name.partition("/")[0], 0)
    return found
