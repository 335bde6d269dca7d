// SPDX-License-Identifier: Apache-2.0
// The inner loops of linkage: the nearest neighbour of a row, and the row of a union. Every step is
// one rounding. Measured: docs/ops/rigidity.md.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "cpu/linkage_matrix.h"
#include "spatialcore/rigidity.h"

namespace spatialcore::linkage {

constexpr int kRegisterBytes = 16;  // SSE or NEON; wider ones gain a tenth at most
constexpr int64_t kScan = 64;       // distances compared before a new minimum is looked for

using Doubles = double __attribute__((vector_size(kRegisterBytes)));
constexpr int kLanes = kRegisterBytes / sizeof(double);
constexpr int kChains = 4;  // minima side by side: one would wait for itself

inline Doubles load(const double* p) {
  Doubles v;
  __builtin_memcpy(&v, p, sizeof(v));
  return v;
}

inline Doubles minimum(Doubles a, Doubles b) { return a < b ? a : b; }

// Least of kScan distances.
inline double least_of(const double* row, const double* gone) {
  Doubles least[kChains];
#pragma GCC unroll 4
  for (int c = 0; c < kChains; ++c) least[c] = load(row + c * kLanes) + load(gone + c * kLanes);
#pragma GCC unroll 8
  for (int64_t k = kChains * kLanes; k < kScan; k += kChains * kLanes) {
#pragma GCC unroll 4
    for (int c = 0; c < kChains; ++c) {
      least[c] = minimum(load(row + k + c * kLanes) + load(gone + k + c * kLanes), least[c]);
    }
  }
  const Doubles all = minimum(minimum(least[0], least[1]), minimum(least[2], least[3]));
  double minimum = all[0];
  for (int lane = 1; lane < kLanes; ++lane) minimum = all[lane] < minimum ? all[lane] : minimum;
  return minimum;
}

// First index of the least row[j] + gone[j]; gone is 0 or infinity.
inline int64_t nearest(const double* row, const double* gone, int64_t n) {
  double best = kInf;
  int64_t block = 0, j = 0;
  for (; j + kScan <= n; j += kScan) {
    const double minimum = least_of(row + j, gone + j);
    if (minimum < best) best = minimum, block = j;
  }
  const int64_t tail = j;
  int64_t found = tail;
  for (; j < n; ++j) {
    if (row[j] + gone[j] < best) best = row[j] + gone[j], found = j, block = tail;
  }
  if (block == tail) return found;
  for (found = block; row[found] + gone[found] != best; ++found) {
  }
  return found;
}

// row_y becomes the distances of the union of x and y.
inline void unite(const double* row_x, double* row_y, const double* size, double size_x,
                  double size_y, double apart, Linkage method, int64_t n) {
  const double both = size_x + size_y;
  if (method == Linkage::kAverage) {
    for (int64_t j = 0; j < n; ++j) row_y[j] = (size_x * row_x[j] + size_y * row_y[j]) / both;
    return;
  }
  for (int64_t j = 0; j < n; ++j) {
    const double square = ((size_x + size[j]) * row_x[j] * row_x[j] +
                           (size_y + size[j]) * row_y[j] * row_y[j] - size[j] * apart * apart) /
                          (both + size[j]);
    row_y[j] = std::sqrt(std::max(square, 0.0));
  }
}

}  // namespace spatialcore::linkage
