// SPDX-License-Identifier: Apache-2.0
// The inner loops of overlap, once for each instruction set.
#pragma once

#include "cpu/isa/dispatch.h"
#include "spatialcore/overlap.h"

namespace spatialcore {

// out[(i - row_begin) * out_stride + j] = I[i, j] for i in [row_begin, row_end), j in
// [column_begin, column_end), j >= i. At most kDenseRows x kDenseColumns; both begins are multiples
// of 32, so that vectors of 32 columns start on or before the diagonal.
using DenseTileFn = void (*)(const MaskRows& mask, int64_t row_begin, int64_t row_end,
                             int64_t column_begin, int64_t column_end, uint32_t* out,
                             int64_t out_stride);
// out[a * 4 + b] = intersection of row a of one group with row b of another.
using SparseTileFn = void (*)(const SparseRows& rows, int64_t group_a, int64_t group_b,
                              uint32_t* out);

void overlap_dense_baseline(const MaskRows&, int64_t, int64_t, int64_t, int64_t, uint32_t*,
                            int64_t);
void overlap_dense_avx2(const MaskRows&, int64_t, int64_t, int64_t, int64_t, uint32_t*, int64_t);
void overlap_dense_avx512(const MaskRows&, int64_t, int64_t, int64_t, int64_t, uint32_t*, int64_t);
void overlap_dense_neon(const MaskRows&, int64_t, int64_t, int64_t, int64_t, uint32_t*, int64_t);
void overlap_sparse_baseline(const SparseRows&, int64_t, int64_t, uint32_t*);
void overlap_sparse_avx2(const SparseRows&, int64_t, int64_t, uint32_t*);
void overlap_sparse_avx512(const SparseRows&, int64_t, int64_t, uint32_t*);
void overlap_sparse_neon(const SparseRows&, int64_t, int64_t, uint32_t*);

// Calls visit(block_of_a, block_of_b) for every 512-point block that both groups occupy.
template <class Visit>
inline void for_common_blocks(const SparseRows& rows, int64_t group_a, int64_t group_b,
                              Visit visit) {
  constexpr int64_t kWords = kGroupRows * kBlockWords;
  const uint64_t* occupied_a = rows.occupancy.data() + group_a * rows.super_count;
  const uint64_t* occupied_b = rows.occupancy.data() + group_b * rows.super_count;
  const int64_t* first_a = rows.first_block.data() + group_a * rows.super_count;
  const int64_t* first_b = rows.first_block.data() + group_b * rows.super_count;
  for (int64_t s = 0; s < rows.super_count; ++s) {
    for (uint64_t both = occupied_a[s] & occupied_b[s]; both; both &= both - 1) {
      const uint64_t below = (both & -both) - 1;
      const int64_t a = first_a[s] + __builtin_popcountll(occupied_a[s] & below);
      const int64_t b = first_b[s] + __builtin_popcountll(occupied_b[s] & below);
      visit(rows.blocks.data() + a * kWords, rows.blocks.data() + b * kWords);
    }
  }
}

}  // namespace spatialcore
