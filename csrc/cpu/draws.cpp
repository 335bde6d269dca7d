// SPDX-License-Identifier: Apache-2.0
// Contract: spatialcore/draws.h. Points are drawn a block at a time; most draws lie above a bound,
// so that one comparison ends their part.
#include "spatialcore/draws.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "cpu/isa/draws_loops.h"

namespace spatialcore {
namespace {

constexpr int64_t kBlock = 512;  // 16 KiB of points, ids and hits stay in the first-level cache
// AArch64 multiplies 64 bits in scalar registers alone: the baseline is its loop.
constexpr IsaTable<DrawLoop> kLoops{draw_loop_baseline, SC_AVX2(draw_loop_avx2),
                                    SC_AVX512(draw_loop_avx512), nullptr};

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
  int64_t point[kBlock], id[kBlock], hit[kBlock];
  uint64_t draw[kBlock];
};

struct Query {
  uint64_t state;
  std::vector<Drawn> kept;
};

struct Seen {
  const uint64_t* a;
  const uint64_t* b;
  int64_t word_count;

  int64_t count() const {
    int64_t bits = 0;
    for (int64_t w = 0; w < word_count; ++w) bits += __builtin_popcountll(a[w] & b[w]);
    return bits;
  }
};

constexpr uint64_t kEvery = std::numeric_limits<uint64_t>::max();

// Draws are uniform: of `size` of them `count` lie below this but once in ten thousand times, and
// few more than that. So what is kept needs no order until the end.
uint64_t bound_of(int64_t count, int64_t size) {
  const double wanted = static_cast<double>(count) + 4 * std::sqrt(static_cast<double>(count)) + 8;
  return wanted >= static_cast<double>(size)
             ? kEvery
             : static_cast<uint64_t>(std::ldexp(wanted / static_cast<double>(size), 64));
}

void keep_block(Block& block, uint64_t bound, std::vector<Query>& run) {
  const DrawLoop draw = kLoops.active();
  for (Query& one : run) {
    const int64_t hits = draw(one.state, block.id, block.size, bound, block.hit, block.draw);
    for (int64_t h = 0; h < hits; ++h) {
      one.kept.push_back({block.draw[h], block.point[block.hit[h]]});
    }
  }
  block.size = 0;
}

// The points of both rows whose draw is at most the bound, for each query.
void collect(const Seen& seen, const uint32_t* ids, uint64_t bound, std::vector<Query>& run) {
  Block block;
  for (int64_t w = 0; w < seen.word_count; ++w) {
    for (uint64_t both = seen.a[w] & seen.b[w]; both != 0; both &= both - 1) {
      const int64_t point = 64 * w + __builtin_ctzll(both);
      block.point[block.size] = point;
      block.id[block.size] = ids[point];
      if (++block.size == kBlock) keep_block(block, bound, run);
    }
  }
  keep_block(block, bound, run);
}

}  // namespace

void smallest_seen_cpu(MaskRows mask, const SeenQueries& queries, const uint32_t* ids,
                       int64_t count, int64_t* out) {
  std::fill_n(out, queries.size * count, int64_t{-1});
  if (count <= 0) return;
  std::vector<Query> run;
  for (int64_t begin = 0, end; begin < queries.size; begin = end) {
    const int64_t row = queries.rows[begin], other = queries.others[begin];
    const Seen seen{mask.words + row * mask.stride, mask.words + other * mask.stride,
                    mask.word_count};
    const int64_t size = seen.count();
    run.clear();
    for (end = begin; end < queries.size; ++end) {
      if (queries.rows[end] != row || queries.others[end] != other) break;
      run.push_back({queries.states[end], {}});
    }
    collect(seen, ids, bound_of(count, size), run);
    for (size_t q = 0; q < run.size(); ++q) {
      std::vector<Query> again{{run[q].state, {}}};
      std::vector<Drawn>* kept = &run[q].kept;
      if (static_cast<int64_t>(kept->size()) < std::min(count, size)) {
        collect(seen, ids, kEvery, again);
        kept = &again[0].kept;
      }
      std::sort(kept->begin(), kept->end(), before);
      const int64_t found = std::min<int64_t>(count, kept->size());
      for (int64_t k = 0; k < found; ++k) out[(begin + q) * count + k] = (*kept)[k].point;
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
