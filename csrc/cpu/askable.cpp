// SPDX-License-Identifier: Apache-2.0
// The guards on visible points; see the header. One thread owns whole frames: it walks the set bits
// of the frame's visible words and writes the frame's askable words. Cheap guards come first; the
// disc is kept as one span a row, so that its readings are contiguous.
#include "spatialcore/askable.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "cpu/thread_pool.h"

namespace spatialcore {
namespace {

// Half widths of the disc's rows: row dy holds the columns |dx| <= half_width[|dy|].
std::vector<int64_t> disc_rows(double radius) {
  std::vector<int64_t> half_width;
  for (int64_t dy = 0; static_cast<double>(dy * dy) <= radius * radius; ++dy) {
    int64_t dx = 0;
    while (static_cast<double>((dx + 1) * (dx + 1) + dy * dy) <= radius * radius) ++dx;
    half_width.push_back(dx);
  }
  return half_width;
}

template <class T>
bool disc_agrees(View<const T, 2> depth, double scale, int64_t column, int64_t row, double z,
                 const AskableRule& rule, const std::vector<int64_t>& half_width) {
  const int64_t height = depth.shape[0], width = depth.shape[1];
  const int64_t reach = static_cast<int64_t>(half_width.size()) - 1;
  const double tolerance = std::max(rule.edge_relative * z, rule.edge_absolute);
  int64_t readings = 0, near = 0;
  for (int64_t y = std::max<int64_t>(row - reach, 0); y <= std::min(row + reach, height - 1); ++y) {
    const int64_t half = half_width[static_cast<size_t>(y < row ? row - y : y - row)];
    const T* line = depth.row(y);
    const int64_t end = std::min(column + half, width - 1);
    for (int64_t x = std::max<int64_t>(column - half, 0); x <= end; ++x) {
      const double d = static_cast<double>(line[x]) * scale;
      const bool reading = d > 0.0 && is_finite(d);
      readings += reading;
      near += reading && std::fabs(d - z) <= tolerance;
    }
  }
  return static_cast<double>(near) >= rule.edge_share * static_cast<double>(readings);
}

bool on_canvas(double u, double v, double width, double height, double radius) {
  const double x = std::min(std::max(rint(u), 0.0), width - 1.0);
  const double y = std::min(std::max(rint(v), 0.0), height - 1.0);
  return x >= radius && x <= width - 1.0 - radius && y >= radius && y <= height - 1.0 - radius;
}

}  // namespace

template <class T>
void askable_points_cpu(View<const float, 2> points, const Pinhole& K, double width, double height,
                        View<const double, 3> cam_from_world, View<const T, 3> depth,
                        double depth_scale, const PixelMap& map, const AskableRule& rule,
                        View<const uint64_t, 2> visible, uint64_t* askable, int threads) {
  const std::vector<int64_t> half_width = disc_rows(rule.disc_radius);
  const int64_t frames = visible.shape[0], words = visible.shape[1];
  const int64_t h = depth.shape[1], w = depth.shape[2];

  auto passes = [&](const float* p, const double* pose, View<const T, 2> frame_depth) {
    const CameraPoint c = to_camera(pose, p[0], p[1], p[2]);
    if (!(c.z >= rule.depth_min && c.z <= rule.depth_max && in_front(c.z))) return false;
    double u, v;
    to_pixel(c, K, &u, &v);
    if (!in_image(u, v, width, height)) return false;
    if (rule.border && !on_canvas(u, v, width, height, rule.mark_radius)) return false;
    const int64_t column = depth_column(u, map, w), row = depth_row(v, map, h);
    const double d = static_cast<double>(frame_depth.row(row)[column]) * depth_scale;
    const double agreement = std::max(rule.agreement_relative * c.z, rule.agreement_absolute);
    if (!(std::fabs(c.z - d) < agreement)) return false;
    return rule.edge_share <= 0.0 ||
           disc_agrees(frame_depth, depth_scale, column, row, c.z, rule, half_width);
  };

  parallel_for(frames, 1, threads, [&](int64_t begin, int64_t end) {
    for (int64_t f = begin; f < end; ++f) {
      const View<const T, 2> frame_depth{depth.row(f), {h, w}};
      for (int64_t k = 0; k < words; ++k) {
        uint64_t left = visible.row(f)[k], kept = 0;
        for (; left != 0; left &= left - 1) {
          const int bit = __builtin_ctzll(left);
          const int64_t point = 64 * k + bit;
          if (passes(points.row(point), cam_from_world.row(f), frame_depth)) {
            kept |= uint64_t{1} << bit;
          }
        }
        askable[f * words + k] = kept;
      }
    }
  });
}

template void askable_points_cpu(View<const float, 2>, const Pinhole&, double, double,
                                 View<const double, 3>, View<const uint16_t, 3>, double,
                                 const PixelMap&, const AskableRule&, View<const uint64_t, 2>,
                                 uint64_t*, int);
template void askable_points_cpu(View<const float, 2>, const Pinhole&, double, double,
                                 View<const double, 3>, View<const float, 3>, double,
                                 const PixelMap&, const AskableRule&, View<const uint64_t, 2>,
                                 uint64_t*, int);

}  // namespace spatialcore
