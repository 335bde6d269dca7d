// SPDX-License-Identifier: Apache-2.0
// The draw loop of the baseline.
#include "cpu/isa/draws_loops.h"
#include "spatialcore/draws.h"

namespace spatialcore {

int64_t draw_loop_baseline(uint64_t state, const int64_t* ids, int64_t count, uint64_t bound,
                           int64_t* at, uint64_t* values) {
  int64_t found = 0;
  for (int64_t k = 0; k < count; ++k) {
    const uint64_t value = fold(state, static_cast<uint64_t>(ids[k]));
    if (value <= bound) at[found] = k, values[found++] = value;
  }
  return found;
}

}  // namespace spatialcore
