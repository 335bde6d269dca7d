// SPDX-License-Identifier: Apache-2.0
// Tracks as the distance-change loops take them: blocks of neighbours, steps in order within.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "cpu/isa/rigidity_loops.h"
#include "cpu/thread_pool.h"

namespace spatialcore {

constexpr double kLargestFloat32 = 1e15;  // squares of larger coordinates leave float32

struct Range {
  double middle[3];  // subtracted before rounding to float32; 0 when float32 holds all coordinates
  double largest;    // greatest |coordinate| that was rounded; 0 when none was
  double extent;     // greatest |coordinate| after the shift
};

inline bool present(const double* p) {
  return std::isfinite(p[0]) && std::isfinite(p[1]) && std::isfinite(p[2]);
}

inline Range measure(const double* tracks, int64_t point_count) {
  constexpr double kInf = std::numeric_limits<double>::infinity();
  double low[3] = {kInf, kInf, kInf}, high[3] = {-kInf, -kInf, -kInf};
  bool exact = true;
  for (int64_t n = 0; n < point_count; ++n) {
    const double* p = tracks + 3 * n;
    if (!present(p)) continue;
    for (int axis = 0; axis < 3; ++axis) {
      low[axis] = std::min(low[axis], p[axis]);
      high[axis] = std::max(high[axis], p[axis]);
      exact = exact && std::fabs(p[axis]) < kLargestFloat32 &&
              static_cast<double>(static_cast<float>(p[axis])) == p[axis];
    }
  }
  Range range{};
  for (int axis = 0; axis < 3; ++axis) {
    if (low[axis] > high[axis]) continue;
    if (!exact) range.middle[axis] = 0.5 * low[axis] + 0.5 * high[axis];
    const double reach = std::max(std::fabs(low[axis] - range.middle[axis]),
                                  std::fabs(high[axis] - range.middle[axis]));
    range.extent = std::max(range.extent, reach);
  }
  range.largest = exact ? 0.0 : range.extent;
  return range;
}

// (T, N, 3) -> blocks of (T, 3, kTrackBlock); missing points and the last block's rest are NaN.
template <class S>
std::vector<S> pack(const double* tracks, int64_t step_count, int64_t track_count,
                    const double* middle, int threads) {
  const int64_t block_count = (track_count + kTrackBlock - 1) / kTrackBlock;
  const int64_t stride = 3 * kTrackBlock;
  std::vector<S> packed(block_count * step_count * stride, std::numeric_limits<S>::quiet_NaN());
  parallel_for(step_count, 16, threads, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      for (int64_t n = 0; n < track_count; ++n) {
        const double* p = tracks + (t * track_count + n) * 3;
        if (!present(p)) continue;
        S* out = packed.data() + (n / kTrackBlock * step_count + t) * stride + n % kTrackBlock;
        for (int axis = 0; axis < 3; ++axis) {
          out[axis * kTrackBlock] = static_cast<S>(p[axis] - middle[axis]);
        }
      }
    }
  });
  return packed;
}

// One pair in float64 from tracks packed by `pack<double>` without a shift.
inline double redo_pair(const std::vector<double>& packed, int64_t step_count, int64_t i, int64_t j,
                        double noise_floor) {
  const int64_t stride = 3 * kTrackBlock;
  const double* a = packed.data() + i / kTrackBlock * step_count * stride + i % kTrackBlock;
  const double* b = packed.data() + j / kTrackBlock * step_count * stride + j % kTrackBlock;
  double sum = 0.0, previous = std::numeric_limits<double>::quiet_NaN();
  for (int64_t t = 0; t < step_count; ++t, a += stride, b += stride) {
    const double dx = b[0] - a[0];
    const double dy = b[kTrackBlock] - a[kTrackBlock];
    const double dz = b[2 * kTrackBlock] - a[2 * kTrackBlock];
    const double d = std::sqrt((dx * dx + dy * dy) + dz * dz);
    const double change = std::fabs(d - previous);
    previous = d;
    if (change > noise_floor) sum += change;
  }
  return sum;
}

}  // namespace spatialcore
