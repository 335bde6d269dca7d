// SPDX-License-Identifier: Apache-2.0
// Textures that fill a face once: a screen, a framed landscape, the view through a window.
#include "render/texture.h"

namespace spatialcore {

Colour screen(const Material& m, const Colour& base, const FacePoint& at) {
  const float edge = std::min(at.half_a - std::fabs(at.a), at.half_b - std::fabs(at.b));
  if (edge < 0.015f) return {0.015f, 0.015f, 0.017f};
  const bool left = at.x < 0.1f && at.x > -0.85f && std::fabs(at.y) < 0.75f;
  const bool right = at.x > 0.2f && at.x < 0.9f && at.y > -0.8f && at.y < 0.5f;
  if (!left && !right) return mix(base, {0.05f, 0.12f, 0.3f}, 0.5f + 0.5f * at.y);
  const int32_t line = cell_of(at.y * 14.0f);
  const float end = -0.8f + 0.85f * hash_unit(line, left ? 1 : 2, m.seed) + (left ? 0.0f : 1.0f);
  const bool ink = fraction(at.y * 14.0f) < 0.45f && at.x < end;
  return ink ? Colour{0.12f, 0.16f, 0.25f} : Colour{0.75f, 0.78f, 0.8f};
}

Colour picture(const Material& m, const Colour& base, const Colour& accent, const FacePoint& at) {
  const float edge = std::min(at.half_a - std::fabs(at.a), at.half_b - std::fabs(at.b));
  if (edge < 0.03f) return {0.05f, 0.035f, 0.02f};
  if (edge < 0.07f) return {0.8f, 0.79f, 0.75f};
  const float hill = 0.5f * value_noise(at.x * 1.5f + 9.0f, 0.5f, m.seed) - 0.35f;
  const float sx = at.x - 0.6f * hash_unit(1, 1, m.seed) + 0.3f, sy = at.y - 0.45f;
  if (at.y > hill) {
    if (sx * sx + sy * sy < 0.03f) return {0.95f, 0.7f, 0.25f};
    return mix(base, {0.85f, 0.75f, 0.65f}, clamp01(0.6f - 0.6f * at.y));
  }
  return mix(accent, {0.03f, 0.05f, 0.03f},
             value_noise(at.x * 6.0f, at.y * 9.0f, m.seed + 1) * 0.6f);
}

Colour sky(const Material& m, const FacePoint& at) {
  const float edge = std::min(at.half_a - std::fabs(at.a), at.half_b - std::fabs(at.b));
  if (edge < 0.06f || std::fabs(at.a) < 0.025f) return {0.78f, 0.77f, 0.74f};
  const float tree = value_noise(at.x * 3.0f, 0.0f, m.seed) - 0.55f;
  if (at.y < tree)
    return mix({0.08f, 0.16f, 0.05f}, {0.2f, 0.32f, 0.1f},
               value_noise(at.x * 14.0f, at.y * 14.0f, m.seed));
  const float cloud =
      clamp01(2.0f * value_noise(at.x * 2.0f + 5.0f, at.y * 4.0f, m.seed + 1) - 0.9f);
  return mix(mix({0.75f, 0.86f, 0.95f}, {0.35f, 0.6f, 0.92f}, 0.5f + 0.5f * at.y),
             {1.0f, 1.0f, 1.0f}, cloud);
}

}  // namespace spatialcore
