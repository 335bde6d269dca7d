// SPDX-License-Identifier: Apache-2.0
// The camera model, once for the CPU and CUDA: float64, one operation order, no fused operations
// (-ffp-contract=off, --fmad=false), so every backend gives the bits of the numpy reference.
//
//   c = ((r0 X + r1 Y) + r2 Z) + t        per axis of the camera, world to camera
//   u = (fx c0) / z + cx,  v = (fy c1) / z + cy,  z = c2; defined iff z > 0 and z is finite
//   inside iff 0 <= u < W and 0 <= v < H  (real-valued pixels of the colour image)
//   column = clip(round_half_even(ax u + bx), 0, w - 1), row likewise in the depth image
//   strict:     0 < z < d
//   tolerance:  d > 0, z > 0 and |z - d| < max(relative z, absolute)
// No reading (d <= 0 or not finite) is never visible. All comparisons are strict.
#pragma once

#include <cmath>
#include <cstdint>

#include "spatialcore/host_device.h"

namespace spatialcore {

struct Pinhole {
  double fx, fy, cx, cy;  // pixels
};

struct PixelMap {
  double ax, bx, ay, by;  // depth column = ax u + bx, depth row = ay v + by
};

struct DepthRule {
  bool strict;
  double relative;  // share of z
  double absolute;  // metres
};

struct CameraPoint {
  double x, y, z;  // metres, camera frame
};

// cam_from_world: 12 numbers, the upper three rows of the 4x4 pose.
SC_HD inline CameraPoint to_camera(const double* cam_from_world, double x, double y, double z) {
  const double* m = cam_from_world;
  return {((m[0] * x + m[1] * y) + m[2] * z) + m[3], ((m[4] * x + m[5] * y) + m[6] * z) + m[7],
          ((m[8] * x + m[9] * y) + m[10] * z) + m[11]};
}

SC_HD inline bool is_finite(double x) { return x - x == 0.0; }

SC_HD inline bool in_front(double z) { return z > 0.0 && is_finite(z); }

SC_HD inline void to_pixel(const CameraPoint& c, const Pinhole& k, double* u, double* v) {
  *u = (k.fx * c.x) / c.z + k.cx;
  *v = (k.fy * c.y) / c.z + k.cy;
}

// False for NaN.
SC_HD inline bool in_image(double u, double v, double width, double height) {
  return u >= 0.0 && u < width && v >= 0.0 && v < height;
}

// Nearest index of a map axis, ties to even, clipped to [0, size - 1]; `x` is not NaN.
SC_HD inline int64_t nearest_index(double x, int64_t size) {
  const double rounded = rint(x);
  const double last = static_cast<double>(size - 1);
  return static_cast<int64_t>(rounded < 0.0 ? 0.0 : (rounded > last ? last : rounded));
}

SC_HD inline int64_t depth_column(double u, const PixelMap& map, int64_t width) {
  return nearest_index(map.ax * u + map.bx, width);
}

SC_HD inline int64_t depth_row(double v, const PixelMap& map, int64_t height) {
  return nearest_index(map.ay * v + map.by, height);
}

// Whether the sensor saw anything there.
SC_HD inline bool is_reading(double d) { return d > 0.0 && is_finite(d); }

// max(relative z, absolute), metres.
SC_HD inline double tolerance_at(double z, double relative, double absolute) {
  const double scaled = relative * z;
  return scaled > absolute ? scaled : absolute;
}

// z: depth of the point; d: depth read, both metres.
SC_HD inline bool passes_strict(double z, double d) { return z > 0.0 && z < d && is_finite(d); }

SC_HD inline bool passes_tolerance(double z, double d, double relative, double absolute) {
  return is_reading(d) && z > 0.0 && fabs(z - d) < tolerance_at(z, relative, absolute);
}

SC_HD inline bool passes_depth(const DepthRule& rule, double z, double d) {
  return rule.strict ? passes_strict(z, d) : passes_tolerance(z, d, rule.relative, rule.absolute);
}

}  // namespace spatialcore
