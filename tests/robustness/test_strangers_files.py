# SPDX-License-Identifier: Apache-2.0
"""Parquet bombs cost no memory, and the page's server shows its own files to its own machine."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spatial_engine.records.record import read_tables, record_schema
from spatial_engine.view.serve import make_server
from spatialcore.errors import RecordError, SceneFormatError
from spatialcore.files import content_hash
from spatialcore.io.parquet import Limits, OverLimit, ParquetFile, read_parquet
from tests.fabricate import nerfstudio_capture

_MIB = 1 << 20


def _record_table(rows: int, **columns: pa.Array) -> pa.Table:
    schema = record_schema()
    arrays = [
        columns.get(field.name, pa.nulls(rows, field.type)).cast(field.type) for field in schema
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def _text_in_every_row(path: Path, length: int, rows: int) -> Path:
    texts = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), ["x" * length])
    table = _record_table(rows).drop(["question"])
    table = table.add_column(record_schema().get_field_index("question"), "question", texts)
    limit = 64 * _MIB
    pq.write_table(table, path, compression="zstd", dictionary_pagesize_limit=limit,
                   store_schema=False)  # fmt: skip
    return path


def test_a_text_that_a_dictionary_repeats_is_not_written_out(tmp_path):
    path = _text_in_every_row(tmp_path / "bomb.parquet", 12 * _MIB, 4096)
    assert path.stat().st_size < _MIB  # 48 GiB if it were
    with pytest.raises(RecordError, match="bytes of text; at most"):
        list(read_tables(path))
    long = _text_in_every_row(tmp_path / "long.parquet", 24 * _MIB, 2)
    with pytest.raises(RecordError, match="a text of 25,165,824 bytes"):
        list(read_tables(long))


def test_a_dictionary_that_the_footer_hides_is_found(tmp_path):
    path = _text_in_every_row(tmp_path / "bomb.parquet", 2 * _MIB, 512)
    content = bytearray(path.read_bytes())
    start = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    footer = bytes(content[start:])
    assert footer.count(b"\x19\x35\x00\x06\x10")  # encodings PLAIN, RLE and RLE_DICTIONARY
    content[start:] = footer.replace(b"\x19\x35\x00\x06\x10", b"\x19\x35\x00\x06\x00")
    path.write_bytes(content)
    with pytest.raises(RecordError, match="bytes of text; at most"):
        list(read_tables(path))


def test_groups_that_declare_too_much_are_not_read(tmp_path):
    path = tmp_path / "zeros.parquet"
    table = pa.table({"a": pa.array([0] * (8 * _MIB), pa.int64())})
    pq.write_table(table, path, compression="zstd", use_dictionary=False, row_group_size=8 * _MIB)
    assert path.stat().st_size < _MIB
    with pytest.raises(OverLimit, match="rows"):
        read_parquet(path)
    with pytest.raises(OverLimit, match="bytes"):
        ParquetFile(path, Limits(rows=1 << 30, bytes=_MIB)).read()


def test_what_is_within_the_limits_is_read_as_it_is(tmp_path):
    path = tmp_path / "plain.parquet"
    table = pa.table({
        "word": ["left", "right", None, "left"] * 50,
        "list": [["a", "b"], [], None, ["a"]] * 50,
        "struct": [{"x": "u", "y": 1}, None, {"x": None, "y": 2}, {"x": "u", "y": 3}] * 50,
    })  # fmt: skip
    pq.write_table(table, path, row_group_size=60)
    assert read_parquet(path).equals(table)
    assert read_parquet(path, ["list"]).equals(table.select(["list"]))


def test_a_scene_table_of_that_kind_is_refused(tmp_path):
    from spatialcore.io.openspatial import scenes_of

    path = tmp_path / "scenes.parquet"
    rows = 4096
    texts = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), ["x" * 12 * _MIB])
    lists = pa.ListArray.from_arrays(pa.array(range(rows + 1), pa.int32()), texts)
    names = pa.array([f"s{i}" for i in range(rows)])
    table = pa.table({"scene_id": names, "image": lists, "depth_map": lists, "pose": lists,
                      "intrinsic": lists})  # fmt: skip
    pq.write_table(table, path, dictionary_pagesize_limit=64 * _MIB, store_schema=False)
    with pytest.raises(SceneFormatError, match="bytes of text") as refused:
        scenes_of(path)
    assert refused.value.code == "archive_bomb"


_MOST_MB = 800  # of a child that meets a bomb: the interpreter and its libraries take up to 330
_ZEROS = 900_000_000


def _zeros(path: Path, rows_of_group: int) -> Path:
    """A record file whose evidence is 900 MB of zeros, in groups of so many rows of a kilobyte."""
    rows = _ZEROS // 1000
    ends = np.arange(0, _ZEROS + 1, 1000, dtype=np.int32)
    texts = pa.StringArray.from_buffers(rows, pa.py_buffer(ends), pa.py_buffer(bytes(_ZEROS)))
    table = _record_table(rows).drop(["evidence"])
    place = record_schema().get_field_index("evidence")
    pq.write_table(
        table.add_column(place, "evidence", texts), path, compression="zstd",
        use_dictionary=False, store_schema=False, row_group_size=rows_of_group,
        write_statistics=False,
    )  # fmt: skip
    assert path.stat().st_size < 4 * _MIB
    return path


BOMBS = {
    "one group of zeros": lambda path: _zeros(path, 1 << 20),
    "groups of zeros": lambda path: _zeros(path, 60_000),
    "a text of 24 MB": lambda path: _text_in_every_row(path, 24 * _MIB, 40),
    "a text of 12 MB in 4096 rows": lambda path: _text_in_every_row(path, 12 * _MIB, 4096),
}


@pytest.fixture(scope="module")
def bombs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Data sets whose one record file is a bomb that its done file vouches for."""
    from spatial_engine.commands import generate

    root = tmp_path_factory.mktemp("bombs")
    argv = [str(nerfstudio_capture(root / "capture", 16)), "-o", str(root / "sound")]
    assert generate.main([*argv, "--tasks", "camera_movement.distance"]) == 0
    found = {}
    for name, write in BOMBS.items():
        found[name] = root / name
        shutil.copytree(root / "sound", found[name])
        (path,) = found[name].glob("data/train/*.parquet")
        write(path)
        (done,) = found[name].glob("shards/*.json")
        told = json.loads(done.read_text())
        rows = pq.ParquetFile(path).metadata.num_rows
        told |= {"bytes": path.stat().st_size, "hash": content_hash(path), "rows": rows,
                 "tasks": {"camera_movement.distance": rows}}  # fmt: skip
        done.write_text(json.dumps(told))
    return found


# A process that is started counts what its parent held; a small one in between holds nothing.
_MEASURED = (
    "import resource, subprocess, sys\n"
    "code = subprocess.call(sys.argv[1:], stderr=subprocess.STDOUT)\n"
    "print(f'#{code} {resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss}', flush=True)\n"
)


def _peak(argv: list[str]) -> tuple[int, str, float]:
    """Exit code, what was said and MB at the peak of a verb in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", _MEASURED, sys.executable, "-m", "spatialcore", *argv],
        capture_output=True, text=True, check=True,
        env={k: v for k, v in os.environ.items() if k != "SPATIALCORE_TRACEBACK"},
    )  # fmt: skip
    said, _, told = done.stdout.rpartition("#")
    code, peak = told.split()
    return int(code), said, int(peak) / 1000


VERBS = {
    "stats": "stats {bomb}", "stress": "stats {bomb} --stress", "show": "show {bomb} --random 2",
    "score": "score --records {bomb} --baseline frequency --split train", "verify": "verify {bomb}",
    "export": "export {bomb} -o {out} --to llava trl", "view": "view {bomb} -o {out}",
    "report": "report {bomb} -o {out}.html", "merge": "merge {bomb} {sound} -o {out}",
    "import": "import {file} -o {out} --from trl", "check": "check {file}",
}  # fmt: skip


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) for n in BOMBS])
def test_no_verb_takes_much_memory_for_a_bomb(bombs, tmp_path, verb, name):
    _meets(bombs[name], VERBS[verb], tmp_path / "out")


def test_a_verb_takes_little_memory_for_each_bomb(bombs, tmp_path):
    for name, bomb in bombs.items():
        _meets(bomb, VERBS["stats"], tmp_path / name)


def _meets(bomb, verb, out):
    (file,) = bomb.glob("data/train/*.parquet")
    places = {"bomb": bomb, "file": file, "out": out, "sound": bomb.parent / "sound"}
    code, said, peak = _peak([part.format(**places) for part in verb.split()])
    assert code in (1, 2, 3), said
    assert said.strip()
    assert "Traceback" not in said
    assert "a fault of spatialcore" not in said
    assert "Error:" not in said
    assert peak < _MOST_MB, (peak, said)


def test_a_file_that_is_read_whole_is_bounded_as_a_whole(tmp_path):
    path = tmp_path / "zeros.parquet"
    schema = pa.schema([("a", pa.int64())])
    with pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=False) as file:
        for _ in range(9):
            file.write_table(pa.table([pa.array(np.zeros(1 << 20, np.int64))], schema=schema))
    assert len(read_parquet(path)) == 9 << 20
    with pytest.raises(OverLimit, match="more than is read at once"):
        ParquetFile(path, Limits(whole=64 * _MIB)).read()


@pytest.fixture
def served(tmp_path):
    root = tmp_path / "page"
    (root / "images").mkdir(parents=True)
    (root / "index.html").write_text("<p>page</p>")
    (root / "images/a.jpg").write_bytes(b"jpg")
    (tmp_path / "secret.txt").write_text("secret")
    (root / "link.txt").symlink_to(tmp_path / "secret.txt")
    (root / "out").symlink_to(tmp_path)
    with make_server(root, 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def _ask(port, path, host=None, method="GET"):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.putrequest(method, path, skip_host=host is not None)
    if host is not None:
        connection.putheader("Host", host)
    connection.endheaders()
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer, content


def test_the_server_shows_its_files_with_a_policy(served):
    for path, kind in (("/", "text/html"), ("/index.html?x=1", "text/html"),
                       ("/images/a.jpg", "image/jpeg")):  # fmt: skip
        answer, content = _ask(served, path)
        assert (answer.status, answer.headers["Content-Type"]) == (200, kind)
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert content
    assert _ask(served, "/", host="localhost:80")[0].status == 200


@pytest.mark.parametrize(
    "path",
    ["/images", "/images/", "/link.txt", "/out/secret.txt", "/../secret.txt",
     "/%2e%2e/secret.txt", "//etc/passwd", "/images/..%2f..%2fsecret.txt", "/a%00b", "/none"],
)  # fmt: skip
def test_the_server_shows_nothing_else(served, path):
    answer, content = _ask(served, path)
    assert answer.status == 404
    assert b"secret" not in content.replace(path.encode(), b"")
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


def test_the_server_answers_to_its_own_name_and_to_reading(served):
    for host in ("evil.example", "127.0.0.1.evil.example:80", ""):
        assert _ask(served, "/", host=host)[0].status == 421
    for method in ("POST", "PUT", "DELETE"):
        assert _ask(served, "/", method=method)[0].status == 501
