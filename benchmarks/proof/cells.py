# SPDX-License-Identifier: Apache-2.0
"""What the proof trains: a cell is one model, of one seed and with one part taken away."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

from benchmarks.proof.matching import StageM

ABLATIONS = ("matching", "blind", "mlp_add", "none")
"""In the order of what they tell: the whole model, its blind twin, without matching, without any
spatial encoder."""
TASKS = (
    "camera_movement.x_direction",
    "camera_movement.z_direction",
    "camera_movement.yaw_direction",
    "camera_movement.pitch_direction",
    "scene_layout.object_count.image",
    "spatial_relation.image_side",
)
MARGIN = 0.10
"""A task is passed so far above the best of what does not look."""
NEEDED = 5
"""Tasks that have to be passed, on every seed."""
Z_TASK, Z_GOAL = "camera_movement.z_direction", 0.70
_LOOKS = {
    "matching": ("model.spatial.matching={channels}", "optimiser.freeze=['matching']"),
    "blind": ("model.spatial.matching={channels}", "optimiser.freeze=['matching']"),
    "mlp_add": (),
    "none": ("model.connector.kind=none",),
}


@dataclass(frozen=True, slots=True)
class Cell:
    """One model to train and to ask.

    Attributes:
        seed: Of weights and order.
        ablation: One of `ABLATIONS`; "blind" is the model of "matching" that sees grey images.
    """

    seed: int
    ablation: str

    @property
    def name(self) -> str:
        """Name of its folder and of its file of results."""
        return f"seed-{self.seed}-{self.ablation}"

    @property
    def blind(self) -> bool:
        """Whether it sees grey images."""
        return self.ablation == "blind"

    @property
    def starts_from_matching(self) -> bool:
        """Whether it starts with what stage M learned."""
        return self.ablation in ("matching", "blind")

    def settings(self, size: ProofSize) -> tuple[str, ...]:
        """Settings of the training recipe, as `train --set` takes them."""
        fixed = (f"schedule.seed={self.seed}", f"schedule.max_steps={size.steps}")
        own = (text.format(channels=size.stage.channels) for text in _LOOKS[self.ablation])
        return (*fixed, *size.settings, *own)


@dataclass(frozen=True, slots=True)
class ProofSize:
    """How much is made and trained; the defaults are what docs/proof.md was made with.

    Attributes:
        rooms: Rooms to train on and, a sixth of them, to look at while anything is chosen.
        held_rooms: Rooms of a seed that nothing was chosen on; each model is asked about them once.
        frames: Frames a room.
        steps: Steps of stage S.
        stage: Stage M.
        settings: Further settings of the training recipe.
    """

    rooms: int = 600
    held_rooms: int = 90
    frames: int = 36
    steps: int = 1600
    stage: StageM = field(default_factory=StageM)
    settings: tuple[str, ...] = ()


def cells(seeds: tuple[int, ...], ablations: tuple[str, ...]) -> list[Cell]:
    """The cells of some seeds, what tells most first: a seed's model and its blind twin."""
    asked = [Cell(seed, ablation) for seed in seeds for ablation in ablations]
    return sorted(asked, key=lambda c: (ABLATIONS.index(c.ablation) // 2, c.seed))


def shipped(name: str) -> Path:
    """A file of this package: `recipe.toml`, `questions/train.toml`."""
    return Path(str(resources.files("benchmarks.proof") / name))
