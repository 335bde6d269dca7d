// SPDX-License-Identifier: Apache-2.0
// What the two ways to count intersections share: the words of a thread block, and the stores.
#pragma once

#include "cuda/stream.cuh"

namespace spatialcore {

constexpr int kOverlapTile = 64;  // frames on each side of a thread block's tile, in both ways

// A few frames are few tiles, so the words are cut into slices that thread blocks share. Their
// counts are added into zeros: integers, so the order does not matter.
struct Slices {
  int count;  // 1: a block sees all words of its tile, and stores
};

struct WordRange {
  int64_t begin, end;
};

// blockIdx.z counts the slices of the items of a batch.
__device__ inline DeviceMask mask_of(const Batch<DeviceMask>& masks, Slices slices) {
  return masks.many ? masks.many[blockIdx.z / slices.count] : masks.one;
}

// The words of this thread block: a multiple of `step`, but for the last ones.
__device__ inline WordRange words_of(const DeviceMask& mask, Slices slices, int step) {
  const int64_t steps = (mask.word_count + step - 1) / step;
  const int64_t length = (steps + slices.count - 1) / slices.count * step;
  const int64_t begin = blockIdx.z % slices.count * length;
  return {begin, begin + length < mask.word_count ? begin + length : mask.word_count};
}

// One count of the upper triangle, and its mirror image.
__device__ inline void store_pair(const DeviceMask& mask, Slices slices, int64_t row,
                                  int64_t column, uint32_t count) {
  if (row >= mask.frame_count || column >= mask.frame_count || column < row) return;
  uint32_t* const upper = mask.intersection + row * mask.frame_count + column;
  uint32_t* const lower = mask.intersection + column * mask.frame_count + row;
  if (slices.count == 1) {
    *upper = count;
    *lower = count;
  } else if (count != 0) {  // most pairs share no point in most slices
    atomicAdd(upper, count);
    if (lower != upper) atomicAdd(lower, count);
  }
}

inline dim3 overlap_grid(const Batch<DeviceMask>& masks, Slices slices) {
  dim3 grid = pair_grid(masks, kOverlapTile);
  grid.z *= slices.count;
  return grid;
}

void overlap_popcount(const Batch<DeviceMask>& masks, Slices slices, cudaStream_t stream);
void overlap_tensor_core(const Batch<DeviceMask>& masks, Slices slices, cudaStream_t stream);

}  // namespace spatialcore
