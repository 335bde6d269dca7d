# SPDX-License-Identifier: Apache-2.0
"""Index scenes and clips: visibility, overlap, objects and rigid parts, computed once.

Examples:
  spatialcore index scans/ -o index               every scan of a folder; run again to resume
  spatialcore index rooms/ clips/ -o index --workers 8     several sources in one index
  spatialcore index scans/ -o paper --recipe multispa-paper     the published rules
  spatialcore index hololens/ -o index --world-up +y       a world whose up is not z
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from spatialcore.commands.parse import parse_options

if TYPE_CHECKING:
    from spatialcore.relations.config import IndexEvent, IndexReport
    from spatialcore.relations.recipe import Recipe
    from spatialcore.types import Source

EXIT_OK, EXIT_FAILED, EXIT_USAGE, EXIT_SKIPPED, EXIT_INTERRUPTED = 0, 1, 2, 3, 130
_BAR_AFTER_S = 2.0


@dataclass(frozen=True)
class Options:
    """Options of `spatialcore index`.

    Attributes:
        sources: Folders or files, or `kind:path`, of scenes and clips.
        output: Folder of the index; an unfinished one of the same configuration is resumed.
        recipe: default, multispa-paper, or a TOML file.
        depth_map: How colour pixels meet depth pixels: as the recipe says, or by the ratio of the
            image sizes, which makes the recipe `custom`.
        workers: Processes; each holds one scene at a time.
        key: Source key in the records; default: the name of the layout. One source only.
        stride: Keep frames whose number is divisible by it; default: 5 for raw ScanNet, else 1.
        world_up: Up in the source's world: x,y,z or +x ... -z, or auto to estimate it from the
            cameras; default: what the layout says.
        static_camera: Clips without extrinsics have a camera that stands still.
        allow_source: Collections that are left out unless named, such as drivetrack.
        labels: A ScanNet label table; default: the one beside the scans.
        json: Print one JSON object instead of text.
    """

    sources: Annotated[tuple[str, ...], tyro.conf.Positional]
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    recipe: str = "default"
    depth_map: Literal["recipe", "sizes"] = "recipe"
    workers: int = 1
    key: str | None = None
    stride: int | None = None
    world_up: str | None = None
    static_camera: bool = False
    allow_source: tuple[str, ...] = ()
    labels: str | None = None
    json: bool = False


def main(argv: list[str]) -> int:
    """Run the command; returns its exit code."""
    options = parse_options(Options, argv, "index", __doc__)
    from spatialcore.errors import SceneFormatError, SceneIndexError
    from spatialcore.relations.config import IndexConfig
    from spatialcore.relations.index import build_index

    try:
        config = IndexConfig(_recipe(options))
        sources = _sources(options)
        with _Progress() as progress:
            report = build_index(
                sources, options.output, config, workers=options.workers, on_event=progress.show
            )
    except (SceneFormatError, SceneIndexError, ValueError) as error:
        print(f"spatialcore index: {error}", file=sys.stderr)
        return EXIT_USAGE
    except OSError as error:
        print(f"spatialcore index: {error}", file=sys.stderr)
        return EXIT_FAILED
    except KeyboardInterrupt:
        print("spatialcore index: interrupted; run again to resume", file=sys.stderr)
        return EXIT_INTERRUPTED
    print(json.dumps(_as_json(report)) if options.json else _as_text(report))
    if report.built or report.reused:
        return EXIT_SKIPPED if report.skipped else EXIT_OK
    return EXIT_FAILED


def _recipe(options: Options) -> Recipe:
    from spatialcore.relations.recipe import load_recipe

    recipe = load_recipe(options.recipe)
    if options.depth_map == "sizes" and recipe.depth_map != "from_sizes":
        return replace(recipe, name="custom", depth_map="from_sizes")
    return recipe


def _sources(options: Options) -> list[Source]:
    from spatialcore.io.open import open_source
    from spatialcore.io.options import ReadOptions

    if not options.sources:
        raise ValueError("name at least one source")
    if options.key is not None and len(options.sources) > 1:
        raise ValueError("--key names one source; index each source by itself, or leave it out")
    read = ReadOptions(
        key=options.key,
        stride=options.stride,
        world_up=options.world_up,
        static_camera=options.static_camera,
        allow_source=options.allow_source,
        labels=options.labels,
    )
    return [open_source(spec, read) for spec in options.sources]


def _as_json(report: IndexReport) -> dict[str, Any]:
    return {
        "path": str(report.path),
        "built": len(report.built),
        "reused": len(report.reused),
        "skipped": [s._asdict() for s in report.skipped],
        "reasons": dict(report.reasons),
        "seconds": round(report.seconds, 3),
    }


def _as_text(report: IndexReport) -> str:
    lines = [
        f"{report.path}: {len(report.built)} indexed, {len(report.reused)} reused, "
        f"{len(report.skipped)} skipped in {report.seconds:.1f} s"
    ]
    lines += [f"  {count:8} {reason}" for reason, count in sorted(report.reasons.items())]
    lines += [f"  skipped {s.source}/{s.scene}: {s.reason}: {s.message}" for s in report.skipped]
    return "\n".join(lines)


class _Progress:
    """A bar with the time left, drawn on a terminal once the work has taken two seconds."""

    def __init__(self) -> None:
        self._started = time.perf_counter()
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> _Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def show(self, event: IndexEvent) -> None:
        """Move the bar by one scene."""
        if self._bar is None:
            slow = time.perf_counter() - self._started > _BAR_AFTER_S
            if not slow or not sys.stderr.isatty():
                return
            self._start(event.total)
        name = f"{event.source}/{event.scene}"
        self._bar.update(self._task, completed=event.done, description=name)

    def _start(self, total: int) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._bar.add_task("scenes", total=total)
        self._bar.start()
