# SPDX-License-Identifier: Apache-2.0
"""The label table of the sample rooms, in the columns of ScanNet's."""

from __future__ import annotations

# raw category, category, NYU-40 id, NYU-40 class
LABELS = (
    ("wall", "wall", 1, "wall"),
    ("floor", "floor", 2, "floor"),
    ("cabinet", "cabinet", 3, "cabinet"),
    ("bed", "bed", 4, "bed"),
    ("chair", "chair", 5, "chair"),
    ("office chair", "chair", 5, "chair"),
    ("armchair", "armchair", 5, "chair"),
    ("couch", "couch", 6, "sofa"),
    ("table", "table", 7, "table"),
    ("coffee table", "coffee table", 7, "table"),
    ("door", "door", 8, "door"),
    ("window", "window", 9, "window"),
    ("bookshelf", "bookshelf", 10, "bookshelf"),
    ("picture", "picture", 11, "picture"),
    ("kitchen cabinets", "kitchen cabinet", 3, "cabinet"),
    ("desk", "desk", 14, "desk"),
    ("dresser", "dresser", 17, "dresser"),
    ("pillow", "pillow", 18, "pillow"),
    ("rug", "rug", 20, "floor mat"),
    ("ceiling", "ceiling", 22, "ceiling"),
    ("book", "book", 23, "books"),
    ("refrigerator", "refrigerator", 24, "refrigerator"),
    ("tv", "tv", 25, "television"),
    ("box", "box", 29, "box"),
    ("whiteboard", "whiteboard", 30, "whiteboard"),
    ("nightstand", "nightstand", 32, "night stand"),
    ("sink", "sink", 34, "sink"),
    ("lamp", "lamp", 35, "lamp"),
    ("floor lamp", "floor lamp", 35, "lamp"),
    ("wardrobe", "wardrobe", 39, "otherfurniture"),
    ("tv stand", "tv stand", 39, "otherfurniture"),
    ("trash can", "trash can", 39, "otherfurniture"),
    ("plant", "plant", 40, "otherprop"),
    ("monitor", "monitor", 40, "otherprop"),
    ("keyboard", "keyboard", 40, "otherprop"),
    ("laptop", "laptop", 40, "otherprop"),
    ("cup", "cup", 40, "otherprop"),
    ("bottle", "bottle", 40, "otherprop"),
    ("bowl", "bowl", 40, "otherprop"),
    ("clock", "clock", 40, "otherprop"),
    ("microwave", "microwave", 40, "otherprop"),
    ("stove", "stove", 38, "otherstructure"),
    ("ball", "ball", 40, "otherprop"),
    ("stool", "stool", 5, "chair"),
    ("crate", "crate", 29, "box"),
)


def label_table() -> str:
    """The table as tab-separated text with a header."""
    lines = ["id\traw_category\tcategory\tcount\tnyu40id\tnyu40class"]
    lines += [
        f"{k}\t{raw}\t{category}\t1\t{nyu}\t{name}"
        for k, (raw, category, nyu, name) in enumerate(LABELS, start=1)
    ]
    return "\n".join(lines) + "\n"
