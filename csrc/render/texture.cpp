// SPDX-License-Identifier: Apache-2.0
// The textures by name; see render_texture.h. Each is a pure function of the surface point.
#include "render/texture.h"

namespace spatialcore {
namespace {

Colour wood(const Colour& base, const Colour& dark, float along, float across, float pixel,
            uint32_t seed) {
  const float bend = value_noise(along * 1.5f, across * 4.0f, seed) * 0.05f;
  const float broad = value_noise(along * 1.2f, (across + bend) * 22.0f, seed + 1);
  const float fine = value_noise(along * 4.0f, across * 130.0f, seed + 2) - 0.5f;
  return mix(base, dark, clamp01(0.75f * broad + 0.5f * fine * detail(0.008f, pixel)));
}

Colour planks(const Material& m, const Colour& base, const Colour& dark, const FacePoint& at,
              float pixel) {
  const int32_t row = cell_of(at.b / m.scale);
  const float shift = hash_unit(row, 7, m.seed) * 1.3f;
  const int32_t board = cell_of((at.a + shift) / 1.3f);
  const float tone = hash_unit(row, board, m.seed + 3);
  Colour c =
      wood(base, dark, at.a + 3.0f * tone, at.b, pixel, m.seed + hash_cell(row, board, 5) % 64);
  c = mix(c, dark, 0.45f * tone);
  const float s = fraction(at.b / m.scale), t = fraction((at.a + shift) / 1.3f);
  return mix(c, {0.02f, 0.015f, 0.01f},
             0.8f * border(s, t, 0.025f, 0.0025f) * detail(0.006f, pixel));
}

Colour tiles(const Material& m, const Colour& base, const Colour& accent, const FacePoint& at,
             float pixel) {
  const float p = at.a / m.scale, q = at.b / m.scale;
  const int32_t i = cell_of(p), j = cell_of(q);
  Colour c = ((i + j) & 1) != 0 ? accent : base;
  c = mix(c, {0.9f, 0.9f, 0.9f}, 0.10f * hash_unit(i, j, m.seed));
  const float grout = border(fraction(p), fraction(q), 0.012f, 0.012f) * detail(0.01f, pixel);
  return mix(c, {0.35f, 0.34f, 0.32f}, grout);
}

Colour brick(const Material& m, const Colour& base, const Colour& accent, const FacePoint& at,
             float pixel) {
  const float q = at.b / (0.4f * m.scale);
  const int32_t j = cell_of(q);
  const float p = at.a / m.scale + ((j & 1) != 0 ? 0.5f : 0.0f);
  const float tone = hash_unit(cell_of(p), j, m.seed);
  const float mortar = border(fraction(p), fraction(q), 0.03f, 0.07f) * detail(0.012f, pixel);
  return mix(mix(base, {0.2f, 0.08f, 0.05f}, 0.5f * tone), accent, mortar);
}

Colour fabric(const Material& m, const Colour& base, const Colour& accent, const FacePoint& at,
              float pixel) {
  const float weave = (fraction(at.a / 0.012f) - 0.5f) * (fraction(at.b / 0.012f) - 0.5f);
  const float soft = value_noise(at.a * 9.0f, at.b * 9.0f, m.seed);
  return mix(base, accent, clamp01(0.5f * soft + 1.6f * weave * detail(0.012f, pixel)));
}

Colour rug(const Material& m, const Colour& base, const Colour& accent, const FacePoint& at,
           float pixel) {
  const float edge = std::min(at.half_a - std::fabs(at.a), at.half_b - std::fabs(at.b));
  const float p = at.a / m.scale, q = at.b / m.scale;
  const float diamond = std::fabs(fraction(p) - 0.5f) + std::fabs(fraction(q) - 0.5f);
  Colour c = diamond < 0.28f ? accent : base;
  if (edge < 0.16f)
    c = edge < 0.05f || edge > 0.11f ? accent : mix(base, {0.9f, 0.85f, 0.7f}, 0.7f);
  const float pile = value_noise(at.a * 90.0f, at.b * 90.0f, m.seed) - 0.5f;
  return mix(c, {0.0f, 0.0f, 0.0f}, clamp01(0.15f + 0.4f * pile * detail(0.01f, pixel)));
}

// Fronts are faces of local axis y: a door's two panels, or `scale` drawers with handles.
Colour front(const Material& m, const Colour& base, const Colour& accent, const FacePoint& at,
             bool drawers, float pixel) {
  Colour c = wood(base, mix(base, accent, 0.35f), at.b, at.a, pixel, m.seed);
  if (at.face != 1) return c;
  const float rows = drawers ? m.scale : 2.0f, columns = drawers ? 1.0f : 2.0f;
  const float s = fraction((0.5f + 0.5f * at.x) * columns),
              t = fraction((0.5f + 0.5f * at.y) * rows);
  const float da = std::min(s, 1.0f - s) * 2.0f * at.half_a / columns;
  const float db = std::min(t, 1.0f - t) * 2.0f * at.half_b / rows;
  const float inset = drawers ? 0.006f : 0.1f;
  const float gap = std::fabs(std::min(da, db) - inset);
  if (gap < (drawers ? 0.005f : 0.012f)) c = mix(c, {0.01f, 0.01f, 0.01f}, 0.6f);
  const bool handle = drawers && std::fabs(s - 0.5f) * 2.0f * at.half_a < 0.06f &&
                      std::fabs(t - 0.7f) * 2.0f * at.half_b / rows < 0.01f;
  return handle ? Colour{0.45f, 0.45f, 0.47f} : c;
}

}  // namespace

Colour texture_colour(const Material& m, const FacePoint& at, float pixel) {
  const Colour base{m.colour[0], m.colour[1], m.colour[2]};
  const Colour accent{m.accent[0], m.accent[1], m.accent[2]};
  const bool lengthwise = at.half_a >= at.half_b;
  switch (m.texture) {
    case kWood:
      return lengthwise ? wood(base, accent, at.a, at.b, pixel, m.seed)
                        : wood(base, accent, at.b, at.a, pixel, m.seed);
    case kTiles:
      return tiles(m, base, accent, at, pixel);
    case kFabric:
      return fabric(m, base, accent, at, pixel);
    case kBrick:
      return brick(m, base, accent, at, pixel);
    case kRug:
      return at.face == 2 ? rug(m, base, accent, at, pixel) : accent;
    case kPlanks:
      return planks(m, base, accent, at, pixel);
    case kScreen:
      return at.face == 1 ? screen(m, base, at) : base;
    case kPicture:
      return at.face == 1 ? picture(m, base, accent, at) : Colour{0.05f, 0.035f, 0.02f};
    case kSky:
      return at.face == 1 ? sky(m, at) : accent;
    case kPanels:
      return front(m, base, accent, at, false, pixel);
    case kDrawers:
      return front(m, base, accent, at, true, pixel);
    case kKeys: {
      const float key = border(fraction(at.a / m.scale), fraction(at.b / m.scale), 0.14f, 0.14f);
      return at.face == 2 ? mix(base, accent, key * detail(m.scale, pixel)) : base;
    }
    case kLeaf:
      return mix(base, accent, value_noise(at.a * 45.0f, at.b * 45.0f, m.seed));
    case kStripes:
      return (cell_of(at.a / m.scale) & 1) != 0 ? mix(base, accent, detail(m.scale, pixel)) : base;
    case kSpeckle: {
      const float grain = value_noise(at.a * 110.0f, at.b * 110.0f, m.seed);
      return mix(base, accent, clamp01(3.0f * grain - 1.6f) * detail(0.01f, pixel));
    }
    default:
      return mix(base, accent, 0.5f * value_noise(at.a * 1.7f, at.b * 1.7f, m.seed));
  }
}

}  // namespace spatialcore
