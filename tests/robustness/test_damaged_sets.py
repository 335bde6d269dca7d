# SPDX-License-Identifier: Apache-2.0
"""Damaged data sets: whatever byte or field is wrong, every verb names the file in one sentence."""

from __future__ import annotations

import importlib.util
import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spatial_engine.dataset.manifest import read_done
from spatialcore import cli
from spatialcore.files import content_hash
from tests.robustness.damage import Damage, json_damages, run_all, void

FILES = ("manifest.json", "summary.json", "shards/00000.json", "plan/plan.json")
# A source's image is named as the source's, and a plan's index as the plan names it.
NAMED = ("/scannet", "../../x", "#-1", "no.such")
# Each reads {out} and writes into a folder beside it.
VERBS = [
    "stats {out} --json",
    "show {out} --random 2 --json",
    "show {out} --random 2 --images {to}/shown",
    "view {out} -o {to}/page --per-task 1",
    "export {out} -o {to}/set --to swift multispa --images copy",
    "merge {out} {out} -o {to}/merged",
    "score --records {out} --split train --baseline oracle --json",
    "verify {out} --sample 3",
    "generate {out}/plan -o {out}",
]
READ = "--records {out} --config {recipe}"
MODEL_VERBS = [
    f"train {READ} --out {{to}}/dry --dry-run",
    "eval --records {out} --model {model} --split train --limit 3 --max-new-tokens 2 -o {to}/eval",
    f"train {READ} --out {{to}}/run --max-steps 2",
]
MODELS = all(importlib.util.find_spec(name) for name in ("torch", "transformers", "accelerate"))
RECIPE = Path(__file__).parents[1] / "mllm/smallest.toml"


@pytest.fixture(scope="module")
def made(sample_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny data set with marks, words and numbers."""
    out = tmp_path_factory.mktemp("damage") / "made"
    tasks = "depth_perception.comparison.marked,camera_movement.distance,object_perception.*"
    argv = ["generate", str(sample_dir / "scannet"), "-o", str(out), "--limit", "9"]
    assert cli.main([*argv, "--tasks", tasks]) == 0
    return out


def part_of(out: Path) -> Path:
    return next((out / "data").rglob("*.parquet"))


def stamp(out: Path) -> None:
    """Let the done file say what the damaged part is, so that its inside is reached."""
    done = read_done(out, 0)
    assert done is not None
    part = part_of(out)
    table = done.to_json() | {"bytes": part.stat().st_size, "hash": content_hash(part)}
    (out / "shards" / "00000.json").write_text(json.dumps(table))


def bytes_of(change: Callable[[bytearray], Any], *, stamped: bool) -> Damage:
    def damage(out: Path) -> None:
        content = bytearray(part_of(out).read_bytes())
        changed = change(content)
        part_of(out).write_bytes(content if changed is None else changed)
        if stamped:
            stamp(out)

    return damage


def rows_of(change: Callable[[dict[str, Any]], None]) -> Damage:
    """The same schema, another first row."""

    def damage(out: Path) -> None:
        table = pq.read_table(part_of(out))
        rows = table.to_pylist()
        change(rows[0])
        pq.write_table(pa.Table.from_pylist(rows, table.schema), part_of(out))
        stamp(out)

    return damage


def table_of(change: Callable[[pa.Table], pa.Table]) -> Damage:
    def damage(out: Path) -> None:
        pq.write_table(change(pq.read_table(part_of(out))), part_of(out))
        stamp(out)

    return damage


def sets(name: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda row: row.__setitem__(name, value)


def marks(**fields: Any) -> Callable[[dict[str, Any]], None]:
    mark = {"u": 5.0, "v": 5.0, "radius": 3, "colour": "red", "letter": "A"} | fields
    return lambda row: row["images"][0].__setitem__("marks", [mark])


def image(**fields: Any) -> Callable[[dict[str, Any]], None]:
    return lambda row: row["images"][0].update(fields)


ROWS: dict[str, Callable[[dict[str, Any]], None]] = {
    "unknown task": sets("task", "no.such"), "odd task": sets("task", "\x1b[2J"),
    "unknown source": sets("source", "nowhere"), "source above": sets("source", "../.."),
    "unknown scene": sets("scene", "none"), "scene above": sets("scene", "../../x"),
    "unknown split": sets("split", "test"), "no id": sets("id", ""),
    "id above": sets("id", "../../../x"), "long id": sets("id", "x" * 5000),
    "evidence list": sets("evidence", "[1]"), "evidence text": sets("evidence", "x"),
    "evidence deep": sets("evidence", "[" * 100_000), "evidence empty": sets("evidence", "{}"),
    "evidence items": sets("evidence", '{"items": ["x", null]}'),
    "evidence huge": sets("evidence", '{"items": [' + "9" * 5000 + "]}"),
    "no messages": sets("messages", []), "no images": sets("images", []),
    "no frames": sets("frames", []), "frame far": sets("frames", [2**31 - 1]),
    "frame below": sets("frames", [-1]), "null question": sets("question", None),
    "null element": sets("frame_names", [None]), "answer": sets("answer", "`x` `y`"),
    "answer type": sets("answer_type", "colour"), "unit": sets("answer_unit", "mile"),
    "numbers": sets("answer_number", [float("nan")]), "version": sets("record_version", 9),
    "mark radius": marks(radius=2**31 - 1), "mark below": marks(radius=-5),
    "mark far": marks(u=1e300), "mark nan": marks(v=float("nan")), "colour": marks(colour="x"),
    "letters": marks(letter="A" * 100_000), "image gone": image(uri="gone.jpg"),
    "image above": image(uri="../../../etc/passwd"), "image absolute": image(uri="/etc/passwd"),
    "image zero": image(width=0), "image below": image(width=-1, height=-1),
    "image wide": image(width=2**31 - 1, height=2**31 - 1), "uri nul": image(uri="a\x00b"),
    "uri frame": image(uri="x.mp4#-1"), "uri long": image(uri="x" * 5000),
}  # fmt: skip


def part_damages(made: Path, rng: np.random.Generator, flips: int) -> Iterator[tuple[str, Damage]]:
    size = part_of(made).stat().st_size
    for stamped in (False, True):
        for share in (0.0, 0.01, 0.5, 0.99):
            length = int(share * size)
            change = lambda c, n=length: c[:n]  # noqa: E731
            yield f"part: cut at {length} {stamped}", bytes_of(change, stamped=stamped)
        for at in rng.integers(0, size, size=flips):
            bit = 1 << int(rng.integers(8))
            change = lambda c, at=int(at), bit=bit: void(c.__setitem__(at, c[at] ^ bit))  # noqa: E731
            yield f"part: bit {bit} of {at} {stamped}", bytes_of(change, stamped=stamped)
    for at in rng.integers(size - 4000, size, size=flips):  # the footer: schema and sizes
        bit = 1 << int(rng.integers(8))
        change = lambda c, at=int(at), bit=bit: void(c.__setitem__(at, c[at] ^ bit))  # noqa: E731
        yield f"part: footer bit {bit} of {at}", bytes_of(change, stamped=True)
    yield "part: gone", lambda out: part_of(out).unlink()
    yield "part: no column", table_of(lambda t: t.drop_columns(["answer"]))
    yield "part: more columns", table_of(lambda t: t.append_column("x", t.column("id")))
    yield "part: other order", table_of(lambda t: t.select(t.column_names[::-1]))
    number = pa.array(range(9), pa.int64())
    yield "part: other type", table_of(lambda t: t.set_column(0, "id", number[: len(t)]))
    binary = lambda t: t.set_column(0, "id", t.column("id").cast(pa.binary()))  # noqa: E731
    yield "part: binary", table_of(binary)
    yield "part: no rows", table_of(lambda t: t.slice(0, 0))
    for what, change in ROWS.items():
        yield f"row: {what}", rows_of(change)


@pytest.fixture(scope="module")
def commands(made: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Every verb that reads a data set, those that need a model where there can be one."""
    if not MODELS:
        return VERBS
    run = tmp_path_factory.mktemp("trained") / "run"
    argv = ["train", "--records", str(made), "--config", str(RECIPE), "--out", str(run)]
    assert cli.main(argv) == 0
    paths = {"recipe": RECIPE, "model": run / "model", "out": "{out}", "to": "{to}"}
    return VERBS + [verb.format(**paths) for verb in MODEL_VERBS]


Commands = Callable[[Path, Path], Iterator[list[str]]]


def each_of(verbs: list[str]) -> Commands:
    return lambda out, to: (verb.format(out=out, to=to).split() for verb in verbs)


def next_of(verbs: list[str]) -> Commands:
    """One verb for each damage, in turn."""
    turn = itertools.cycle(verbs)
    return lambda out, to: iter([next(turn).format(out=out, to=to).split()])


def test_some_damage_is_named_by_some_verbs(
    made: Path, commands: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(12)
    damages = [*json_damages(made, FILES, rng, 1), *part_damages(made, rng, 6)]
    chosen = [damages[k] for k in rng.choice(len(damages), size=80, replace=False)]
    wrong = run_all(made, tmp_path, chosen, next_of(commands), capsys, NAMED)
    assert not wrong, "\n".join(wrong)


def column_name_of_a_group(out: Path) -> None:
    """The last place of a column's name in the footer is the group's; the schema's is before."""
    content = bytearray(part_of(out).read_bytes())
    content[content.rindex(b"messages")] ^= 1
    part_of(out).write_bytes(content)
    stamp(out)


FOUND = {  # by the whole matrix: the damage, and the verb that ended wrongly
    "messages": (rows_of(ROWS["no messages"]), VERBS[4]),
    "binary": (
        table_of(lambda t: t.set_column(0, "id", t.column("id").cast(pa.binary()))), VERBS[7],
    ),
    "name": (column_name_of_a_group, VERBS[0]),
    "no rows": (table_of(lambda t: t.slice(0, 0)), VERBS[3]),
}  # fmt: skip


@pytest.mark.parametrize("name", FOUND)
def test_what_the_matrix_found_is_named(
    name: str, made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damage, verb = FOUND[name]
    wrong = run_all(made, tmp_path, [(name, damage)], each_of([verb]), capsys, NAMED)
    assert not wrong, "\n".join(wrong)


@pytest.mark.slow
def test_every_damage_is_named_by_every_verb(
    made: Path, commands: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """But for the last, training, which reads no more of the JSON files than a dry run does."""
    rng = np.random.default_rng(2026)
    texts, parts = [*json_damages(made, FILES, rng, 4)], [*part_damages(made, rng, 60)]
    assert len(texts) + len(parts) > 600
    dry = each_of([verb for verb in commands if "--max-steps" not in verb])
    wrong = run_all(made, tmp_path, texts, dry, capsys, NAMED)
    wrong += run_all(made, tmp_path, parts, each_of(commands), capsys, NAMED)
    assert not wrong, "\n".join(wrong)
