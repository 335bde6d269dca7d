// SPDX-License-Identifier: Apache-2.0
// Minimal sets of frames that see every bin of an object, exactly. See spatialcore/coverage.h.
#include <cstdint>
#include <vector>

#include "spatialcore/coverage.h"

namespace spatialcore {
namespace {

struct CoverSearch {
  const uint64_t* bins;
  int64_t frame_count;
  uint64_t required;
  int most;
  std::vector<uint64_t> later;  // bins that frames from i on see
  std::vector<std::vector<int32_t>>* covers;
  int32_t chosen[4];

  bool minimal(int count) const {
    for (int left_out = 0; left_out < count; ++left_out) {
      uint64_t seen = 0;
      for (int n = 0; n < count; ++n) {
        if (n != left_out) seen |= bins[chosen[n]];
      }
      if ((required & ~seen) == 0) return false;
    }
    return true;
  }

  void extend(int64_t first, uint64_t seen, int count) {
    for (int64_t i = first; i < frame_count; ++i) {
      if (required & ~(seen | later[i])) return;
      if ((bins[i] & required & ~seen) == 0) continue;
      chosen[count] = static_cast<int32_t>(i);
      const uint64_t now = seen | bins[i];
      if ((required & ~now) == 0) {
        if (minimal(count + 1)) {
          auto& out = (*covers)[count];
          out.insert(out.end(), chosen, chosen + count + 1);
        }
      } else if (count + 1 < most) {
        extend(i + 1, now, count + 1);
      }
    }
  }
};

}  // namespace

void minimal_covers_cpu(const uint64_t* bins, int64_t frame_count, uint64_t required, int most,
                        std::vector<std::vector<int32_t>>* covers) {
  covers->assign(most, {});
  if (required == 0) return;
  CoverSearch search{bins, frame_count, required, most, {}, covers, {}};
  search.later.assign(frame_count, 0);
  uint64_t seen = 0;
  for (int64_t i = frame_count - 1; i >= 0; --i) search.later[i] = seen |= bins[i];
  search.extend(0, 0, 0);
}

}  // namespace spatialcore
