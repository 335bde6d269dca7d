// SPDX-License-Identifier: Apache-2.0
// Which of P points each of F depth frames sees, as packed bits.
//
//   points          (P, 3)           m      in   float32 or float64, any order
//   cam_from_world  (F, 4, 4)               in
//   K               (F, 3, 3)        pixel  in   of the colour image, zero skew
//   depth           (F, h, w)               in   uint16 or float32, metres = reading * scale
//   words           (F, ceil(P/64))         out  bit p % 64 of word p / 64 is point p
//
// Numerics: every bit equals `is_visible` below in float64. The CPU decides most points in float32
// and repeats those within a derived bound of a decision edge in float64
// (csrc/cpu/occlusion_frame.cpp). Docs: docs/ops/occlusion.md. Tests: tests/ops/test_occlusion.py.
#pragma once

#include <cstdint>

#include "spatialcore/camera.h"
#include "spatialcore/projection.h"

namespace spatialcore {

// What does not change from frame to frame.
struct OcclusionRule {
  int64_t width, height;              // colour image
  int64_t depth_width, depth_height;  // depth image
  double depth_scale;                 // metres per unit
  DepthRule rule;
};

// The decision for one point of one frame, the same on the CPU and on a GPU.
// pose: 12 numbers; map: from the colour image to the depth map; depth: one map of `DepthType`.
template <class DepthType>
SC_HD inline bool is_visible(const OcclusionRule& r, const double* pose, const Pinhole& k,
                             const PixelMap& map, const DepthType* depth, double x, double y,
                             double z) {
  const CameraPoint c = to_camera(pose, x, y, z);
  if (!in_front(c.z)) return false;
  double u, v;
  to_pixel(c, k, &u, &v);
  if (!in_image(u, v, static_cast<double>(r.width), static_cast<double>(r.height))) return false;
  const int64_t column = depth_column(u, map, r.depth_width);
  const int64_t row = depth_row(v, map, r.depth_height);
  const double reading = static_cast<double>(depth[row * r.depth_width + column]);
  return passes_depth(r.rule, c.z, reading * r.depth_scale);
}

// One map per frame, all uint16 or all float32, and how it lies under the colour image.
struct DepthMaps {
  const void* const* maps;     // F pointers to (h, w)
  const PixelMap* from_image;  // (F,)
  bool is_float;
};

// The points of one call, held by reference.
struct ScenePoints {
  const void* pointer;  // (P, 3)
  bool is_float64;
  int64_t count;
};

class PointBlocks;  // csrc/cpu/point_blocks.h

// The frames of one depth array; `points` may serve many calls. threads <= 0: the affinity mask.
void visible_points_cpu(const PointBlocks& points, View<const double, 3> K,
                        View<const double, 3> cam_from_world, const DepthMaps& depth,
                        const OcclusionRule& rule, uint64_t* words, int threads);

}  // namespace spatialcore
