// SPDX-License-Identifier: Apache-2.0
// Contract: spatialcore/draws.h. Draws are made a block at a time; most are larger than the worst
// of those kept, so that one comparison ends their part.
#include "spatialcore/draws.h"

#include <algorithm>
#include <limits>

#include "cpu/isa/draws_loops.h"

namespace spatialcore {
namespace {

constexpr int64_t kBlock = 512;  // 4 KiB of draws stay in the first-level cache
constexpr IsaTable<DrawLoop> kLoops{draw_loop_baseline, draw_loop_avx2};

struct Drawn {
  uint64_t value;
  int64_t row;
};

bool before(const Drawn& a, const Drawn& b) { return a.value < b.value; }

}  // namespace

std::vector<int64_t> smallest_draws_cpu(uint64_t state, View<const int64_t, 1> ids, int64_t count) {
  const DrawLoop draw = kLoops.active();
  count = std::min(count, ids.shape[0]);
  if (count <= 0) return {};
  std::vector<Drawn> kept(count);  // ascending; rows come in order, so equals keep theirs
  for (int64_t row = 0; row < count; ++row) {
    kept[row] = {fold(state, static_cast<uint64_t>(ids.pointer[row])), row};
  }
  std::stable_sort(kept.begin(), kept.end(), before);
  uint64_t block[kBlock], worst = kept.back().value;
  for (int64_t begin = count; begin < ids.shape[0]; begin += kBlock) {
    const int64_t size = std::min(kBlock, ids.shape[0] - begin);
    draw(state, ids.pointer + begin, size, block);
    for (int64_t k = 0; k < size; ++k) {
      if (block[k] >= worst) continue;
      const Drawn drawn{block[k], begin + k};
      const auto place = std::upper_bound(kept.begin(), kept.end(), drawn, before);
      std::move_backward(place, kept.end() - 1, kept.end());
      *place = drawn;
      worst = kept.back().value;
    }
  }
  std::vector<int64_t> rows(kept.size());
  std::transform(kept.begin(), kept.end(), rows.begin(), [](const Drawn& d) { return d.row; });
  return rows;
}

int64_t smallest_common_cpu(uint64_t state, const uint64_t* a, const uint64_t* b,
                            int64_t word_count, const uint32_t* ids) {
  uint64_t best = std::numeric_limits<uint64_t>::max();
  int64_t id = -1;
  for (int64_t w = 0; w < word_count; ++w) {
    for (uint64_t both = a[w] & b[w]; both != 0; both &= both - 1) {
      const uint32_t point = ids[64 * w + __builtin_ctzll(both)];
      const uint64_t drawn = fold(state, point);
      if (drawn < best || id < 0) best = drawn, id = point;
    }
  }
  return id;
}

}  // namespace spatialcore
