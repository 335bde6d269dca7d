# SPDX-License-Identifier: Apache-2.0
"""Rows of JSON files of strangers, one at a time in bounded memory.

Public sets come as one array of gigabytes, as JSON lines, or as an object with a list in it. What a
file is, is told by how it begins. A row is an object; where one stands is in every error.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from spatialcore.errors import RecordError

MAX_ROW_BYTES = 16 << 20
MAX_OBJECT_BYTES = 512 << 20
_CHUNK = 1 << 20
_BOM = "\ufeff"
_SPACE = re.compile(r"[ \t\r\n]*")


@dataclass(frozen=True, slots=True)
class JsonRow:
    """An object of a file, and where it stands: `file:line` or `file: list[number]`."""

    where: str
    value: dict[str, Any]


def json_rows(path: Path, *, lists: Sequence[str] = ("annotations", "questions", "data")
              ) -> Iterator[JsonRow]:  # fmt: skip
    """The rows of a JSON file.

    Args:
        path: An array of objects, JSON lines, or an object that holds one of `lists`.
        lists: Names of lists in an object, the first one that is there is taken.

    Raises:
        RecordError: The file cannot be read, or a row is no JSON object, is larger than 16 MiB or
            is cut off; the message names the line.
    """
    try:
        with path.open("rb") as file:
            head = _head(file)
            file.seek(0)
            if head == "[":
                yield from _array(path, file)
            elif head == "{" and _is_lines(file):
                yield from _lines(path, file)
            elif head == "{":
                yield from _listed(path, file, lists)
            elif head:
                _bad(
                    f"{path}:1", f"not JSON: neither a list nor an object, it begins with {head!r}"
                )
    except OSError as error:
        what = (error.strerror or str(error)).lower()
        raise RecordError(f"{path}: cannot be read: {what}") from error


def _head(file: BinaryIO) -> str:
    """The first character that is no space; "" of an empty file."""
    while chunk := file.read(_CHUNK):
        text = chunk.lstrip(b"\xef\xbb\xbf \t\r\n")
        if text:
            return text[:1].decode("latin-1")
    return ""


def _is_lines(file: BinaryIO) -> bool:
    """Whether the first line that is not empty is an object by itself, and no list is all of it."""
    first = b""
    while not first.strip():
        first = file.readline(MAX_ROW_BYTES + 1)
    more = bool(file.read(_CHUNK).strip())
    file.seek(0)
    try:
        value = json.loads(first.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        # A first line that is broken is told as one where it ends as one.
        return more and first.rstrip().endswith(b"}")
    return more or not any(isinstance(v, list) and v and isinstance(v[0], dict)
                           and k in ("annotations", "questions", "data")
                           for k, v in value.items())  # fmt: skip


def _lines(path: Path, file: BinaryIO) -> Iterator[JsonRow]:
    number = 0
    while line := file.readline(MAX_ROW_BYTES + 1):
        number += 1
        where = f"{path}:{number}"
        if len(line) > MAX_ROW_BYTES:
            _bad(where, f"a row of more than {MAX_ROW_BYTES >> 20} MiB")
        if line.strip():
            yield JsonRow(where, _object(where, _parsed(where, line)))


def _array(path: Path, file: BinaryIO) -> Iterator[JsonRow]:
    """The elements of an array: text is read as far as the next whole one needs it."""
    text = _Text(path, file)
    text.skip(_BOM)
    text.skip("[")
    first = True
    while True:
        at = text.peek()
        if at == "":
            _bad(text.where, "the list is cut off before its end")
        if at == "]":
            text.skip("]")
            break
        if not first:
            if at != ",":
                _bad(text.where, f"a comma is missing between rows: {at!r} stands there")
            text.skip(",")
        first = False
        text.peek()
        where = text.where
        yield JsonRow(where, _object(where, text.value()))
    if text.peek():
        _bad(text.where, "something stands behind the end of the list")


class _Text:
    """Text of a file that is decoded as it is needed; lines are counted as it is passed."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self._path, self._file = path, file
        self._decode = codecs.getincrementaldecoder("utf-8")().decode
        self._text, self._at, self._line = "", 0, 1
        self._ended = False
        self._json = json.JSONDecoder(parse_constant=_constant)

    @property
    def where(self) -> str:
        return f"{self._path}:{self._line}"

    def peek(self) -> str:
        """The next character that is no space, which is not passed; "" at the end."""
        while True:
            space = _SPACE.match(self._text, self._at)
            self._pass(space.end() - self._at if space else 0)
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def skip(self, character: str) -> None:
        """Pass a character where it stands next."""
        if self.peek() == character:
            self._pass(1)

    def value(self) -> Any:
        """The next value, which begins here."""
        if self._text[self._at] != "{":  # numbers and words have no end of their own
            _bad(self.where, "a row is no object")
        while True:
            try:
                value, end = self._json.raw_decode(self._text, self._at)
            except RecursionError:
                _bad(self.where, "a row is nested too deeply")
            except json.JSONDecodeError as error:
                if len(self._text) - self._at > MAX_ROW_BYTES:
                    _bad(self.where, f"a row of more than {MAX_ROW_BYTES >> 20} MiB, or damaged")
                # What is cut off reads on; what is wrong well before the end is wrong.
                cut = error.msg.startswith("Unterminated") or (
                    len(self._text) - error.pos < _CHUNK // 2
                )
                if not cut or not self._more():
                    line = self._line + self._text.count("\n", self._at, error.pos)
                    _bad(f"{self._path}:{line}", f"not JSON: {error.msg}")
            else:
                self._pass(end - self._at)
                return value

    def _pass(self, count: int) -> None:
        self._line += self._text.count("\n", self._at, self._at + count)
        self._at += count

    def _more(self) -> bool:
        if self._ended:
            return False
        chunk = self._file.read(_CHUNK)
        self._ended = not chunk
        try:
            decoded = self._decode(chunk, final=self._ended)
        except UnicodeDecodeError as error:
            _bad(self.where, f"not UTF-8: {error.reason}")
        self._text = self._text[self._at :] + decoded
        self._at = 0
        return True


def _listed(path: Path, file: BinaryIO, lists: Sequence[str]) -> Iterator[JsonRow]:
    """The rows of a list in an object, or the object itself as the one row."""
    content = file.read(MAX_OBJECT_BYTES + 1)
    if len(content) > MAX_OBJECT_BYTES:
        _bad(str(path), f"an object of more than {MAX_OBJECT_BYTES >> 20} MiB; give a list of rows")
    value = _object(str(path), _parsed(str(path), content))
    name = next((name for name in lists if isinstance(value.get(name), list)), None)
    if name is None:
        yield JsonRow(f"{path}:1", value)
        return
    for number, row in enumerate(value[name]):
        where = f"{path}: {name}[{number}]"
        yield JsonRow(where, _object(where, row))


def _parsed(where: str, content: bytes) -> Any:
    try:
        return json.loads(content.decode("utf-8-sig"), parse_constant=_constant)
    except UnicodeDecodeError as error:
        _bad(where, f"not UTF-8: {error.reason}")
    except json.JSONDecodeError as error:
        _bad(where, f"not JSON: {error.msg}")
    except ValueError as error:
        _bad(where, f"not JSON: {error}")
    except RecursionError:
        _bad(where, "a row is nested too deeply")


def _constant(word: str) -> Any:
    raise json.JSONDecodeError(f"{word} is no number of JSON", word, 0)


def _object(where: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        _bad(where, "a row is no object")
    return value


def _bad(where: str, what: str) -> NoReturn:
    raise RecordError(f"{where}: {what}")
