// SPDX-License-Identifier: Apache-2.0
// The stream of a launcher's caller, as the runtime's type.
#pragma once

#include "cuda/kernels.cuh"
#include "cuda/launch.cuh"

namespace spatialcore {

inline cudaStream_t native(Stream stream) { return reinterpret_cast<cudaStream_t>(stream.handle); }

}  // namespace spatialcore
