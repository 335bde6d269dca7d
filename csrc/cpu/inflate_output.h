// SPDX-License-Identifier: Apache-2.0
// What a symbol of a deflate stream writes: one or two literals, or a copy of earlier bytes.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__SSSE3__)
#include <tmmintrin.h>
#endif

#include "cpu/huffman_table.h"

namespace spatialcore {

// A copy whose period is `distance` bytes, in vectors of 32: long runs of one value (missing
// readings, flat residuals) are most bytes of a captured map. Runs over by 31 bytes at most.
inline void copy_long_match(uint8_t* out, uint8_t* const end, uint32_t distance) {
  const uint8_t* from = out - distance;
  if (distance >= 32) {
    do {
      std::memcpy(out, from, 32);
      out += 32;
      from += 32;
    } while (out < end);
  } else if (distance >= 8) {
    do {
      std::memcpy(out, from, 8);
      out += 8;
      from += 8;
    } while (out < end);
  } else if ((distance & (distance - 1)) == 0) {  // runs of one pixel: 1, 2 or 4 bytes repeated
    uint64_t pattern = 0;
    std::memcpy(&pattern, from, distance);
    for (uint32_t filled = distance; filled < 8; filled *= 2) pattern |= pattern << (8 * filled);
    const uint64_t wide[4] = {pattern, pattern, pattern, pattern};
    do {
      std::memcpy(out, wide, 32);
      out += 32;
    } while (out < end);
  } else {
    while (out < end) *out++ = *from++;
  }
}

#if defined(__SSSE3__)
// [d]: which of 16 bytes stands at each place of a vector of 32 whose period is d; 16: each its own
// in either half.
struct PeriodTable {
  alignas(64) uint8_t order[17][32];
  constexpr PeriodTable() : order{} {
    for (int d = 1; d <= 16; ++d) {
      for (int k = 0; k < 32; ++k) order[d][k] = static_cast<uint8_t>(k % d);
    }
  }
};
inline constexpr PeriodTable kPeriods;

// Most matches are short, and what they repeat lies near as often as far: up to 32 bytes are
// written without asking. Nothing waits for these bytes but the next copies.
inline uint8_t* copy_match(uint8_t* out, uint32_t length, uint32_t distance) {
  const uint8_t* from = out - distance;
  const uint8_t* order = kPeriods.order[distance < 16 ? distance : 16];
  const auto part = [](const uint8_t* bytes, const uint8_t* places) {
    return _mm_shuffle_epi8(_mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes)),
                            _mm_load_si128(reinterpret_cast<const __m128i*>(places)));
  };
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out), part(from, order));
  const uint8_t* second = from + (distance < 16 ? 0 : 16);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out + 16), part(second, order + 16));
  if (length > 32) copy_long_match(out, out + length, distance);
  return out + length;
}
#else
inline uint8_t* copy_match(uint8_t* out, uint32_t length, uint32_t distance) {
  copy_long_match(out, out + length, distance);
  return out + length;
}
#endif

inline uint8_t* put_literals(uint8_t* out, uint32_t entry) {
  const uint16_t pair = static_cast<uint16_t>(huffman::value_of(entry));
  std::memcpy(out, &pair, 2);
  return out + huffman::second_of(entry);
}

}  // namespace spatialcore
