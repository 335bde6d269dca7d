// SPDX-License-Identifier: Apache-2.0
// The two ways to count intersections; pairwise_overlap_cuda chooses.
#pragma once

#include "cuda/stream.cuh"

namespace spatialcore {

void overlap_popcount(const Batch<DeviceMask>& masks, cudaStream_t stream);
void overlap_tensor_core(const Batch<DeviceMask>& masks, cudaStream_t stream);

}  // namespace spatialcore
