# SPDX-License-Identifier: Apache-2.0
"""Records shown as clips: prompts, samplers, geometry, and a walk through train, eval and ask."""

from __future__ import annotations

import json
from dataclasses import replace
from math import prod
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spatial_engine.records.answers import integer
from spatialcore.io.open import open_source
from spatialmllm.data.records import RecordSet, parse_folder
from tests.fabricate import data_set

SAMPLERS = ["uniform", "random", "space_aware", "score", "adaptive"]


def walk_records(fabricated, root, scene, *, names, split, count):
    """Questions about the frames of a scene, in the words of the engines' layout tasks."""
    opened = open_source(f"posed_images:{root}").open(scene)
    frames = [frame for frame in opened.frames if frame.valid][:count]
    made = []
    for number, (question, answer) in enumerate(names):
        record = fabricated.make_record(
            "scene_layout.object_count", scene, ["x"] * len(frames), question,
            integer(answer, "count"), items=(number,), split=split,
        )  # fmt: skip
        width, height = opened.color.size
        places = "\n".join(f"Image {i + 1}: <image>" for i in range(len(frames)))
        prompt = f"{places}\nThese images were taken in this order on one walk.\n{question}"
        images = tuple(replace(i, uri=f.image, width=width, height=height)
                       for i, f in zip(record.images, frames, strict=True))  # fmt: skip
        made.append(replace(
            record, images=images, frames=tuple(f.index for f in frames),
            frame_names=tuple(f.name for f in frames),
            messages=(replace(record.messages[0], content=prompt), record.messages[1]),
        ))  # fmt: skip
    return made


@pytest.fixture(scope="module")
def walks(sample_dir, fabricated, tmp_path_factory):
    """A data set of two rooms, one to train on and one to be asked about, 12 frames each."""
    root = sample_dir / "posed_images"
    scenes = sorted(p.name for p in root.iterdir() if p.is_dir())[:2]
    asked = [("How many lamps are there?", 1), ("How many chairs are there?", 2)]
    records = []
    for scene, split in zip(scenes, ("train", "val"), strict=True):
        records += walk_records(fabricated, root, scene, names=asked, split=split, count=12)
    return data_set(tmp_path_factory.mktemp("walks") / "out", root, records)


def processor(**options):
    from spatialmllm.config import ProcessorConfig

    return ProcessorConfig(**{"resize": "exact", "width": 56, "height": 56, "clip_from": 3,
                              "clip_frames": 4, **options})  # fmt: skip


def builder(tiny, records, geometry=None, blind=False, **options):
    from spatialmllm.data.batches import SampleBuilder
    from spatialmllm.data.tokens import build_tiny

    tokenizer = build_tiny([t for r in records for t in (r.messages[0].content, r.answer)])
    config = replace(tiny(tokenizer.size, ids=tokenizer.ids), processor=processor(**options))
    return SampleBuilder(config, tokenizer, geometry=geometry, blind=blind)


def test_what_is_shown_as_one_clip(walks):
    from spatialmllm.data.clips import clip_text, is_walk

    record = RecordSet.open([parse_folder(str(walks))])[0]
    assert is_walk(record, processor())
    said = "These images were taken in this order on one walk.\nHow many lamps are there?"
    assert clip_text(record) == f"<video>\n{said}"
    assert not is_walk(record, processor(clip_from=0))
    assert not is_walk(record, processor(clip_from=len(record.images) + 1))
    backwards = replace(record, frames=record.frames[::-1])
    assert not is_walk(backwards, processor())
    by_number = replace(record.messages[0], content=record.messages[0].content + " See image 3.")
    assert not is_walk(replace(record, messages=(by_number,)), processor())
    other = replace(record.images[0], width=record.images[0].width + 1)
    assert not is_walk(replace(record, images=(other, *record.images[1:])), processor())
    written = replace(record.messages[0], content="<video>\nHow many lamps are there?")
    assert is_walk(replace(record, messages=(written,)), processor(clip_from=0))


def test_the_templates_of_the_engines_become_clips(walks):
    """A record of three plain tags, and one whose tags stand among words."""
    from spatialmllm.data.clips import clip_text, is_walk

    record = RecordSet.open([parse_folder(str(walks))])[0]
    three = replace(record, images=record.images[:3], frames=record.frames[:3])

    def asked(text):
        return replace(three, messages=(replace(record.messages[0], content=text),))

    plain = asked("<image>\n<image>\n<image>\nHow many?")
    assert is_walk(plain, processor())
    assert clip_text(plain) == "<video>\nHow many?"
    assert not is_walk(
        asked("<image>\nThen\nthere are <image> and\n<image>\nHow many?"), processor()
    )


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_clip_costs_half_and_shows_what_the_sampler_chose(walks, tiny, sampler):
    from spatialmllm.data.preprocessing import still
    from spatialmllm.data.walk_geometry import WalkGeometry
    from spatialmllm.sampling import select_frames

    records = RecordSet.open([parse_folder(str(walks))])
    geometry = WalkGeometry("depth") if sampler == "space_aware" else None
    made = builder(tiny, list(records), geometry, sampler=sampler)
    record = records[0]
    sample = made.sample([record], records)
    (medium,) = sample.media
    assert medium.frames.shape == (4, 56, 56, 3)
    assert not medium.still
    ids = made.config.ids
    assert sum(token == ids.video for token in sample.ids) == medium.token_count == 2 * 4
    assert ids.image not in sample.ids
    at = made.chosen([record], records)
    shown = [still(records.image(record, i), made.config.processor).frames[0] for i in at]
    assert np.array_equal(medium.frames, np.stack(shown))
    assert at == sorted(set(at)), sampler
    if sampler == "space_aware":
        provider = geometry(record, records)
        assert at == list(
            select_frames(len(records[0].images), 4, "space_aware", geometry=provider).indices
        )
    stills = replace(made.config, processor=processor(clip_from=0))
    made.config = stills
    assert sum(t == ids.image for t in made.encode([record]).ids) == len(record.images) * 4


def test_every_sampler_chooses_for_itself(walks, tiny):
    from spatialmllm.data.walk_geometry import WalkGeometry

    records = RecordSet.open([parse_folder(str(walks))])
    chosen = {
        name: tuple(builder(tiny, list(records), WalkGeometry("depth"), sampler=name).chosen(
            [records[0]], records))
        for name in SAMPLERS
    }  # fmt: skip
    assert len({chosen[name] for name in ("uniform", "random", "space_aware", "score")}) == 4
    blind = builder(tiny, list(records), sampler="space_aware", blind=True)
    assert tuple(blind.chosen([records[0]], records)) == chosen["uniform"]


def test_point_maps_of_a_folder_choose_as_depth_does(walks, tiny, tmp_path):
    from spatialcore.errors import MissingInput, UsageError
    from spatialmllm.data.walk_geometry import WalkGeometry
    from spatialmllm.geometry import from_depth

    records = RecordSet.open([parse_folder(str(walks))])
    scene = records.scene(records[0])
    maps = from_depth(scene)(range(len(scene.frames)))
    np.savez(tmp_path / f"{scene.id}.npz", points_world=maps.points_world, depth=maps.depth,
             confidence=maps.confidence)  # fmt: skip
    made = {where: builder(tiny, list(records), WalkGeometry(where), sampler="space_aware").chosen(
        [records[0]], records) for where in ("depth", str(tmp_path))}  # fmt: skip
    assert made["depth"] == made[str(tmp_path)]
    (tmp_path / f"{scene.id}.npz").unlink()
    with pytest.raises(MissingInput, match=scene.id):
        WalkGeometry(str(tmp_path))(records[0], records)
    with pytest.raises(UsageError, match="no folder"):
        WalkGeometry(str(tmp_path / "nowhere"))
    with pytest.raises(UsageError, match="--geometry-model"):
        WalkGeometry("vggt")
    with pytest.raises(UsageError, match="--geometry depth"):
        builder(tiny, list(records), sampler="space_aware")


def test_vggt_heads_choose_frames_from_images_alone(walks, tiny, tmp_path):
    """Heads with random weights; the choice is that of their own point maps."""
    import torch

    from spatialmllm.checkpoints.vggt import save_vggt
    from spatialmllm.data.walk_geometry import WalkGeometry, vggt_of
    from spatialmllm.model.vggt.config import HeadsConfig, VGGTConfig
    from spatialmllm.model.vggt.model import VGGT
    from spatialmllm.sampling import select_frames

    spatial = replace(tiny().spatial, depth=4)
    heads = HeadsConfig(camera_heads=2, camera_depth=1, layers=(0, 1, 2, 3), features=24,
                        channels=(8, 12, 16, 20))  # fmt: skip
    encoder = VGGT(VGGTConfig(spatial, heads))
    generator = torch.Generator().manual_seed(7)
    for parameter in encoder.parameters():
        fan_in = prod(parameter.shape[1:]) if parameter.ndim > 1 else 9
        parameter.data.normal_(std=fan_in**-0.5, generator=generator)
    save_vggt(encoder, tmp_path / "vggt")
    records = RecordSet.open([parse_folder(str(walks))])
    asked = (replace(records[0].messages[0], content="<video>\nHow many lamps are there?"),)
    short = replace(records[0], images=records[0].images[:4], frames=records[0].frames[:4],
                    messages=asked)  # fmt: skip
    geometry = WalkGeometry("vggt", model=tmp_path / "vggt", device="cpu")
    show = builder(tiny, list(records), geometry, sampler="space_aware", clip_frames=2)
    at = show.chosen([short], records)
    provider = vggt_of(str(tmp_path / "vggt"), "depth", "cpu")
    maps = provider(lambda i: records.image(short, i))
    assert at == list(select_frames(4, 2, "space_aware", geometry=maps).indices)


def test_the_adaptive_budget_follows_length_motion_and_tokens(walks, tiny):
    from spatialmllm.data.clips import Walk, choose_frames
    from spatialmllm.sampling import adaptive_budget

    assert adaptive_budget(30, 0.1, 391, 10_000) == 8
    assert adaptive_budget(61, 0.1, 391, 10_000) == 16
    assert adaptive_budget(30, 0.8, 391, 10_000) == 12
    assert adaptive_budget(61, 0.8, 391, 3 * 391 + 390) == 6
    assert adaptive_budget(30, 0.1, 391, 10_000, most=5) == 4
    with pytest.raises(ValueError, match="782 tokens, 700 are left"):
        adaptive_budget(30, 0.1, 782, 700)

    def walk(seconds, shade):
        def frames(at):
            return [Image.new("RGB", (64, 64), (shade(i),) * 3) for i in at]

        return Walk("w", 40, 64, 64, frames, seconds)

    settings = processor(sampler="adaptive", clip_frames=16)
    calm, wild = (lambda i: 120 + i), (lambda i: 250 * (i % 2))
    counts = {
        (seconds, name): len(choose_frames(walk(seconds, shade), settings, 4000))
        for seconds in (10, 100)
        for name, shade in (("calm", calm), ("wild", wild))
    }
    assert counts == {(10, "calm"): 8, (10, "wild"): 12, (100, "calm"): 16, (100, "wild"): 16}
    assert len(choose_frames(walk(100, calm), settings, 3 * 4)) == 6


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_clip_goes_through_train_and_eval(walks, tmp_path, sampler):
    from spatialcore.cli import main

    recipe = str(Path(__file__).with_name("smallest.toml"))
    where = ["--geometry", "depth"] if sampler == "space_aware" else []
    run = ["train", "--records", str(walks), "--config", recipe, "--sampler", sampler,
           "--clip-from", "3", "--set", "processor.clip_frames=4",
           "--out", str(tmp_path / "run")]  # fmt: skip
    assert main([*run, *where]) == 0
    settings = json.loads((tmp_path / "run/model/processor.json").read_text())
    assert (settings["sampler"], settings["clip_from"], settings["clip_frames"]) == (sampler, 3, 4)
    asked = ["eval", "--model", str(tmp_path / "run/model"), "--records", str(walks),
             "--max-new-tokens", "3"]  # fmt: skip
    assert main([*asked, *where, "-o", str(tmp_path / "said")]) == 0
    lines = (tmp_path / "said/responses.jsonl").read_text().splitlines()
    assert len(lines) == 2
    # Another way of showing them is another evaluation.
    assert main([*asked, *where, "-o", str(tmp_path / "said"), "--frames", "2"]) == 2


def test_a_captured_walk_is_seen_through_every_sampler(real_path, fabricated, tiny, tmp_path):
    root, scene = real_path / "rgbd", "hololens_office_000"
    if not (root / scene).is_dir():
        pytest.skip("the captured office is not here")
    made = walk_records(fabricated, root, scene, names=[("How many desks are there?", 1)],
                        split="train", count=96)  # fmt: skip
    out = data_set(tmp_path / "out", root, made)
    records = RecordSet.open([parse_folder(str(out))])
    from spatialmllm.data.walk_geometry import WalkGeometry
    from spatialmllm.sampling import coverage_of
    from spatialmllm.voxels import voxel_sets

    geometry = WalkGeometry("depth")
    voxels = voxel_sets(geometry(records[0], records)(range(len(records[0].images))))
    seen = {}
    for name in SAMPLERS:
        show = builder(tiny, made, geometry, sampler=name, clip_frames=8)
        sample = show.sample([records[0]], records)
        assert sample.media[0].frames.shape[0] == 8
        seen[name] = coverage_of(voxels, show.chosen([records[0]], records))
    assert seen["space_aware"] > 1.2 * seen["uniform"]


def test_ask_shows_a_captured_video_by_every_sampler(real_path, tiny, tmp_path, capsys):
    video = real_path / "video/hololens_office_000.mp4"
    if not video.is_file():
        pytest.skip("the captured video is not here")
    pytest.importorskip("av")
    from spatialcore.cli import main
    from spatialmllm.checkpoints import save
    from spatialmllm.data.preprocessing import open_clip
    from spatialmllm.data.tokens import build_tiny
    from spatialmllm.model.model import build

    clip = open_clip(video)
    several = clip.frames([200, 3])
    assert np.array_equal(several[0], clip.frame(200))
    assert np.array_equal(several[1], clip.frame(3))
    assert (clip.count, clip.size) == (373, (clip.frame(0).height, clip.frame(0).width))
    assert clip.seconds == pytest.approx(37.2, abs=0.2)
    tokenizer = build_tiny(["How many chairs are there?"])
    config = replace(tiny(tokenizer.size, ids=tokenizer.ids), processor=processor(clip_frames=6))
    save(build(config, seed=1), tmp_path / "m", tokenizer_json=tokenizer.to_json())
    asked = ["ask", "--model", str(tmp_path / "m"), "--video", str(video), "--question",
             "How many chairs are there?", "--max-new-tokens", "2", "--json"]  # fmt: skip
    assert main([*asked, "--sampler", "adaptive"]) == 0
    tokens = json.loads(capsys.readouterr().out)["prompt_tokens"]
    assert main(asked) == 0
    assert json.loads(capsys.readouterr().out)["prompt_tokens"] == tokens
    # Twice as many frames as the model's own six, in tokens of a pair.
    assert main([*asked, "--frames", "12"]) == 0
    assert json.loads(capsys.readouterr().out)["prompt_tokens"] == tokens + 3 * 4
    assert main([*asked, "--sampler", "space_aware"]) == 2
    assert "--geometry" in capsys.readouterr().err


def test_models_of_others_are_shown_the_chosen_frames_as_stills(walks):
    from spatialcore.errors import UsageError
    from spatialmllm.data.preprocessing import uniform_indices
    from spatialmllm.data.walk_geometry import ClipRequest
    from spatialmllm.evaluation.answerers import Replies, prompts

    records = RecordSet.open([parse_folder(str(walks))])
    record = records[0]
    assert ClipRequest().stills() is None
    shown = ClipRequest(sampler="uniform", frames=4, clip_from=3).stills()
    (some,) = prompts([record], records, Replies(), blind=False, frames=shown)
    at = uniform_indices(len(record.images), 4)
    assert [i.tobytes() for i in some.images] == [records.image(record, k).tobytes() for k in at]
    assert some.text.count("<image>") == 4
    assert record.question in some.text
    (every,) = prompts([record], records, Replies(), blind=False)
    assert len(every.images) == len(record.images) > 4
    assert shown.identity()["shown_as"] == "stills"
    # Models that take videos are shown the same frames as one.
    (one,) = prompts([record], records, Replies(), blind=False, frames=replace(shown, as_clip=True))
    assert one.text == some.text.replace("<image>\n" * 3, "", 1)
    (clip,) = one.images
    assert [i.tobytes() for i in clip.frames] == [i.tobytes() for i in some.images]
    assert clip.fps == shown.settings.nominal_fps
    assert one.parts()[0] is clip
    with pytest.raises(UsageError, match="tokens that frames cost"):
        ClipRequest(sampler="adaptive", clip_from=3).stills()
    with pytest.raises(UsageError, match="needs to know where pixels lie"):
        ClipRequest(sampler="space_aware", clip_from=3).stills()
