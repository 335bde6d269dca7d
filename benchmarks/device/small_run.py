# SPDX-License-Identifier: Apache-2.0
"""Every CUDA kernel once on small inputs, for compute-sanitizer.

`compute-sanitizer --tool memcheck python -m benchmarks.device.small_run`. Exit code 1 where a
result differs from the CPU's.
"""

from __future__ import annotations

import sys

from benchmarks.device import occlusion, overlap, rigidity
from benchmarks.device.tables import Variant
from spatialcore import DepthViews, project_points, visible_points
from spatialcore._libraries import on_host
from spatialcore.index.askable import askable_points, askable_rule
from spatialcore.index.rules import AskableGuards
from spatialcore.occlusion import checked_views

RATES = {"copy_bytes": 1.0, "matrix_int8": 1.0}


def askable_variant(given: DepthViews, device: str) -> Variant:
    """The guards of the index."""
    rule = askable_rule(AskableGuards(), given.image_size, given.image_size)
    expected = askable_points(checked_views(given), visible_points(**given._asdict()), rule)
    placed = occlusion.to_device(given, device)
    return Variant(
        "ours, guards",
        lambda: askable_points(checked_views(placed), visible_points(**placed._asdict()), rule),
        lambda got: occlusion.wrong_bits(got, expected),
    )


def projection_variant(given: DepthViews, device: str) -> Variant:
    """Pixels and depths, as bits."""
    expected = project_points(*given[:3])
    placed = occlusion.to_device(given, device)

    def different(got: tuple[object, object]) -> float:
        pairs = zip(got, expected, strict=True)
        return float(sum((on_host(a).view("u8") != b.view("u8")).sum() for a, b in pairs))

    return Variant("ours, projection", lambda: project_points(*placed[:3]), different)


def variants(device: str) -> list[Variant]:
    """Ours alone, sizes past a tile of each kernel."""
    given = occlusion.scene(3000, 35, distinct=2)
    small = occlusion.scene(500, 2)
    masks = [overlap.random_mask(f, p) for f, p in ((3, 5000), (70, 2000))]
    made = [
        occlusion.variants(given, device, RATES)[0],
        *occlusion.batch_variants([given, small], device),
        askable_variant(given, device),
        projection_variant(given, device),
        *(v for mask in masks for v in overlap.variants(mask, device, RATES)[:3]),
        *overlap.batch_variants(masks, device),
        *rigidity.variants(9, 70, device, RATES)[:3],
        *rigidity.batch_variants(3, 5, 20, device),
    ]
    return [v for v in made if v.name.startswith("ours")]


def main(device: str = "cuda") -> int:
    failed = 0
    for variant in variants(device):
        error = variant.error(variant.run())
        wrong = not error <= variant.tolerance
        failed += wrong
        print(f"{variant.name:<32}{'differs by ' + str(error) if wrong else 'as on the CPU'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
