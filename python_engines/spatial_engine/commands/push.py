# SPDX-License-Identifier: Apache-2.0
"""Send records to the Hub; without --yes, only show what would go.

A data set is exported first, into its folder hub: as plain records (jsonl) with relative paths.

Examples:
  spatialcore push out your-name/rooms                        what would go, and what is held back
  spatialcore push out your-name/rooms --licence rooms=cc-by-4.0 --yes
  spatialcore export out -o other --to trl --paths relative   in another format
  spatialcore push other your-name/rooms
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from spatial_engine.commands.export import export_dataset
from spatialcore.commands import exit_codes
from spatialcore.commands.guard import run_verb
from spatialcore.commands.text import printable, wrapped
from spatialcore.workers import Workers

if TYPE_CHECKING:
    from spatial_engine.export.push import Upload

_SHOWN = 12


@dataclass(frozen=True)
class Options:
    """Options of `spatialcore push`.

    Attributes:
        folder: Folder made by `spatialcore generate`, or by `spatialcore export --paths relative`.
        repo: Data set on the Hub, owner/name.
        yes: Send; without it nothing leaves this machine.
        licence: SOURCE=LICENCE, under which you may publish the images of a source; those of
            others are named and not sent.
        private: Make a new data set private.
        hub: Address of another Hub.
        run: Who makes the export of a data set.
        json: Print one JSON object instead of text.
    """

    folder: Annotated[Path, tyro.conf.Positional]
    repo: Annotated[str, tyro.conf.Positional]
    run: Workers
    yes: bool = False
    licence: tuple[str, ...] = ()
    private: bool = False
    hub: str | None = None
    json: bool = False


def main(argv: list[str]) -> int:
    """Run the command; returns its exit code."""
    return run_verb("push", Options, __doc__, argv, _run)


def _run(options: Options) -> int:
    from spatial_engine.export.push import check_repo, send, upload_of

    check_repo(options.repo)
    licences = _licences(options.licence)
    folder = _export_of(options)
    upload = upload_of(folder, licences)
    address = None
    if options.yes:
        address = send(folder, upload, options.repo, private=options.private, endpoint=options.hub)
    if options.json:
        print(json.dumps({
            "repo": options.repo, "export": str(folder), "files": dict(upload.files),
            "bytes": upload.size, "held_back": dict(upload.held_back),
            "sources": dict(upload.sources), "sent": address,
        }))  # fmt: skip
    else:
        made = [f"exported into {folder}"] if folder != options.folder else []
        print("\n".join([*map(wrapped, made), *_lines(options, upload, address)]))
    return exit_codes.OK


def _export_of(options: Options) -> Path:
    """The export that was named, or the one that is made of the data set that was named."""
    from spatial_engine.dataset.dataset import Dataset
    from spatial_engine.export import Request
    from spatial_engine.export.push import HUB_FOLDER, needs_export
    from spatialcore.errors import MissingInput, RecordError

    if not needs_export(options.folder):
        return options.folder
    dataset, folder = Dataset.open(options.folder), options.folder / HUB_FOLDER
    if dataset.summary() is None:
        raise MissingInput(f"{dataset.path}: not finished; run the same generate again, then push")
    request = Request(("jsonl",), paths="relative")
    counts = export_dataset(dataset, folder, request, options.run, overwrite=True)
    if counts.lost:
        raise RecordError(f"{folder}: not exported: {counts.lost[0]}; run again")
    return folder


def _licences(given: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in given:
        key, equals, licence = text.partition("=")
        if not (key and equals and licence.strip()):
            raise ValueError(f"--licence takes SOURCE=LICENCE, got {text!r}")
        found[key] = licence.strip()
    return found


def _lines(options: Options, upload: Upload, address: str | None) -> list[str]:
    records = sum(upload.sources.values())
    verb = "sent to" if address else "would go to"
    lines = [
        f"{records:,} questions, {len(upload.files):,} files, {upload.size / 1e6:,.1f} MB "
        f"{verb} {options.repo}"
    ]
    shown = sorted(upload.files)
    lines += [f"  {upload.files[name]:>12,}  {printable(name)}" for name in shown[:_SHOWN]]
    if len(shown) > _SHOWN:
        lines.append(f"  and {len(shown) - _SHOWN:,} more")
    for reason, count in sorted(upload.held_back.items()):
        lines.append(wrapped(f"held back: {count:,} files: {printable(reason)}"))
    if upload.held_back:
        mine = sorted(upload.sources.keys() - _licences(options.licence).keys())
        stated = " ".join(f"{source}=LICENCE" for source in mine)
        lines.append(wrapped(f"  state a licence to publish them: --licence {printable(stated)}"))
    lines.append(address or "nothing was sent; add --yes to send it")
    return lines
