# SPDX-License-Identifier: Apache-2.0
"""What the notes on a scene mean, in words: `check` prints them behind the notes themselves."""

from __future__ import annotations

_WORDS = {
    "no_mesh": "no mesh of its own, points are taken from the depth maps",
    "up_unknown": "nothing is asked about gravity; --world-up says which way is up",
    "up_estimated": "up was guessed from how the cameras were held; --world-up says it",
    "up_estimate_refused": "cameras were held too differently to tell up; --world-up says it",
    "scale_unknown": "nothing is asked about lengths; scene_meta.json may say that they are metres",
    "geometry_predicted": "depth and poses were predicted, not measured",
    "split_unknown": "is named as of a published data set, and no list says whether to train on it",
    "track_short": "tracks with readings in under 80 % of the steps, left out",
    "extrinsics_static": "the camera is taken to have stood still",
    "camera_assumed": "the layout's usual camera is taken: the scene names none",
    "intrinsic_scaled": "K was for pictures of another size and is scaled",
    "distortion_ignored": "the lens is known to distort, and that is not corrected",
    "poses_not_optimised": "poses are those of the phone, before the app's correction",
    "frames_turned": "frames that lay on their side, turned upright",
    "upright_assumed": "turned by the layout's usual quarter: gravity does not tell",
    "upright_unknown": "left as they lie: gravity does not tell which way is up",
    "instance_missing": "frames without a mask of objects",
    "objects_without_box": "objects whose box is none, left out",
    "empty_objects": "objects without a vertex, left out",
    "unknown_categories": "labels that the table does not list, taken as they are",
    "labels_cleaned": "labels with characters that no question can hold, cleaned",
    "split_lists": "frames of each split's list; all are one capture",
    "lists_not_read": "left out: transforms.json is read alone",
    "models_unnamed": "models without a word for them, left out; models/names.json names them",
    "semantic_labels_missing": "no assets/semantic_labels.json, so no objects",
    "align_missing": "no .align.json, so no objects",
    "poses_not_read": "poses that belong to no picture",
    "pictures_unpaired": "pictures without a map taken at their time",
    "list_columns_ignored": "lists have more columns than are read",
}


def in_words(note: str) -> str:
    """A note with its meaning; notes that nobody put into words stay as they are.

    Example:
        >>> in_words("empty_objects=3")
        'empty_objects=3: objects without a vertex, left out'
    """
    words = _WORDS.get(note.partition("=")[0])
    return f"{note}: {words}" if words else note
