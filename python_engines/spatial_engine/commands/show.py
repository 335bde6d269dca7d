# SPDX-License-Identifier: Apache-2.0
"""Print records with their evidence; write marked images and a map.

Examples:
  spatialcore show out                               the first record
  spatialcore show out --random 5 --task depth_perception.comparison.marked
  spatialcore show out --task "cognitive_map.*" --chain    its evidence in words, up to the answer
  spatialcore show out camera_movement.distance/scene0000_00/6d89d84431275b0d   by its id
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from spatialcore.commands import exit_codes
from spatialcore.commands.guard import run_verb
from spatialcore.commands.parse import roots_of
from spatialcore.commands.text import printable, wrapped
from spatialcore.files import child, whole_file, write_text

if TYPE_CHECKING:
    from spatial_engine.dataset.dataset import Dataset, OpenedRecord
    from spatial_engine.records.record import QARecord
    from spatial_engine.view.scene_files import ScenePlans


@dataclass(frozen=True)
class Options:
    """Options of `spatialcore show`.

    Attributes:
        records: Folder made by `spatialcore generate`.
        id: Id of a record.
        random: Show this many records, chosen by the seed.
        task: Glob of task names to choose from.
        seed: Seed of the choice.
        images: Folder of the written images; default: a new temporary folder.
        root: KEY=PATH, where a source has moved.
        chain: Print the chain of each record: its evidence in words, up to the answer.
        json: Print the records as JSON lines; write no image.
    """

    records: Annotated[Path, tyro.conf.Positional]
    id: Annotated[str | None, tyro.conf.Positional] = None
    random: int | None = None
    task: str = "*"
    seed: int = 0
    images: Path | None = None
    root: tuple[str, ...] = ()
    chain: bool = False
    json: bool = False


def main(argv: list[str]) -> int:
    """Run the command; returns its exit code."""
    return run_verb("show", Options, __doc__, argv, _run)


def _run(options: Options) -> int:
    from spatial_engine.dataset.chains import thought_of
    from spatial_engine.dataset.dataset import Dataset
    from spatial_engine.view.scene_files import ScenePlans

    dataset = Dataset.open(options.records, roots=roots_of(options.root))
    chosen = _choose(options, dataset)
    if not chosen:
        wanted = options.id or f"task {options.task}"
        raise ValueError(f"{options.records} has no record of {wanted}")
    folder = options.images
    if folder is None and not options.json:
        folder = Path(tempfile.mkdtemp(prefix="spatialcore-show-"))
    plans = ScenePlans(dataset)
    for opened in chosen:
        if folder is None or options.json:
            told = {"chain": thought_of(opened.record)} if options.chain else {}
            print(json.dumps(asdict(opened.record) | told))
        else:
            _print(opened, folder, plans, chain=options.chain)
    return exit_codes.OK


def _choose(options: Options, dataset: Dataset) -> list[OpenedRecord]:
    if options.id is not None:
        found = dataset.find(options.id)
        return [] if found is None else [found]
    everything = dataset.opened()
    matching = (o for o in everything if fnmatchcase(o.record.task, options.task))
    if options.random is None:
        return list(islice(matching, 1))
    if options.random < 1:
        raise ValueError(f"--random must be positive, got {options.random}")
    return _smallest(matching, options.random, options.seed)


def _smallest(records: Iterable[OpenedRecord], count: int, seed: int) -> list[OpenedRecord]:
    """The records with the smallest draws of their ids; memory holds `count` of them."""
    import heapq

    from spatialcore.draws import draw

    def key(opened: OpenedRecord) -> int:
        record = opened.record
        return draw(seed, "show", record.source, record.id, [], "select")

    return heapq.nsmallest(count, records, key=key)


def _chain_lines(record: QARecord) -> list[str]:
    from spatial_engine.dataset.chains import chain_of

    chain = chain_of(record)
    if chain is None:
        return [f"  no chain: the engine of {record.task} tells none"]
    return ["  chain:", *(f"    {line}" for line in [*map(str, chain.lines), record.answer])]


def _print(opened: OpenedRecord, folder: Path, plans: ScenePlans, *, chain: bool) -> None:
    from spatial_engine.view.shapes import svg
    from spatial_engine.view.why import top_view, view_box

    record = opened.record
    plan, why = plans.explain(record)
    lines = [record.id]
    lines.append(f"  {record.source}/{record.scene} frames {', '.join(record.frame_names)}")
    lines += [f"  {line}" for line in record.question.splitlines()]
    lines.append(f"  -> {record.answer}")
    lines += [f"     {name}: {text}" for name, text in why.table]
    lines += _chain_lines(record) if chain else []
    print("\n".join(wrapped(printable(line)) for line in lines))
    for k, image in enumerate(opened.images()):
        path = child(folder, f"{record.id.replace('/', '-')}-{k + 1}.jpg")
        with whole_file(path, durable=False) as temporary:
            image.convert("RGB").save(temporary, "JPEG", quality=95)
        print(f"  image {k + 1}: {printable(str(path))}")
    box = view_box(plan, why)
    if box is not None:
        path = child(folder, f"{record.id.replace('/', '-')}-why.svg")
        title = f"{record.scene} {why.said}"
        write_text(path, svg(top_view(record, plan, why), box, title=title, style=True))
        print(f"  why: {printable(str(path))}")
    print()
