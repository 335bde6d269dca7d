// SPDX-License-Identifier: Apache-2.0
// Pairwise intersections on the tensor cores: one-bit matrix products with AND and popcount.
// Contract and arguments: overlap.cu.
//
// mma.m16n8k256.b1 multiplies 16 x 256 by 256 x 8 bits and adds 128 counts. Lane 4 r + t of a warp
// holds word t of row r: its low half is the instruction's first 128 columns, its high half the
// second 128. The order of bits within a product is free as long as both sides agree, so packed
// words are fragments as they are, and a quad of lanes reads one 32-byte sector.
//
// A warp owns 32 x 32 pairs (2 x 4 products), a thread block 64 x 64. Exact integers. Bytes as
// overlap.cu without shared memory: rows are re-read through L1.
// Docs: docs/ops/overlap.md. Tests: tests/ops/test_cuda_host.py with an emulated
// product, tests/ops/test_gpu.py.
#include "cuda/overlap.cuh"

namespace spatialcore {
namespace {

constexpr int kWarpsAcross = 2;  // warps of a thread block along each side
constexpr int kWarpTile = 32;    // frames on each side of a warp's tile
constexpr int kTile = kWarpsAcross * kWarpTile;
static_assert(kTile == kOverlapTile);
constexpr int kRowProducts = kWarpTile / 16;
constexpr int kColumnProducts = kWarpTile / 8;
constexpr int kProductWords = 4;  // 256 bits

// counts (16 x 8, four a lane) += popcount(a & b) over 256 bits.
__device__ void multiply_add(int32_t (&counts)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
#if defined(SPATIALCORE_SIMT_HOST)
  simt_mma_b1(counts, a, b);
#else
  asm volatile(
      "mma.sync.aligned.m16n8k256.row.col.s32.b1.b1.s32.and.popc "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+r"(counts[0]), "+r"(counts[1]), "+r"(counts[2]), "+r"(counts[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#endif
}

__device__ uint64_t word_of(const DeviceMask& mask, int64_t row, int64_t word) {
  const bool inside = row < mask.frame_count && word < mask.word_count;
  return inside ? mask.words[row * mask.word_count + word] : 0;
}

__global__ void overlap_mma_kernel(const Batch<DeviceMask> masks, Slices slices) {
  const DeviceMask mask = mask_of(masks, slices);
  const WordRange range = words_of(mask, slices, kProductWords);
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int quad = lane / 4, within = lane % 4;
  const int64_t first_row =
      static_cast<int64_t>(blockIdx.y) * kTile + (warp / kWarpsAcross) * kWarpTile;
  const int64_t first_column =
      static_cast<int64_t>(blockIdx.x) * kTile + (warp % kWarpsAcross) * kWarpTile;
  if (first_column + kWarpTile <= first_row || first_row >= mask.frame_count ||
      first_column >= mask.frame_count) {
    return;
  }
  int32_t counts[kRowProducts][kColumnProducts][4] = {};
  for (int64_t first = range.begin; first < range.end; first += kProductWords) {
    const int64_t word = first + within;
    uint32_t a[kRowProducts][4], b[kColumnProducts][2];
    for (int i = 0; i < kRowProducts; ++i) {
      const uint64_t upper = word_of(mask, first_row + 16 * i + quad, word);
      const uint64_t lower = word_of(mask, first_row + 16 * i + 8 + quad, word);
      a[i][0] = static_cast<uint32_t>(upper);
      a[i][1] = static_cast<uint32_t>(lower);
      a[i][2] = static_cast<uint32_t>(upper >> 32);
      a[i][3] = static_cast<uint32_t>(lower >> 32);
    }
    for (int j = 0; j < kColumnProducts; ++j) {
      const uint64_t column = word_of(mask, first_column + 8 * j + quad, word);
      b[j][0] = static_cast<uint32_t>(column);
      b[j][1] = static_cast<uint32_t>(column >> 32);
    }
    for (int i = 0; i < kRowProducts; ++i) {
      for (int j = 0; j < kColumnProducts; ++j) multiply_add(counts[i][j], a[i], b[j]);
    }
  }
  SC_UNROLL
  for (int i = 0; i < kRowProducts; ++i) {
    SC_UNROLL
    for (int j = 0; j < kColumnProducts; ++j) {
      const int64_t row = first_row + 16 * i + quad, column = first_column + 8 * j + 2 * within;
      store_pair(mask, slices, row, column, counts[i][j][0]);
      store_pair(mask, slices, row, column + 1, counts[i][j][1]);
      store_pair(mask, slices, row + 8, column, counts[i][j][2]);
      store_pair(mask, slices, row + 8, column + 1, counts[i][j][3]);
    }
  }
}

}  // namespace

void overlap_tensor_core(const Batch<DeviceMask>& masks, Slices slices, cudaStream_t stream) {
  SC_LAUNCH(overlap_mma_kernel, overlap_grid(masks, slices), dim3(32 * kWarpsAcross * kWarpsAcross),
            stream, masks, slices);
  check_launch("overlap_mma_kernel");
}

}  // namespace spatialcore
