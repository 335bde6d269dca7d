# SPDX-License-Identifier: Apache-2.0
"""From images and clips to the two tensors of the encoders, both made of the same resized frames.

A still is one frame and takes t = 1; a clip takes its frames in pairs, an odd one repeats its last
frame. Nothing here needs torch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from spatialmllm.config import ProcessorConfig

if TYPE_CHECKING:
    from PIL.Image import Image

# CLIP's constants: what the 2-D tower was trained with.
PIXEL_MEAN = (0.48145466, 0.4578275, 0.40821073)
PIXEL_STD = (0.26862954, 0.26130258, 0.27577711)
PATCH = 14
MERGED_PATCH = 28
PAIR = 2
MAX_ASPECT = 200
_IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}


@dataclass(frozen=True, slots=True)
class Medium:
    """One image or clip after resizing: `frames` (T, H, W, 3) uint8, T = 1 or even."""

    frames: NDArray[np.uint8]
    still: bool

    @property
    def grid(self) -> tuple[int, int, int]:
        """(t, h, w) in patches."""
        count, height, width, _ = self.frames.shape
        return (1 if self.still else count // PAIR, height // PATCH, width // PATCH)

    @property
    def token_count(self) -> int:
        """Visual tokens: t * h/2 * w/2."""
        t, h, w = self.grid
        return t * h * w // 4


def smart_resize(height: int, width: int, min_pixels: int, max_pixels: int) -> tuple[int, int]:
    """Size in multiples of 28 with an area between the limits and nearly the same aspect.

    Args:
        height: Pixels.
        width: Pixels.
        min_pixels: Smallest area.
        max_pixels: Largest area.

    Returns:
        (height, width).

    Raises:
        ValueError: Empty, or longer than 200 times its width.

    Example:
        >>> smart_resize(480, 640, 293216, 324576)
        (476, 644)
    """
    if min(height, width) < 1 or max(height, width) > MAX_ASPECT * min(height, width):
        raise ValueError(f"cannot resize an image of {width}x{height}")
    rows = max(MERGED_PATCH, round(height / MERGED_PATCH) * MERGED_PATCH)
    columns = max(MERGED_PATCH, round(width / MERGED_PATCH) * MERGED_PATCH)
    if rows * columns > max_pixels:
        shrink = math.sqrt(height * width / max_pixels)
        rows = max(MERGED_PATCH, math.floor(height / shrink / MERGED_PATCH) * MERGED_PATCH)
        columns = max(MERGED_PATCH, math.floor(width / shrink / MERGED_PATCH) * MERGED_PATCH)
    elif rows * columns < min_pixels:
        grow = math.sqrt(min_pixels / (height * width))
        rows = math.ceil(height * grow / MERGED_PATCH) * MERGED_PATCH
        columns = math.ceil(width * grow / MERGED_PATCH) * MERGED_PATCH
    return rows, columns


def target_size(height: int, width: int, config: ProcessorConfig) -> tuple[int, int]:
    """(height, width) that the processor gives to an image of this size."""
    if config.resize == "exact":
        return config.height, config.width
    return smart_resize(height, width, config.min_pixels, config.max_pixels)


def resize_image(image: Image, config: ProcessorConfig) -> Image:
    """Bicubic resize to the processor's size, as RGB."""
    import PIL.Image

    rows, columns = target_size(image.height, image.width, config)
    rgb = image.convert("RGB")
    if (rgb.height, rgb.width) == (rows, columns):
        return rgb
    return rgb.resize((columns, rows), PIL.Image.Resampling.BICUBIC)


def still(image: Image, config: ProcessorConfig) -> Medium:
    """One image as a medium."""
    return Medium(np.asarray(resize_image(image, config), dtype=np.uint8)[None], still=True)


def clip(images: Sequence[Image], config: ProcessorConfig) -> Medium:
    """Frames of one clip as a medium; an odd number repeats the last frame.

    Raises:
        ValueError: No frame, or frames of different size.
    """
    if not images:
        raise ValueError("a clip needs at least one frame")
    if len({image.size for image in images}) > 1:
        raise ValueError("the frames of a clip must have one size")
    frames = np.stack([np.asarray(resize_image(i, config), dtype=np.uint8) for i in images])
    return Medium(paired(frames), still=False)


def paired(frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Frames (T, H, W, 3) of a clip in pairs: an odd number repeats the last frame."""
    return np.concatenate([frames, frames[-1:]]) if len(frames) % PAIR else frames


def medium_rows(medium: Medium) -> NDArray[np.float32]:
    """Normalised patch rows of the 2-D tower; a still stands in both places of its pair.

    Args:
        medium: 2 t frames of (H, W), or a still.

    Returns:
        (t * h * w, 1176) float32. Rows run over time, merged row, merged column and the 2 x 2
        patches of a merged token; a row holds channel, frame of the pair, y, x.
    """
    if not medium.still:
        return _rows(medium.frames, PAIR)
    once = _rows(medium.frames, 1).reshape(-1, 3, 1, PATCH * PATCH)
    return np.repeat(once, PAIR, axis=2).reshape(-1, 3 * PAIR * PATCH * PATCH)


def _rows(frames: NDArray[np.uint8], together: int) -> NDArray[np.float32]:
    """Rows of `together` frames each: ordered as bytes first, which are a quarter of the floats."""
    count, height, width, _ = frames.shape
    h, w = height // PATCH, width // PATCH
    parts = frames.reshape(count // together, together, h // 2, 2, PATCH, w // 2, 2, PATCH, 3)
    # t, pair, H, sh, y, W, sw, x, channel -> t, H, W, sh, sw, channel, pair, y, x
    rows = parts.transpose(0, 2, 5, 3, 6, 8, 1, 4, 7).reshape(-1, 3, together * PATCH * PATCH)
    mean = np.asarray(PIXEL_MEAN, dtype=np.float32)[:, None]
    std = np.asarray(PIXEL_STD, dtype=np.float32)[:, None]
    pixels = rows.astype(np.float32)
    pixels /= np.float32(255)
    pixels -= mean
    pixels /= std
    return pixels.reshape(len(rows), -1)


def uniform_indices(count: int, k: int) -> list[int]:
    """K indices spread over range(count): linspace truncated, without repeats.

    Example:
        >>> uniform_indices(10, 4)
        [0, 3, 6, 9]
    """
    if count < 1 or k < 1:
        raise ValueError(f"need count and k of at least 1, got {count} and {k}")
    return sorted({int(i) for i in np.linspace(0, count - 1, min(k, count))})


def numbered_images(folder: Path) -> list[Path]:
    """Images of a folder in the order of the last number in their names, then by name."""
    found = [p for p in folder.iterdir() if p.suffix.lower() in _IMAGE_SUFFIXES]

    def order(path: Path) -> tuple[int, str]:
        digits = "".join(c if c.isdigit() else " " for c in path.stem).split()
        return (int(digits[-1]) if digits else -1, path.name)

    return sorted(found, key=order)


@dataclass(frozen=True, slots=True)
class ClipFile:
    """A folder of images or a video file, whose frames are opened by number.

    Attributes:
        path: The folder or file.
        count: Frames.
        size: (height, width) of the first frame.
        seconds: Length; None where the file does not say.
        files: Images of a folder in their order; () of a video file.
    """

    path: Path
    count: int
    size: tuple[int, int]
    seconds: float | None
    files: tuple[Path, ...] = ()

    def frame(self, number: int) -> Image:
        """Frame `number` as RGB.

        Raises:
            SceneFormatError: It is missing or damaged.
        """
        from spatialcore.io.images import decode_image
        from spatialcore.io.videos import video_frame

        if not self.files:
            return video_frame(self.path, number)
        file = self.files[number]
        return decode_image(file.read_bytes(), file)

    def frames(self, numbers: Sequence[int]) -> list[Image]:
        """Several frames; of a video in one pass."""
        from spatialcore.io.videos import video_frames

        if not self.files:
            return video_frames(self.path, numbers)
        return [self.frame(number) for number in numbers]


def open_clip(path: Path) -> ClipFile:
    """The frames of a folder of images or of a video file; of a folder in order of its numbers.

    Raises:
        FileNotFoundError: The path does not exist, or the folder holds no image.
        ValueError: The file is no video that is read.
        SceneFormatError: It is damaged, or videos need a package that is not installed.
    """
    from spatialcore.io.images import decode_image
    from spatialcore.io.videos import is_video, video_frame_count, video_seconds, video_size

    if path.is_dir():
        found = numbered_images(path)
        if not found:
            raise FileNotFoundError(f"{path}: no images")
        first = decode_image(found[0].read_bytes(), found[0])
        return ClipFile(path, len(found), (first.height, first.width), None, tuple(found))
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    if not is_video(path.name):
        raise ValueError(f"{path}: not a video that is read (mp4, mkv, mov, avi, webm)")
    count = video_frame_count(path)
    if count is None:
        raise ValueError(f"{path} does not say when its frames are shown: give them as images")
    width, height = video_size(path)
    return ClipFile(path, count, (height, width), video_seconds(path))
