// SPDX-License-Identifier: Apache-2.0
// Procedural textures of the sample rooms: a surface point in the solid's frame -> linear colour.
// Patterns finer than a pixel fade out, so distant surfaces neither shimmer nor waste JPEG bytes.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "spatialcore/render.h"

namespace spatialcore {

enum Texture : int32_t {
  kPlain,
  kWood,
  kTiles,
  kFabric,
  kBrick,
  kRug,
  kPlanks,
  kScreen,
  kPicture,
  kSky,
  kPanels,
  kDrawers,
  kKeys,
  kLeaf,
  kStripes,
  kSpeckle
};

struct Colour {
  float r, g, b;
};

inline Colour mix(const Colour& a, const Colour& b, float t) {
  return {a.r + (b.r - a.r) * t, a.g + (b.g - a.g) * t, a.b + (b.b - a.b) * t};
}

inline float clamp01(float x) { return std::min(std::max(x, 0.0f), 1.0f); }

inline uint32_t hash_cell(int32_t x, int32_t y, uint32_t seed) {
  uint32_t h = static_cast<uint32_t>(x) * 0x9E3779B1u ^ static_cast<uint32_t>(y) * 0x85EBCA77u ^
               seed * 0xC2B2AE3Du;
  h = (h ^ (h >> 16)) * 0x7FEB352Du;
  h = (h ^ (h >> 15)) * 0x846CA68Bu;
  return h ^ (h >> 16);
}

inline float hash_unit(int32_t x, int32_t y, uint32_t seed) {
  return static_cast<float>(hash_cell(x, y, seed) >> 8) * (1.0f / 16777216.0f);
}

inline int32_t cell_of(float x) { return static_cast<int32_t>(std::floor(x)); }

// Value noise in [0, 1], smooth over cells of size 1.
inline float value_noise(float x, float y, uint32_t seed) {
  const int32_t i = cell_of(x), j = cell_of(y);
  float s = x - static_cast<float>(i), t = y - static_cast<float>(j);
  s = s * s * (3.0f - 2.0f * s), t = t * t * (3.0f - 2.0f * t);
  const float a = hash_unit(i, j, seed), b = hash_unit(i + 1, j, seed);
  const float c = hash_unit(i, j + 1, seed), d = hash_unit(i + 1, j + 1, seed);
  return (a + (b - a) * s) * (1.0f - t) + (c + (d - c) * s) * t;
}

// 1 where a feature of `size` metres covers several pixels, 0 where it is finer than one.
inline float detail(float size, float pixel) { return clamp01(size / (2.0f * pixel) - 0.5f); }

// 1 on a line of half width w around the borders of cells [0, 1).
inline float border(float s, float t, float ws, float wt) {
  return (s < ws || s > 1.0f - ws || t < wt || t > 1.0f - wt) ? 1.0f : 0.0f;
}

inline float fraction(float x) { return x - std::floor(x); }

// a runs along the face's longer side, b across; x, y in [-1, 1] are the same over the half sizes.
struct FacePoint {
  float a, b, x, y;
  float half_a, half_b;
  int32_t face;
};

inline FacePoint face_point(const Solid& solid, const SurfaceHit& hit) {
  const int axis = hit.face < 0 ? 0 : hit.face;
  int p = axis == 0 ? 1 : 0, q = axis == 2 ? 1 : 2;
  if (hit.face < 0) {  // round side: around the axis, then along it
    const float across = hit.unit[0] + (hit.unit[1] > 0.0f ? 0.0f : 0.001f);
    return {across * solid.half[0] * 1.5f,
            hit.local[2],
            across,
            hit.unit[2],
            solid.half[0],
            solid.half[2],
            -1};
  }
  return {hit.local[p],  hit.local[q],  hit.unit[p], hit.unit[q],
          solid.half[p], solid.half[q], hit.face};
}

Colour texture_colour(const Material& material, const FacePoint& at, float pixel);

// Textures that fill a face once (render_pictures.cpp).
Colour screen(const Material& m, const Colour& base, const FacePoint& at);
Colour picture(const Material& m, const Colour& base, const Colour& accent, const FacePoint& at);
Colour sky(const Material& m, const FacePoint& at);

}  // namespace spatialcore
