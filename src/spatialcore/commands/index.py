# SPDX-License-Identifier: Apache-2.0
"""Index scenes and clips once: visibility, overlap, objects, parts.

Examples:
  spatialcore index scans/ -o index               every scan of a folder; run again to resume
  spatialcore index rooms/ clips/ -o index --workers 8     several sources in one index
  spatialcore index scans/ -o paper --recipe multispa-paper     the published rules
  spatialcore index hololens/ -o index --world-up +y       a world whose up is not z
  spatialcore index scans/ -o index --device cuda          on a GPU, byte for byte the same index
  spatialcore index scans/ -o index --shard 3/16           one part of an array job
  spatialcore index scans/ -o index --depth-cache maps     decode once, index with many recipes
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from spatialcore.commands import exit_codes
from spatialcore.commands.guard import run_verb
from spatialcore.commands.parse import shard_of
from spatialcore.commands.progress import ProgressBar
from spatialcore.commands.reading import KeyedReading
from spatialcore.commands.text import wrapped
from spatialcore.errors import CONTRADICTIONS
from spatialcore.workers import Workers

if TYPE_CHECKING:
    from spatialcore.index.config import IndexReport
    from spatialcore.index.rules import Rules
    from spatialcore.types import Source


@dataclass(frozen=True)
class Options:
    """Options of `spatialcore index`.

    Attributes:
        sources: Folders or files, or `kind:path`, of scenes and clips.
        output: Folder of the index; an unfinished one of the same configuration is resumed.
        recipe: default, multispa-paper, or a TOML file, whose `rules` are used.
        depth_map: How colour pixels meet depth pixels: as the recipe says, or by the ratio of the
            image sizes, which makes the recipe `custom`.
        run: Who does the work; each process holds one scene at a time.
        device: cpu, or cuda or cuda:N for visibility, guards and overlaps of scenes on a GPU while
            depth is decoded on the CPU. The files are the same.
        depth_cache: Folder that keeps decoded depth maps, uncompressed, so that indexing the same
            scenes again, with another recipe say, decodes nothing; default: nothing is kept.
        read: How the sources are read.
        shard: i/n makes only the scenes whose position is i modulo n; the last one to finish
            completes the index.
        json: Print one JSON object instead of text.
    """

    sources: Annotated[tuple[str, ...], tyro.conf.Positional]
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    read: KeyedReading
    run: Workers
    recipe: str = "default"
    depth_map: Literal["recipe", "sizes"] = "recipe"
    device: str = "cpu"
    depth_cache: Path | None = None
    shard: str = "0/1"
    json: bool = False


def main(argv: list[str]) -> int:
    """Run the command; returns its exit code."""
    return run_verb("index", Options, __doc__, argv, _run)


def _run(options: Options) -> int:
    from spatialcore.index.config import IndexConfig
    from spatialcore.index.index import build_index

    config = IndexConfig(_rules(options))
    sources = _sources(options)
    with ProgressBar() as bar:
        report = build_index(
            sources,
            options.output,
            config,
            workers=options.run,
            device=options.device,
            depth_cache=options.depth_cache,
            part=shard_of(options.shard),
            on_event=lambda e: bar.show(f"{e.source}/{e.scene}", e.done, e.total),
        )
    print(json.dumps(_as_json(report)) if options.json else _as_text(report))
    if report.built or report.reused or not (report.skipped or options.shard.endswith("/1")):
        return exit_codes.SKIPPED if report.skipped else exit_codes.OK
    contradicted = any(scene.reason in CONTRADICTIONS for scene in report.skipped)
    return exit_codes.SKIPPED if contradicted else exit_codes.FAILED


def _rules(options: Options) -> Rules:
    from spatialcore.index.rules import load_rules

    rules = load_rules(options.recipe)
    if options.depth_map == "sizes":
        return replace(rules, depth_map="from_sizes")
    return rules


def _sources(options: Options) -> list[Source]:
    from spatialcore.io.open import open_sources

    if not options.sources:
        raise ValueError("name at least one source")
    if options.read.key is not None and len(options.sources) > 1:
        raise ValueError("--key names one source; index each source by itself, or leave it out")
    read = options.read.options()
    return [source for spec in options.sources for source in open_sources(spec, read)]


def _as_json(report: IndexReport) -> dict[str, Any]:
    return {
        "path": str(report.path),
        "built": len(report.built),
        "reused": len(report.reused),
        "skipped": [s._asdict() for s in report.skipped],
        "reasons": dict(report.reasons),
        "waiting": report.waiting,
        "warnings": report.warnings(),
        "seconds": round(report.seconds, 3),
    }


def _as_text(report: IndexReport) -> str:
    lines = [
        f"{report.path}: {len(report.built)} indexed, {len(report.reused)} reused, "
        f"{len(report.skipped)} skipped in {report.seconds:.1f} s"
    ]
    lines += [f"  {count:8} {reason}" for reason, count in sorted(report.reasons.items())]
    lines += [wrapped(f"  warning: {warning}") for warning in report.warnings()]
    if report.waiting:
        lines.append(f"  not complete: {report.waiting} other parts of --shard i/n are to come")
    lines += [f"  skipped {s.source}/{s.scene}: {s.reason}: {s.message}" for s in report.skipped]
    return "\n".join(lines)
