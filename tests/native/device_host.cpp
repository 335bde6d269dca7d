// SPDX-License-Identifier: Apache-2.0
// What kernels/cuda/device.cu answers, in the host build of the kernels.
#include "cuda/device.cuh"

namespace spatialcore {

std::string cuda_unavailable_reason() { return "the kernels run on the host"; }
int cuda_runtime_version() { return 0; }
std::vector<DeviceReport> cuda_devices() { return {}; }

}  // namespace spatialcore
