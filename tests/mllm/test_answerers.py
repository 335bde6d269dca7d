# SPDX-License-Identifier: Apache-2.0
"""eval and ask for any model: of the transformers library, and behind an endpoint."""

from __future__ import annotations

import base64
import io
import json
import threading
from http.server import BaseHTTPRequestHandler

import numpy as np
import pytest
from PIL import Image

from tests.fabricate import data_set
from tests.loopback import Loopback
from tests.mllm.library_models import save_idefics, save_llava


@pytest.fixture(scope="module")
def place(toy, tmp_path_factory):
    folder = tmp_path_factory.mktemp("answerers")
    data_set(folder / "out", toy.root, toy.records)
    return folder


def _eval(place, out, *options):
    from spatialmllm.commands.eval import main

    arguments = ["--records", str(place / "out"), "--split", "train", "-o", str(place / out)]
    return main([*arguments, "--max-new-tokens", "6", "--json", *options])


def _lines(place, out, name="responses.jsonl"):
    return [json.loads(line) for line in (place / out / name).read_text().splitlines()]


class Server(Loopback):
    """Chat completions on the loopback interface; what it answers is a function of the request."""

    def __init__(self, reply):
        super().__init__(_Handler)
        self.reply, self.asked, self.lock = reply, [], threading.Lock()
        self.url += "/v1"


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            self.server.asked.append((self.path, dict(self.headers), body))
            number = len(self.server.asked)
        code, value = self.server.reply(body, number)
        content = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


def _completion(text):
    return {"choices": [{"message": {"content": text}}], "usage": {"completion_tokens": 3}}


def _pictures(body):
    parts = body["messages"][0]["content"]
    urls = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(u.split(",")[1])))) for u in urls]


@pytest.mark.parametrize("save", [save_llava, save_idefics])
def test_a_model_of_the_library_answers_and_continues(place, toy, tmp_path, save, capsys):
    save(tmp_path)
    out = save.__name__
    assert _eval(place, out, "--model", f"hf:{tmp_path}", "--limit", "7", "--batch", "3") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["n"] == 7
    assert {row["task"] for row in report["rows"]} == {record.task for record in toy.records}
    whole = _lines(place, out)
    assert not (place / out / "failed.jsonl").exists()
    # Alone or in a batch, from the start or continued, the answers are the same.
    path = place / out / "responses.jsonl"
    path.write_text("".join(line for line in path.read_text().splitlines(keepends=True)[:2]))
    assert _eval(place, out, "--model", f"hf:{tmp_path}", "--limit", "7", "--batch", "1") == 0
    again = {line["id"]: line["response"] for line in _lines(place, out)}
    assert again == {line["id"]: line["response"] for line in whole}
    capsys.readouterr()
    assert _eval(place, out, "--model", f"hf:{tmp_path}", "--limit", "7", "--blind") == 2
    assert "another evaluation: blind was" in capsys.readouterr().err


def test_a_folder_that_the_library_cannot_open_is_one_sentence(place, tmp_path, capsys):
    (tmp_path / "config.json").write_text("{}")
    assert _eval(place, "none", "--model", f"hf:{tmp_path}") == 2
    error = capsys.readouterr().err
    assert f"hf:{tmp_path}: the library cannot open it" in error
    assert "Traceback" not in error
    assert not (place / "none").exists()


def test_an_endpoint_sees_the_marked_images_and_keeps_its_key_secret(
    place, toy, capsys, monkeypatch
):
    monkeypatch.setenv("SPATIALCORE_API_KEY", "secret-key")
    with Server(lambda body, number: (200, _completion("It is `left`."))) as server:
        assert _eval(place, "served", "--endpoint", server.url, "--model", "m", "--limit", "6") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["n"] == 6
    path, headers, body = server.asked[0]
    assert path == "/v1/chat/completions"
    assert headers["Authorization"] == "Bearer secret-key"
    assert (body["model"], body["max_tokens"], body["temperature"]) == ("m", 6, 0)
    shown = {_pictures(body)[0].tobytes() for _, _, body in server.asked}
    own = {np.asarray(toy.images.image(record, 0)).tobytes() for record in toy.records}
    assert shown <= own
    for file in (place / "served").rglob("*"):
        assert file.is_dir() or b"secret-key" not in file.read_bytes()


def test_failures_that_pass_are_tried_again_and_refusals_cost_one_record(place, capsys):
    from spatialmllm.evaluation.answerers import Prompt
    from spatialmllm.evaluation.endpoint import Endpoint, EndpointError, Refused

    def reply(body, number):
        return (503, {"error": {"message": "busy"}}) if number < 3 else (200, _completion("ok"))

    prompt = Prompt("a", "What?")
    with Server(reply) as server:
        assert Endpoint(server.url, "m", first_wait_s=0).respond(prompt).text == "ok"
        assert len(server.asked) == 3
    with Server(lambda body, number: (400, {"error": {"message": "too\x1b long"}})) as server:
        with pytest.raises(Refused, match=r"400 .*too\\x1b long"):
            Endpoint(server.url, "m", first_wait_s=0).respond(prompt)
        assert len(server.asked) == 1
    with Server(lambda body, number: (401, {"detail": "no"})) as server:
        assert _eval(place, "locked", "--endpoint", server.url, "--model", "m") == 2
        assert "put a valid key into SPATIALCORE_API_KEY" in capsys.readouterr().err
    for content in (b"<html>", b"[]", b'{"choices": []}', b"[" * 100_000):
        with (
            Server(lambda body, number, content=content: (200, content)) as server,
            pytest.raises(Refused, match="no chat completion"),
        ):
            Endpoint(server.url, "m").respond(prompt)
    with pytest.raises(EndpointError, match="nobody listens there, after 2 tries"):
        Endpoint(server.url, "m", retries=1, first_wait_s=0).respond(prompt)


def test_what_an_endpoint_refused_is_asked_again(place, toy, capsys):
    first = toy.records[0].question

    def refusing(body, number):
        text = body["messages"][0]["content"][-1]["text"]
        return (422, {"detail": "no"}) if text == first else (200, _completion("1"))

    options = ("--model", "m", "--endpoint")
    with Server(refusing) as server:
        assert _eval(place, "refused", *options, server.url) == 3
    missing = json.loads(capsys.readouterr().out)["missing"]
    assert sorted(line["id"] for line in _lines(place, "refused", "failed.jsonl")) == missing
    header = json.loads((place / "refused/eval.json").read_text())
    with Server(lambda body, number: (200, _completion("1"))) as server:
        header["endpoint"] = f"{server.url}/chat/completions"
        (place / "refused/eval.json").write_text(json.dumps(header))
        assert _eval(place, "refused", *options, server.url) == 0
        assert len(server.asked) == len(missing)
    assert not (place / "refused/failed.jsonl").exists()


def test_two_processes_share_the_records(place, toy, capsys):
    with Server(lambda body, number: (200, _completion("1"))) as server:
        options = ("--model", "m", "--endpoint", server.url)
        assert _eval(place, "shared", *options, "--shard", "0/2") == 0
        assert f"{len(toy.records) // 2} of {len(toy.records)}" in capsys.readouterr().out
        assert _eval(place, "shared", *options, "--shard", "1/2") == 0
        # A line that another process is writing is neither read nor removed.
        half = place / "shared/responses-001.jsonl"
        half.write_bytes(half.read_bytes() + b'{"id": "ha')
        assert _eval(place, "shared", *options) == 0
        assert half.read_bytes().endswith(b'{"id": "ha')
        assert len(server.asked) == len(toy.records)
    capsys.readouterr()
    assert _eval(place, "shared", *options, "--shard", "2/2") == 2


def test_ask_takes_both(toy, tmp_path, capsys):
    from spatialmllm.commands.ask import main

    picture = str(toy.root / "room0000_0.png")
    question = ["--question", "Where is it?", "--max-new-tokens", "4", "--json"]
    save_llava(tmp_path)
    assert main(["--model", f"hf:{tmp_path}", "--images", picture, *question]) == 0
    assert json.loads(capsys.readouterr().out)["tokens"] <= 4
    with Server(lambda body, number: (200, _completion("left\x1b[2J"))) as server:
        asked = ["--model", "m", "--endpoint", server.url, *question]
        assert main([*asked, "--video", str(toy.root), "--frames", "3"]) == 0
        assert json.loads(capsys.readouterr().out)["answer"] == "left\x1b[2J"
        assert len(_pictures(server.asked[0][2])) == 3
        assert main([*asked[:-1], "--images", picture]) == 0
        assert "\x1b" not in capsys.readouterr().out
        assert main([*asked, "--temperature", "1"]) == 2
    assert main(["--model", "m", "--endpoint", "localhost:8000", *question]) == 2
    assert "takes a URL" in capsys.readouterr().err


def test_a_limit_is_drawn_evenly_over_tasks(toy):
    from collections import Counter

    few = toy.images.spread(7)
    assert sorted(Counter(few.column("task")).values()) == [2, 2, 3]
    assert few.column("id") == toy.images.spread(7).column("id")
    assert len(toy.images.spread(1000)) == len(toy.records)


def test_choices_are_asked_in_every_rotation(toy, tmp_path, capsys):
    from dataclasses import replace

    from spatial_engine.records.answers import letter, option_lines
    from tests.mllm.fabricated import make_record

    records = []
    for number, options in enumerate((("bed", "lamp"), ("desk", "sofa", "rug"), ("a", "b", "c"))):
        question = f"Which one is it?\n{option_lines(options)}"
        uris = [image.uri for image in toy.records[0].images]
        made = make_record("comparison.size_order", "room", uris, question, letter("B"),
                           items=(number,))  # fmt: skip
        records.append(replace(made, options=options))
    data_set(tmp_path / "out", toy.root, [*records, toy.records[0]])

    def reply(body, _):
        """Right about beds and lamps wherever they stand; else always the first letter."""
        asked = body["messages"][0]["content"][-1]["text"]
        return 200, _completion("`A`" if "A. lamp" in asked or "lamp" not in asked else "`B`")

    with Server(reply) as server:
        options = ["--endpoint", server.url, "--model", "m", "--circular"]
        assert _eval(tmp_path, "said", *options) == 0
        assert len(server.asked) == 2 + 3 + 3 + 1
    report = json.loads(capsys.readouterr().out)
    assert (report["n"], report["rotated"], report["fixed"]) == (4, 3, 0)
    rows = {row["task"]: row for row in report["rows"]}
    row = rows["comparison.size_order"]
    assert row["value"] == pytest.approx(1 / 3)
    assert row["chance"] == pytest.approx((1 / 2 + 1 / 3 + 1 / 3) / 3)
    compared = {one["task"]: one for one in report["comparison"]}["comparison.size_order"]
    assert compared["value"] == pytest.approx(1 / 3)
    assert compared["baselines"]["oracle"]["value"] == 1
    names = [line["id"] for line in _lines(tmp_path, "said")]
    assert {f"{records[1].id}{turn}" for turn in ("", "@1", "@2")} <= set(names)
    # Another way of asking is another evaluation.
    with Server(reply) as server:
        assert _eval(tmp_path, "said", *options[2:], "--endpoint", server.url) == 2
        del options[-1]
        assert _eval(tmp_path, "said", "--endpoint", server.url, *options[2:]) == 2
