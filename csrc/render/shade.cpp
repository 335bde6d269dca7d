// SPDX-License-Identifier: Apache-2.0
// Colour of the procedural rooms: texture x (sky light + lamps with shadow maps) x corner
// darkening, square-root tone curve, and one smoothing pass over the edges between solids.
#include <algorithm>
#include <cmath>
#include <vector>

#include "render/texture.h"
#include "spatialcore/render.h"

namespace spatialcore {
namespace {

constexpr float kShadowBias = 0.03f;   // metres
constexpr float kCornerReach = 0.22f;  // metres over which corners darken
constexpr float kCornerDepth = 0.32f;
constexpr float kUnlit = 0.0f;
constexpr float kWallSlack = 0.02f;  // metres; a hit in a corner may fall outside by rounding

// Share of the lamp that reaches the point, by a 3 x 3 look into its shadow map.
float lamp_share(const Lamp& lamp, const float* p) {
  const float below = lamp.position[2] - p[2];
  if (below < 0.05f) return 0.0f;
  const float half = 0.5f * static_cast<float>(lamp.size);
  const float u = (p[0] - lamp.position[0]) / below * lamp.focal + half;
  const float v = (p[1] - lamp.position[1]) / below * lamp.focal + half;
  const int32_t n = lamp.size;
  if (!(u >= 2.0f && v >= 2.0f && u < static_cast<float>(n - 2) && v < static_cast<float>(n - 2))) {
    return 1.0f;
  }
  const int32_t i = static_cast<int32_t>(u), j = static_cast<int32_t>(v);
  int32_t open = 0;
  for (int32_t y = j - 1; y <= j + 1; ++y) {
    for (int32_t x = i - 1; x <= i + 1; ++x) {
      const float blocker = lamp.shadow[static_cast<size_t>(y) * n + x];
      open += blocker == 0.0f || blocker > below - kShadowBias * (1.0f + below * 0.5f);
    }
  }
  return static_cast<float>(open) * (1.0f / 9.0f);
}

float corner_factor(float distance) {
  const float r = distance / kCornerReach;
  return 1.0f - kCornerDepth / (1.0f + r * r * 3.0f);
}

float ambient_share(const RenderScene& scene, const SurfaceHit& hit) {
  const float* p = hit.room;
  const float* n = hit.normal;
  float share = 1.0f;
  if (n[2] < 0.9f) share *= corner_factor(p[2]);
  if (n[2] > -0.9f) share *= corner_factor(scene.height - p[2]);
  for (const WallLine& wall : scene.walls) {
    const float along = p[1 - wall.axis];
    if (std::fabs(n[wall.axis]) > 0.9f || along < wall.lo - kWallSlack ||
        along > wall.hi + kWallSlack)
      continue;
    share *= corner_factor(std::fabs(p[wall.axis] - wall.at));
  }
  return share;
}

float light(const RenderScene& scene, const SurfaceHit& hit) {
  const float* n = hit.normal;
  const float ambient = (0.40f + 0.10f * n[2] + 0.05f * n[0] + 0.03f * n[1]);
  float direct = 0.0f;
  for (const Lamp& lamp : scene.lamps) {
    float to[3], square = 0.0f, facing = 0.0f;
    for (int i = 0; i < 3; ++i) {
      to[i] = lamp.position[i] - hit.room[i];
      square += to[i] * to[i];
      facing += to[i] * n[i];
    }
    if (facing <= 0.0f) continue;
    const float fall = lamp.power / (1.0f + 0.12f * square);
    direct += fall * (facing / std::sqrt(square)) * lamp_share(lamp, hit.room);
  }
  return ambient * ambient_share(scene, hit) + direct;
}

inline uint8_t tone(float x) { return static_cast<uint8_t>(std::sqrt(clamp01(x)) * 255.0f + 0.5f); }

// (4 x centre + 4 neighbours) / 8 where the solid changes: steps between solids turn soft.
void smooth_edges(const PinholeView& view, const int32_t* solid, uint8_t* rgb) {
  const int32_t W = view.width, H = view.height;
  const std::vector<uint8_t> sharp(rgb, rgb + static_cast<int64_t>(3) * W * H);
  for (int32_t v = 1; v + 1 < H; ++v) {
    for (int32_t u = 1; u + 1 < W; ++u) {
      const int64_t i = static_cast<int64_t>(v) * W + u;
      const int32_t s = solid[i];
      if (s == solid[i - 1] && s == solid[i + 1] && s == solid[i - W] && s == solid[i + W])
        continue;
      for (int64_t c = 3 * i; c < 3 * i + 3; ++c) {
        const int32_t around = sharp[c - 3] + sharp[c + 3] +
                               sharp[c - 3 * static_cast<int64_t>(W)] +
                               sharp[c + 3 * static_cast<int64_t>(W)];
        rgb[c] = static_cast<uint8_t>((4 * sharp[c] + around + 4) / 8);
      }
    }
  }
}

}  // namespace

void shade_view(const RenderScene& scene, const PinholeView& view, const float* depth,
                const int32_t* solid, uint8_t* rgb) {
  const int32_t W = view.width, H = view.height;
  // Light varies slowly: it is computed on every other pixel and row, and between them only where
  // the neighbours are of another solid. A row keeps its own and the row above's light.
  std::vector<float> above(W, kUnlit), here(W, kUnlit);
  for (int32_t v = 0; v < H; ++v) {
    const int32_t* ids = solid + static_cast<int64_t>(v) * W;
    for (int32_t step = 0; step < 2; ++step) {
      for (int32_t u = step; u < W; u += 2) {
        const int64_t i = static_cast<int64_t>(v) * W + u;
        if (ids[u] < 0) {
          rgb[3 * i] = rgb[3 * i + 1] = rgb[3 * i + 2] = 0;
          here[u] = kUnlit;
          continue;
        }
        const Solid& s = scene.solids[ids[u]];
        const Material& m = scene.materials[s.material];
        const SurfaceHit hit =
            surface_hit(s, view, static_cast<float>(u), static_cast<float>(v), depth[i]);
        if (step == 1 && u + 1 < W && ids[u - 1] == ids[u] && ids[u + 1] == ids[u]) {
          here[u] = 0.5f * (here[u - 1] + here[u + 1]);
        } else if ((v & 1) != 0 && ids[u - W] == ids[u]) {
          here[u] = above[u];
        } else {
          here[u] = light(scene, hit);
        }
        const Colour c = texture_colour(m, face_point(s, hit), depth[i] / view.fx);
        const float gain = here[u] + (1.0f - here[u]) * m.glow;
        rgb[3 * i] = tone(c.r * gain);
        rgb[3 * i + 1] = tone(c.g * gain);
        rgb[3 * i + 2] = tone(c.b * gain);
      }
    }
    std::swap(above, here);
  }
  smooth_edges(view, solid, rgb);
}

}  // namespace spatialcore
