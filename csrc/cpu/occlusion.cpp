// SPDX-License-Identifier: Apache-2.0
// Contract: spatialcore/occlusion.h.
#include "spatialcore/occlusion.h"

#include <algorithm>

#include "cpu/thread_pool.h"

namespace spatialcore {
namespace {

template <class T, class DepthType>
void frame_exact(const T* points, int64_t count, const double* pose, const Pinhole& k,
                 const DepthType* depth, const OcclusionRule& rule, uint64_t* words) {
  for (int64_t begin = 0; begin < count; begin += 64) {
    uint64_t word = 0;
    const int64_t end = std::min(begin + 64, count);
    for (int64_t p = begin; p < end; ++p) {
      const T* point = points + 3 * p;
      const bool visible = is_visible(rule, pose, k, depth, point[0], point[1], point[2]);
      word |= static_cast<uint64_t>(visible) << (p - begin);
    }
    words[begin / 64] = word;
  }
}

template <class T, class DepthType>
void visible_typed(const T* points, int64_t count, View<const double, 3> K,
                   View<const double, 3> poses, const DepthType* depth, const OcclusionRule& rule,
                   uint64_t* words, int threads) {
  const int64_t map_size = rule.depth_width * rule.depth_height;
  const int64_t row_words = (count + 63) / 64;
  parallel_for(poses.shape[0], 1, threads, [&](int64_t first, int64_t last) {
    for (int64_t f = first; f < last; ++f) {
      frame_exact(points, count, poses.row(f), pinhole(K.row(f)), depth + f * map_size, rule,
                  words + f * row_words);
    }
  });
}

template <class T>
void visible_points_of(const T* points, int64_t count, View<const double, 3> K,
                       View<const double, 3> poses, const DepthMaps& depth,
                       const OcclusionRule& rule, uint64_t* words, int threads) {
  if (depth.is_float) {
    visible_typed(points, count, K, poses, static_cast<const float*>(depth.pointer), rule, words,
                  threads);
  } else {
    visible_typed(points, count, K, poses, static_cast<const uint16_t*>(depth.pointer), rule, words,
                  threads);
  }
}

}  // namespace

void visible_points_cpu(const ScenePoints& points, View<const double, 3> K,
                        View<const double, 3> cam_from_world, const DepthMaps& depth,
                        const OcclusionRule& rule, uint64_t* words, int threads) {
  if (points.is_float64) {
    visible_points_of(static_cast<const double*>(points.pointer), points.count, K, cam_from_world,
                      depth, rule, words, threads);
  } else {
    visible_points_of(static_cast<const float*>(points.pointer), points.count, K, cam_from_world,
                      depth, rule, words, threads);
  }
}

}  // namespace spatialcore
