// SPDX-License-Identifier: Apache-2.0
// Renderer of the procedural rooms: analytic solids -> depth, solid index, colour, sensor depth.
//
// Every solid is convex: box, elliptic cylinder (axis z) or ellipsoid, given by its half sizes in
// its own frame. A ray's direction has z = 1 in the camera, so the ray parameter is the depth.
// All arithmetic is float32 with + - * / sqrt only, never fused, so the bytes are the same on
// every machine. Test: tests/io/test_sample.py.
#pragma once

#include <cstdint>
#include <vector>

namespace spatialcore {

enum class SolidKind : int32_t { kBox = 0, kCylinder = 1, kEllipsoid = 2 };

struct Solid {
  SolidKind kind;
  float solid_from_room[12];  // (3, 4) row-major, metres
  float half[3];              // metres
  int32_t material;
};

struct Material {
  int32_t texture;   // render_texture.h
  float colour[3];   // linear, 0..1
  float accent[3];   // linear, 0..1
  float scale;       // metres of one pattern element, or a count for fronts
  float glow;        // 0 = lit by the lamps only, 1 = shines by itself
  float absorption;  // 0..1: how readily the depth sensor loses the surface
  uint32_t seed;
};

struct WallLine {  // a vertical wall plane, for the darkening of corners
  int32_t axis;    // 0: x = at, 1: y = at
  float at, lo, hi;
};

struct PinholeView {
  int32_t width, height;
  float fx, fy, cx, cy;
  float room_from_cam[12];  // (3, 4) row-major
};

struct Lamp {  // a point light below the ceiling with a shadow map looking straight down
  float position[3];
  float power;
  int32_t size;               // shadow map is (size, size)
  float focal;                // pixels
  std::vector<float> shadow;  // metres below the lamp
};

struct RenderScene {
  std::vector<Solid> solids;
  std::vector<Material> materials;
  std::vector<WallLine> walls;
  std::vector<Lamp> lamps;
  float height = 0.0f;  // of the ceiling, metres
};

struct SensorModel {
  uint64_t state;  // of the counter-based draws
  float noise;     // standard deviation of 1/z, 1/m
  float step;      // quantisation of 1/z, 1/m; 0 = millimetres only
  float near_limit, far_limit;
  bool holes;
};

// Depth and solid index of every pixel. depth (H, W) metres, 0 = nothing hit; solid (H, W), -1.
// Solids with index < first are left out.
void cast_view(const RenderScene& scene, const PinholeView& view, int32_t first, float* depth,
               int32_t* solid);

// Colour of every pixel from cast_view's result. rgb (H, W, 3).
void shade_view(const RenderScene& scene, const PinholeView& view, const float* depth,
                const int32_t* solid, uint8_t* rgb);

// What a depth camera reads: millimetres with noise that grows with z^2 and holes. out (H, W).
void measure_view(const RenderScene& scene, const PinholeView& view, const float* depth,
                  const int32_t* solid, const SensorModel& sensor, uint16_t* out);

// Sets seen[p] = 1 for every point that this view sees within `tolerance` metres + 1 % of depth.
void mark_seen(const PinholeView& view, const float* depth, const float* points, int64_t count,
               float tolerance, uint8_t* seen);

struct PixelRect {
  int32_t u0, u1, v0, v1;  // half-open
};

// Pixels that the solid's box covers, its edges clipped at depth `near` (metres).
PixelRect bounding_rect(const Solid& solid, const PinholeView& view, float near);

// Surface point and unit normal (room frame) of a hit, for shading and sensing.
struct SurfaceHit {
  float room[3];
  float local[3];  // solid frame, metres
  float unit[3];   // solid frame, divided by the half sizes
  float normal[3];
  int32_t face;  // axis of the face's normal in the solid's frame; 2 for caps, -1 for round sides
};
SurfaceHit surface_hit(const Solid& solid, const PinholeView& view, float u, float v, float depth);

}  // namespace spatialcore
