// SPDX-License-Identifier: Apache-2.0
// Overlap for AArch64: and + popcount of bytes + add for 128 bits of a pair, where a popcount of
// words leaves the vector registers and comes back. Byte sums hold kHeldBlocks blocks, then go to
// words. A tile is four frames against four: 16 sums and 5 rows are 21 of 32 registers.
#include <arm_neon.h>

#include "spatialcore/overlap.h"

namespace spatialcore {
namespace {

constexpr int kHeldBlocks = 7;  // 7 blocks x 4 registers x 8 bits fit a byte

inline uint8x16_t load(const uint64_t* words) {
  return vld1q_u8(reinterpret_cast<const uint8_t*>(words));
}

// gcc 12 reads an operand again for every use of it; one that may have changed stays in its
// register. Nothing is emitted.
inline void hold(uint8x16_t& v) { asm("" : "+w"(v)); }

inline void add_common(uint8x16_t a, uint8x16_t b, uint8x16_t& sum) {
  sum = vaddq_u8(sum, vcntq_u8(vandq_u8(a, b)));
}

struct Tile {
  uint8x16_t s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11, s12, s13, s14, s15;
  uint32_t total[kGroupRows * kGroupRows] = {};
  int held = 0;

  Tile() { clear(); }

  inline void add(const uint64_t* a, const uint64_t* b) {
#pragma GCC unroll 1  // unrolled, gcc 12 spills
    for (int64_t k = 0; k < kBlockWords; k += 2) step(a + k, b + k);
    if (++held == kHeldBlocks) flush();
  }

  void store(uint32_t* out) {
    flush();
    __builtin_memcpy(out, total, sizeof(total));
  }

 private:
  void clear() {
    s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = vdupq_n_u8(0);
    s8 = s9 = s10 = s11 = s12 = s13 = s14 = s15 = vdupq_n_u8(0);
  }

  inline void step(const uint64_t* a, const uint64_t* b) {
    uint8x16_t a0 = load(a), a1 = load(a + kBlockWords), a2 = load(a + 2 * kBlockWords),
               a3 = load(a + 3 * kBlockWords);
    hold(a0), hold(a1), hold(a2), hold(a3);
    uint8x16_t column = load(b);
    add_common(a0, column, s0), add_common(a1, column, s4);
    add_common(a2, column, s8), add_common(a3, column, s12);
    column = load(b + kBlockWords);
    add_common(a0, column, s1), add_common(a1, column, s5);
    add_common(a2, column, s9), add_common(a3, column, s13);
    column = load(b + 2 * kBlockWords);
    add_common(a0, column, s2), add_common(a1, column, s6);
    add_common(a2, column, s10), add_common(a3, column, s14);
    column = load(b + 3 * kBlockWords);
    add_common(a0, column, s3), add_common(a1, column, s7);
    add_common(a2, column, s11), add_common(a3, column, s15);
  }

  inline void flush() {
    const uint8x16_t sums[] = {s0, s1, s2,  s3,  s4,  s5,  s6,  s7,
                               s8, s9, s10, s11, s12, s13, s14, s15};
#pragma GCC unroll 16
    for (int n = 0; n < 16; ++n) total[n] += vaddlvq_u8(sums[n]);
    held = 0;
    clear();
  }
};

}  // namespace
}  // namespace spatialcore

#include "cpu/isa/overlap_tiles.inc"

namespace spatialcore {

void overlap_dense_neon(const MaskRows& mask, int64_t row_begin, int64_t row_end,
                        int64_t column_begin, int64_t column_end, uint32_t* out,
                        int64_t out_stride) {
  dense_tiles(mask, row_begin, row_end, column_begin, column_end, out, out_stride);
}

void overlap_sparse_neon(const SparseRows& rows, int64_t group_a, int64_t group_b, uint32_t* out) {
  sparse_tile(rows, group_a, group_b, out);
}

}  // namespace spatialcore
