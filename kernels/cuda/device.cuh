// SPDX-License-Identifier: Apache-2.0
// What the driver and the devices say of themselves. No call here throws or starts a context.
#pragma once

#include <string>
#include <vector>

namespace spatialcore {

struct DeviceReport {
  std::string name;
  int compute_major;
  int compute_minor;
  int multiprocessor_count;
  size_t memory_bytes;
};

// Empty when a device can be used, else why not, with the runtime's name of the error.
std::string cuda_unavailable_reason();

// Version of the CUDA runtime this module was built with, e.g. 13000.
int cuda_runtime_version();

std::vector<DeviceReport> cuda_devices();

}  // namespace spatialcore
