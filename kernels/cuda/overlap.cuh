// SPDX-License-Identifier: Apache-2.0
// The two ways to count intersections; pairwise_overlap_cuda chooses.
#pragma once

#include "cuda/stream.cuh"

namespace spatialcore {

void overlap_popcount(const DeviceMask* masks, int64_t mask_count, int64_t largest,
                      cudaStream_t stream);
void overlap_tensor_core(const DeviceMask* masks, int64_t mask_count, int64_t largest,
                         cudaStream_t stream);

}  // namespace spatialcore
