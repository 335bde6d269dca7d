// SPDX-License-Identifier: Apache-2.0
// The dense path of overlap on the CPU, as tasks for the threads; the sparse one is in
// overlap_sparse.cpp. See spatialcore/overlap.h.
#include "spatialcore/overlap.h"

#include <algorithm>

#include "cpu/isa/overlap_loops.h"
#include "cpu/thread_pool.h"

namespace spatialcore {
namespace {

constexpr IsaTable<DenseTileFn> kDenseTile{overlap_dense_baseline, SC_AVX2(overlap_dense_avx2),
                                           SC_AVX512(overlap_dense_avx512),
                                           SC_NEON(overlap_dense_neon)};

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

}  // namespace

void overlap_dense_cpu(const MaskRows& mask, int64_t row_begin, int64_t row_end, uint32_t* out,
                       int threads) {
  if (row_end <= row_begin) return;
  // Tall tasks pack less; several for each thread keep the last ones short.
  const int64_t workers = threads > 0 ? threads : available_threads();
  const int64_t share = workers > 1 ? (row_end - row_begin) / (2 * workers) / 32 * 32 : kDenseRows;
  const int64_t task_rows = std::clamp<int64_t>(share, 64, kDenseRows);
  const int64_t row_tiles = ceil_div(row_end - row_begin, task_rows);
  const int64_t first_column = row_begin / 32 * 32;
  const int64_t column_tiles = ceil_div(mask.frame_count - first_column, kDenseColumns);
  const DenseTileFn tile = kDenseTile.active();
  parallel_for(row_tiles * column_tiles, 1, threads, [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) {
      const int64_t i0 = row_begin + n / column_tiles * task_rows;
      const int64_t j0 = first_column + n % column_tiles * kDenseColumns;
      const int64_t j1 = std::min(j0 + kDenseColumns, mask.frame_count);
      if (j1 <= i0) continue;
      const int64_t i1 = std::min(i0 + task_rows, row_end);
      tile(mask, i0, i1, j0, j1, out + (i0 - row_begin) * mask.frame_count, mask.frame_count);
    }
  });
}

void mirror_upper(uint32_t* matrix, int64_t frame_count, int threads) {
  constexpr int64_t kTile = 64;  // 16 KiB of reads and of writes
  const int64_t tiles = ceil_div(frame_count, kTile);
  parallel_for(tiles, 1, threads, [&](int64_t begin, int64_t end) {
    for (int64_t row_tile = begin; row_tile < end; ++row_tile) {
      for (int64_t column_tile = 0; column_tile <= row_tile; ++column_tile) {
        const int64_t i1 = std::min(frame_count, (row_tile + 1) * kTile);
        for (int64_t i = row_tile * kTile; i < i1; ++i) {
          const int64_t j1 = std::min(i, (column_tile + 1) * kTile);
          for (int64_t j = column_tile * kTile; j < j1; ++j) {
            matrix[i * frame_count + j] = matrix[j * frame_count + i];
          }
        }
      }
    }
  });
}

}  // namespace spatialcore
