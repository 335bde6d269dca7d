// SPDX-License-Identifier: Apache-2.0
// Coverage on the CPU. See spatialcore/coverage.h.
#include "spatialcore/coverage.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <queue>

#include "cpu/thread_pool.h"

namespace spatialcore {
namespace {

// The object's points in one word of the mask.
struct WordOfObject {
  int64_t word;
  uint64_t bits;
  int64_t first;  // rank of the lowest bit among the object's points
};

std::vector<WordOfObject> group_by_word(const int64_t* rows, int64_t row_count) {
  std::vector<WordOfObject> words;
  for (int64_t n = 0; n < row_count; ++n) {
    if (words.empty() || words.back().word != rows[n] / 64) words.push_back({rows[n] / 64, 0, n});
    words.back().bits |= uint64_t{1} << (rows[n] % 64);
  }
  return words;
}

int64_t new_points(const uint64_t* row, const std::vector<uint64_t>& covered) {
  int64_t count = 0;
  for (size_t k = 0; k < covered.size(); ++k) count += __builtin_popcountll(row[k] & ~covered[k]);
  return count;
}

}  // namespace

void axis_extents_cpu(const double* points, const MaskRows& visible, const int64_t* rows,
                      int64_t row_count, const double* axes, double* lo, double* hi, int threads) {
  const std::vector<WordOfObject> words = group_by_word(rows, row_count);
  std::vector<double> along(3 * row_count);
  for (int64_t n = 0; n < row_count; ++n) {
    const double* p = points + 3 * rows[n];
    for (int axis = 0; axis < 3; ++axis) {
      const double* a = axes + 3 * axis;
      along[3 * n + axis] = (a[0] * p[0] + a[1] * p[1]) + a[2] * p[2];
    }
  }
  constexpr double kInf = std::numeric_limits<double>::infinity();
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  parallel_for(visible.frame_count, 16, threads, [&](int64_t begin, int64_t end) {
    for (int64_t f = begin; f < end; ++f) {
      const uint64_t* row = visible.words + f * visible.stride;
      double least[3] = {kInf, kInf, kInf}, greatest[3] = {-kInf, -kInf, -kInf};
      for (const WordOfObject& w : words) {
        for (uint64_t bits = row[w.word] & w.bits; bits; bits &= bits - 1) {
          const uint64_t below = (bits & -bits) - 1;
          const double* c = along.data() + 3 * (w.first + __builtin_popcountll(w.bits & below));
          for (int axis = 0; axis < 3; ++axis) {
            least[axis] = std::min(least[axis], c[axis]);
            greatest[axis] = std::max(greatest[axis], c[axis]);
          }
        }
      }
      for (int axis = 0; axis < 3; ++axis) {
        const bool seen = least[axis] <= greatest[axis];
        lo[3 * f + axis] = seen ? least[axis] : kNan;
        hi[3 * f + axis] = seen ? greatest[axis] : kNan;
      }
    }
  });
}

void minimal_view_sets_cpu(const double* lo, const double* hi, int64_t frame_count, double target,
                           double tolerance, std::vector<int32_t>* singles,
                           std::vector<int32_t>* pairs) {
  if (!(target > 0.0)) return;
  const double slack = tolerance * target;
  std::vector<int32_t> rest;
  for (int64_t i = 0; i < frame_count; ++i) {
    if (!(lo[i] <= hi[i])) continue;
    const bool alone = std::fabs((hi[i] - lo[i]) - target) <= slack;
    (alone ? singles : &rest)->push_back(static_cast<int32_t>(i));
  }
  for (size_t a = 0; a < rest.size(); ++a) {
    const double low = lo[rest[a]], high = hi[rest[a]];
    for (size_t b = a + 1; b < rest.size(); ++b) {
      const double extent = std::max(high, hi[rest[b]]) - std::min(low, lo[rest[b]]);
      if (std::fabs(extent - target) > slack) continue;
      pairs->push_back(rest[a]);
      pairs->push_back(rest[b]);
    }
  }
}

void max_coverage_cpu(const MaskRows& sets, int64_t k, std::vector<int32_t>* order,
                      std::vector<int64_t>* gain) {
  struct Bound {
    int64_t gain;  // at most this much, from an earlier round
    int64_t row;
    int64_t round;
    bool operator<(const Bound& other) const {
      return gain != other.gain ? gain < other.gain : row > other.row;
    }
  };
  std::vector<uint64_t> covered(sets.word_count, 0);
  std::priority_queue<Bound> queue;
  for (int64_t r = 0; r < sets.frame_count; ++r) {
    queue.push({new_points(sets.words + r * sets.stride, covered), r, 0});
  }
  for (int64_t round = 0; round < k && !queue.empty();) {
    Bound top = queue.top();
    queue.pop();
    const uint64_t* row = sets.words + top.row * sets.stride;
    if (top.round != round) {
      queue.push({new_points(row, covered), top.row, round});
      continue;
    }
    if (top.gain == 0) return;
    order->push_back(static_cast<int32_t>(top.row));
    gain->push_back(top.gain);
    for (int64_t w = 0; w < sets.word_count; ++w) covered[w] |= row[w];
    ++round;
  }
}

}  // namespace spatialcore
