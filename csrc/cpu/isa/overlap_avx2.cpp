// SPDX-License-Identifier: Apache-2.0
// The dense tile of overlap with byte shuffles: popcount(x & y) of two nibbles is a lookup in a
// table of 16 bytes that x selects, so one shuffle serves the same nibble of 32 frames against one
// frame: shuffle + add for 128 bit pairs, where and + popcount by nibbles + add takes 3 operations.
// Frames are therefore packed as panel[nibble][frame]. Byte sums hold 63 nibbles (63 x 4 = 252),
// then go to uint16 and, for each task, to uint32. A step keeps 2 rows x 6 vectors of sums in 12
// registers.
#include <immintrin.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include "cpu/isa/overlap_loops.h"

namespace spatialcore {
namespace {

constexpr int kLanes = 32;                                    // frames of a vector
constexpr int kVectors = kDenseColumns / kLanes;              // vectors of a panel
constexpr int kNibbles = static_cast<int>(kDenseWords) * 16;  // of one pass over a panel
constexpr int kByteSteps = 63;                                // 63 x 4 fits a byte
constexpr int kAhead = 8;                                     // rows fetched before they are packed

// kTable[x][y] = popcount(x & y), 16 bytes for each x. Made by the compiler: a constructor at load
// would run this file's instructions on machines without them.
struct NibbleTable {
  alignas(64) uint8_t entry[16][16] = {};
  constexpr NibbleTable() {
    for (int x = 0; x < 16; ++x) {
      for (int y = 0; y < 16; ++y) entry[x][y] = static_cast<uint8_t>(__builtin_popcount(x & y));
    }
  }
};
constexpr NibbleTable kTable;

struct DenseScratch {
  alignas(64) uint8_t panel[kNibbles][kDenseColumns];        // nibble of every column frame
  alignas(64) uint8_t row_offset[kDenseRows][kNibbles];      // 16 x nibble: offset into kTable
  alignas(64) uint16_t sums[kDenseRows + 1][kDenseColumns];  // the last row takes an odd row's twin
};

inline __m128i load_word(const uint64_t* word) {
  return _mm_loadl_epi64(reinterpret_cast<const __m128i*>(word));
}

// One word of 16 rows, transposed: out[b] holds byte b of the 16 words.
inline void transpose_bytes(const uint64_t* word, int64_t stride, __m128i* out) {
  __m128i a[8], b[8];
#pragma GCC unroll 8
  for (int r = 0; r < 8; ++r) {
    a[r] = _mm_unpacklo_epi8(load_word(word + r * stride), load_word(word + (r + 8) * stride));
  }
#pragma GCC unroll 4
  for (int r = 0; r < 4; ++r) {
    b[2 * r] = _mm_unpacklo_epi8(a[r], a[r + 4]);
    b[2 * r + 1] = _mm_unpackhi_epi8(a[r], a[r + 4]);
  }
  // b[2r + h]: rows r, r+4, r+8, r+12 of bytes 4h..4h+3, four bytes for each byte index.
#pragma GCC unroll 2
  for (int h = 0; h < 2; ++h) {
    a[4 * h] = _mm_unpacklo_epi8(b[h], b[4 + h]);
    a[4 * h + 1] = _mm_unpackhi_epi8(b[h], b[4 + h]);
    a[4 * h + 2] = _mm_unpacklo_epi8(b[2 + h], b[6 + h]);
    a[4 * h + 3] = _mm_unpackhi_epi8(b[2 + h], b[6 + h]);
#pragma GCC unroll 2
    for (int q = 0; q < 2; ++q) {
      out[4 * h + 2 * q] = _mm_unpacklo_epi8(a[4 * h + q], a[4 * h + 2 + q]);
      out[4 * h + 2 * q + 1] = _mm_unpackhi_epi8(a[4 * h + q], a[4 * h + 2 + q]);
    }
  }
}

// Columns [column, column + 16) of words [begin, begin + count) into the panel.
void pack_columns(const MaskRows& mask, int64_t column, int64_t begin, int64_t count, int offset,
                  DenseScratch& scratch) {
  const __m128i low = _mm_set1_epi8(15);
  const int64_t rows = std::clamp<int64_t>(mask.frame_count - column, 0, 16);
  const uint64_t* source = mask.words + column * mask.stride + begin;
  for (int64_t k = 0; k < count; ++k) {
    __m128i bytes[8];
    if (rows == 16) {
      transpose_bytes(source + k, mask.stride, bytes);
    } else {
      uint64_t word[16] = {};
      for (int64_t r = 0; r < rows; ++r) word[r] = source[r * mask.stride + k];
      transpose_bytes(word, 1, bytes);
    }
    for (int b = 0; b < 8; ++b) {
      uint8_t* nibbles = scratch.panel[k * 16 + 2 * b] + offset;
      _mm_store_si128(reinterpret_cast<__m128i*>(nibbles), _mm_and_si128(bytes[b], low));
      _mm_store_si128(reinterpret_cast<__m128i*>(nibbles + kDenseColumns),
                      _mm_and_si128(_mm_srli_epi16(bytes[b], 4), low));
    }
  }
}

void pack_row(const uint64_t* words, int64_t count, uint8_t* offset) {
  const __m128i high = _mm_set1_epi8(static_cast<char>(0xF0));
  for (int64_t k = 0; k < count; ++k) {
    const __m128i word = _mm_cvtsi64_si128(static_cast<int64_t>(words[k]));
    const __m128i low = _mm_and_si128(_mm_slli_epi16(word, 4), high);
    _mm_store_si128(reinterpret_cast<__m128i*>(offset + k * 16),
                    _mm_unpacklo_epi8(low, _mm_and_si128(word, high)));
  }
}

inline void add_bytes(__m256i bytes, uint16_t* sums) {
  __m256i* out = reinterpret_cast<__m256i*>(sums);
  const __m256i low = _mm256_cvtepu8_epi16(_mm256_castsi256_si128(bytes));
  const __m256i high = _mm256_cvtepu8_epi16(_mm256_extracti128_si256(bytes, 1));
  _mm256_storeu_si256(out, _mm256_add_epi16(_mm256_loadu_si256(out), low));
  _mm256_storeu_si256(out + 1, _mm256_add_epi16(_mm256_loadu_si256(out + 1), high));
}

// gcc 12 renames the sums on every step and spills half of them; an operand that is read and
// written stays in its register, and so do named sums, unlike those of an array.
inline void add_in_place(__m256i& sum, __m256i bytes) {
  asm("vpaddb %1, %0, %0" : "+x"(sum) : "x"(bytes));
}

inline __m256i table_of(uint8_t offset) {
  const auto* table = reinterpret_cast<const uint8_t*>(kTable.entry);
  return _mm256_broadcastsi128_si256(
      _mm_load_si128(reinterpret_cast<const __m128i*>(table + offset)));
}

// Vector `v` of the panel against both rows; nothing for the vectors that V leaves out.
template <bool kUsed>
inline void step(const uint8_t* column, __m256i table0, __m256i table1, __m256i& sum0,
                 __m256i& sum1) {
  if constexpr (kUsed) {
    const __m256i nibbles = _mm256_load_si256(reinterpret_cast<const __m256i*>(column));
    add_in_place(sum0, _mm256_shuffle_epi8(table0, nibbles));
    add_in_place(sum1, _mm256_shuffle_epi8(table1, nibbles));
  }
}

template <bool kUsed>
inline void finish(__m256i sum0, __m256i sum1, int vector, uint16_t* sums0, uint16_t* sums1) {
  if constexpr (kUsed) {
    add_bytes(sum0, sums0 + vector * kLanes);
    add_bytes(sum1, sums1 + vector * kLanes);
  }
}

// Two rows against V vectors of columns over `steps` <= kByteSteps nibbles.
template <int V>
__attribute__((noinline)) void two_rows(const uint8_t* row0, const uint8_t* row1,
                                        const uint8_t* panel, int steps, uint16_t* sums0,
                                        uint16_t* sums1) {
  const __m256i zero = _mm256_setzero_si256();
  __m256i a0 = zero, a1 = zero, a2 = zero, a3 = zero, a4 = zero, a5 = zero;
  __m256i b0 = zero, b1 = zero, b2 = zero, b3 = zero, b4 = zero, b5 = zero;
  for (int k = 0; k < steps; ++k, panel += kDenseColumns) {
    const __m256i table0 = table_of(row0[k]), table1 = table_of(row1[k]);
    step<(V > 0)>(panel + 0 * kLanes, table0, table1, a0, b0);
    step<(V > 1)>(panel + 1 * kLanes, table0, table1, a1, b1);
    step<(V > 2)>(panel + 2 * kLanes, table0, table1, a2, b2);
    step<(V > 3)>(panel + 3 * kLanes, table0, table1, a3, b3);
    step<(V > 4)>(panel + 4 * kLanes, table0, table1, a4, b4);
    step<(V > 5)>(panel + 5 * kLanes, table0, table1, a5, b5);
  }
  finish<(V > 0)>(a0, b0, 0, sums0, sums1);
  finish<(V > 1)>(a1, b1, 1, sums0, sums1);
  finish<(V > 2)>(a2, b2, 2, sums0, sums1);
  finish<(V > 3)>(a3, b3, 3, sums0, sums1);
  finish<(V > 4)>(a4, b4, 4, sums0, sums1);
  finish<(V > 5)>(a5, b5, 5, sums0, sums1);
}

using TwoRowsFn = void (*)(const uint8_t*, const uint8_t*, const uint8_t*, int, uint16_t*,
                           uint16_t*);
constexpr TwoRowsFn kTwoRows[kVectors + 1] = {nullptr,     two_rows<1>, two_rows<2>, two_rows<3>,
                                              two_rows<4>, two_rows<5>, two_rows<6>};

}  // namespace

void overlap_dense_avx2(const MaskRows& mask, int64_t row_begin, int64_t row_end,
                        int64_t column_begin, int64_t column_end, uint32_t* out,
                        int64_t out_stride) {
  const int64_t row_count = row_end - row_begin;
  const int64_t vector_count = (column_end - column_begin + kLanes - 1) / kLanes;
  const auto scratch = std::make_unique<DenseScratch>();
  for (int64_t i = 0; i < row_count; ++i) {
    std::fill_n(out + i * out_stride + column_begin, column_end - column_begin, 0u);
  }
  for (int64_t begin = 0; begin < mask.word_count; begin += kDenseWords) {
    const int64_t count = std::min(kDenseWords, mask.word_count - begin);
    for (int64_t c = 0; c < vector_count * kLanes; c += 16) {
      pack_columns(mask, column_begin + c, begin, count, static_cast<int>(c), *scratch);
    }
    for (int64_t i = 0; i < row_count; ++i) {
      const uint64_t* words = mask.words + (row_begin + i) * mask.stride + begin;
      if (i + kAhead < row_count) __builtin_prefetch(words + kAhead * mask.stride);
      pack_row(words, count, scratch->row_offset[i]);
    }
    std::memset(scratch->sums, 0, row_count * sizeof(scratch->sums[0]));
    for (int64_t k = 0; k < count * 16; k += kByteSteps) {
      const int steps = static_cast<int>(std::min<int64_t>(kByteSteps, count * 16 - k));
      for (int64_t i = 0; i < row_count; i += 2) {
        // Vectors that lie wholly before the diagonal are skipped.
        const int64_t first = std::max<int64_t>(0, (row_begin + i - column_begin) / kLanes);
        if (first >= vector_count) break;
        const int64_t other = std::min(i + 1, row_count - 1);
        uint16_t* second = scratch->sums[other == i ? kDenseRows : other];
        kTwoRows[vector_count - first](scratch->row_offset[i] + k, scratch->row_offset[other] + k,
                                       scratch->panel[k] + first * kLanes, steps,
                                       scratch->sums[i] + first * kLanes, second + first * kLanes);
      }
    }
    for (int64_t i = 0; i < row_count; ++i) {
      uint32_t* sums = out + i * out_stride + column_begin;
      for (int64_t j = 0; j < column_end - column_begin; ++j) sums[j] += scratch->sums[i][j];
    }
  }
}

}  // namespace spatialcore
