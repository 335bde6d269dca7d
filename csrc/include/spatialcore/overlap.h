// SPDX-License-Identifier: Apache-2.0
// Pairwise intersections of packed point sets: I[i, j] = popcount(A[i] & A[j]), exact integers.
//
//   words  (F, W) uint64, a row every `stride` words   bit p % 64 of word p / 64 is point p
//   out    (row_end - row_begin, F) uint32             column j holds I[i, j] for every j >= i;
//                                                      other columns are unspecified
//
// Two paths give the same integers:
//   dense   every word of every pair, in tiles of kDenseRows x kDenseColumns frames.
//   sparse  frames in groups of kGroupRows; a 512-bit block of points that no frame of a group sees
//           is neither stored nor visited. It wins where points are in spatial order, since a frame
//           then touches few blocks. `sparse_pays` decides from a sample of the mask.
// Scratch: dense kDenseScratchBytes a task; sparse the non-empty blocks, once, in SparseRows.
// Docs: docs/ops/overlap.md. Tests: tests/ops/test_overlap.py.
#pragma once

#include <cstdint>
#include <vector>

#include "spatialcore/host_device.h"

namespace spatialcore {

constexpr int64_t kGroupRows = 4;       // frames that share one occupancy bitmap
constexpr int64_t kBlockWords = 8;      // 512 points, one cache line of a frame
constexpr int64_t kDenseRows = 256;     // packing costs about 8 % of a task at this height
constexpr int64_t kDenseColumns = 192;  // 6 vectors of 32 frames: 12 sums of 16 registers
constexpr int64_t kDenseWords = 31;     // 320 KiB of scratch, inside the second-level cache

struct MaskRows {
  const uint64_t* words;  // (F, W)
  int64_t frame_count;    // F
  int64_t word_count;     // W
  int64_t stride;         // words from one row to the next
};

// The non-empty blocks of a mask, grouped: block b of group g is (kGroupRows, kBlockWords) words.
struct SparseRows {
  int64_t group_count = 0;
  int64_t super_count = 0;          // bitmaps of 64 blocks for each group
  std::vector<uint64_t> occupancy;  // (group_count, super_count)
  std::vector<int64_t>
      first_block;               // (group_count, super_count), rank of each bitmap's first block
  std::vector<uint64_t> blocks;  // (blocks, kGroupRows, kBlockWords)
};

bool sparse_pays(const MaskRows& mask);
SparseRows build_sparse_rows(const MaskRows& mask, int threads);

void overlap_dense_cpu(const MaskRows& mask, int64_t row_begin, int64_t row_end, uint32_t* out,
                       int threads);
void overlap_sparse_cpu(const SparseRows& rows, int64_t frame_count, int64_t row_begin,
                        int64_t row_end, uint32_t* out, int threads);
// Copies I[i, j] to I[j, i] and leaves the counts on the diagonal. matrix (F, F).
void mirror_upper(uint32_t* matrix, int64_t frame_count, int threads);

}  // namespace spatialcore
