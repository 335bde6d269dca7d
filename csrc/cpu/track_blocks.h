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

// Balls that hold each track for a few steps at a time: how far two tracks are apart at most.
class Reach {
 public:
  Reach(const double* tracks, int64_t step_count, int64_t track_count)
      : chunk_count_((step_count + kChunk - 1) / kChunk), balls_(chunk_count_ * track_count) {
    constexpr double kInf = std::numeric_limits<double>::infinity();
    for (int64_t n = 0; n < track_count; ++n) {
      for (int64_t c = 0; c < chunk_count_; ++c) {
        double low[3] = {kInf, kInf, kInf}, high[3] = {-kInf, -kInf, -kInf};
        const int64_t end = std::min(step_count, (c + 1) * kChunk);
        for (int64_t t = c * kChunk; t < end; ++t) {
          const double* p = tracks + (t * track_count + n) * 3;
          if (!present(p)) continue;
          for (int axis = 0; axis < 3; ++axis) {
            low[axis] = std::min(low[axis], p[axis]);
            high[axis] = std::max(high[axis], p[axis]);
          }
        }
        balls_[n * chunk_count_ + c] = ball(low, high);
      }
    }
  }

  // At least every distance of tracks i and j at a common step; 0 without one.
  double operator()(int64_t i, int64_t j) const {
    const Ball *a = balls_.data() + i * chunk_count_, *b = balls_.data() + j * chunk_count_;
    double most = 0.0;
    for (int64_t c = 0; c < chunk_count_; ++c) {
      const double x = a[c].x - b[c].x, y = a[c].y - b[c].y, z = a[c].z - b[c].z;
      most = std::max(most, std::sqrt((x * x + y * y) + z * z) + (a[c].radius + b[c].radius));
    }
    return most;
  }

 private:
  static constexpr int64_t kChunk = 16;

  struct Ball {
    double x, y, z, radius;  // radius -infinity: no reading
  };

  static Ball ball(const double* low, const double* high) {
    if (!(low[0] <= high[0])) return {0, 0, 0, -std::numeric_limits<double>::infinity()};
    double centre[3], square = 0.0;
    for (int axis = 0; axis < 3; ++axis) {
      centre[axis] = 0.5 * low[axis] + 0.5 * high[axis];
      const double half = std::max(high[axis] - centre[axis], centre[axis] - low[axis]);
      square += half * half;
    }
    // A hair more than the box's half diagonal, for the roundings of the sums here.
    return {centre[0], centre[1], centre[2], std::sqrt(square) * (1 + 1e-12)};
  }

  int64_t chunk_count_;
  std::vector<Ball> balls_;
};

// (T, N, 3) -> (N, 3, T), missing points NaN: one pair reads six runs of memory, steps side by
// side.
class SingleTracks {
 public:
  SingleTracks(const double* tracks, int64_t step_count, int64_t track_count, int threads)
      : step_count_(step_count), values_(track_count * 3 * step_count) {
    constexpr double kMissing = std::numeric_limits<double>::quiet_NaN();
    parallel_for(track_count, 8, threads, [&](int64_t begin, int64_t end) {
      for (int64_t t = 0; t < step_count; ++t) {
        for (int64_t n = begin; n < end; ++n) {
          const double* p = tracks + (t * track_count + n) * 3;
          const bool here = present(p);
          double* to = values_.data() + n * 3 * step_count + t;
          for (int axis = 0; axis < 3; ++axis) to[axis * step_count] = here ? p[axis] : kMissing;
        }
      }
    });
  }

  // (3, T): the coordinates of one track.
  const double* operator[](int64_t n) const { return values_.data() + n * 3 * step_count_; }

 private:
  int64_t step_count_;
  std::vector<double> values_;
};

}  // namespace spatialcore
