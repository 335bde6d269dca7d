// SPDX-License-Identifier: Apache-2.0
// Contract: spatialcore/draws.h. Points are drawn a block at a time; most draws are larger than the
// worst of those kept, so that one comparison ends their part.
#include "spatialcore/draws.h"

#include <algorithm>
#include <vector>

#include "cpu/isa/draws_loops.h"

namespace spatialcore {
namespace {

constexpr int64_t kBlock = 512;  // 12 KiB of points, ids and draws stay in the first-level cache
constexpr IsaTable<DrawLoop> kLoops{draw_loop_baseline, draw_loop_avx2};

struct Drawn {
  uint64_t value;
  int64_t point;
};

// Of equal draws the one that came first is before the other.
bool before(const Drawn& a, const Drawn& b) {
  return a.value != b.value ? a.value < b.value : a.point < b.point;
}

// Keeps the `count` smallest of what comes, as a heap whose first is the worst.
void keep(std::vector<Drawn>& heap, const Drawn& drawn, size_t count) {
  if (heap.size() == count) {
    if (count == 0 || !before(drawn, heap.front())) return;
    std::pop_heap(heap.begin(), heap.end(), before);
    heap.back() = drawn;
  } else {
    heap.push_back(drawn);
  }
  std::push_heap(heap.begin(), heap.end(), before);
}

struct Block {
  int64_t size = 0;
  int64_t point[kBlock], id[kBlock];
  uint64_t draw[kBlock];
};

struct Query {
  uint64_t state;
  std::vector<Drawn> kept;
};

}  // namespace

void smallest_seen_cpu(MaskRows mask, const SeenQueries& queries, const uint32_t* ids,
                       int64_t count, int64_t* out) {
  const DrawLoop draw = kLoops.active();
  std::fill_n(out, queries.size * count, int64_t{-1});
  if (count <= 0) return;
  Block block;
  std::vector<Query> run;
  for (int64_t begin = 0, end; begin < queries.size; begin = end) {
    const int64_t row = queries.rows[begin], other = queries.others[begin];
    run.clear();
    for (end = begin; end < queries.size; ++end) {
      if (queries.rows[end] != row || queries.others[end] != other) break;
      run.push_back({queries.states[end], {}});
      run.back().kept.reserve(count);
    }
    const auto draw_block = [&] {
      for (Query& one : run) {
        draw(one.state, block.id, block.size, block.draw);
        for (int64_t k = 0; k < block.size; ++k) {
          const bool full = one.kept.size() == static_cast<size_t>(count);
          if (full && block.draw[k] >= one.kept.front().value) continue;
          keep(one.kept, {block.draw[k], block.point[k]}, count);
        }
      }
      block.size = 0;
    };
    const uint64_t* a = mask.words + row * mask.stride;
    const uint64_t* b = mask.words + other * mask.stride;
    for (int64_t w = 0; w < mask.word_count; ++w) {
      for (uint64_t both = a[w] & b[w]; both != 0; both &= both - 1) {
        const int64_t point = 64 * w + __builtin_ctzll(both);
        block.point[block.size] = point;
        block.id[block.size] = ids[point];
        if (++block.size == kBlock) draw_block();
      }
    }
    draw_block();
    for (size_t q = 0; q < run.size(); ++q) {
      std::sort_heap(run[q].kept.begin(), run[q].kept.end(), before);
      int64_t* row_out = out + (begin + q) * count;
      for (const Drawn& one : run[q].kept) *row_out++ = one.point;
    }
  }
}

std::vector<int64_t> smallest_of_groups_cpu(View<const uint64_t, 1> values, const int64_t* groups,
                                            View<const int64_t, 1> most) {
  std::vector<std::vector<Drawn>> kept(most.shape[0]);
  for (int64_t row = 0; row < values.shape[0]; ++row) {
    const int64_t group = groups[row];
    keep(kept[group], {values.pointer[row], row}, most.pointer[group]);
  }
  std::vector<int64_t> rows;
  for (std::vector<Drawn>& group : kept) {
    std::sort_heap(group.begin(), group.end(), before);
    for (const Drawn& one : group) rows.push_back(one.point);
  }
  return rows;
}

}  // namespace spatialcore
