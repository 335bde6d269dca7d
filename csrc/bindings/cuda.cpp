// SPDX-License-Identifier: Apache-2.0
// spatialcore._cuda_ext: imports on any machine; what cannot run says why.
#include <pybind11/pybind11.h>

#include "cuda/device.cuh"

namespace py = pybind11;

PYBIND11_MODULE(_cuda_ext, m) {
  m.doc() = "CUDA kernels of spatialcore.";
  m.def("unavailable_reason", &spatialcore::cuda_unavailable_reason,
        "Empty when a device can be used, else the reason.");
  m.def("runtime_version", &spatialcore::cuda_runtime_version,
        "CUDA runtime the module was built with, e.g. 13000.");
  m.def(
      "devices",
      [] {
        py::list out;
        for (const auto& d : spatialcore::cuda_devices()) {
          py::dict row;
          row["name"] = d.name;
          row["compute_capability"] = py::make_tuple(d.compute_major, d.compute_minor);
          row["multiprocessor_count"] = d.multiprocessor_count;
          row["memory_bytes"] = d.memory_bytes;
          out.append(row);
        }
        return out;
      },
      "One dict for each device: name, compute_capability, multiprocessor_count, memory_bytes.");
}
