// SPDX-License-Identifier: Apache-2.0
// Where a solid can appear in an image, so that its rays are cast there only.
#include <algorithm>
#include <cmath>

#include "spatialcore/render.h"

namespace spatialcore {
namespace {

constexpr float kFarPixel = 1e9f;

}  // namespace

// Bounding rectangle of the solid's box, its edges clipped at the near plane.
PixelRect bounding_rect(const Solid& s, const PinholeView& view, float near) {
  float corner[8][3];
  const float* S = s.solid_from_room;
  const float* C = view.room_from_cam;
  for (int k = 0; k < 8; ++k) {
    float room[3], local[3];
    for (int i = 0; i < 3; ++i) local[i] = ((k >> i & 1) ? s.half[i] : -s.half[i]) - S[4 * i + 3];
    for (int i = 0; i < 3; ++i) {
      room[i] = ((S[i] * local[0] + S[4 + i] * local[1]) + S[8 + i] * local[2]) - C[4 * i + 3];
    }
    for (int i = 0; i < 3; ++i) {
      corner[k][i] = (C[i] * room[0] + C[4 + i] * room[1]) + C[8 + i] * room[2];
    }
  }
  float lo_u = kFarPixel, hi_u = -kFarPixel, lo_v = kFarPixel, hi_v = -kFarPixel;
  const auto add = [&](float x, float y, float z) {
    const float u = view.fx * x / z + view.cx, v = view.fy * y / z + view.cy;
    lo_u = std::min(lo_u, u), hi_u = std::max(hi_u, u);
    lo_v = std::min(lo_v, v), hi_v = std::max(hi_v, v);
  };
  for (int k = 0; k < 8; ++k) {
    const float* p = corner[k];
    if (p[2] >= near) add(p[0], p[1], p[2]);
    for (int bit = 1; bit < 8; bit <<= 1) {
      const float* q = corner[k | bit];
      if ((k & bit) != 0 || (p[2] >= near) == (q[2] >= near)) continue;
      const float t = (near - p[2]) / (q[2] - p[2]);
      add(p[0] + t * (q[0] - p[0]), p[1] + t * (q[1] - p[1]), near);
    }
  }
  const auto clip = [](float x, int32_t n) {
    return static_cast<int32_t>(std::min(std::max(x, 0.0f), static_cast<float>(n)));
  };
  return {clip(std::floor(lo_u), view.width), clip(std::floor(hi_u) + 2.0f, view.width),
          clip(std::floor(lo_v), view.height), clip(std::floor(hi_v) + 2.0f, view.height)};
}

}  // namespace spatialcore
