// SPDX-License-Identifier: Apache-2.0
// Four consecutive rows of 16-bit pixels at once, as a wavefront: lane k holds row r + k, one
// column behind lane k - 1, so the row above of every lane is what its neighbour made one step
// earlier. Sub, Up and no filter are Paeth with zeros for the neighbours that they do not look at,
// so rows of these kinds may follow each other in one wavefront.
#pragma once

#include <cstdint>
#include <cstring>
#if defined(__SSE4_1__)
#include <smmintrin.h>
#endif

namespace spatialcore {

enum Filter : uint8_t { kNone, kSub, kUp, kAverage, kPaeth };

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

inline int load_pixel(const uint8_t* p) {
  uint16_t pixel;
  std::memcpy(&pixel, p, 2);
  return pixel;
}

inline void store_pixel(uint8_t* p, int pixel) {
  const uint16_t value = static_cast<uint16_t>(pixel);
  std::memcpy(p, &value, 2);
}

// kLanes rows from `first`, `stride` bytes apart and each behind its filter (any but kAverage),
// below `above`; at step x lane k is at column x - k. Columns left of a row are zero pixels, and so
// is what the filter makes of them.
class PaethRows {
 public:
  PaethRows(uint8_t* first, size_t stride, const uint8_t* above, int64_t width)
      : above_(above), width_(width) {
    uint16_t seen[3][2 * kLanes];  // lanes that look left, above, at the corner
    for (int k = 0; k < kLanes; ++k) {
      rows_[k] = first + k * stride;
      const uint8_t filter = rows_[k][-1];
      const bool looks[3] = {filter == kSub || filter == kPaeth, filter == kUp || filter == kPaeth,
                             filter == kPaeth};
      for (int n = 0; n < 3; ++n) seen[n][2 * k] = seen[n][2 * k + 1] = looks[n] ? 0xFFFF : 0;
    }
    for (int n = 0; n < 3; ++n) {
      seen_[n] = _mm_loadu_si128(reinterpret_cast<const __m128i*>(seen[n]));
    }
  }

  int64_t width() const { return width_; }

  // A step with every lane inside its row: kLanes - 1 <= x < width.
  __attribute__((always_inline)) void inner_step(int64_t x) {
    uint8_t *p0 = rows_[0] + 2 * x, *p1 = rows_[1] + 2 * x - 2, *p2 = rows_[2] + 2 * x - 4,
            *p3 = rows_[3] + 2 * x - 6;
    __m128i raw = _mm_cvtsi32_si128(load_pixel(p0) | load_pixel(p1) << 16);
    raw = _mm_insert_epi32(raw, load_pixel(p2) | load_pixel(p3) << 16, 1);
    const __m128i made = step(raw, load_pixel(above_ + 2 * x));
    const int low = _mm_cvtsi128_si32(made), high = _mm_extract_epi32(made, 1);
    store_pixel(p0, low);
    store_pixel(p1, low >> 16);
    store_pixel(p2, high);
    store_pixel(p3, high >> 16);
  }

  // Any step; those before the first and after the last, at width + kLanes - 2, do nothing.
  void step_at(int64_t x) {
    if (x >= kLanes - 1 && x < width_) return inner_step(x);
    if (x < 0 || x >= width_ + kLanes - 1) return;
    uint16_t pixels[8] = {};
    const auto inside = [&](int k) { return x - k >= 0 && x - k < width_; };
    for (int k = 0; k < kLanes; ++k) {
      if (inside(k)) pixels[k] = load_pixel(rows_[k] + 2 * (x - k));
    }
    const __m128i raw = _mm_loadu_si128(reinterpret_cast<const __m128i*>(pixels));
    const __m128i made = step(raw, x < width_ ? load_pixel(above_ + 2 * x) : 0);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(pixels), made);
    for (int k = 0; k < kLanes; ++k) {
      if (inside(k)) store_pixel(rows_[k] + 2 * (x - k), pixels[k]);
    }
  }

 private:
  __attribute__((always_inline)) __m128i step(__m128i raw, int above_pixel) {
    const __m128i zero = _mm_setzero_si128();
    const __m128i above = _mm_or_si128(_mm_slli_si128(left_, 4),
                                       _mm_unpacklo_epi8(_mm_cvtsi32_si128(above_pixel), zero));
    left_ = paeth_step(_mm_unpacklo_epi8(raw, zero), _mm_and_si128(left_, seen_[0]),
                       _mm_and_si128(above, seen_[1]), _mm_and_si128(corner_, seen_[2]));
    corner_ = above;
    return _mm_packus_epi16(left_, zero);
  }

  uint8_t* rows_[kLanes];
  const uint8_t* above_;
  int64_t width_;
  __m128i seen_[3];
  __m128i left_ = _mm_setzero_si128(), corner_ = _mm_setzero_si128();
};

// The steps from `x` on at which both are inside. Copies, whose address nobody has: what is written
// through a byte pointer might else be their state, which would leave its registers at each step.
inline int64_t inner_steps(PaethRows* upper, PaethRows* lower, int64_t x, int64_t lag) {
  PaethRows a = *upper, b = *lower;
  for (; x < a.width(); ++x) a.inner_step(x), b.inner_step(x - lag);
  *upper = a;
  *lower = b;
  return x;
}

inline void undo_paeth_wavefront(uint8_t* first, size_t stride, const uint8_t* above,
                                 int64_t width) {
  PaethRows rows(first, stride, above, width);
  for (int64_t x = 0; x < width + kLanes - 1; ++x) rows.step_at(x);
}

// Twice as many rows as two wavefronts, of which the second starts kLag columns later, so that the
// row above it is there. A step waits for the one before it; that of the other runs meanwhile.
inline void undo_two_paeth_wavefronts(uint8_t* first, size_t stride, const uint8_t* above,
                                      int64_t width) {
  constexpr int64_t kLag = 8;
  PaethRows upper(first, stride, above, width);
  PaethRows lower(first + kLanes * stride, stride, first + (kLanes - 1) * stride, width);
  const int64_t end = width + kLanes - 1 + kLag, inner = kLag + kLanes - 1;
  int64_t x = 0;
  for (; x < inner && x < end; ++x) upper.step_at(x), lower.step_at(x - kLag);
  x = inner_steps(&upper, &lower, x, kLag);
  for (; x < end; ++x) upper.step_at(x), lower.step_at(x - kLag);
}
#endif

}  // namespace spatialcore
