// SPDX-License-Identifier: Apache-2.0
// What every launcher needs: SC_LAUNCH, grid sizes, the device guard and the error check.
//
// SC_LAUNCH(kernel, grid, block, stream, arguments...) is <<<>>> under nvcc. The host build
// (SPATIALCORE_SIMT_HOST) runs the same kernel bodies on the CPU, one fiber a thread, so that their
// indexing, barriers and bounds are tested where there is no GPU (tests/native/simt_host.h).
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

#if defined(SPATIALCORE_SIMT_HOST)
#include "simt_host.h"
#define SC_UNROLL
#else
#include <cuda_runtime.h>
#define SC_UNROLL _Pragma("unroll")  // arrays that are indexed in the loop stay in registers
#define SC_LAUNCH(kernel, grid, block, stream, ...) kernel<<<grid, block, 0, stream>>>(__VA_ARGS__)
#endif

namespace spatialcore {

constexpr unsigned kAllLanes = 0xFFFFFFFFu;

// Thread blocks that fill a GPU: four on each of 132 multiprocessors (sm_90). Fewer large tiles are
// cut into more small ones. On the host a few, so that small inputs take both ways.
#if defined(SPATIALCORE_SIMT_HOST)
constexpr int64_t kBlocksWanted = 6;
#else
constexpr int64_t kBlocksWanted = 528;
#endif

inline unsigned ceil_div(int64_t count, int64_t size) {
  return static_cast<unsigned>((count + size - 1) / size);
}

// Makes the arrays' device current while a launcher runs.
class DeviceGuard {
 public:
#if defined(SPATIALCORE_SIMT_HOST)
  explicit DeviceGuard(int) {}
#else
  explicit DeviceGuard(int device) {
    cudaGetDevice(&previous_);
    if (device != previous_) cudaSetDevice(device);
    changed_ = device != previous_;
  }
  ~DeviceGuard() {
    if (changed_) cudaSetDevice(previous_);
  }
  DeviceGuard(const DeviceGuard&) = delete;
  DeviceGuard& operator=(const DeviceGuard&) = delete;

 private:
  int previous_ = 0;
  bool changed_ = false;
#endif
};

// Throws with the kernel's name when the launch was refused; waits for nothing.
inline void check_launch(const char* kernel) {
#if defined(SPATIALCORE_SIMT_HOST)
  (void)kernel;
#else
  const cudaError_t error = cudaGetLastError();
  if (error != cudaSuccess) {
    throw std::runtime_error(std::string(kernel) + ": " + cudaGetErrorString(error));
  }
#endif
}

}  // namespace spatialcore
