// SPDX-License-Identifier: Apache-2.0
// Four consecutive Paeth rows of 16-bit pixels at once, as a wavefront: lane k holds row r + k, one
// column behind lane k - 1, so the row above of every lane is what its neighbour made one step
// earlier.
#pragma once

#include <cstdint>
#include <cstring>
#if defined(__SSE4_1__)
#include <smmintrin.h>
#endif

namespace spatialcore {

constexpr int kLanes = 4;  // rows of a wavefront: two 16-bit lanes a row

#if defined(__SSE4_1__)
// Bytes of one wavefront step: both bytes of a pixel in the 16-bit lanes 2k and 2k + 1 of row k.
inline __m128i paeth_step(__m128i raw, __m128i left, __m128i above, __m128i corner) {
  const __m128i to_above = _mm_sub_epi16(above, corner), to_left = _mm_sub_epi16(left, corner);
  const __m128i a = _mm_abs_epi16(to_above), b = _mm_abs_epi16(to_left);
  const __m128i c = _mm_abs_epi16(_mm_add_epi16(to_above, to_left));
  const __m128i least = _mm_min_epi16(c, _mm_min_epi16(a, b));
  __m128i nearest = _mm_blendv_epi8(corner, above, _mm_cmpeq_epi16(least, b));
  nearest = _mm_blendv_epi8(nearest, left, _mm_cmpeq_epi16(least, a));
  return _mm_and_si128(_mm_add_epi16(raw, nearest), _mm_set1_epi16(0xFF));
}

inline void undo_paeth_wavefront(uint8_t* const rows[kLanes], const uint8_t* above_row,
                                 int64_t width) {
  const __m128i zero = _mm_setzero_si128();
  const auto load = [](const uint8_t* p) {
    uint16_t pixel;
    std::memcpy(&pixel, p, 2);
    return static_cast<int>(pixel);
  };
  const auto store = [](uint8_t* p, int pixel) {
    const uint16_t value = static_cast<uint16_t>(pixel);
    std::memcpy(p, &value, 2);
  };
  __m128i left = zero, corner = zero;
  // Columns left of a row are zero pixels, and so is what the filter makes of them.
  const auto step = [&](__m128i raw, int above_pixel) {
    const __m128i above = _mm_or_si128(_mm_slli_si128(left, 4),
                                       _mm_unpacklo_epi8(_mm_cvtsi32_si128(above_pixel), zero));
    left = paeth_step(_mm_unpacklo_epi8(raw, zero), left, above, corner);
    corner = above;
    return _mm_packus_epi16(left, zero);
  };
  const auto edge_step = [&](int64_t x) {
    uint16_t pixels[8] = {};
    for (int k = 0; k < kLanes; ++k) {
      if (x - k >= 0 && x - k < width) pixels[k] = load(rows[k] + 2 * (x - k));
    }
    const __m128i raw = _mm_loadu_si128(reinterpret_cast<const __m128i*>(pixels));
    const __m128i made = step(raw, x < width ? load(above_row + 2 * x) : 0);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(pixels), made);
    for (int k = 0; k < kLanes; ++k) {
      if (x - k >= 0 && x - k < width) store(rows[k] + 2 * (x - k), pixels[k]);
    }
  };
  int64_t x = 0;
  for (; x < kLanes - 1; ++x) edge_step(x);
  for (; x < width; ++x) {
    uint8_t *p0 = rows[0] + 2 * x, *p1 = rows[1] + 2 * x - 2, *p2 = rows[2] + 2 * x - 4,
            *p3 = rows[3] + 2 * x - 6;
    __m128i raw = _mm_cvtsi32_si128(load(p0) | load(p1) << 16);
    raw = _mm_insert_epi32(raw, load(p2) | load(p3) << 16, 1);
    const __m128i made = step(raw, load(above_row + 2 * x));
    const int low = _mm_cvtsi128_si32(made), high = _mm_extract_epi32(made, 1);
    store(p0, low);
    store(p1, low >> 16);
    store(p2, high);
    store(p3, high >> 16);
  }
  for (; x < width + kLanes - 1; ++x) edge_step(x);
}
#endif

}  // namespace spatialcore
