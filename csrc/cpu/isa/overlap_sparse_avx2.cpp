// SPDX-License-Identifier: Apache-2.0
// The block-sparse tile of overlap with byte shuffles: and + nibble lookups over 2 x 4 rows of two
// groups, byte sums flushed after 15 blocks.
#include <immintrin.h>

#include <algorithm>

#include "cpu/isa/overlap_loops.h"

namespace spatialcore {
namespace {

constexpr int kMaxBlocks = 15;  // 15 blocks x 2 halves x 8 fits a byte

inline __m256i load(const uint64_t* words) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(words));
}

// Rows `first`, `first + 1` of A against the four of B: 64-bit sums of eight pairs.
void two_by_four(const uint64_t* const* a_blocks, const uint64_t* const* b_blocks, int count,
                 int first, __m256i* total) {
  const __m256i table = _mm256_broadcastsi128_si256(
      _mm_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4));  // popcount of a nibble
  const __m256i low = _mm256_set1_epi8(15);
  __m256i acc[8];
  for (auto& sum : acc) sum = _mm256_setzero_si256();
  for (int n = 0; n < count; ++n) {
    const uint64_t* a = a_blocks[n] + first * kBlockWords;
    const uint64_t* b = b_blocks[n];
    for (int half = 0; half < 8; half += 4) {
      const __m256i row0 = load(a + half), row1 = load(a + kBlockWords + half);
#pragma GCC unroll 4
      for (int c = 0; c < 4; ++c) {
        const __m256i column = load(b + c * kBlockWords + half);
        const __m256i both0 = _mm256_and_si256(row0, column);
        const __m256i both1 = _mm256_and_si256(row1, column);
        acc[c] = _mm256_add_epi8(
            acc[c],
            _mm256_add_epi8(
                _mm256_shuffle_epi8(table, _mm256_and_si256(both0, low)),
                _mm256_shuffle_epi8(table, _mm256_and_si256(_mm256_srli_epi16(both0, 4), low))));
        acc[4 + c] = _mm256_add_epi8(
            acc[4 + c],
            _mm256_add_epi8(
                _mm256_shuffle_epi8(table, _mm256_and_si256(both1, low)),
                _mm256_shuffle_epi8(table, _mm256_and_si256(_mm256_srli_epi16(both1, 4), low))));
      }
    }
  }
  for (int n = 0; n < 8; ++n) {
    total[n] = _mm256_add_epi64(total[n], _mm256_sad_epu8(acc[n], _mm256_setzero_si256()));
  }
}

}  // namespace

void overlap_sparse_avx2(const SparseRows& rows, int64_t group_a, int64_t group_b, uint32_t* out) {
  const uint64_t* a_blocks[kMaxBlocks];
  const uint64_t* b_blocks[kMaxBlocks];
  int held = 0;
  __m256i total[16];
  for (auto& sum : total) sum = _mm256_setzero_si256();
  const auto flush = [&] {
    two_by_four(a_blocks, b_blocks, held, 0, total);
    two_by_four(a_blocks, b_blocks, held, 2, total + 8);
    held = 0;
  };
  for_common_blocks(rows, group_a, group_b, [&](const uint64_t* a, const uint64_t* b) {
    a_blocks[held] = a;
    b_blocks[held] = b;
    if (++held == kMaxBlocks) flush();
  });
  if (held) flush();
  for (int n = 0; n < 16; ++n) {
    alignas(32) uint64_t part[4];
    _mm256_store_si256(reinterpret_cast<__m256i*>(part), total[n]);
    out[n] = static_cast<uint32_t>(part[0] + part[1] + part[2] + part[3]);
  }
}

}  // namespace spatialcore
