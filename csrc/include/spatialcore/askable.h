// SPDX-License-Identifier: Apache-2.0
// Which visible points may be asked about: the guards on one point in one frame.
//
//   z in [depth_min, depth_max]
//   border:    the mark's disc lies in the image: r <= clip(rint(u), 0, W - 1) <= W - 1 - r,
//              likewise v and H; r = mark_radius
//   agreement: |z - d| < max(agreement_relative z, agreement_absolute), d the point's own reading
//   edge:      of the readings in the disc of disc_radius depth pixels around the point's own one,
//              a share of at least edge_share has |d - z| <= max(edge_relative z, edge_absolute)
//
// float64 throughout, one operation order, so the bits equal those of the specification,
// python_engines/spatial_engine/reference/guards.py. Cost: one projection and about
// pi disc_radius^2 readings for each visible point. Test: tests/index/test_askable.py.
#pragma once

#include <cstdint>

#include "spatialcore/occlusion.h"

namespace spatialcore {

struct AskableRule {
  double depth_min, depth_max;                    // metres
  bool border;                                    // whether the mark must lie in the image
  double mark_radius;                             // colour pixels
  double edge_share;                              // of the readings in the disc; 0 = off
  double edge_relative, edge_absolute;            // share of z; metres
  double agreement_relative, agreement_absolute;  // share of z; metres
  double disc_radius;                             // depth pixels
};

// The disc's rows: row dy holds the columns |dx| <= disc_half_width(radius, |dy|), -1 for none.
SC_HD inline int64_t disc_half_width(double radius, int64_t dy) {
  const double square = radius * radius - static_cast<double>(dy * dy);
  if (square < 0.0) return -1;
  int64_t dx = static_cast<int64_t>(sqrt(square));
  while (static_cast<double>(dx * dx + dy * dy) > radius * radius) --dx;
  while (static_cast<double>((dx + 1) * (dx + 1) + dy * dy) <= radius * radius) ++dx;
  return dx;
}

// half_width(dy): disc_half_width of the rule's radius, computed or looked up; `reach` is the last
// row that has one. depth: one map of w x h readings; (column, row) the point's own.
template <class DepthType, class HalfWidth>
SC_HD inline bool disc_agrees(const DepthType* depth, int64_t w, int64_t h, double scale,
                              int64_t column, int64_t row, double z, const AskableRule& rule,
                              int64_t reach, const HalfWidth& half_width) {
  const double tolerance = tolerance_at(z, rule.edge_relative, rule.edge_absolute);
  int64_t readings = 0, near = 0;
  const int64_t bottom = row + reach < h - 1 ? row + reach : h - 1;
  for (int64_t y = row > reach ? row - reach : 0; y <= bottom; ++y) {
    const int64_t half = half_width(y < row ? row - y : y - row);
    const int64_t end = column + half < w - 1 ? column + half : w - 1;
    for (int64_t x = column > half ? column - half : 0; x <= end; ++x) {
      const double d = static_cast<double>(depth[y * w + x]) * scale;
      readings += is_reading(d);
      near += is_reading(d) && fabs(d - z) <= tolerance;
    }
  }
  return static_cast<double>(near) >= rule.edge_share * static_cast<double>(readings);
}

// Whether the mark's disc around (u, v) lies in the image.
SC_HD inline bool on_canvas(double u, double v, double width, double height, double radius) {
  const double right = width - 1.0, bottom = height - 1.0;
  const double x = rint(u) < 0.0 ? 0.0 : (rint(u) > right ? right : rint(u));
  const double y = rint(v) < 0.0 ? 0.0 : (rint(v) > bottom ? bottom : rint(v));
  return x >= radius && x <= right - radius && y >= radius && y <= bottom - radius;
}

// The guards on one visible point of one frame, the same on the CPU and on a GPU. `view` gives the
// sizes and the scale; cheap guards come first.
template <class DepthType, class HalfWidth>
SC_HD inline bool is_askable(const OcclusionRule& view, const AskableRule& rule, const double* pose,
                             const Pinhole& k, const PixelMap& map, const DepthType* depth,
                             double x, double y, double z, int64_t reach,
                             const HalfWidth& half_width) {
  const double width = static_cast<double>(view.width), height = static_cast<double>(view.height);
  const int64_t w = view.depth_width, h = view.depth_height;
  const CameraPoint c = to_camera(pose, x, y, z);
  if (!(c.z >= rule.depth_min && c.z <= rule.depth_max && in_front(c.z))) return false;
  double u, v;
  to_pixel(c, k, &u, &v);
  if (!in_image(u, v, width, height)) return false;
  if (rule.border && !on_canvas(u, v, width, height, rule.mark_radius)) return false;
  const int64_t column = depth_column(u, map, w), row = depth_row(v, map, h);
  const double d = static_cast<double>(depth[row * w + column]) * view.depth_scale;
  const double agreement = tolerance_at(c.z, rule.agreement_relative, rule.agreement_absolute);
  if (!(fabs(c.z - d) < agreement)) return false;
  return rule.edge_share <= 0.0 ||
         disc_agrees(depth, w, h, view.depth_scale, column, row, c.z, rule, reach, half_width);
}

// points           (P, 3)          metres       in
// K                (F, 3, 3)       pixels       in   of the colour image, W x H
// cam_from_world   (F, 4, 4)                    in
// depth            F of (h, w)     depth_scale  in   and the pixel map of each
// visible          (F, ceil(P/64)) bits         in
// askable          (F, ceil(P/64)) bits         out, every word is written
void askable_points_cpu(View<const float, 2> points, View<const double, 3> K,
                        View<const double, 3> cam_from_world, const DepthMaps& depth,
                        const OcclusionRule& view, const AskableRule& rule,
                        View<const uint64_t, 2> visible, uint64_t* askable, int threads);

}  // namespace spatialcore
