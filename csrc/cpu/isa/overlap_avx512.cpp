// SPDX-License-Identifier: Apache-2.0
// Overlap with a popcount of vectors (VPOPCNTDQ): and + popcount + add for 512 bits of a pair, 171
// bits an operation, where the byte shuffle of AVX2 in registers of this width counts 128. A tile
// is four frames against four: its 16 sums and the 8 rows of a step are 24 of 32 registers, so a
// step of 16 pairs reads 8 times.
#include <immintrin.h>

#include "spatialcore/overlap.h"

namespace spatialcore {
namespace {

inline __m512i load(const uint64_t* words) { return _mm512_loadu_si512(words); }

// gcc 12 reads an operand again for every use of it; one that may have changed stays in its
// register. Nothing is emitted.
inline void hold(__m512i& v) {
#if defined(__AVX512F__)
  asm("" : "+v"(v));
#else
  (void)v;
#endif
}

inline void add_common(__m512i a, __m512i b, __m512i& sum) {
  sum = _mm512_add_epi64(sum, _mm512_popcnt_epi64(_mm512_and_si512(a, b)));
}

// Sixteen sums, row by row of the first group.
struct Tile {
  __m512i s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11, s12, s13, s14, s15;

  Tile() {
    s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = _mm512_setzero_si512();
    s8 = s9 = s10 = s11 = s12 = s13 = s14 = s15 = _mm512_setzero_si512();
  }

  inline void add(const uint64_t* a, const uint64_t* b) {
    __m512i a0 = load(a), a1 = load(a + kBlockWords), a2 = load(a + 2 * kBlockWords),
            a3 = load(a + 3 * kBlockWords);
    hold(a0), hold(a1), hold(a2), hold(a3);
    __m512i column = load(b);
    hold(column);
    add_common(a0, column, s0), add_common(a1, column, s4);
    add_common(a2, column, s8), add_common(a3, column, s12);
    column = load(b + kBlockWords);
    hold(column);
    add_common(a0, column, s1), add_common(a1, column, s5);
    add_common(a2, column, s9), add_common(a3, column, s13);
    column = load(b + 2 * kBlockWords);
    hold(column);
    add_common(a0, column, s2), add_common(a1, column, s6);
    add_common(a2, column, s10), add_common(a3, column, s14);
    column = load(b + 3 * kBlockWords);
    hold(column);
    add_common(a0, column, s3), add_common(a1, column, s7);
    add_common(a2, column, s11), add_common(a3, column, s15);
  }

  // out (kGroupRows, kGroupRows), 64-byte aligned.
  void store(uint32_t* out) const {
    sum_of_four(s0, s1, s2, s3, out);
    sum_of_four(s4, s5, s6, s7, out + 4);
    sum_of_four(s8, s9, s10, s11, out + 8);
    sum_of_four(s12, s13, s14, s15, out + 12);
  }

 private:
  // The sums of the lanes of four vectors, side by side; each fits 32 bits.
  static void sum_of_four(__m512i a, __m512i b, __m512i c, __m512i d, uint32_t* out) {
    const __m512i ab = _mm512_add_epi64(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
    const __m512i cd = _mm512_add_epi64(_mm512_unpacklo_epi64(c, d), _mm512_unpackhi_epi64(c, d));
    const __m256i x =
        _mm256_add_epi64(_mm512_castsi512_si256(ab), _mm512_extracti64x4_epi64(ab, 1));
    const __m256i y =
        _mm256_add_epi64(_mm512_castsi512_si256(cd), _mm512_extracti64x4_epi64(cd, 1));
    const __m256i sums = _mm256_add_epi64(_mm256_permute2x128_si256(x, y, 0x20),
                                          _mm256_permute2x128_si256(x, y, 0x31));
    _mm_store_si128(reinterpret_cast<__m128i*>(out), _mm256_cvtepi64_epi32(sums));
  }
};

}  // namespace
}  // namespace spatialcore

#include "cpu/isa/overlap_tiles.inc"

namespace spatialcore {

void overlap_dense_avx512(const MaskRows& mask, int64_t row_begin, int64_t row_end,
                          int64_t column_begin, int64_t column_end, uint32_t* out,
                          int64_t out_stride) {
  dense_tiles(mask, row_begin, row_end, column_begin, column_end, out, out_stride);
}

void overlap_sparse_avx512(const SparseRows& rows, int64_t group_a, int64_t group_b,
                           uint32_t* out) {
  sparse_tile(rows, group_a, group_b, out);
}

}  // namespace spatialcore
