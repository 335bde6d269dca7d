# SPDX-License-Identifier: Apache-2.0
"""Responses of a model to records: one question a sequence, generated, written as they come.

`responses.jsonl` holds one line a record, `{"id", "response"}` with token count and seconds. A
restart keeps what is there; `eval.json` says what made it, and another model, split or length is
refused.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from spatialcore.errors import SpatialCoreError, UsageError
from spatialcore.files import write_bytes, write_json
from spatialcore.folders import claim
from spatialmllm.data.batches import Sample, SampleBuilder, collate, to_device
from spatialmllm.data.records import RecordSet
from spatialmllm.decoding import Sampling, generate
from spatialmllm.model.model import SpatialMLLM

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
    model: SpatialMLLM,
    builder: SampleBuilder,
    records: RecordSet,
    out: Path,
    *,
    header: dict[str, Any],
    batch_size: int = 8,
    sampling: Sampling | None = None,
    rank: int = 0,
    world_size: int = 1,
) -> Iterator[Progress]:
    """Answer every record that has no line yet.

    Records that cannot be shown (a missing image, too long) get a line in `failed.jsonl` with the
    reason, and no response: scoring counts them as wrong and lists them.

    Args:
        model: The model, on its device.
        builder: Makes prompts exactly as in training.
        records: The records.
        out: Results folder.
        header: What makes the responses what they are; compared with the one in the folder.
        batch_size: Prompts decoded together.
        sampling: Length and choice of tokens; greedy by default.
        rank: This process's number.
        world_size: Processes that share the work, each with a file of its own.

    Yields:
        Progress after every batch.

    Raises:
        EvalError: The folder holds responses made with another header.
    """
    sampling = Sampling() if sampling is None else sampling
    claim(out, "eval", known=lambda folder: (folder / HEADER).is_file())
    _check_header(out, {**header, "sampling": asdict(sampling)})
    suffix = "" if world_size == 1 else f"-{rank:03d}"
    path = out / RESPONSES.replace(".jsonl", f"{suffix}.jsonl")
    answered = set(read_responses(out))
    mine = range(rank, len(records), world_size)
    todo = [row for row in mine if records[row].id not in answered]
    done, failed = len(mine) - len(todo), 0
    yield Progress(done, len(mine), failed)
    with path.open("a", encoding="utf-8") as file:
        for start in range(0, len(todo), batch_size):
            rows = todo[start : start + batch_size]
            samples, errors = _samples(builder, records, rows)
            lines = _answers(model, builder, samples, sampling) if samples else []
            file.writelines(json.dumps(line) + "\n" for line in lines)
            file.flush()
            os.fsync(file.fileno())
            _append(out / f"failed{suffix}.jsonl", errors)
            failed += len(errors)
            done += len(rows)
            yield Progress(done, len(mine), failed)


def read_responses(out: Path) -> dict[str, str]:
    """Responses by record id, of every process; a line cut off by a crash is removed."""
    found: dict[str, str] = {}
    for path in sorted(out.glob("responses*.jsonl")):
        content = path.read_bytes()
        end = content.rfind(b"\n") + 1
        if end != len(content):
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


def _samples(
    builder: SampleBuilder, records: RecordSet, rows: Sequence[int]
) -> tuple[list[Sample], list[dict[str, str]]]:
    samples: list[Sample] = []
    errors: list[dict[str, str]] = []
    for row in rows:
        record = records[row]
        try:
            samples.append(builder.sample([record], records, answers=False))
        except (SpatialCoreError, ValueError, OSError) as error:
            errors.append({"id": record.id, "reason": str(error)})
    return samples, errors


def _answers(
    model: SpatialMLLM, builder: SampleBuilder, samples: Sequence[Sample], sampling: Sampling
) -> list[dict[str, Any]]:
    began = time.monotonic()
    batch = to_device(collate(samples, builder.config), model.device)
    made = generate(model, batch, sampling)
    seconds = (time.monotonic() - began) / len(samples)
    return [
        {
            "id": sample.record_ids[0],
            "response": builder.tokenizer.decode(ids),
            "tokens": len(ids),
            "seconds": round(seconds, 4),
        }
        for sample, ids in zip(samples, made, strict=True)
    ]


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


def _append(path: Path, lines: Sequence[dict[str, str]]) -> None:
    if not lines:
        return
    with path.open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)


def pick_device(name: str | None) -> torch.device:
    """The named device, or the GPU where there is one."""
    return torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))


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
