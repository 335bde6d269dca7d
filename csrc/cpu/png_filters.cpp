// SPDX-License-Identifier: Apache-2.0
// Row filters of 16-bit greyscale PNG, undone in place.
//
//   raw    (height, 1 + 2 * width)  bytes  in/out
//
// Sub runs 8 pixels at a time as a prefix sum. Paeth needs the pixel to the left, so one row is a
// chain of dependent steps; four consecutive Paeth rows run as a wavefront instead: lane k holds
// row r + k, one column behind lane k - 1, so the row above of every lane is what its neighbour
// made one step earlier. Depth images are mostly Paeth (92 % of the rows of the captured scenes).
// Tests: tests/io/test_depth_png.py. Figures: docs/ops/decode.md.
#include "cpu/png_filters.h"

#include <cstdlib>
#include <cstring>
#include <stdexcept>
#if defined(__SSE4_1__)
#include <smmintrin.h>
#endif

namespace spatialcore {
namespace {

constexpr int kPixelBytes = 2;
constexpr int kLanes = 4;  // rows of a wavefront: two 16-bit lanes a row
enum Filter : uint8_t { kNone, kSub, kUp, kAverage, kPaeth };

void undo_sub(uint8_t* row, size_t bytes) {
  size_t i = 0;
#if defined(__SSE4_1__)
  __m128i carry = _mm_setzero_si128();  // the pixel before, in every lane
  for (; i + 16 <= bytes; i += 16) {
    __m128i x = _mm_loadu_si128(reinterpret_cast<const __m128i*>(row + i));
    x = _mm_add_epi8(x, _mm_slli_si128(x, 2));
    x = _mm_add_epi8(x, _mm_slli_si128(x, 4));
    x = _mm_add_epi8(x, _mm_slli_si128(x, 8));
    x = _mm_add_epi8(x, carry);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(row + i), x);
    x = _mm_shufflehi_epi16(x, 0xFF);
    carry = _mm_unpackhi_epi64(x, x);
  }
#endif
  for (i = i < kPixelBytes ? kPixelBytes : i; i < bytes; ++i) row[i] += row[i - kPixelBytes];
}

void undo_up(uint8_t* row, const uint8_t* above, size_t bytes) {
  for (size_t i = 0; i < bytes; ++i) row[i] += above[i];
}

void undo_average(uint8_t* row, const uint8_t* above, size_t bytes) {
  for (size_t i = 0; i < bytes; ++i) {
    const int left = i < kPixelBytes ? 0 : row[i - kPixelBytes];
    row[i] += (left + above[i]) >> 1;
  }
}

void undo_paeth(uint8_t* row, const uint8_t* above, size_t bytes) {
  int left[kPixelBytes] = {}, corner[kPixelBytes] = {};
  for (size_t i = 0; i < bytes; i += kPixelBytes) {
    for (int k = 0; k < kPixelBytes; ++k) {  // two independent chains hide the latency
      const int a = left[k], b = above[i + k], c = corner[k];
      const int pa = std::abs(b - c), pb = std::abs(a - c), pc = std::abs(a + b - 2 * c);
      const int nearest = pb < pa ? (pc < pb ? c : b) : (pc < pa ? c : a);
      row[i + k] = static_cast<uint8_t>(row[i + k] + nearest);
      left[k] = row[i + k];
      corner[k] = b;
    }
  }
}

void undo_filter(uint8_t filter, uint8_t* row, const uint8_t* above, size_t bytes) {
  switch (filter) {
    case 0:
      return;
    case 1:
      return undo_sub(row, bytes);
    case 2:
      return undo_up(row, above, bytes);
    case 3:
      return undo_average(row, above, bytes);
    case 4:
      return undo_paeth(row, above, bytes);
    default:
      throw std::invalid_argument("unknown row filter");
  }
}

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

void undo_paeth_wavefront(uint8_t* const rows[kLanes], const uint8_t* above_row, int64_t width) {
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

// Rows from `row` on that may run as one wavefront: kLanes, or 0.
int wavefront_rows(const uint8_t* row, size_t stride, int64_t rows_left, int64_t width) {
#if defined(__SSE4_1__)
  if (rows_left < kLanes || width < kLanes) return 0;
  for (int k = 0; k < kLanes; ++k) {
    if (row[k * stride] != kPaeth) return 0;
  }
  return kLanes;
#else
  return 0;
#endif
}

}  // namespace

void undo_filters(uint8_t* raw, const uint8_t* zeros, int64_t width, int64_t height) {
  const size_t row_bytes = static_cast<size_t>(width) * kPixelBytes, stride = row_bytes + 1;
  const uint8_t* above = zeros;
  for (int64_t r = 0; r < height;) {
    uint8_t* row = raw + r * stride;
    const int together = wavefront_rows(row, stride, height - r, width);
    if (together) {
#if defined(__SSE4_1__)
      uint8_t* const rows[kLanes] = {row + 1, row + stride + 1, row + 2 * stride + 1,
                                     row + 3 * stride + 1};
      undo_paeth_wavefront(rows, above, width);
#endif
    } else {
      undo_filter(row[0], row + 1, above, row_bytes);
    }
    const int done = together ? together : 1;
    above = row + (done - 1) * stride + 1;
    r += done;
  }
}

}  // namespace spatialcore
