# SPDX-License-Identifier: Apache-2.0
"""Predicted times of the kernels from counts: `python -m benchmarks.device.predict`.

These are predictions, not measurements: the larger of bytes over bandwidth and instructions over
their rates, at full occupancy and with no latency, plus the launches. Whatever is measured should
be slower. Counts of instructions are read off the machine code for sm_90 (cuobjdump -sass); shares
of blocks and maps are measured on the room of benchmarks/ops/room.py.
"""

from __future__ import annotations

from dataclasses import dataclass

LAUNCH_SECONDS = 4e-6
LANES = 128  # instructions of single lanes that a multiprocessor issues a clock
# Lanes a clock and multiprocessor of compute capability 9.0 (CUDA C++ programming guide).
FLOAT64, POPCOUNT = 64, 16
BIT_PAIRS = 16_384  # one-bit products a clock and multiprocessor, as on sm_80: no figure for sm_90


@dataclass(frozen=True)
class Chip:
    """Figures of the maker's data sheet."""

    name: str
    bytes_per_second: float
    multiprocessors: int = 132
    clock: float = 1.755e9  # Hz
    l2_bytes_per_second: float = 5.5e12  # reported for H100; not in the data sheet


CHIPS = (Chip("H100 SXM", 3.35e12), Chip("H200", 4.8e12))


@dataclass(frozen=True)
class Work:
    """What one call does; counts are of single lanes."""

    name: str
    launches: int
    bytes: float = 0.0
    l2_bytes: float = 0.0
    issued: float = 0.0
    float64: float = 0.0
    popcounts: float = 0.0
    bit_pairs: float = 0.0

    def seconds(self, chip: Chip) -> tuple[float, str]:
        """Predicted seconds, and what bounds them."""
        clocks = chip.multiprocessors * chip.clock
        bounds = {
            "memory": self.bytes / chip.bytes_per_second,
            "L2": self.l2_bytes / chip.l2_bytes_per_second,
            "instructions": self.issued / LANES / clocks,
            "float64": self.float64 / FLOAT64 / clocks,
            "popcount": self.popcounts / POPCOUNT / clocks,
            "one-bit products": self.bit_pairs / BIT_PAIRS / clocks,
        }
        bound = max(bounds, key=lambda name: bounds[name])
        return bounds[bound] + self.launches * LAUNCH_SECONDS, bound


def occlusion(points: int, frames: int, blocks_kept: float, map_read: float) -> Work:
    """Every point of a block that a frame may touch costs 125 instructions, in float32.

    One lane in 1,300 is left open, so 2.4 % of the warps repeat theirs: 200 more, 70 of them
    float64. The box test and the setup of a frame are 425 in float64, shared by 256 points.
    """
    walked, setup = points * frames * blocks_kept, points * frames * 425 / 256
    read = 12 * points * -(-frames // 32) + 2 * 640 * 480 * frames * map_read
    return Work(
        f"occlusion, {points // 1000} k points x {frames} frames of 640 x 480", 1,
        bytes=read + points * frames / 8, issued=(125 + 0.024 * 200) * walked + setup,
        float64=0.024 * 70 * walked + setup,
    )  # fmt: skip


def overlap(points: int, frames: int, method: str) -> Work:
    """Tiles of 64 x 64 frames of the upper triangle; every tile reads its 128 rows."""
    side = -(-frames // 64)
    tiles = side * (side + 1) // 2
    bit_pairs = tiles * 64 * 64 * points
    row_bytes = points / 8
    counted = {"popcount": {"popcounts": bit_pairs / 32, "issued": bit_pairs / 64 * 7},
               "tensor cores": {"bit_pairs": bit_pairs}}[method]  # fmt: skip
    return Work(
        f"overlap by {method}, {frames} frames x {points // 1000} k points",
        2 if tiles < 528 else 1, bytes=frames * row_bytes, l2_bytes=128 * tiles * row_bytes,
        **counted,
    )  # fmt: skip


def distances(tracks: int, steps: int, precision: str) -> Work:
    """Instructions of a pair and step: 52 in float32, 76 in exact, 76 in float64 (37 float64)."""
    tile = 64 if (side := -(-tracks // 64)) * (side + 1) // 2 >= 528 else 16
    side = -(-tracks // tile)
    padded = side * (side + 1) // 2 * tile * tile * steps
    issued, float64 = {"float32": (52, 0), "exact": (76, 0), "float64": (76, 37)}[precision]
    return Work(
        f"distances in {precision}, {tracks} tracks x {steps} steps", 1,
        bytes=24 * tracks * steps, issued=issued * padded, float64=float64 * padded,
    )  # fmt: skip


WORKS = (
    occlusion(200_000, 300, 0.156, 0.47),
    occlusion(1_000_000, 300, 0.121, 0.86),
    overlap(200_000, 300, "popcount"),
    overlap(200_000, 300, "tensor cores"),
    overlap(1_000_000, 2000, "popcount"),
    overlap(1_000_000, 2000, "tensor cores"),
    distances(1008, 150, "float64"),
    distances(1008, 150, "exact"),
    distances(1008, 150, "float32"),
    distances(4992, 300, "float64"),
    distances(4992, 300, "float32"),
)


def table() -> str:
    """The predictions as Markdown."""
    names = " / ".join(chip.name for chip in CHIPS)
    lines = [
        f"| work | bytes moved | bytes alone, {names} | predicted, {names} | bound by |",
        "|---|---|---|---|---|",
    ]
    for work in WORKS:
        made = [work.seconds(chip) for chip in CHIPS]
        floors = " / ".join(f"{work.bytes / chip.bytes_per_second * 1e3:.2g}" for chip in CHIPS)
        times = " / ".join(f"{seconds * 1e3:.2g}" for seconds, _ in made)
        bounds = ", ".join(dict.fromkeys(bound for _, bound in made))
        megabytes = f"{work.bytes / 1e6:.3g} MB"
        lines.append(f"| {work.name} | {megabytes} | {floors} ms | {times} ms | {bounds} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
