// SPDX-License-Identifier: Apache-2.0
// Pairwise intersections of packed point sets by popcount. Contract: spatialcore/overlap.h.
//
//   words         (F, W) uint64 of each mask      in
//   intersection  (F, F) uint32 of each mask      out  symmetric, counts on the diagonal
//
// Exact integers. A thread block owns a tile of 64 x 64 pairs of one mask and streams the words
// through shared memory, 16 at a time; a thread owns 4 x 4 pairs, 16 apart so that a warp reads
// consecutive rows of the tile. Tiles below the diagonal are left to their mirror images. Bytes:
// 2 * 64 rows * W * 8 for 4,096 pairs; popcount (16 a clock on each multiprocessor) is the bound.
// Docs: docs/ops/overlap.md. Tests: tests/ops/test_cuda.py.
#include "cuda/overlap.cuh"

namespace spatialcore {
namespace {

constexpr int kTile = 64;  // frames on each side of a tile
constexpr int kSide = 16;  // threads on each side; kTile / kSide pairs a thread and side
constexpr int kPairs = kTile / kSide;  // 4
constexpr int kStep = 16;              // words staged at a time: 2 * 64 * 17 * 8 = 17 KiB

__device__ void stage(const DeviceMask& mask, int64_t first_row, int64_t first_word,
                      uint64_t (*tile)[kStep + 1]) {
  const int thread = threadIdx.y * kSide + threadIdx.x;
  for (int i = thread; i < kTile * kStep; i += kSide * kSide) {
    const int64_t row = first_row + i / kStep, word = first_word + i % kStep;
    const bool inside = row < mask.frame_count && word < mask.word_count;
    tile[i / kStep][i % kStep] = inside ? mask.words[row * mask.word_count + word] : 0;
  }
}

__global__ void overlap_kernel(const DeviceMask* __restrict__ masks) {
  __shared__ uint64_t rows[kTile][kStep + 1];  // one word of padding: no bank conflicts
  __shared__ uint64_t columns[kTile][kStep + 1];
  const DeviceMask mask = masks[blockIdx.z];
  const int64_t first_row = static_cast<int64_t>(blockIdx.y) * kTile;
  const int64_t first_column = static_cast<int64_t>(blockIdx.x) * kTile;
  if (first_column < first_row || first_column >= mask.frame_count) return;
  uint32_t sum[kPairs][kPairs] = {};
  for (int64_t word = 0; word < mask.word_count; word += kStep) {
    stage(mask, first_row, word, rows);
    stage(mask, first_column, word, columns);
    __syncthreads();
    for (int k = 0; k < kStep; ++k) {
      uint64_t a[kPairs], b[kPairs];
      for (int i = 0; i < kPairs; ++i) a[i] = rows[threadIdx.y + kSide * i][k];
      for (int j = 0; j < kPairs; ++j) b[j] = columns[threadIdx.x + kSide * j][k];
      for (int i = 0; i < kPairs; ++i) {
        for (int j = 0; j < kPairs; ++j) sum[i][j] += __popcll(a[i] & b[j]);
      }
    }
    __syncthreads();
  }
  for (int i = 0; i < kPairs; ++i) {
    for (int j = 0; j < kPairs; ++j) {
      const int64_t row = first_row + threadIdx.y + kSide * i;
      const int64_t column = first_column + threadIdx.x + kSide * j;
      if (row >= mask.frame_count || column >= mask.frame_count || column < row) continue;
      mask.intersection[row * mask.frame_count + column] = sum[i][j];
      mask.intersection[column * mask.frame_count + row] = sum[i][j];
    }
  }
}

}  // namespace

void overlap_popcount(const DeviceMask* masks, int64_t mask_count, int64_t largest,
                      cudaStream_t stream) {
  const dim3 grid(ceil_div(largest, kTile), ceil_div(largest, kTile),
                  static_cast<unsigned>(mask_count));
  SC_LAUNCH(overlap_kernel, grid, dim3(kSide, kSide), stream, masks);
  check_launch("overlap_kernel");
}

void pairwise_overlap_cuda(const DeviceMask* masks, int64_t mask_count, int64_t largest,
                           OverlapMethod method, Stream stream) {
  if (mask_count == 0 || largest == 0) return;
  if (method == OverlapMethod::kTensorCore) {
    overlap_tensor_core(masks, mask_count, largest, native(stream));
  } else {
    overlap_popcount(masks, mask_count, largest, native(stream));
  }
}

}  // namespace spatialcore
