// SPDX-License-Identifier: Apache-2.0
// The inner loops of rigidity, over a block of 8 x 8 pairs and over one pair, once for each
// instruction set.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

#include "cpu/isa/dispatch.h"
#include "spatialcore/rigidity.h"

namespace spatialcore {

// One block of pairs. Tracks are packed (T, 3, kTrackBlock); results are (kTrackBlock,
// kTrackBlock), row = track of `rows`, column = track of `columns`.
template <class S>
struct ChangeBlock {
  const S* rows;
  const S* columns;
  int64_t step_count;
  S noise_floor;
  S* sum;   // of changes, or of squared changes
  S* near;  // kExact: least |c - noise_floor|; kRms: number of present steps
};

template <class S>
using ChangeFn = void (*)(const ChangeBlock<S>&);

template <class S, ChangeMode kMode>
void change_baseline(const ChangeBlock<S>& block);
template <class S, ChangeMode kMode>
void change_avx2(const ChangeBlock<S>& block);
template <class S, ChangeMode kMode>
void change_avx512(const ChangeBlock<S>& block);

// Sum of the changes of one pair in float64. Tracks are (3, step_count), missing points NaN.
using PairSumFn = double (*)(const double* a, const double* b, int64_t step_count,
                             double noise_floor);

double pair_sum_baseline(const double* a, const double* b, int64_t step_count, double noise_floor);
double pair_sum_avx2(const double* a, const double* b, int64_t step_count, double noise_floor);
double pair_sum_avx512(const double* a, const double* b, int64_t step_count, double noise_floor);

// `Simd` gives a vector of S: kLanes, load (of columns), store, all, from_row (columns minus a
// row's coordinate), sub, add, mul, sqrt, abs, add_where_greater, add_where_at_least, min. A vector
// with more lanes than a block has columns takes several rows; kRows vectors of rows keep their
// previous distances and sums in registers.
template <class Simd>
constexpr int kRowsOf = Simd::kLanes <= kTrackBlock ? 1 : Simd::kLanes / kTrackBlock;

template <class Simd, class S>
inline typename Simd::V distance_to(const typename Simd::V* c, const S* r) {
  const auto dx = Simd::from_row(c[0], r);
  const auto dy = Simd::from_row(c[1], r + kTrackBlock);
  const auto dz = Simd::from_row(c[2], r + 2 * kTrackBlock);
  return Simd::sqrt(Simd::add(Simd::add(Simd::mul(dx, dx), Simd::mul(dy, dy)), Simd::mul(dz, dz)));
}

template <class Simd, class S, ChangeMode kMode, int kRows>
inline void change_rows(const ChangeBlock<S>& block, int64_t row, int64_t column) {
  using V = typename Simd::V;
  constexpr int64_t kStride = 3 * kTrackBlock;
  const V floor = Simd::all(block.noise_floor), zero = Simd::all(0);
  V previous[kRows], sum[kRows], near[kRows];
  const S* c = block.columns + column;
  const S* r = block.rows + row;
  const V first[3] = {Simd::load(c), Simd::load(c + kTrackBlock), Simd::load(c + 2 * kTrackBlock)};
#pragma GCC unroll 4
  for (int a = 0; a < kRows; ++a) {
    previous[a] = distance_to<Simd>(first, r + a * kRowsOf<Simd>);
    sum[a] = zero;
    near[a] = kMode == ChangeMode::kExact ? Simd::all(S{3e38f}) : zero;
  }
  for (int64_t t = 1; t < block.step_count; ++t) {
    c += kStride, r += kStride;
    const V now[3] = {Simd::load(c), Simd::load(c + kTrackBlock), Simd::load(c + 2 * kTrackBlock)};
#pragma GCC unroll 4
    for (int a = 0; a < kRows; ++a) {
      const V d = distance_to<Simd>(now, r + a * kRowsOf<Simd>);
      const V change = Simd::abs(Simd::sub(d, previous[a]));
      previous[a] = d;
      if constexpr (kMode == ChangeMode::kRms) {
        // A change is missing iff it is NaN, and then not >= 0.
        sum[a] = Simd::add_where_at_least(sum[a], change, zero, Simd::mul(change, change));
        near[a] = Simd::add_where_at_least(near[a], change, zero, Simd::all(1));
      } else {
        sum[a] = Simd::add_where_greater(sum[a], change, floor, change);
      }
      if constexpr (kMode == ChangeMode::kExact) {
        // min returns its second operand when the first is NaN.
        near[a] = Simd::min(Simd::abs(Simd::sub(change, floor)), near[a]);
      }
    }
  }
#pragma GCC unroll 4
  for (int a = 0; a < kRows; ++a) {
    const int64_t at = (row + a * kRowsOf<Simd>)*kTrackBlock + column;
    Simd::store(block.sum + at, sum[a]);
    if constexpr (kMode == ChangeMode::kExact || kMode == ChangeMode::kRms) {
      Simd::store(block.near + at, near[a]);
    }
  }
}

template <class Simd, class S, ChangeMode kMode, int kRows>
inline void change_block(const ChangeBlock<S>& block) {
  for (int64_t row = 0; row < kTrackBlock; row += kRows * kRowsOf<Simd>) {
    for (int64_t column = 0; column < kTrackBlock; column += Simd::kLanes) {
      change_rows<Simd, S, kMode, kRows>(block, row, column);
    }
  }
}

// The body of PairSumFn: vectors along the steps, as the compiler makes them for the set of `Simd`;
// only the sum, whose order is promised, goes step by step.
template <class Simd>
inline double pair_sum(const double* a, const double* b, int64_t step_count, double noise_floor) {
  constexpr int64_t kRun = 64;  // steps whose distances are at hand before they are compared
  double d[kRun + 1], counted[kRun], sum = 0.0;
  d[0] = std::numeric_limits<double>::quiet_NaN();
  for (int64_t begin = 0; begin < step_count; begin += kRun) {
    const int64_t count = std::min(kRun, step_count - begin);
    const double *ax = a + begin, *ay = ax + step_count, *az = ay + step_count;
    const double *bx = b + begin, *by = bx + step_count, *bz = by + step_count;
    for (int64_t t = 0; t < count; ++t) {
      const double dx = bx[t] - ax[t], dy = by[t] - ay[t], dz = bz[t] - az[t];
      d[t + 1] = std::sqrt((dx * dx + dy * dy) + dz * dz);
    }
    for (int64_t t = 0; t < count; ++t) {
      const double change = std::fabs(d[t + 1] - d[t]);
      counted[t] = change > noise_floor ? change : 0.0;
    }
    for (int64_t t = 0; t < count; ++t) sum += counted[t];
    d[0] = d[count];
  }
  return sum;
}

}  // namespace spatialcore
