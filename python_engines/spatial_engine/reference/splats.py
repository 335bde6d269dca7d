# SPDX-License-Identifier: Apache-2.0
"""Which points of a labelled cloud lie behind the surfaces of others: a z-buffer of small discs.

No depth map is read. Every point is a disc on the plane through its neighbours; the discs are drawn
front to back on the tangent plane of a camera, and a point is hidden where the foremost disc of
another label lies before it by more than a margin. `verify` holds the objects that records name
against it, since the depth rule of the index must not be its own judge.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spatialcore.types import Cloud, Float64
from spatialcore.visits import visit_of_frame

COLUMNS = 160
"""Cells across what a frame sees; a disc of a scanned point covers a few of them."""
NEIGHBOURS = 8
MARGIN_M, MARGIN_RELATIVE = 0.04, 0.025
"""How far before a point a disc must lie to hide it: noise of the cloud, and of its planes."""
_SPREAD = 0.8  # radius of a disc, of the distance to the fourth neighbour: discs must overlap
_LARGEST_M = 0.1  # radius of the disc of a lonely point
_LARGEST_CELLS = 8
_GRAZING = 0.05  # least cosine between a ray and a disc's normal: flatter discs hide nothing


class Discs(NamedTuple):
    """The surface of a cloud.

    Attributes:
        points: (P, 3) float64 metres.
        normal: (P, 3) unit vectors, either way round; NaN for points that are not finite.
        radius: (P,) metres.
        label: (P,) object id, -1 = none; discs of one label do not hide each other.
    """

    points: Float64
    normal: Float64
    radius: Float64
    label: NDArray[np.int64]


def discs_of(points: NDArray[np.float32], label: NDArray[np.int32]) -> Discs:
    """A disc for every point, on the plane through its nearest neighbours."""
    from scipy.spatial import cKDTree

    all_points = np.asarray(points, np.float64)
    normal, radius = np.full(all_points.shape, np.nan), np.zeros(len(all_points))
    rows = np.flatnonzero(np.isfinite(all_points).all(axis=1))
    if len(rows) > NEIGHBOURS:
        finite = all_points[rows]
        distance, index = cKDTree(finite).query(finite, k=NEIGHBOURS + 1)
        around = finite[index] - finite[index].mean(axis=1, keepdims=True)
        normal[rows] = np.linalg.eigh(np.einsum("pki,pkj->pij", around, around))[1][:, :, 0]
        radius[rows] = np.minimum(_SPREAD * distance[:, 4], _LARGEST_M)
    return Discs(all_points, normal, radius, np.asarray(label, np.int64))


class _View(NamedTuple):
    """Discs in a camera's frame, and a grid over its tangent plane.

    Columns stand alone, since numpy is slow along an axis of three.

    Attributes:
        x, y: (n,) place on the tangent plane, z = 1.
        z: (n,) depth of the disc's middle.
        normal: Three (n,) columns.
        offset: (n,) distance of the disc's plane from the camera, signed as the normal.
        radius: (n,) metres.
        label: (n,).
        low: (2,) corner of the grid.
        side: Of a cell.
        shape: Columns and rows of cells.
    """

    x: Float64
    y: Float64
    z: Float64
    normal: tuple[Float64, Float64, Float64]
    offset: Float64
    radius: Float64
    label: NDArray[np.int64]
    low: tuple[float, float]
    side: float
    shape: tuple[int, int]

    def cells(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Column and row of the cell of each disc's middle."""
        column, row = (
            np.floor((flat - low) / self.side).astype(np.int64)
            for flat, low in zip((self.x, self.y), self.low, strict=True)
        )
        return column, row

    def depth_at(self, disc: NDArray[np.int64], x: Float64, y: Float64) -> Float64:
        """Depth of the planes of discs on rays (x, y, 1); NaN where the plane is too steep."""
        a, b, c = (column[disc] for column in self.normal)
        slope = a * x + b * y + c
        steep = slope * slope < (_GRAZING * _GRAZING) * (x * x + y * y + 1.0)
        depth: Float64 = self.offset[disc] / np.where(steep, np.nan, slope)
        return depth


def _view(discs: Discs, cam_from_world: Float64, rows: NDArray[np.int64]) -> _View:
    M = cam_from_world
    x, y, z = M[:3, :3] @ discs.points[rows].T + M[:3, 3:]
    a, b, c = M[:3, :3] @ discs.normal[rows].T
    offset = a * x + b * y + c * z
    x, y = x / z, y / z
    low = float(x.min()), float(y.min())
    side = max((float(x.max()) - low[0]) / COLUMNS, 1e-6)
    shape = COLUMNS + 1, int((float(y.max()) - low[1]) / side) + 1
    radius, label = discs.radius[rows], discs.label[rows]
    return _View(x, y, z, (a, b, c), offset, radius, label, low, side, shape)


def hidden_points(
    discs: Discs, cam_from_world: Float64, inside: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Which points in a frame's image lie behind the disc of another label.

    Args:
        discs: The cloud.
        cam_from_world: (4, 4).
        inside: (P,) points whose pixel lies in the image, in front of the camera.

    Returns:
        (P,) bool, a subset of `inside`.
    """
    hidden = np.zeros(len(discs.points), np.bool_)
    rows = np.flatnonzero(inside & (discs.radius > 0))
    if not len(rows):
        return hidden
    view = _view(discs, cam_from_world, rows)
    column, line = view.cells()
    own = line * view.shape[0] + column
    for foremost in _foremost_two(_drawn(view), view.label, view.shape[0] * view.shape[1]):
        disc = foremost[own]
        mine = np.flatnonzero((disc >= 0) & (view.label[disc] != view.label))
        z = view.depth_at(disc[mine], view.x[mine], view.y[mine])
        before = view.z[mine] - z > np.maximum(MARGIN_M, MARGIN_RELATIVE * z)  # NaN is no surface
        hidden[rows[mine[before & (z > 0)]]] = True
    return hidden


class _Drawn(NamedTuple):
    """Cells that discs cover: number of the cell, disc, depth of the disc at the cell's middle."""

    cell: NDArray[np.int64]
    disc: NDArray[np.int64]
    z: Float64


def _drawn(view: _View) -> _Drawn:
    """Every disc on every cell whose middle it covers."""
    reach = np.minimum(np.ceil(view.radius / view.z / view.side), _LARGEST_CELLS).astype(np.int64)
    column, line = view.cells()
    parts = []
    for size in np.unique(reach).tolist():
        of_size = np.flatnonzero(reach == size)
        for dy in range(-size, size + 1):
            for dx in range(-size, size + 1):
                u, v = column[of_size] + dx, line[of_size] + dy
                on = (u >= 0) & (u < view.shape[0]) & (v >= 0) & (v < view.shape[1])
                u, v, disc = u[on], v[on], of_size[on]
                x = view.low[0] + (u.astype(np.float64) + 0.5) * view.side
                y = view.low[1] + (v.astype(np.float64) + 0.5) * view.side
                z = view.depth_at(disc, x, y)
                own, radius = view.z[disc], view.radius[disc]
                ax, ay, az = x * z - view.x[disc] * own, y * z - view.y[disc] * own, z - own
                kept = (z > 0) & (ax * ax + ay * ay + az * az <= radius * radius)
                parts.append(_Drawn((v * view.shape[0] + u)[kept], disc[kept], z[kept]))
    return _Drawn(*(np.concatenate(found) for found in zip(*parts, strict=True)))


def _foremost_two(
    drawn: _Drawn, label: NDArray[np.int64], count: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(cells,) foremost disc of each cell, and foremost of another label than that; -1 = none."""
    order = np.lexsort((drawn.z, drawn.cell))
    cell, disc = drawn.cell[order], drawn.disc[order]
    first, second = np.full(count, -1, np.int64), np.full(count, -1, np.int64)
    opening = np.flatnonzero(np.diff(cell, prepend=-1))
    first[cell[opening]] = disc[opening]
    others = np.flatnonzero(label[disc] != label[first[cell]])
    opening = others[np.flatnonzero(np.diff(cell[others], prepend=-1))]
    second[cell[opening]] = disc[opening]
    return first, second


def open_shares(
    discs: Discs, cam_from_world: Float64, inside: NDArray[np.bool_]
) -> dict[int, float]:
    """Share of each object's points in the image that no other label hides, by object id."""
    hidden = hidden_points(discs, cam_from_world, inside)
    ids, counts = np.unique(discs.label[inside], return_counts=True)
    behind = np.bincount(np.searchsorted(ids, discs.label[hidden]), minlength=len(ids))
    shares = 1.0 - behind / np.maximum(counts, 1)
    return dict(zip(ids.tolist(), shares.tolist(), strict=True))


class SceneDiscs:
    """The discs of a scene's points. What was there on one visit hides nothing on the other.

    Args:
        cloud: The points, labelled, and the visit of each where there are two.
    """

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._made: dict[int, Discs] = {}

    def open_shares(
        self, frame: int, cam_from_world: Float64, inside: NDArray[np.bool_]
    ) -> dict[int, float]:
        """`open_shares` of a frame, by the discs of its visit."""
        points, label, of = self._cloud.points_world, self._cloud.instance, self._cloud.visit
        visit = 0 if of is None else visit_of_frame(frame)
        mine = slice(None) if of is None else of == visit
        if visit not in self._made:
            self._made[visit] = discs_of(points[mine], label[mine])
        return open_shares(self._made[visit], cam_from_world, inside[mine])
