// SPDX-License-Identifier: Apache-2.0
// Keyed draws for many integers at once: which ids have the smallest.
//
//   fold                  z = (state xor number) + golden, then the SplitMix64 mixer; exact
//   smallest_draws_cpu    rows with the `count` smallest fold(state, ids[row]), ascending, the
//                         lower row first among equals; all rows when there are fewer
//   smallest_common_cpu   of the bits set in both rows of words, the id with the smallest draw
//
// One id costs about 1 ns with AVX2 and nothing is stored but a block of 512 draws. Source: the
// generator of docs/conventions.md; bit-equal to spatialcore/draws.py. Tests:
// tests/ops/test_draws.py.
#pragma once

#include <cstdint>
#include <vector>

#include "spatialcore/view.h"

namespace spatialcore {

inline uint64_t fold(uint64_t state, uint64_t number) {
  uint64_t z = (state ^ number) + 0x9E3779B97F4A7C15;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
  return z ^ (z >> 31);
}

std::vector<int64_t> smallest_draws_cpu(uint64_t state, View<const int64_t, 1> ids, int64_t count);

// a, b: (word_count,) bits of points; ids: the id of every point. -1 where no bit is common.
int64_t smallest_common_cpu(uint64_t state, const uint64_t* a, const uint64_t* b,
                            int64_t word_count, const uint32_t* ids);

}  // namespace spatialcore
