// SPDX-License-Identifier: Apache-2.0
// The checksum of a zlib stream (RFC 1950, 8.2), 16 bytes at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#if defined(__SSSE3__)
#include <tmmintrin.h>
#endif

namespace spatialcore {

// Adds whole blocks of 16 bytes to both sums of Adler-32 and moves past them.
inline void sum_blocks([[maybe_unused]] const uint8_t*& bytes, [[maybe_unused]] size_t& size,
                       [[maybe_unused]] uint32_t& low, [[maybe_unused]] uint32_t& high) {
#if defined(__SSSE3__)
  const __m128i weights = _mm_setr_epi8(16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1);
  const __m128i ones = _mm_set1_epi16(1), zero = _mm_setzero_si128();
  __m128i sums = zero, weighted = zero, before = zero;  // `before`: sum of `sums` ahead of a block
  const uint32_t block_count = static_cast<uint32_t>(size / 16);
  for (uint32_t i = 0; i < block_count; ++i, bytes += 16) {
    const __m128i x = _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes));
    before = _mm_add_epi32(before, sums);
    sums = _mm_add_epi32(sums, _mm_sad_epu8(x, zero));
    weighted = _mm_add_epi32(weighted, _mm_madd_epi16(_mm_maddubs_epi16(x, weights), ones));
  }
  const auto total = [](__m128i v) {
    v = _mm_add_epi32(v, _mm_shuffle_epi32(v, 0x4E));
    return static_cast<uint32_t>(_mm_cvtsi128_si32(_mm_add_epi32(v, _mm_shuffle_epi32(v, 0xB1))));
  };
  high += 16 * (low * block_count + total(before)) + total(weighted);
  low += total(sums);
  size -= 16 * block_count;
#endif
}

inline uint32_t adler32(const uint8_t* bytes, size_t size) {
  uint32_t low = 1, high = 0;
  while (size) {
    // 5552 is the longest run whose sums stay below 2^32 (RFC 1950, appendix).
    size_t run = size < 5552 ? size : 5552;
    size -= run;
    sum_blocks(bytes, run, low, high);
    for (; run; --run) high += low += *bytes++;
    low %= 65521;
    high %= 65521;
  }
  return high << 16 | low;
}

}  // namespace spatialcore
