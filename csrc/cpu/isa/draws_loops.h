// SPDX-License-Identifier: Apache-2.0
// The inner loop of draws, compiled once for each instruction set; integers, so the bits agree.
#pragma once

#include <cstdint>

#include "cpu/isa/dispatch.h"

namespace spatialcore {

// out[k] = fold(state, ids[k])
using DrawLoop = void (*)(uint64_t state, const int64_t* ids, int64_t count, uint64_t* out);

void draw_loop_baseline(uint64_t state, const int64_t* ids, int64_t count, uint64_t* out);
void draw_loop_avx2(uint64_t state, const int64_t* ids, int64_t count, uint64_t* out);

}  // namespace spatialcore
