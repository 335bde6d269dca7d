// SPDX-License-Identifier: Apache-2.0
// Keyed draws for many points at once: which of those that a frame sees have the smallest.
//
//   fold                z = (state xor number) + golden, then the SplitMix64 mixer; exact
//   smallest_seen_cpu   for each query the points with the `count` smallest fold(state, id) among
//                       the bits that both of its rows have; ascending, the lower point first
//                       among equals, -1 where there are fewer
//   smallest_of_groups_cpu   rows of the most[g] smallest values of each group g: by group, then
//                       value, the lower row first among equals
//
// Neighbouring queries of the same rows share one pass over the bits. A point costs about 1 ns with
// AVX2 for each query, and nothing is stored but a block of 512 draws and what is kept. Source: the
// generator of docs/conventions.md; bit-equal to spatialcore/draws.py. Tests:
// tests/ops/test_draws.py.
#pragma once

#include <cstdint>
#include <vector>

#include "spatialcore/overlap.h"
#include "spatialcore/view.h"

namespace spatialcore {

inline uint64_t fold(uint64_t state, uint64_t number) {
  uint64_t z = (state ^ number) + 0x9E3779B97F4A7C15;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
  return z ^ (z >> 31);
}

struct SeenQueries {
  int64_t size;
  const uint64_t* states;
  const int64_t* rows;
  const int64_t* others;  // the same row again for the points of one frame
};

// ids: the id of every point; out: (queries.size, count).
void smallest_seen_cpu(MaskRows mask, const SeenQueries& queries, const uint32_t* ids,
                       int64_t count, int64_t* out);

// groups: (values.shape[0],) in [0, most.shape[0]); most: not negative.
std::vector<int64_t> smallest_of_groups_cpu(View<const uint64_t, 1> values, const int64_t* groups,
                                            View<const int64_t, 1> most);

}  // namespace spatialcore
