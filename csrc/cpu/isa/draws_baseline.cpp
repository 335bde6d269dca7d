// SPDX-License-Identifier: Apache-2.0
// The draw loop of the baseline.
#include "cpu/isa/draws_loops.h"
#include "spatialcore/draws.h"

namespace spatialcore {

void draw_loop_baseline(uint64_t state, const int64_t* ids, int64_t count, uint64_t* out) {
  for (int64_t k = 0; k < count; ++k) out[k] = fold(state, static_cast<uint64_t>(ids[k]));
}

}  // namespace spatialcore
