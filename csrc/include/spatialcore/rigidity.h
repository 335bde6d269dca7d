// SPDX-License-Identifier: Apache-2.0
// How much the distance of every pair of tracks changes over a clip.
//
//   d(t)   = sqrt((dx dx + dy dy) + dz dz)                  tracks i and j at step t
//   c(t)   = |d(t) - d(t - 1)|, present only when both points are present at t - 1 and t
//   kSum, kExact, kFast:  sum of c(t) over t ascending where c(t) > noise_floor
//   kRms:                 sqrt(mean of c(t)^2 over present steps), no floor
//
//   tracks     (T, N, 3) float64  m   a point with any non-finite coordinate is missing
//   condensed  (N (N - 1) / 2,) float64  m   pairs i < j in row order
//
// Numerics: kSum and kRms are float64 in the order written, without fused operations and with a
// correctly rounded sqrt, so the bits do not depend on tiling, threads or instruction set. kFast is
// the same in float32. kExact is kFast whose every decision c > noise_floor is the float64 one: a
// pair that comes closer to the floor than `float32_margin` is summed again in float64.
// Scratch: (T, N, 3) twice. Docs: docs/ops/rigidity.md. Tests: tests/ops/test_rigidity.py.
#pragma once

#include <cstdint>

namespace spatialcore {

constexpr int64_t kTrackBlock = 8;  // tracks side by side in memory: one AVX2 register of float32

enum class ChangeMode { kSum, kExact, kFast, kRms };

inline int64_t condensed_row(int64_t i, int64_t n) { return i * n - i * (i + 1) / 2 - i - 1; }

// How far a float32 change c may lie from the float64 one: twice the error of a distance, which is
// 2 sqrt(3) u largest_coordinate for rounded coordinates (0 when float32 holds them exactly) plus
// 3.5 u d for the arithmetic, u = 2^-24, and the rounding of c and of the floor.
float float32_margin(double largest_coordinate, double noise_floor, double largest_distance);

// `redone_count` (may be null) receives the number of pairs that kExact summed again.
void distance_change_cpu(const double* tracks, int64_t step_count, int64_t track_count,
                         double noise_floor, ChangeMode mode, double* condensed,
                         int64_t* redone_count, int threads);

}  // namespace spatialcore
