// SPDX-License-Identifier: Apache-2.0
// The inner loop of draws, compiled once for each instruction set; integers, so the bits agree.
#pragma once

#include <cstdint>

#include "cpu/isa/dispatch.h"

namespace spatialcore {

// Of the draws fold(state, ids[k]) those at most `bound`: their k and value, in order of k; returns
// how many. `at` and `values` have room for `count`.
using DrawLoop = int64_t (*)(uint64_t state, const int64_t* ids, int64_t count, uint64_t bound,
                             int64_t* at, uint64_t* values);

int64_t draw_loop_baseline(uint64_t state, const int64_t* ids, int64_t count, uint64_t bound,
                           int64_t* at, uint64_t* values);
int64_t draw_loop_avx2(uint64_t state, const int64_t* ids, int64_t count, uint64_t bound,
                       int64_t* at, uint64_t* values);
int64_t draw_loop_avx512(uint64_t state, const int64_t* ids, int64_t count, uint64_t bound,
                         int64_t* at, uint64_t* values);

}  // namespace spatialcore
