// SPDX-License-Identifier: Apache-2.0
// The block-sparse path of overlap on the CPU: when it pays, the non-empty blocks, and tasks for
// the threads. See spatialcore/overlap.h.
#include <algorithm>
#include <cstring>

#include "cpu/isa/overlap_loops.h"
#include "cpu/thread_pool.h"
#include "spatialcore/overlap.h"

namespace spatialcore {
namespace {

constexpr IsaTable<SparseTileFn> kSparseTile{overlap_sparse_baseline, SC_AVX2(overlap_sparse_avx2),
                                             SC_AVX512(overlap_sparse_avx512),
                                             SC_NEON(overlap_sparse_neon)};

// Cycles for the 16 pairs of two groups, measured with AVX2; docs/ops/overlap.md.
constexpr double kDenseBlockCycles = 60;    // a block of 512 points
constexpr double kSparseBlockCycles = 100;  // a block that both groups occupy
constexpr double kSparseTileCycles = 150;   // bitmaps, flush and store of a tile
constexpr int64_t kSampleGroups = 24;

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Bitmaps of the non-empty blocks of one group; returns how many there are.
int64_t group_occupancy(const MaskRows& mask, int64_t group, uint64_t* occupancy,
                        int64_t super_count) {
  std::fill(occupancy, occupancy + super_count, uint64_t{0});
  const int64_t row_end = std::min(mask.frame_count, (group + 1) * kGroupRows);
  for (int64_t r = group * kGroupRows; r < row_end; ++r) {
    const uint64_t* row = mask.words + r * mask.stride;
    const int64_t whole = mask.word_count / kBlockWords;
    for (int64_t b = 0; b < whole; ++b) {
      const uint64_t* w = row + b * kBlockWords;
      const uint64_t any = w[0] | w[1] | w[2] | w[3] | w[4] | w[5] | w[6] | w[7];
      occupancy[b / 64] |= uint64_t{any != 0} << (b % 64);
    }
    for (int64_t k = whole * kBlockWords; k < mask.word_count; ++k) {
      occupancy[whole / 64] |= uint64_t{row[k] != 0} << (whole % 64);
    }
  }
  int64_t count = 0;
  for (int64_t s = 0; s < super_count; ++s) count += __builtin_popcountll(occupancy[s]);
  return count;
}

void copy_block(const MaskRows& mask, int64_t group, int64_t block, uint64_t* out) {
  const int64_t begin = block * kBlockWords;
  const int64_t count = std::min(kBlockWords, mask.word_count - begin);
  for (int64_t r = 0; r < kGroupRows; ++r, out += kBlockWords) {
    const int64_t row = group * kGroupRows + r;
    if (row >= mask.frame_count) continue;
    std::memcpy(out, mask.words + row * mask.stride + begin, count * sizeof(uint64_t));
  }
}

}  // namespace

bool sparse_pays(const MaskRows& mask) {
  const int64_t group_count = ceil_div(mask.frame_count, kGroupRows);
  const int64_t block_count = ceil_div(mask.word_count, kBlockWords);
  const int64_t super_count = ceil_div(block_count, 64);
  if (group_count == 0 || block_count == 0) return false;
  const int64_t sample = std::min(group_count, kSampleGroups);
  std::vector<uint64_t> occupancy(sample * super_count);
  for (int64_t n = 0; n < sample; ++n) {
    group_occupancy(mask, n * group_count / sample, occupancy.data() + n * super_count,
                    super_count);
  }
  int64_t common = 0;
  for (int64_t a = 0; a < sample; ++a) {
    for (int64_t b = 0; b <= a; ++b) {
      for (int64_t s = 0; s < super_count; ++s) {
        common +=
            __builtin_popcountll(occupancy[a * super_count + s] & occupancy[b * super_count + s]);
      }
    }
  }
  const double mean = static_cast<double>(common) / (sample * (sample + 1) / 2.0);
  return mean * kSparseBlockCycles + kSparseTileCycles + 2.0 * super_count <
         block_count * kDenseBlockCycles;
}

SparseRows build_sparse_rows(const MaskRows& mask, int threads) {
  SparseRows rows;
  rows.group_count = ceil_div(mask.frame_count, kGroupRows);
  rows.super_count = ceil_div(ceil_div(mask.word_count, kBlockWords), 64);
  const int64_t super_count = rows.super_count;
  rows.occupancy.resize(rows.group_count * super_count);
  rows.first_block.resize(rows.group_count * super_count);
  parallel_for(rows.group_count, 8, threads, [&](int64_t begin, int64_t end) {
    for (int64_t g = begin; g < end; ++g) {
      group_occupancy(mask, g, rows.occupancy.data() + g * super_count, super_count);
    }
  });
  int64_t block_count = 0;
  for (size_t n = 0; n < rows.occupancy.size(); ++n) {
    rows.first_block[n] = block_count;
    block_count += __builtin_popcountll(rows.occupancy[n]);
  }
  constexpr int64_t kWords = kGroupRows * kBlockWords;
  rows.blocks.resize(block_count * kWords);
  parallel_for(rows.group_count, 8, threads, [&](int64_t begin, int64_t end) {
    for (int64_t g = begin; g < end; ++g) {
      for (int64_t s = 0; s < super_count; ++s) {
        uint64_t* out = rows.blocks.data() + rows.first_block[g * super_count + s] * kWords;
        for (uint64_t bits = rows.occupancy[g * super_count + s]; bits; bits &= bits - 1) {
          copy_block(mask, g, s * 64 + __builtin_ctzll(bits), out);
          out += kWords;
        }
      }
    }
  });
  return rows;
}

void overlap_sparse_cpu(const SparseRows& rows, int64_t frame_count, int64_t row_begin,
                        int64_t row_end, uint32_t* out, int threads) {
  if (row_end <= row_begin) return;
  const int64_t first_group = row_begin / kGroupRows;
  const int64_t last_group = (row_end - 1) / kGroupRows;
  const SparseTileFn tile = kSparseTile.active();
  parallel_for(last_group - first_group + 1, 1, threads, [&](int64_t begin, int64_t end) {
    for (int64_t a = first_group + begin; a < first_group + end; ++a) {
      for (int64_t b = a; b < rows.group_count; ++b) {
        uint32_t pair[kGroupRows * kGroupRows];
        tile(rows, a, b, pair);
        for (int64_t r = 0; r < kGroupRows; ++r) {
          const int64_t i = a * kGroupRows + r;
          if (i < row_begin || i >= row_end) continue;
          const int64_t columns = std::min(kGroupRows, frame_count - b * kGroupRows);
          std::copy_n(pair + r * kGroupRows, columns,
                      out + (i - row_begin) * frame_count + b * kGroupRows);
        }
      }
    }
  });
}

}  // namespace spatialcore
