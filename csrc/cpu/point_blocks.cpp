// SPDX-License-Identifier: Apache-2.0
#include "cpu/point_blocks.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>

#include "cpu/morton.h"
#include "cpu/thread_pool.h"

namespace spatialcore {
namespace {

// A sort costs about 15 ns a point and saves about 0.3 ns a point and frame.
constexpr int64_t kSortFrames = 48;
constexpr int64_t kSortPoints = 4096;
constexpr int kSortBits = 10;  // an axis: a thousandth of the scene, finer than any block
constexpr double kFar = 1e9;   // metres; farther points are decided in float64 alone
constexpr float kRoundUp = 1.000001f;
constexpr double kInf = std::numeric_limits<double>::infinity();

template <class T>
bool is_near(const T* p) {
  constexpr T far = static_cast<T>(kFar);
  int within = std::abs(p[0]) <= far;  // & of numbers: no branch
  within &= std::abs(p[1]) <= far;
  within &= std::abs(p[2]) <= far;
  return within != 0;
}

template <class T>
bool is_far(const T* p) {
  return std::isfinite(p[0]) && std::isfinite(p[1]) && std::isfinite(p[2]) && !is_near(p);
}

constexpr int kStripes = 8;  // independent minima, so that the compiler uses vectors

// Smallest and largest of 256 values; NaN is passed over, and low > high when all are.
template <class T>
void value_range(const T* values, T* low, T* high) {
  T lows[kStripes], highs[kStripes];
  std::fill(lows, lows + kStripes, std::numeric_limits<T>::infinity());
  std::fill(highs, highs + kStripes, -std::numeric_limits<T>::infinity());
  for (int k = 0; k < kBlockPoints; k += kStripes) {
    for (int s = 0; s < kStripes; ++s) {
      const T value = values[k + s];
      lows[s] = value < lows[s] ? value : lows[s];
      highs[s] = value > highs[s] ? value : highs[s];
    }
  }
  *low = *std::min_element(lows, lows + kStripes);
  *high = *std::max_element(highs, highs + kStripes);
}

}  // namespace

PointBlocks::PointBlocks(const ScenePoints& points, int64_t frame_count, int threads)
    : points_(points) {
  if (points.is_float64) {
    build(static_cast<const double*>(points.pointer), frame_count, threads);
  } else {
    build(static_cast<const float*>(points.pointer), frame_count, threads);
  }
}

template <class T>
void PointBlocks::build(const T* points, int64_t frame_count, int threads) {
  const int64_t count = points_.count;
  view_.block_count = (count + kBlockPoints - 1) / kBlockPoints;
  view_.box_stride = (view_.block_count + 15) / 16 * 16;
  offset_ = std::unique_ptr<float[]>(new float[view_.block_count * 3 * kBlockPoints]);
  centre_.resize(view_.block_count * 3);
  half_.resize(view_.block_count * 3);
  has_gap_.resize(view_.block_count);
  fill(points, threads);
  if (frame_count >= kSortFrames && count >= kSortPoints && count <= UINT32_MAX && is_scattered()) {
    order_.resize(count);
    morton_order(points, count, kSortBits, order_.data());
    fill(points, threads);
  }
  for (int64_t b = 0; b < view_.block_count; ++b) {
    if (!has_gap_[b]) continue;
    for (int64_t k = b * kBlockPoints; k < std::min((b + 1) * kBlockPoints, count); ++k) {
      const int64_t row = order_.empty() ? k : order_[k];
      if (is_far(points + 3 * row)) far_rows_.push_back(row);
    }
  }
  finish_boxes();
}

template <class T>
void PointBlocks::fill(const T* points, int threads) {
  const int64_t count = points_.count;
  parallel_for(view_.block_count, 64, threads, [&](int64_t first, int64_t last) {
    T axis[3][kBlockPoints];
    for (int64_t b = first; b < last; ++b) {
      const int64_t begin = b * kBlockPoints;
      const int kept_end = static_cast<int>(std::min<int64_t>(kBlockPoints, count - begin));
      bool gap = kept_end < kBlockPoints;
      const uint32_t* order = order_.empty() ? nullptr : order_.data() + begin;
      for (int k = 0; k < kept_end; ++k) {
        const T* point = points + 3 * (order == nullptr ? begin + k : order[k]);
        const T mask = is_near(point) ? T{0} : std::numeric_limits<T>::quiet_NaN();
        gap |= mask != 0;
        for (int a = 0; a < 3; ++a) axis[a][k] = point[a] + mask;
      }
      for (int a = 0; a < 3; ++a) {
        std::fill(axis[a] + kept_end, axis[a] + kBlockPoints, std::numeric_limits<T>::quiet_NaN());
        fill_axis(axis[a], b, a);
      }
      has_gap_[b] = gap;
    }
  });
}

// Centre, half side and offsets of one axis of one block.
template <class T>
void PointBlocks::fill_axis(const T* values, int64_t block, int a) {
  T low, high;
  value_range(values, &low, &high);
  const T centre = low <= high ? (low + high) / 2 : T{0};
  float* offset = offset_.get() + (block * 3 + a) * kBlockPoints;
  for (int k = 0; k < kBlockPoints; ++k) offset[k] = static_cast<float>(values[k] - centre);
  const double half = std::max(double{high} - double{centre}, double{centre} - double{low});
  centre_[3 * block + a] = centre;
  half_[3 * block + a] = low <= high ? half * double{kRoundUp} : -kInf;
}

}  // namespace spatialcore
