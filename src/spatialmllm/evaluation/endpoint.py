# SPDX-License-Identifier: Apache-2.0
"""A model behind an OpenAI-compatible endpoint for chat completions with images."""

from __future__ import annotations

import base64
import io
import json
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPException
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from spatialcore.errors import UsageError, printable
from spatialmllm.data.clips import ShownFrames
from spatialmllm.data.records import RecordSet
from spatialmllm.evaluation.answerers import Clip, Part, Prompt, Replies, prompts

if TYPE_CHECKING:
    from PIL.Image import Image

    from spatial_engine.records.record import QARecord

KEY_VARIABLES = ("SPATIALCORE_API_KEY", "OPENAI_API_KEY")
_PATH = "/chat/completions"
_AGAIN = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
_NEVER = frozenset({401, 403, 404, 405})
_LONGEST_WAIT_S = 60.0
_LARGEST_REPLY = 16 << 20


class EndpointError(UsageError):
    """The endpoint cannot be reached or refuses everything; what was answered is kept."""


@dataclass(frozen=True, slots=True)
class Replied:
    """One reply: its text and the tokens that the server counted."""

    text: str
    tokens: int | None


class Endpoint:
    """Chat completions at a URL.

    The key is read from the environment (SPATIALCORE_API_KEY, else OPENAI_API_KEY) and stands in
    no file and no message. Images travel as PNG, so that the model sees the recorded pixels.

    Args:
        url: The endpoint, with or without `/chat/completions`.
        model: The model's name there.
        max_new_tokens: Longest response; the temperature is 0.
        concurrency: Requests that are under way at once.
        retries: How often a request is tried again after a failure that may pass.
        timeout_s: Seconds until a request counts as failed.
        first_wait_s: Seconds before the second try; each further one waits twice as long.
        blind: Show grey images of the same size.
        frames: Which frames of a walk are shown; None: all.

    Raises:
        UsageError: The URL is none.
    """

    def __init__(
        self,
        url: str,
        model: str,
        *,
        max_new_tokens: int = 64,
        concurrency: int = 4,
        retries: int = 5,
        timeout_s: float = 120.0,
        first_wait_s: float = 1.0,
        blind: bool = False,
        frames: ShownFrames | None = None,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(f"--endpoint takes a URL such as http://host:8000/v1, got {url!r}")
        if parts.username or parts.password:
            raise UsageError(f"--endpoint: give the key in {KEY_VARIABLES[0]}, not in the URL")
        if concurrency < 1 or retries < 0:
            raise UsageError("need concurrency >= 1 and retries >= 0")
        self.url = url.rstrip("/") if url.rstrip("/").endswith(_PATH) else url.rstrip("/") + _PATH
        self.model, self._longest, self._blind = model, max_new_tokens, blind
        self._concurrency, self._retries = concurrency, retries
        self._frames = frames
        self._timeout_s, self._first_wait_s = timeout_s, first_wait_s

    def identity(self) -> dict[str, Any]:
        """URL, name and length."""
        return {
            "model": self.model,
            "endpoint": self.url,
            "sampling": {"max_new_tokens": self._longest},
            **({} if self._frames is None else {"clips": self._frames.identity()}),
        }

    def answer(self, records: Sequence[QARecord], images: RecordSet) -> Replies:
        """Answer every record of a batch; one that the server refuses does not lose the others.

        Raises:
            EndpointError: No connection, a wrong key or address, or a server that keeps failing.
        """
        replies = Replies()
        asked = prompts(records, images, replies, blind=self._blind, frames=self._frames)
        with ThreadPoolExecutor(self._concurrency) as pool:
            done = [(prompt, pool.submit(self._timed, prompt)) for prompt in asked]
            failure: EndpointError | None = None
            for prompt, future in done:
                try:
                    reply, seconds = future.result()
                    replies.add(prompt.id, reply.text, reply.tokens, seconds)
                except Refused as error:
                    replies.fail(prompt.id, str(error))
                except EndpointError as error:
                    failure = failure or error
        if failure is not None and not replies.answers:
            raise failure
        if failure is not None:
            answered = {line["id"] for line in replies.answers}
            told = {line["id"] for line in replies.failures}
            for prompt in asked:
                if prompt.id not in answered | told:
                    replies.fail(prompt.id, str(failure))
        return replies

    def _timed(self, prompt: Prompt) -> tuple[Replied, float]:
        began = time.monotonic()
        return self.respond(prompt), time.monotonic() - began

    def respond(self, prompt: Prompt) -> Replied:
        """Ask one prompt.

        Raises:
            EndpointError: No answer after every try, or an answer that ends all asking.
        """
        body = json.dumps(
            {
                "model": self.model,
                "messages": [
                    {"role": role, "content": _content(parts)} for role, parts in prompt.turns()
                ],
                "max_tokens": self._longest,
                "temperature": 0,
            }
        ).encode()
        wait = self._first_wait_s
        reason = ""
        for attempt in range(self._retries + 1):
            if attempt:
                time.sleep(min(wait, _LONGEST_WAIT_S))
                wait *= 2
            try:
                return self._post(body)
            except HTTPError as error:
                reason = _said_by(error)
                if error.code in _NEVER:
                    raise EndpointError(f"{self.url}: {reason}{_hint(error.code)}") from None
                if error.code not in _AGAIN:
                    raise Refused(reason) from None
                wait = max(wait, _retry_after(error))
            except (URLError, OSError, HTTPException, TimeoutError) as error:
                reason = _why(error)
        raise EndpointError(f"{self.url}: {reason}, after {self._retries + 1} tries")

    def _post(self, body: bytes) -> Replied:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if key := next((os.environ[name] for name in KEY_VARIABLES if os.environ.get(name)), None):
            headers["Authorization"] = f"Bearer {key}"
        request = Request(self.url, data=body, headers=headers, method="POST")
        with urlopen(request, timeout=self._timeout_s) as response:
            content = response.read(_LARGEST_REPLY + 1)
        return _read_reply(content)


class Refused(Exception):
    """The server will not answer this one request."""


def _content(parts: Sequence[Part]) -> list[dict[str, Any]]:
    content: list[dict[str, Any]] = []
    for part in parts:
        if isinstance(part, str):
            content.append({"type": "text", "text": part})
            continue
        for image in part.frames if isinstance(part, Clip) else (part,):
            content.append({"type": "image_url", "image_url": {"url": _data_url(image)}})
    return content


def _data_url(image: Image) -> str:
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _read_reply(content: bytes) -> Replied:
    """The text of a completion.

    Raises:
        Refused: It is no completion.
    """
    if len(content) > _LARGEST_REPLY:
        raise Refused(f"a reply of more than {_LARGEST_REPLY >> 20} MiB")
    try:
        value = json.loads(content)
        text = value["choices"][0]["message"]["content"]
        usage = value.get("usage") or {}
        tokens = usage.get("completion_tokens")
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
        shown = printable(content[:120].decode("utf-8", "replace"))
        raise Refused(f"no chat completion: {shown}") from None
    if isinstance(text, list):  # some servers answer in parts
        text = "".join(str(part.get("text", "")) for part in text if isinstance(part, dict))
    return Replied(str(text or "").strip(), tokens if isinstance(tokens, int) else None)


def _said_by(error: HTTPError) -> str:
    try:
        content = error.read(4096).decode("utf-8", "replace")
    except (OSError, HTTPException):
        content = ""
    try:
        value = json.loads(content)
        detail = value.get("error", value.get("detail", "")) if isinstance(value, dict) else ""
        content = str(detail.get("message", "")) if isinstance(detail, dict) else str(detail)
    except ValueError:
        pass
    said = f": {printable(content[:200])}" if content else ""
    return f"the server says {error.code} {printable(str(error.reason))}{said}"


def _hint(code: int) -> str:
    if code in (401, 403):
        return f"; put a valid key into {KEY_VARIABLES[0]}"
    return "; check the URL and the model's name"


def _retry_after(error: HTTPError) -> float:
    try:
        return float(error.headers.get("Retry-After", 0))
    except ValueError:
        return 0.0


def _why(error: BaseException) -> str:
    reason = error.reason if isinstance(error, URLError) else error
    if isinstance(reason, TimeoutError):
        return "no reply in time"
    if isinstance(reason, ConnectionRefusedError):
        return "nobody listens there"
    words = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
    return f"no connection ({printable(str(words))})"
