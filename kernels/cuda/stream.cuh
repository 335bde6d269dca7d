// SPDX-License-Identifier: Apache-2.0
// What launchers and kernels share: the caller's stream, and the items of a batch.
#pragma once

#include "cuda/kernels.cuh"
#include "cuda/launch.cuh"

namespace spatialcore {

inline cudaStream_t native(Stream stream) { return reinterpret_cast<cudaStream_t>(stream.handle); }

// The item of this thread block: blockIdx.z counts the items of a batch.
template <class Item>
__device__ Item item_of(const Batch<Item>& batch) {
  return batch.many ? batch.many[blockIdx.z] : batch.one;
}

// Square tiles over the pairs of the largest item, one layer for each item.
template <class Item>
inline dim3 pair_grid(const Batch<Item>& batch, int tile) {
  return dim3(ceil_div(batch.largest, tile), ceil_div(batch.largest, tile),
              static_cast<unsigned>(batch.count));
}

}  // namespace spatialcore
