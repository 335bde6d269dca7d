# SPDX-License-Identifier: Apache-2.0
"""A folder of pages for this machine alone: no listing, no links, no other host's name."""

from __future__ import annotations

import os
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import unquote, urlsplit

LOOPBACK = "127.0.0.1"
_NAMES = (LOOPBACK, "localhost")
# What the page itself loads: files beside it. No script or style stands in the page, no text of a
# record becomes markup, and scripts that are loaded later bear the names of data files.
PAGE_POLICY = (
    "default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self'; base-uri 'none'; "
    "form-action 'none'; require-trusted-types-for 'script'; trusted-types spatialcore"
)
POLICY = PAGE_POLICY + "; frame-ancestors 'none'"
_TYPES = {
    ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".jpg": "image/jpeg",
    ".png": "image/png",
}  # fmt: skip


def make_server(folder: Path, port: int) -> ThreadingHTTPServer:
    """A server of the files below a folder, on the loopback interface.

    A request by another name than this machine's is refused, since a page of a stranger may have
    its own name point here. Folders are not listed, and what lies behind a link is not there.

    Args:
        folder: The folder.
        port: Its port; 0 chooses a free one.
    """
    return ThreadingHTTPServer((LOOPBACK, port), partial(_Handler, root=folder.resolve()))


class _Handler(SimpleHTTPRequestHandler):
    server_version = "spatialcore"
    sys_version = ""
    # Not by what the system says: a script of another type is refused by `nosniff`.
    extensions_map = _TYPES  # as the base class has it

    def __init__(self, *arguments: Any, root: Path) -> None:
        self._root = root
        super().__init__(*arguments, directory=str(root))

    def send_head(self) -> BinaryIO | None:
        """The file that is asked for, or an error."""
        name = urlsplit(f"//{self.headers.get('Host', '')}").hostname
        if name not in _NAMES:
            self.send_error(HTTPStatus.MISDIRECTED_REQUEST, "Not the name of this machine")
            return None
        path = self._file()
        if path is None:
            self.send_error(HTTPStatus.NOT_FOUND, "Not here")
            return None
        file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb")
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", self.guess_type(str(path)))
        self.send_header("Content-Length", str(os.fstat(file.fileno()).st_size))
        self.end_headers()
        return file

    def end_headers(self) -> None:
        """The policy stands in every answer, errors among them."""
        self.send_header("Content-Security-Policy", POLICY)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        super().end_headers()

    def _file(self) -> Path | None:
        """The regular file below the root that the request names, none of its parts a link."""
        asked = unquote(urlsplit(self.path).path).lstrip("/") or "index.html"
        parts = asked.split("/")
        if any(part in ("", ".", "..") or "\\" in part or "\0" in part for part in parts):
            return None
        path = self._root
        for part in parts:
            path = path / part
            if path.is_symlink():
                return None
        return path if path.is_file() else None

    def log_message(self, format: str, *arguments: Any) -> None:
        """Requests are not printed."""
