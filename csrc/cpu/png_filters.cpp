// SPDX-License-Identifier: Apache-2.0
// Row filters of 16-bit greyscale PNG, undone in place.
//
//   raw    (height, 1 + 2 * width)  bytes  in/out
//
// Sub runs 8 pixels at a time as a prefix sum. Paeth needs the pixel to the left, so one row is a
// chain of dependent steps; four rows run as a wavefront instead, and two wavefronts side by side.
// Rows of other filters, Average apart, may be among them: scanners' writers change the filter
// every few rows (66 % of the shelf's rows are Paeth, in runs of four; 99 % of HoloLens').
// Tests: tests/io/test_depth_png.py. Figures: docs/ops/decode.md.
#include "cpu/png_filters.h"

#include <cstdlib>
#include <cstring>
#include <stdexcept>

#include "cpu/paeth_wavefront.h"

namespace spatialcore {
namespace {

constexpr int kPixelBytes = 2;

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

// Rows from `row` on that run together: two wavefronts, one or none. The first of them is Paeth,
// since the others run alone in a fraction of its time.
int wavefront_rows([[maybe_unused]] const uint8_t* row, [[maybe_unused]] size_t stride,
                   [[maybe_unused]] int64_t rows_left, [[maybe_unused]] int64_t width) {
#if defined(__SSE4_1__)
  if (row[0] != kPaeth || width < kLanes) return 0;
  int count = 1;
  for (; count < 2 * kLanes && count < rows_left; ++count) {
    const uint8_t filter = row[count * stride];
    if (filter > kPaeth || filter == kAverage) break;
  }
  return count / kLanes * kLanes;
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
      const auto undo = together == kLanes ? undo_paeth_wavefront : undo_two_paeth_wavefronts;
      undo(row + 1, stride, above, width);
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
