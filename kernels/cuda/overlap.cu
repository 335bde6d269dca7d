// SPDX-License-Identifier: Apache-2.0
// Pairwise intersections of packed point sets by popcount. Contract: spatialcore/overlap.h.
//
//   words         (F, W) uint64 of each mask      in
//   intersection  (F, F) uint32 of each mask      out  symmetric, counts on the diagonal
//
// Exact integers. A thread block owns a tile of 64 x 64 pairs of one mask and streams the words
// through shared memory, 16 at a time; a thread owns 4 x 4 pairs, 16 apart so that a warp reads
// consecutive rows of the tile. Tiles below the diagonal are left to their mirror images. Where
// that is too few thread blocks for a GPU, they share the words of a tile (overlap.cuh). Bytes:
// 2 * 64 rows * W * 8 for 4,096 pairs; popcount (16 a clock on each multiprocessor) is the bound.
// Docs: docs/ops/overlap.md. Tests: tests/ops/test_cuda_host.py, tests/ops/test_gpu.py.
#include "cuda/overlap.cuh"

namespace spatialcore {
namespace {

constexpr int kTile = kOverlapTile;
constexpr int kSide = 16;  // threads on each side; kTile / kSide pairs a thread and side
constexpr int kPairs = kTile / kSide;  // 4
constexpr int kStep = 16;              // words staged at a time: 2 * 64 * 17 * 8 = 17 KiB
constexpr int kClearThreads = 256;
constexpr int64_t kSliceWords = 64;  // 64 x 64 x 64 words for at most 2 x 4,096 additions
constexpr int64_t kMaxSlices = 64;

__device__ void stage(const DeviceMask& mask, int64_t first_row, int64_t first_word,
                      uint64_t (*tile)[kStep + 1]) {
  const int thread = threadIdx.y * kSide + threadIdx.x;
  for (int i = thread; i < kTile * kStep; i += kSide * kSide) {
    const int64_t row = first_row + i / kStep, word = first_word + i % kStep;
    const bool inside = row < mask.frame_count && word < mask.word_count;
    tile[i / kStep][i % kStep] = inside ? mask.words[row * mask.word_count + word] : 0;
  }
}

__global__ void clear_kernel(const Batch<DeviceMask> masks) {
  const DeviceMask mask = item_of(masks);
  const int64_t at = static_cast<int64_t>(blockIdx.x) * kClearThreads + threadIdx.x;
  if (at < mask.frame_count * mask.frame_count) mask.intersection[at] = 0;
}

__global__ void overlap_kernel(const Batch<DeviceMask> masks, Slices slices) {
  __shared__ uint64_t rows[kTile][kStep + 1];  // one word of padding: no bank conflicts
  __shared__ uint64_t columns[kTile][kStep + 1];
  const DeviceMask mask = mask_of(masks, slices);
  const WordRange range = words_of(mask, slices, kStep);
  const int64_t first_row = static_cast<int64_t>(blockIdx.y) * kTile;
  const int64_t first_column = static_cast<int64_t>(blockIdx.x) * kTile;
  if (first_column < first_row || first_column >= mask.frame_count) return;
  uint32_t sum[kPairs][kPairs] = {};
  for (int64_t word = range.begin; word < range.end; word += kStep) {
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
      store_pair(mask, slices, first_row + threadIdx.y + kSide * i,
                 first_column + threadIdx.x + kSide * j, sum[i][j]);
    }
  }
}

// As many slices as give the GPU enough thread blocks, and no fewer words than pay for the sums.
Slices choose_slices(const Batch<DeviceMask>& masks) {
  const int64_t side = ceil_div(masks.largest, kTile);
  const int64_t tiles = side * (side + 1) / 2 * masks.count;
  const int64_t wanted = (kBlocksWanted + tiles - 1) / tiles;
  const int64_t words = masks.many ? kMaxSlices * kSliceWords : masks.one.word_count;
  const int64_t most = words / kSliceWords < kMaxSlices ? words / kSliceWords : kMaxSlices;
  return {static_cast<int>(wanted < most ? wanted : (most > 1 ? most : 1))};
}

}  // namespace

void overlap_popcount(const Batch<DeviceMask>& masks, Slices slices, cudaStream_t stream) {
  SC_LAUNCH(overlap_kernel, overlap_grid(masks, slices), dim3(kSide, kSide), stream, masks, slices);
  check_launch("overlap_kernel");
}

void pairwise_overlap_cuda(const Batch<DeviceMask>& masks, OverlapMethod method, Stream stream) {
  if (masks.count == 0 || masks.largest == 0) return;
  const Slices slices = choose_slices(masks);
  if (slices.count > 1) {
    const dim3 grid(ceil_div(masks.largest * masks.largest, kClearThreads), 1,
                    static_cast<unsigned>(masks.count));
    SC_LAUNCH(clear_kernel, grid, dim3(kClearThreads), native(stream), masks);
    check_launch("clear_kernel");
  }
  if (method == OverlapMethod::kTensorCore) {
    overlap_tensor_core(masks, slices, native(stream));
  } else {
    overlap_popcount(masks, slices, native(stream));
  }
}

}  // namespace spatialcore
