# SPDX-License-Identifier: Apache-2.0
"""Models of the transformers library that take videos are shown a walk as one clip."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from spatialmllm.data.records import RecordSet, parse_folder
from tests.fabricate import data_set
from tests.mllm.test_clips import walk_records

RNG = np.random.default_rng()


def test_a_model_that_takes_videos_is_shown_a_clip(sample_dir, fabricated, tmp_path, capsys):
    """A tiny Qwen2.5-VL of the library: half the tokens of as many stills, and it is said."""
    pytest.importorskip("torchvision", reason="the library's processors of videos need torchvision")
    import torch

    from spatialcore.cli import main
    from spatialmllm.data.walk_geometry import ClipRequest
    from spatialmllm.evaluation.answerers import Replies, prompts
    from spatialmllm.evaluation.library import LibraryModel
    from tests.mllm.library_models import save_qwen

    root = sample_dir / "posed_images"
    scene = min(p.name for p in root.iterdir() if p.is_dir())
    asked = [("How many lamps are there?", 1), ("How many chairs are there?", 2)]
    made = walk_records(fabricated, root, scene, names=asked, split="val", count=12)
    walks = data_set(tmp_path / "out", root, made)
    save_qwen(tmp_path / "qwen")
    records = RecordSet.open([parse_folder(str(walks))], split="val")
    shown = ClipRequest(sampler="uniform", frames=4, clip_from=3).stills()
    model = LibraryModel(
        str(tmp_path / "qwen"), device=torch.device("cpu"), dtype=torch.float32, frames=shown
    )
    assert model.takes_clips
    made = {}
    for as_clip in (True, False):
        asked = prompts(
            [records[0]], records, Replies(), blind=False, frames=replace(shown, as_clip=as_clip)
        )
        made[as_clip] = model._inputs(asked)
    assert "pixel_values_videos" in made[True]
    assert "pixel_values" not in made[True]
    assert made[True]["video_grid_thw"][0, 0] == 2  # four frames in pairs
    tokens = {k: int((v["input_ids"] >= 256).sum()) for k, v in made.items()}
    assert tokens[True] < tokens[False]
    for out, options in (("clip", ["--clip-from", "3", "--frames", "4"]), ("stills", [])):
        argv = ["eval", "--model", f"hf:{tmp_path / 'qwen'}", "--records", str(walks),
                "-o", str(tmp_path / out), "--max-new-tokens", "3", *options]  # fmt: skip
        assert main(argv) == 0
        said = "shown to this model as one clip" in capsys.readouterr().err
        assert said == (out == "clip")
        assert len((tmp_path / out / "responses.jsonl").read_text().splitlines()) == 2
    header = json.loads((tmp_path / "clip/eval.json").read_text())
    assert header["clips"]["shown_as"] == "clip"


def test_what_a_processor_is_given_of_a_clip(monkeypatch):
    """Stand-ins for the library's parts: which arguments they get, in a batch of both kinds."""
    import torch
    import transformers

    from spatialmllm.evaluation.answerers import Clip, Prompt, Replies
    from spatialmllm.evaluation.library import LibraryModel

    frames = tuple(
        Image.fromarray(RNG.integers(0, 255, (20, 30, 3)).astype(np.uint8)) for _ in range(5)
    )
    given = {}

    class Processor:
        video_processor, video_token, chat_template = object(), "<v>", "template"
        tokenizer = type("Words", (), {"pad_token": "p", "pad_token_id": 0})()

        def apply_chat_template(self, turns, **_):
            if isinstance(turns[0], dict):
                turns = [turns]
            kinds = {"video": "<v>", "image": "<i>"}
            told = [
                "".join(kinds.get(p["type"], p.get("text")) for p in chat[-1]["content"])
                for chat in turns
            ]
            return told if len(told) > 1 else told[0]

        def __call__(self, **options):
            given.update(options)
            return transformers.BatchFeature({"input_ids": torch.ones(2, 3, dtype=torch.long)})

        def batch_decode(self, ids, **_):
            return ["`left`"] * len(ids)

    class Model:
        def to(self, _):
            return self

        def eval(self):
            return self

        def generate(self, **_):
            return torch.ones(2, 5, dtype=torch.long)

    for name, one in (("AutoProcessor", Processor()), ("AutoModelForImageTextToText", Model())):
        monkeypatch.setattr(
            getattr(transformers, name), "from_pretrained", lambda *_, one=one, **__: one
        )
    model = LibraryModel("m", device=torch.device("cpu"), dtype=torch.float32)
    assert model.takes_clips
    replies = Replies()
    model.respond(
        [Prompt("a", "<image>\nHow far?", (Clip(frames, 2.0),)),
         Prompt("b", "<image>\n<image>\nHow many?", frames[:2])], replies,
    )  # fmt: skip
    assert given["text"] == ["<v>How far?", "<i><i>How many?"]
    assert given["images"] == [[], list(frames[:2])]
    (video,) = given["videos"]
    assert np.array_equal(video, np.stack([np.asarray(frame) for frame in frames]))
    assert given["videos_kwargs"]["do_sample_frames"] is False
    (times,) = given["videos_kwargs"]["video_metadata"]
    assert (times["fps"], times["total_num_frames"]) == (2.0, 5)
    assert [line["id"] for line in replies.answers] == ["a", "b"]
    monkeypatch.setattr(Processor, "video_processor", None)
    assert not LibraryModel("m", device=torch.device("cpu"), dtype=torch.float32).takes_clips
