# SPDX-License-Identifier: Apache-2.0
"""Tiny rooms as pictures: records whose answer can be seen, in the record schema."""

from __future__ import annotations

import json

import numpy as np
from PIL import Image

from spatial_engine.records.answers import integer, word
from spatial_engine.records.record import ImageRef, Message, QARecord, check_record, record_id

WIDTH, HEIGHT = 84, 84
COLOURS = {"red": (220, 40, 40), "green": (40, 190, 60), "blue": (50, 70, 230)}


def picture(rng, path):
    """One coloured square on grey; returns its colour and the half of the image it lies in."""
    colour = list(COLOURS)[rng.integers(3)]
    left = bool(rng.integers(2))
    pixels = np.full((HEIGHT, WIDTH, 3), 120, dtype=np.uint8)
    column = rng.integers(2, 20) if left else rng.integers(WIDTH - 42, WIDTH - 24)
    row = rng.integers(10, HEIGHT - 32)
    pixels[row : row + 22, column : column + 22] = COLOURS[colour]
    Image.fromarray(pixels).save(path)
    return colour, "left" if left else "right"


def make_record(task, scene, uris, question, answer, *, items=(0,), marks=(), split="train"):
    frames = tuple(range(len(uris)))
    prompt = "\n".join(["<image>"] * len(uris) + [question])
    sentence = f"It is `{answer.span}`."
    record = QARecord(
        id=record_id("default", task, "toy", scene, frames, items),
        source="toy",
        space=scene,
        scene=scene,
        split=split,
        task=task,
        question_type=task,
        form="",
        frames=frames,
        frame_names=tuple(map(str, frames)),
        images=tuple(ImageRef(uri, WIDTH, HEIGHT, tuple(marks)) for uri in uris),
        question=question,
        answer=sentence,
        options=(),
        answer_type=answer.type,
        answer_text=answer.text,
        answer_number=answer.number,
        answer_unit=answer.unit,
        messages=(Message("user", prompt), Message("assistant", sentence)),
        evidence=json.dumps({"items": list(items)}),
        recipe="default",
        seed=0,
        rule="tolerance(0.1,0.05)",
        depth_map="identity",
        templates=(),
    )
    check_record(record)
    return record


def make_records(root, scenes, *, split="train", seed=0, first=0):
    """Two questions about one picture, one question about two pictures, for each scene."""
    rng = np.random.default_rng(seed)
    records = []
    for number in range(first, first + scenes):
        scene = f"room{number:04d}"
        uris = [f"{scene}_{k}.png" for k in range(2)]
        seen = [picture(rng, root / uri) for uri in uris]
        colour, side = seen[0]
        records.append(
            make_record("spatial_relation.image_side", scene, uris[:1],
                        "On which side is the square?", word(side), split=split)
        )  # fmt: skip
        records.append(
            make_record("scene_layout.object_count", scene, uris[:1],
                        "How many squares are there?", integer(1, "count"), items=(1,), split=split)
        )  # fmt: skip
        turned = "left" if seen[1][0] == colour else "right"
        records.append(
            make_record("camera_movement.yaw_direction", scene, uris,
                        "Left if both images show one colour, else right?", word(turned),
                        items=(2,), split=split)
        )  # fmt: skip
    return records
