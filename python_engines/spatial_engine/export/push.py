# SPDX-License-Identifier: Apache-2.0
"""An export on the Hub: what goes, what is held back, and the upload itself.

Images are somebody's: those of a source whose licence is not stated stay here, and so does every
file that holds such images. Rows name them all the same, as references.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spatial_engine.dataset.manifest import MANIFEST_NAME
from spatial_engine.export.part import HOLDS_IMAGES
from spatialcore.errors import MissingInput, RecordError, UsageError
from spatialcore.files import is_temporary

HUB_FOLDER = "hub"  # of the export that `push` makes of a data set
_REPO = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
_LOG_IN = "log in by `hf auth login`, or put a token into HF_TOKEN"
# The state of the export itself, which says nothing to others.
_OWN = ("done", "locks")


@dataclass(frozen=True)
class Upload:
    """What would be sent.

    Attributes:
        files: Paths below the export, as they are named on the Hub, and their sizes.
        held_back: Reason -> how many files.
        sources: Records by source.
    """

    files: Mapping[str, int]
    held_back: Mapping[str, int]
    sources: Mapping[str, int]

    @property
    def size(self) -> int:
        """Bytes in all."""
        return sum(self.files.values())


def needs_export(folder: Path) -> bool:
    """Whether a folder holds records, and no export beside them whose rows could be sent.

    Such a data set is exported before it is sent.

    Raises:
        RecordError: A mark of an export in it is damaged.
    """
    if not (folder / MANIFEST_NAME).is_file():
        return False
    states = sorted(folder.glob("*/export.json"))
    return not states or any(_names_this_machine(path) for path in states)


def upload_of(folder: Path, licences: Mapping[str, str]) -> Upload:
    """What of an export may be sent.

    Args:
        folder: The export.
        licences: Source key -> the licence of its images, as stated by whoever publishes them.

    Raises:
        MissingInput: The folder is no export.
        RecordError: A mark of it is damaged.
        UsageError: A licence is of no source of the export, or rows name paths of this machine.
    """
    states = sorted(folder.glob("*/export.json"))
    if not states:
        what = f"{folder}: no export, and no finished data set"
        raise MissingInput(f"{what}; name a folder of `spatialcore generate` or `export`")
    sources = _sources(folder)
    if unknown := sorted(licences.keys() - sources.keys()):
        raise UsageError(
            f"--licence {unknown[0]}: no such source; the export has {', '.join(sorted(sources))}"
        )
    unstated = sorted(sources.keys() - licences.keys())
    barred = {path.parent.name: why for path in states if (why := _barred(path, unstated))}
    files: dict[str, int] = {}
    held: dict[str, int] = {}
    for path in _files(folder):
        name = path.relative_to(folder).as_posix()
        reason = _held(name, barred, unstated)
        if reason:
            held[reason] = held.get(reason, 0) + 1
        else:
            files[name] = path.stat().st_size
    return Upload(files, held, sources)


def _sources(folder: Path) -> dict[str, int]:
    """Records by source, as the marks of the finished parts count them."""
    found: dict[str, int] = {}
    first = min(path.parent.name for path in folder.glob("*/export.json"))
    for path in sorted((folder / first / "done").glob("*.json")):
        try:
            report = json.loads(path.read_text(encoding="utf-8"))
            for source, count in report["sources"].items():
                found[str(source)] = found.get(str(source), 0) + int(count)
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise RecordError(f"{path}: damaged; run the export again") from None
    if not found:
        raise MissingInput(f"{folder}: no part of the export is finished; run the export again")
    return found


def _asked(state: Path) -> Mapping[str, Any]:
    """What a target was asked for, as its mark says."""
    try:
        asked: Mapping[str, Any] = json.loads(state.read_text(encoding="utf-8"))["asked"]
        _ = asked["embed"], asked["paths"], asked["images"]
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        raise RecordError(f"{state}: damaged; run the export again") from None
    return asked


def _holds_images(state: Path) -> bool:
    return bool(_asked(state)["embed"]) or state.parent.name in HOLDS_IMAGES


def _names_this_machine(state: Path) -> bool:
    asked = _asked(state)
    absolute = asked["paths"] == "absolute" and asked["images"] != "none"
    return absolute and not _holds_images(state)


def _barred(state: Path, unstated: Sequence[str]) -> str:
    """Why no file of a target may go, or ""."""
    target = state.parent.name
    if unstated and _holds_images(state):
        return f"{target} holds images of {', '.join(unstated)}, whose licence is not stated"
    if _names_this_machine(state):
        raise UsageError(
            f"{state.parent}: its rows name paths of this machine; export with --paths relative"
        )
    return ""


def _files(folder: Path) -> Iterable[Path]:
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        hidden = any(part.startswith(".") for part in parts)
        own = any(part in _OWN for part in parts[:-1]) or path.name == "export.json"
        if path.is_file() and not (hidden or own or is_temporary(path.name)):
            yield path


def _held(name: str, barred: Mapping[str, str], unstated: Iterable[str]) -> str:
    """Why a file stays here, or ""."""
    parts = name.split("/")
    if parts[0] in barred:
        return barred[parts[0]]
    if parts[0] != "images":
        return ""
    for source in unstated:
        if parts[1] == source:
            return f"images of {source}, whose licence is not stated"
        if parts[1] == "marked":
            return f"images with marks, some perhaps of {source}, whose licence is not stated"
    return ""


def send(folder: Path, upload: Upload, repo: str, *, private: bool, endpoint: str | None) -> str:
    """Send an upload to a data set of the Hub, in one commit; returns its address.

    Args:
        folder: The export.
        upload: What is sent.
        repo: `owner/name`; made where it does not exist.
        private: Whether a new one is private.
        endpoint: Address of the Hub; None is that of huggingface_hub.

    Raises:
        UsageError: The name is none, nobody is logged in, or the Hub refuses.
    """
    from huggingface_hub import CommitOperationAdd, HfApi
    from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError

    check_repo(repo)
    api = HfApi(endpoint=endpoint, library_name="spatialcore")
    operations = [
        CommitOperationAdd(path_in_repo=name, path_or_fileobj=str((folder / name).resolve()))
        for name in upload.files
    ]
    try:
        api.create_repo(repo, repo_type="dataset", private=private, exist_ok=True)
        message = f"{sum(upload.sources.values()):,} questions of spatialcore"
        done = api.create_commit(repo, operations, repo_type="dataset", commit_message=message)
    except LocalTokenNotFoundError:
        raise UsageError(f"nobody is logged in: {_LOG_IN}") from None
    except HfHubHTTPError as error:
        code = getattr(error.response, "status_code", "")
        raise UsageError(
            f"the Hub refuses {repo} ({code}): {_LOG_IN if code == 401 else _first_line(error)}"
        ) from None
    except Exception as error:
        if not _of_connection(error):
            raise
        what = f"the Hub at {api.endpoint} cannot be reached: {_first_line(error)}"
        raise UsageError(what) from None
    return str(done.commit_url)


def _of_connection(error: Exception) -> bool:
    """Whether an error is the system's or that of the HTTP library below huggingface_hub."""
    library = type(error).__module__.partition(".")[0]
    return isinstance(error, OSError) or library.startswith(("httpx", "httpcore", "requests"))


def check_repo(repo: str) -> None:
    """UsageError unless it reads `owner/name`."""
    if not _REPO.fullmatch(repo):
        raise UsageError(f"a data set of the Hub is named owner/name, got {repo!r}")


def _first_line(error: BaseException) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[0][:200] if lines else type(error).__name__
