# SPDX-License-Identifier: Apache-2.0
"""push against a local imitation of the Hub's HTTP interface."""

from __future__ import annotations

import base64
import json
import shutil
from http.server import BaseHTTPRequestHandler

import pytest

from spatial_engine.commands import export, generate, push
from tests.loopback import Loopback

pytest.importorskip("huggingface_hub", reason="needs huggingface_hub")


class Hub(Loopback):
    """Takes data sets: `files` is what was committed, by repository."""

    def __init__(self, token="secret"):
        super().__init__(_Handler)
        self.token, self.files, self.made = token, {}, []


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Authorization") != f"Bearer {self.server.token}":
            return self.answer(401, {"error": "Invalid token"})
        if self.path == "/api/repos/create":
            self.server.made.append(json.loads(body))
            return self.answer(200, {"url": f"{self.server.url}/datasets/o/n"})
        if self.path.endswith("/validate-yaml") or self.path == "/api/validate-yaml":
            return self.answer(200, {"errors": [], "warnings": []})
        if "/preupload/" in self.path:
            files = [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False}
                     for f in json.loads(body)["files"]]  # fmt: skip
            return self.answer(200, {"files": files})
        if "/commit/" in self.path:
            repo = self.path.split("/api/datasets/")[1].split("/commit")[0]
            for line in body.decode().splitlines():
                entry = json.loads(line)
                if entry["key"] == "file":
                    value = entry["value"]
                    content = base64.b64decode(value["content"])
                    self.server.files.setdefault(repo, {})[value["path"]] = content
            done = {"commitUrl": f"{self.server.url}/datasets/{repo}/commit/1", "commitOid": "1"}
            return self.answer(200, done)
        return self.answer(404, {"error": f"no {self.path}"})

    def answer(self, code, value):
        content = json.dumps(value).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def out(sample_dir, tmp_path_factory):
    folder = tmp_path_factory.mktemp("push")
    source = sample_dir / "scannet"
    assert generate.main([str(source), "-o", str(folder / "out"), "--limit", "60"]) in (0, 3)
    return folder / "out"


def _export(out, folder, *options):
    command = [str(out), "-o", str(folder), "--to", *(options or ("jsonl", "--paths", "relative"))]
    assert export.main(command) == 0
    return str(folder)


def test_without_yes_nothing_is_sent_and_unlicensed_images_stay(out, tmp_path, capsys):
    folder = _export(out, tmp_path / "hub")
    capsys.readouterr()
    assert push.main([folder, "me/rooms", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["sent"] is None
    assert "README.md" in told["files"]
    assert not any(name.startswith("images/") for name in told["files"])
    assert sum(told["held_back"].values()) > 0
    assert push.main([folder, "me/rooms"]) == 0
    text = capsys.readouterr().out
    assert "nothing was sent" in text
    assert "whose licence is not stated" in " ".join(text.split())
    assert f"--licence {next(iter(told['sources']))}=LICENCE" in text


def test_what_is_sent_is_what_was_shown(out, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "secret")
    folder = _export(out, tmp_path / "hub")
    done = next((tmp_path / "hub/jsonl/done").glob("*.json"))
    [source] = json.loads(done.read_text())["sources"]
    capsys.readouterr()
    with Hub() as hub:
        licence = f"{source}=cc-by-4.0"
        command = [folder, "me/rooms", "--licence", licence, "--hub", hub.url, "--json"]
        assert push.main(command) == 0
        shown = json.loads(capsys.readouterr().out)
        assert hub.files == {}
        assert push.main([*command, "--yes", "--private"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert told["sent"].startswith(hub.url)
        assert told["held_back"] == {}
        sent = hub.files["me/rooms"]
        assert {name: len(content) for name, content in sent.items()} == shown["files"]
        assert any(name.startswith("images/") for name in sent)
        assert hub.made[0].get("private") or hub.made[0]["visibility"] == "private"
        rows = [json.loads(line) for name, content in sent.items() if name.endswith(".jsonl")
                for line in content.decode().splitlines()]  # fmt: skip
        assert len(rows) == sum(told["sources"].values())


def test_a_data_set_is_exported_first(out, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "secret")
    capsys.readouterr()
    assert push.main([str(out), "me/rooms"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert f"exported into {out / 'hub'}" in told
    assert "60 questions" in told
    assert "nothing was sent" in told
    with Hub() as hub:
        assert push.main([str(out), "me/rooms", "--yes", "--hub", hub.url, "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert told["export"] == str(out / "hub")
        sent = hub.files["me/rooms"]
    rows = [json.loads(line) for name, content in sent.items() if name.endswith(".jsonl")
            for line in content.decode().splitlines()]  # fmt: skip
    assert len(rows) == 60
    assert not any(str(out) in json.dumps(row) for row in rows)
    assert not any(name.startswith("images/") for name in sent)
    # Rows of another export, which name this machine, do not stand in the way.
    _export(out, out, "llamafactory")
    assert push.main([str(out), "me/rooms", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["files"].keys() == sent.keys()


def test_what_is_not_finished_is_not_sent(out, tmp_path, capsys):
    part = tmp_path / "part"
    shutil.copytree(out, part, ignore=shutil.ignore_patterns("hub", "images"))
    (part / "summary.json").unlink()
    assert push.main([str(part), "me/rooms"]) == 2
    assert "not finished" in capsys.readouterr().err
    assert not (part / "hub").exists()


def test_refusals_are_one_sentence(out, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "wrong")
    folder = _export(out, tmp_path / "hub")
    with Hub() as hub:
        assert push.main([folder, "me/rooms", "--yes", "--hub", hub.url]) == 2
        assert "log in" in capsys.readouterr().err
    assert push.main([folder, "me/rooms", "--yes", "--hub", hub.url]) == 2
    assert "cannot be reached" in capsys.readouterr().err
    assert push.main([folder, "rooms"]) == 2
    assert push.main([folder, "me/rooms", "--licence", "other=x"]) == 2
    assert "the export has" in capsys.readouterr().err
    assert push.main([str(tmp_path), "me/rooms"]) == 2
    assert "no export" in capsys.readouterr().err
    absolute = _export(out, tmp_path / "absolute", "jsonl")
    assert push.main([absolute, "me/rooms"]) == 2
    assert "--paths relative" in capsys.readouterr().err
    packed = _export(out, tmp_path / "packed", "webdataset")
    capsys.readouterr()
    assert push.main([packed, "me/rooms"]) == 0
    assert "webdataset holds images" in capsys.readouterr().out
