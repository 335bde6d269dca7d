# SPDX-License-Identifier: Apache-2.0
"""Responses to records: one question a sequence, generated, written as they come.

`responses.jsonl` holds one line a record, `{"id", "response"}` with token count and seconds. A
restart keeps what is there; `eval.json` says what made it, and another model, split or length is
refused.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from spatialcore.errors import UsageError
from spatialcore.files import write_bytes, write_json
from spatialcore.folders import claim
from spatialmllm.checkpoints import load
from spatialmllm.data.batches import SampleBuilder
from spatialmllm.data.cache import ImageCache
from spatialmllm.data.records import RecordSet
from spatialmllm.data.tokens import ChatTokenizer
from spatialmllm.data.walk_geometry import ClipRequest
from spatialmllm.decoding import Sampling
from spatialmllm.evaluation.answerers import Answerer, OwnModel

RESPONSES, HEADER = "responses.jsonl", "eval.json"


class EvalError(UsageError):
    """The results folder belongs to another evaluation."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Records answered so far, of all; `failed` of them could not be shown to the model."""

    done: int
    total: int
    failed: int


def run_eval(
    answerer: Answerer,
    records: RecordSet,
    out: Path,
    *,
    header: dict[str, Any],
    batch_size: int = 8,
    shard: tuple[int, int] = (0, 1),
) -> Iterator[Progress]:
    """Answer every record that has no line yet.

    Records that cannot be shown or are refused (a missing image, too long) get a line in
    `failed.jsonl` with the reason, and no response: scoring counts them as wrong and lists them,
    and the next run asks them again.

    Args:
        answerer: Who answers.
        records: The records.
        out: Results folder.
        header: What makes the responses what they are, beside the answerer; compared with the one
            in the folder.
        batch_size: Records asked together.
        shard: (i, n): this process answers every n-th record from i on, into files of its own.

    Yields:
        Progress after every batch.

    Raises:
        EvalError: The folder holds responses made with another header.
    """
    claim(out, "eval", known=lambda folder: (folder / HEADER).is_file())
    _check_header(out, {**header, **answerer.identity()})
    suffix = "" if shard[1] == 1 else f"-{shard[0]:03d}"
    path = out / RESPONSES.replace(".jsonl", f"{suffix}.jsonl")
    refused = out / f"failed{suffix}.jsonl"
    refused.unlink(missing_ok=True)
    answered = set(read_responses(out, path))
    mine = range(shard[0], len(records), shard[1])
    names = records.column("id")
    todo = [row for row in mine if names[row] not in answered]
    done, failed = len(mine) - len(todo), 0
    yield Progress(done, len(mine), failed)
    for start in range(0, len(todo), batch_size):
        rows = todo[start : start + batch_size]
        replies = answerer.answer(records.at(rows), records)
        _append(path, replies.answers)
        _append(refused, replies.failures)
        failed += len(replies.failures)
        done += len(rows)
        yield Progress(done, len(mine), failed)


def read_responses(out: Path, mine: Path | None = None) -> dict[str, str]:
    """Responses by record id, of every process.

    A line without its end is not read: another process may be writing it. In `mine`, the file of
    the process that calls, a crash left it, and it is removed.
    """
    found: dict[str, str] = {}
    for path in sorted(out.glob("responses*.jsonl")):
        content = path.read_bytes()
        end = content.rfind(b"\n") + 1
        if end != len(content) and path == mine:
            write_bytes(path, content[:end])
        for line in content[:end].decode("utf-8").splitlines():
            value = json.loads(line)
            found[str(value["id"])] = str(value["response"])
    return found


def model_digest(folder: Path) -> str:
    """Hash of a model folder: configuration, and names, sizes and heads of the weight files."""
    digest = hashlib.blake2b(digest_size=16)
    for path in sorted(folder.rglob("*")):
        if path.suffix not in (".json", ".safetensors"):
            continue
        digest.update(f"{path.relative_to(folder)}|{path.stat().st_size}|".encode())
        with path.open("rb") as file:
            while chunk := file.read(1 << 24):
                digest.update(chunk)
    return digest.hexdigest()


def _check_header(out: Path, header: dict[str, Any]) -> None:
    path = out / HEADER
    header = json.loads(json.dumps(header))
    if not path.is_file():
        write_json(path, header)
        return
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise ValueError
    except (OSError, ValueError, RecursionError):
        raise EvalError(f"{path} is damaged, or of something else; choose another -o") from None
    for key in sorted({*found, *header}):
        if found.get(key) != header.get(key):
            raise EvalError(
                f"{out} holds another evaluation: {key} was {found.get(key)!r}, "
                f"is now {header.get(key)!r}"
            )


def _append(path: Path, lines: Sequence[dict[str, Any]]) -> None:
    """Add lines and wait until they are on the disk."""
    if not lines:
        return
    with path.open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)
        file.flush()
        os.fsync(file.fileno())


def open_answerer(
    name: str,
    *,
    device: torch.device,
    dtype: torch.dtype,
    max_new_tokens: int,
    blind: bool = False,
    cache: Path | None = None,
    clips: ClipRequest | None = None,
) -> Answerer:
    """A model of ours in a folder, or with the prefix `hf:` one of the transformers library.

    Args:
        name: The folder, or `hf:` and a folder or name.
        device: Where it runs.
        dtype: Type of its weights.
        max_new_tokens: Longest response; decoding is greedy.
        blind: Show grey images of the same size.
        cache: Folder for decoded images of a model of ours; None decodes every time.
        clips: What is said of clips, instead of the settings of a model of ours; a model of
            transformers is shown the chosen frames as stills.
    """
    if name.startswith("hf:"):
        from spatialmllm.evaluation.library import LibraryModel

        return LibraryModel(
            name.removeprefix("hf:"),
            device=device,
            dtype=dtype,
            max_new_tokens=max_new_tokens,
            blind=blind,
            frames=None if clips is None else clips.stills(),
        )
    folder = Path(name)
    model = load(folder, dtype=dtype, device=device).eval()
    images = None if cache is None else ImageCache(cache)
    tokenizer = ChatTokenizer.from_file(folder)
    clips = ClipRequest() if clips is None else clips
    settings = replace(model.settings, processor=clips.settings(model.settings.processor))
    builder = SampleBuilder(
        settings, tokenizer, blind=blind, cache=images, geometry=clips.walk_geometry()
    )
    return OwnModel(model, builder, folder, Sampling(max_new_tokens=max_new_tokens))


def pick_device(name: str | None) -> torch.device:
    """The named device, or the GPU where there is one.

    Raises:
        UsageError: There is no such device here.
    """
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(f"--device takes cpu, cuda or cuda:N, got {name!r}") from error
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device.type == "cuda" and (device.index or 0) >= count:
        found = f"the GPUs here are numbered 0 to {count - 1}" if count else "there is none here"
        raise UsageError(f"--device {name} needs a GPU that torch can use; {found}")
    if device.type not in ("cpu", "cuda"):
        raise UsageError(f"--device takes cpu, cuda or cuda:N, got {name!r}")
    return device


def pick_dtype(name: str | None, device: torch.device) -> torch.dtype:
    """The named type, or bfloat16 on a GPU and float32 elsewhere.

    Raises:
        ValueError: Neither float32 nor bfloat16.
    """
    types = {"float32": torch.float32, "bfloat16": torch.bfloat16}
    if name is None:
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    if name not in types:
        raise ValueError(f"dtype must be float32 or bfloat16, got {name!r}")
    return types[name]
