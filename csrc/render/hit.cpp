// SPDX-License-Identifier: Apache-2.0
// The surface point and unit normal under a pixel whose depth and solid are known.
#include <algorithm>
#include <cmath>

#include "spatialcore/render.h"

namespace spatialcore {

SurfaceHit surface_hit(const Solid& solid, const PinholeView& view, float u, float v, float depth) {
  SurfaceHit hit;
  const float x = (u - view.cx) / view.fx, y = (v - view.cy) / view.fy;
  const float* C = view.room_from_cam;
  const float* S = solid.solid_from_room;
  for (int i = 0; i < 3; ++i) {
    hit.room[i] = ((C[4 * i] * x + C[4 * i + 1] * y) + C[4 * i + 2]) * depth + C[4 * i + 3];
  }
  float n[3] = {0.0f, 0.0f, 0.0f};
  float best = -1e9f;
  hit.face = 0;
  for (int i = 0; i < 3; ++i) {
    hit.local[i] =
        ((S[4 * i] * hit.room[0] + S[4 * i + 1] * hit.room[1]) + S[4 * i + 2] * hit.room[2]) +
        S[4 * i + 3];
    hit.unit[i] = hit.local[i] / solid.half[i];
    const float outside = std::fabs(hit.local[i]) - solid.half[i];
    if (outside > best) best = outside, hit.face = i;
  }
  if (solid.kind == SolidKind::kBox) {
    n[hit.face] = hit.local[hit.face] > 0.0f ? 1.0f : -1.0f;
  } else {
    const float round = std::sqrt(hit.unit[0] * hit.unit[0] + hit.unit[1] * hit.unit[1]);
    const bool slab = solid.kind == SolidKind::kCylinder;
    hit.face =
        slab && (std::fabs(hit.unit[2]) - 1.0f) * solid.half[2] > (round - 1.0f) * solid.half[0]
            ? 2
            : -1;
    if (hit.face == 2) {
      n[2] = hit.unit[2] > 0.0f ? 1.0f : -1.0f;
    } else {
      for (int i = 0; i < (slab ? 2 : 3); ++i) n[i] = hit.unit[i] / solid.half[i];
      const float length = std::sqrt((n[0] * n[0] + n[1] * n[1]) + n[2] * n[2]);
      for (float& component : n) component /= std::max(length, 1e-12f);
    }
  }
  for (int i = 0; i < 3; ++i) hit.normal[i] = (S[i] * n[0] + S[4 + i] * n[1]) + S[8 + i] * n[2];
  return hit;
}

}  // namespace spatialcore
