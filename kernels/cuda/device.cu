// SPDX-License-Identifier: Apache-2.0
#include <cuda_runtime.h>

#include "cuda/device.cuh"

namespace spatialcore {

std::string cuda_unavailable_reason() {
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error == cudaErrorInsufficientDriver) {
    return "no NVIDIA driver, or one older than the runtime (cudaErrorInsufficientDriver)";
  }
  if (error != cudaSuccess) {
    return std::string(cudaGetErrorString(error)) + " (" + cudaGetErrorName(error) + ")";
  }
  return count > 0 ? "" : "no CUDA device";
}

int cuda_runtime_version() { return CUDART_VERSION; }

std::vector<DeviceReport> cuda_devices() {
  std::vector<DeviceReport> reports;
  int count = 0;
  if (cudaGetDeviceCount(&count) != cudaSuccess) return reports;
  for (int device = 0; device < count; ++device) {
    cudaDeviceProp properties;
    if (cudaGetDeviceProperties(&properties, device) != cudaSuccess) continue;
    reports.push_back({properties.name, properties.major, properties.minor,
                       properties.multiProcessorCount, properties.totalGlobalMem});
  }
  return reports;
}

}  // namespace spatialcore
