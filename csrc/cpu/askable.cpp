// SPDX-License-Identifier: Apache-2.0
// The guards on visible points; see the header. One thread owns whole frames: it walks the set bits
// of the frame's visible words and writes the frame's askable words. The disc is kept as one span a
// row, so that its readings are contiguous.
#include "spatialcore/askable.h"

#include <vector>

#include "cpu/thread_pool.h"

namespace spatialcore {
namespace {

// Half widths of the disc's rows 0, 1, ... while it has any.
std::vector<int64_t> disc_rows(double radius) {
  std::vector<int64_t> half_width;
  for (int64_t half; (half = disc_half_width(radius, half_width.size())) >= 0;) {
    half_width.push_back(half);
  }
  return half_width;
}

// Words of the visible points that pass; one map of `D` a frame.
template <class D>
void askable_typed(View<const float, 2> points, View<const double, 3> K,
                   View<const double, 3> cam_from_world, const DepthMaps& depth,
                   const OcclusionRule& view, const AskableRule& rule,
                   View<const uint64_t, 2> visible, uint64_t* askable, int threads) {
  const std::vector<int64_t> rows = disc_rows(rule.disc_radius);
  const int64_t reach = static_cast<int64_t>(rows.size()) - 1;
  const auto half_width = [&](int64_t dy) { return rows[static_cast<size_t>(dy)]; };
  const int64_t frames = visible.shape[0], words = visible.shape[1];

  parallel_for(frames, 1, threads, [&](int64_t begin, int64_t end) {
    for (int64_t f = begin; f < end; ++f) {
      const double* pose = cam_from_world.row(f);
      const Pinhole k = pinhole(K.row(f));
      const D* map = static_cast<const D*>(depth.maps[f]);
      for (int64_t w = 0; w < words; ++w) {
        uint64_t kept = 0;
        for (uint64_t left = visible.row(f)[w]; left != 0; left &= left - 1) {
          const int bit = __builtin_ctzll(left);
          const float* p = points.row(64 * w + bit);
          if (is_askable(view, rule, pose, k, depth.from_image[f], map, p[0], p[1], p[2], reach,
                         half_width)) {
            kept |= uint64_t{1} << bit;
          }
        }
        askable[f * words + w] = kept;
      }
    }
  });
}

}  // namespace

void askable_points_cpu(View<const float, 2> points, View<const double, 3> K,
                        View<const double, 3> cam_from_world, const DepthMaps& depth,
                        const OcclusionRule& view, const AskableRule& rule,
                        View<const uint64_t, 2> visible, uint64_t* askable, int threads) {
  const auto run = depth.is_float ? askable_typed<float> : askable_typed<uint16_t>;
  run(points, K, cam_from_world, depth, view, rule, visible, askable, threads);
}

}  // namespace spatialcore
