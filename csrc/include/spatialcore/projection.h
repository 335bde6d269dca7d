// SPDX-License-Identifier: Apache-2.0
// Projection of P points into F frames: c = ((r0 X + r1 Y) + r2 Z) + t, u = (fx c0) / z + cx,
// v = (fy c1) / z + cy (camera.h).
//
//   points          (P, 3)     m      in   float32 or float64
//   cam_from_world  (F, 4, 4)         in
//   K               (F, 3, 3)  pixel  in   zero skew
//   uv              (F, P, 2)  pixel  out  NaN where z <= 0 or z is not finite
//   depth           (F, P)     m      out  z as computed
//
// Numerics: float64, one operation order, never fused: equal to the numpy reference in every bit.
// Work: a thread owns a run of points of one frame; 24 bytes are written for each point and frame.
// Docs: docs/ops/projection.md. Tests: tests/ops/test_projection.py.
#pragma once

#include <cstdint>

#include "spatialcore/camera.h"
#include "spatialcore/view.h"

namespace spatialcore {

// (3, 3) row-major K of one frame.
SC_HD inline Pinhole pinhole(const double* K) { return {K[0], K[4], K[2], K[5]}; }

// threads <= 0: the affinity mask.
void project_points_cpu(View<const float, 2> points, View<const double, 3> K,
                        View<const double, 3> cam_from_world, double* uv, double* depth,
                        int threads);
void project_points_cpu(View<const double, 2> points, View<const double, 3> K,
                        View<const double, 3> cam_from_world, double* uv, double* depth,
                        int threads);

}  // namespace spatialcore
