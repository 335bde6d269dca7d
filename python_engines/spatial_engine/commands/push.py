# SPDX-License-Identifier: Apache-2.0
"""Send an export to the Hub; without --yes, only show what would go.

Examples:
  spatialcore export out -o hub --to jsonl --paths relative
  spatialcore push hub your-name/rooms                        what would go, and what is held back
  spatialcore push hub your-name/rooms --licence rooms=cc-by-4.0 --yes
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from spatialcore.commands import exit_codes
from spatialcore.commands.guard import run_verb
from spatialcore.commands.text import printable, wrapped

if TYPE_CHECKING:
    from spatial_engine.export.push import Upload

_SHOWN = 12


@dataclass(frozen=True)
class Options:
    """Options of `spatialcore push`.

    Attributes:
        export: Folder made by `spatialcore export --paths relative`.
        repo: Data set on the Hub, owner/name.
        yes: Send; without it nothing leaves this machine.
        licence: SOURCE=LICENCE, under which you may publish the images of a source; those of
            others are named and not sent.
        private: Make a new data set private.
        hub: Address of another Hub.
        json: Print one JSON object instead of text.
    """

    export: Annotated[Path, tyro.conf.Positional]
    repo: Annotated[str, tyro.conf.Positional]
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
    upload = upload_of(options.export, _licences(options.licence))
    address = None
    if options.yes:
        address = send(
            options.export, upload, options.repo, private=options.private, endpoint=options.hub
        )
    if options.json:
        print(json.dumps({
            "repo": options.repo, "files": dict(upload.files), "bytes": upload.size,
            "held_back": dict(upload.held_back), "sources": dict(upload.sources), "sent": address,
        }))  # fmt: skip
    else:
        print("\n".join(_lines(options, upload, address)))
    return exit_codes.OK


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
        lines.append("  state a licence to publish them: --licence SOURCE=LICENCE")
    lines.append(address or "nothing was sent; add --yes to send it")
    return lines
