// SPDX-License-Identifier: Apache-2.0
// Overlap with the scalar popcount instruction. Each word of a row is loaded once for four columns.
#include <algorithm>

#include "cpu/isa/overlap_loops.h"

namespace spatialcore {
namespace {

constexpr int64_t kWordsAtOnce = 512;  // 4 KiB of each of 5 rows stay in the first-level cache

inline uint32_t popcount(uint64_t word) {
  return static_cast<uint32_t>(__builtin_popcountll(word));
}

}  // namespace

void overlap_dense_baseline(const MaskRows& mask, int64_t row_begin, int64_t row_end,
                            int64_t column_begin, int64_t column_end, uint32_t* out,
                            int64_t out_stride) {
  for (int64_t i = row_begin; i < row_end; ++i) {
    std::fill(out + (i - row_begin) * out_stride + column_begin,
              out + (i - row_begin) * out_stride + column_end, 0u);
  }
  for (int64_t begin = 0; begin < mask.word_count; begin += kWordsAtOnce) {
    const int64_t count = std::min(kWordsAtOnce, mask.word_count - begin);
    for (int64_t i = row_begin; i < row_end; ++i) {
      const uint64_t* a = mask.words + i * mask.stride + begin;
      uint32_t* sums = out + (i - row_begin) * out_stride;
      int64_t j = std::max(i, column_begin);
      for (; j + 4 <= column_end; j += 4) {
        const uint64_t* b = mask.words + j * mask.stride + begin;
        uint32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;
        for (int64_t k = 0; k < count; ++k) {
          s0 += popcount(a[k] & b[k]);
          s1 += popcount(a[k] & b[k + mask.stride]);
          s2 += popcount(a[k] & b[k + 2 * mask.stride]);
          s3 += popcount(a[k] & b[k + 3 * mask.stride]);
        }
        sums[j] += s0, sums[j + 1] += s1, sums[j + 2] += s2, sums[j + 3] += s3;
      }
      for (; j < column_end; ++j) {
        const uint64_t* b = mask.words + j * mask.stride + begin;
        for (int64_t k = 0; k < count; ++k) sums[j] += popcount(a[k] & b[k]);
      }
    }
  }
}

void overlap_sparse_baseline(const SparseRows& rows, int64_t group_a, int64_t group_b,
                             uint32_t* out) {
  std::fill(out, out + kGroupRows * kGroupRows, 0u);
  for_common_blocks(rows, group_a, group_b, [out](const uint64_t* a, const uint64_t* b) {
    for (int64_t r = 0; r < kGroupRows; ++r) {
      for (int64_t c = 0; c < kGroupRows; ++c) {
        uint32_t sum = 0;
        for (int64_t k = 0; k < kBlockWords; ++k) {
          sum += popcount(a[r * kBlockWords + k] & b[c * kBlockWords + k]);
        }
        out[r * kGroupRows + c] += sum;
      }
    }
  });
}

}  // namespace spatialcore
