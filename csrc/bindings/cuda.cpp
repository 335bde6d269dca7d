// SPDX-License-Identifier: Apache-2.0
// spatialcore._cuda_ext: imports on any machine; what cannot run says why. Arrays are addresses
// that spatialcore._cuda has checked; `stream` is the caller's current stream. Nothing is allocated
// and nothing waits. The host build of the kernels (tests/native) compiles this file too.
#include <pybind11/pybind11.h>

#include <string>

#include "cuda/device.cuh"
#include "cuda/kernels.cuh"
#include "cuda/launch.cuh"

#if !defined(SPATIALCORE_CUDA_MODULE)
#define SPATIALCORE_CUDA_MODULE _cuda_ext
#endif

namespace py = pybind11;

namespace spatialcore {
namespace {

template <class T>
T* at(uintptr_t address) {
  return reinterpret_cast<T*>(address);
}

DeviceScene scene_of(const py::dict& scene) {
  return {at<const void>(scene["points"].cast<uintptr_t>()),
          scene["is_float64"].cast<bool>(),
          scene["point_count"].cast<int64_t>(),
          at<const double>(scene["K"].cast<uintptr_t>()),
          at<const double>(scene["cam_from_world"].cast<uintptr_t>()),
          scene["frame_count"].cast<int64_t>()};
}

OcclusionRule rule_of(const py::dict& rule) {
  const auto number = [&](const char* name) { return rule[name].cast<double>(); };
  const auto count = [&](const char* name) { return rule[name].cast<int64_t>(); };
  return {count("width"),
          count("height"),
          count("depth_width"),
          count("depth_height"),
          number("depth_scale"),
          {number("ax"), number("bx"), number("ay"), number("by")},
          {rule["strict"].cast<bool>(), number("relative"), number("absolute")}};
}

void project_points(const py::dict& scene, uintptr_t uv, uintptr_t depth, int device,
                    uintptr_t stream) {
  const DeviceGuard guard(device);
  project_points_cuda(scene_of(scene), at<double>(uv), at<double>(depth), {stream});
}

void visible_points(const py::dict& scene, uintptr_t depth, bool depth_is_float,
                    const py::dict& rule, uintptr_t words, int device, uintptr_t stream) {
  const DeviceGuard guard(device);
  visible_points_cuda(scene_of(scene), {at<const void>(depth), depth_is_float}, rule_of(rule),
                      at<uint64_t>(words), {stream});
}

void pairwise_overlap(uintptr_t masks, int64_t mask_count, int64_t largest, bool tensor_core,
                      int device, uintptr_t stream) {
  const DeviceGuard guard(device);
  pairwise_overlap_cuda(at<const DeviceMask>(masks), mask_count, largest,
                        tensor_core ? OverlapMethod::kTensorCore : OverlapMethod::kPopcount,
                        {stream});
}

void accumulate(uintptr_t clips, int64_t clip_count, int64_t largest, double noise_floor,
                const std::string& precision, int device, uintptr_t stream) {
  const DeviceGuard guard(device);
  const ChangePrecision mode = precision == "float64" ? ChangePrecision::kFloat64
                               : precision == "exact" ? ChangePrecision::kExact
                                                      : ChangePrecision::kFloat32;
  accumulate_distance_change_cuda(at<const DeviceClip>(clips), clip_count, largest, noise_floor,
                                  mode, {stream});
}

py::list devices() {
  py::list out;
  for (const auto& d : cuda_devices()) {
    py::dict row;
    row["name"] = d.name;
    row["compute_capability"] = py::make_tuple(d.compute_major, d.compute_minor);
    row["multiprocessor_count"] = d.multiprocessor_count;
    row["memory_bytes"] = d.memory_bytes;
    out.append(row);
  }
  return out;
}

}  // namespace
}  // namespace spatialcore

PYBIND11_MODULE(SPATIALCORE_CUDA_MODULE, m) {
  using namespace spatialcore;
  m.doc() = "CUDA kernels of spatialcore.";
  m.def("unavailable_reason", &cuda_unavailable_reason,
        "Empty when a device can be used, else the reason.");
  m.def("runtime_version", &cuda_runtime_version,
        "CUDA runtime the module was built with, e.g. 13000.");
  m.def("devices", &devices,
        "One dict for each device: name, compute_capability, multiprocessor_count, memory_bytes.");
  m.def("project_points", &project_points, py::arg("scene"), py::arg("uv"), py::arg("depth"),
        py::arg("device"), py::arg("stream"), "uv (F, P, 2) and depth (F, P) float64.");
  m.def("visible_points", &visible_points, py::arg("scene"), py::arg("depth"),
        py::arg("depth_is_float"), py::arg("rule"), py::arg("words"), py::arg("device"),
        py::arg("stream"), "Words (F, ceil(P / 64)) uint64.");
  m.def("pairwise_overlap", &pairwise_overlap, py::arg("masks"), py::arg("mask_count"),
        py::arg("largest"), py::arg("tensor_core"), py::arg("device"), py::arg("stream"),
        "Intersections of every mask of a batch; `masks` is (B, 4) int64 on the device: words, "
        "frame_count, word_count, intersection.");
  m.def("accumulate_distance_change", &accumulate, py::arg("clips"), py::arg("clip_count"),
        py::arg("largest"), py::arg("noise_floor"), py::arg("precision"), py::arg("device"),
        py::arg("stream"),
        "Condensed sums of every clip of a batch; `clips` is (B, 4) int64 on the device: tracks, "
        "step_count, track_count, change.");
}
