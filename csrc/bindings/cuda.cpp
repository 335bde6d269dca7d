// SPDX-License-Identifier: Apache-2.0
// spatialcore._cuda_ext: imports on any machine; what cannot run says why. Arrays are addresses
// that spatialcore._cuda has checked; `stream` is the caller's current stream. Nothing is allocated
// and nothing waits. The host build of the kernels (tests/native) compiles this file too.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <array>
#include <string>
#include <utility>

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

using Size = std::pair<int64_t, int64_t>;  // width, height

DeviceView make_view(uintptr_t points, int64_t point_count, uintptr_t K, uintptr_t cam_from_world,
                     int64_t frame_count, uintptr_t depth, Size depth_size, double depth_scale,
                     Size image_size, std::array<double, 4> pixel_map, uintptr_t pixel_maps,
                     bool strict, double relative, double absolute, uintptr_t words) {
  DeviceView view{};
  view.points = at<const void>(points);
  view.point_count = point_count;
  view.K = at<const double>(K);
  view.cam_from_world = at<const double>(cam_from_world);
  view.frame_count = frame_count;
  view.depth = at<const void>(depth);
  view.maps = at<const PixelMap>(pixel_maps);
  view.map = {pixel_map[0], pixel_map[1], pixel_map[2], pixel_map[3]};
  view.words = at<uint64_t>(words);
  view.rule = {image_size.first,  image_size.second, depth_size.first,
               depth_size.second, depth_scale,       {strict, relative, absolute}};
  return view;
}

void project_points(uintptr_t points, bool points_are_float64, int64_t point_count, uintptr_t K,
                    uintptr_t cam_from_world, int64_t frame_count, uintptr_t uv, uintptr_t depth,
                    int device, uintptr_t stream) {
  const DeviceGuard guard(device);
  const DeviceScene scene{
      at<const void>(points),           points_are_float64, point_count, at<const double>(K),
      at<const double>(cam_from_world), frame_count};
  project_points_cuda(scene, at<double>(uv), at<double>(depth), {stream});
}

void visible_points(const DeviceView& view, bool points_are_float64, bool depth_is_float,
                    int device, uintptr_t stream) {
  const DeviceGuard guard(device);
  visible_points_cuda({view, nullptr, 1, view.frame_count}, view.point_count,
                      {points_are_float64, depth_is_float}, {stream});
}

void visible_points_batch(uintptr_t views, int64_t view_count, int64_t most_frames,
                          int64_t most_points, bool points_are_float64, bool depth_is_float,
                          int device, uintptr_t stream) {
  const DeviceGuard guard(device);
  visible_points_cuda({{}, at<const DeviceView>(views), view_count, most_frames}, most_points,
                      {points_are_float64, depth_is_float}, {stream});
}

void askable_points(const DeviceView& view, uintptr_t visible, const AskableRule& rule,
                    bool depth_is_float, int device, uintptr_t stream) {
  const DeviceGuard guard(device);
  askable_points_cuda(view, at<const uint64_t>(visible), rule, depth_is_float, {stream});
}

void overlap(const Batch<DeviceMask>& masks, bool tensor_core, int device, uintptr_t stream) {
  const DeviceGuard guard(device);
  pairwise_overlap_cuda(masks, tensor_core ? OverlapMethod::kTensorCore : OverlapMethod::kPopcount,
                        {stream});
}

void accumulate(const Batch<DeviceClip>& clips, double noise_floor, const std::string& precision,
                int device, uintptr_t stream) {
  const DeviceGuard guard(device);
  const ChangePrecision mode = precision == "float64" ? ChangePrecision::kFloat64
                               : precision == "exact" ? ChangePrecision::kExact
                                                      : ChangePrecision::kFloat32;
  accumulate_distance_change_cuda(clips, noise_floor, mode, {stream});
}

// Local to the module: the host build of the kernels may be imported beside the device's.
void bind_structs(py::module_& m) {
  py::class_<DeviceView>(m, "DeviceView", py::module_local(),
                         "Frames of one scene; arrays are addresses on the device.")
      .def(py::init(&make_view), py::kw_only(), py::arg("points"), py::arg("point_count"),
           py::arg("K"), py::arg("cam_from_world"), py::arg("frame_count"), py::arg("depth"),
           py::arg("depth_size"), py::arg("depth_scale"), py::arg("image_size"),
           py::arg("pixel_map"), py::arg("pixel_maps"), py::arg("strict"), py::arg("relative"),
           py::arg("absolute"), py::arg("words"),
           "pixel_maps is 0 where `pixel_map` is that of every frame.")
      .def(
          "to_bytes",
          [](const DeviceView& view) {
            return py::bytes(reinterpret_cast<const char*>(&view), sizeof view);
          },
          "The struct as a batch on the device holds it.");
  py::class_<AskableRule>(m, "AskableRule", py::module_local(),
                          "spatialcore.index.askable.AskableRule.")
      .def(py::init([](double depth_min, double depth_max, bool border, double mark_radius,
                       double edge_share, double edge_relative, double edge_absolute,
                       double agreement_relative, double agreement_absolute, double disc_radius) {
             return AskableRule{depth_min,     depth_max,          border,
                                mark_radius,   edge_share,         edge_relative,
                                edge_absolute, agreement_relative, agreement_absolute,
                                disc_radius};
           }),
           py::kw_only(), py::arg("depth_min"), py::arg("depth_max"), py::arg("border"),
           py::arg("mark_radius"), py::arg("edge_share"), py::arg("edge_relative"),
           py::arg("edge_absolute"), py::arg("agreement_relative"), py::arg("agreement_absolute"),
           py::arg("disc_radius"));
}

void bind_occlusion(py::module_& m) {
  m.def("visible_points", &visible_points, py::arg("view"), py::arg("points_are_float64"),
        py::arg("depth_is_float"), py::arg("device"), py::arg("stream"),
        "Words (F, ceil(P / 64)) uint64 of the view.");
  m.def("visible_points_batch", &visible_points_batch, py::arg("views"), py::arg("view_count"),
        py::arg("most_frames"), py::arg("most_points"), py::arg("points_are_float64"),
        py::arg("depth_is_float"), py::arg("device"), py::arg("stream"),
        "Every view in one launch; `views` is an array of DeviceView on the device.");
  m.def("askable_points", &askable_points, py::arg("view"), py::arg("visible"), py::arg("rule"),
        py::arg("depth_is_float"), py::arg("device"), py::arg("stream"),
        "Words of the visible points that pass the guards.");
}

void bind_overlap(py::module_& m) {
  m.def(
      "pairwise_overlap",
      [](uintptr_t words, int64_t frame_count, int64_t word_count, uintptr_t intersection,
         bool tensor_core, int device, uintptr_t stream) {
        const DeviceMask mask{at<const uint64_t>(words), frame_count, word_count,
                              at<uint32_t>(intersection)};
        overlap({mask, nullptr, 1, frame_count}, tensor_core, device, stream);
      },
      py::arg("words"), py::arg("frame_count"), py::arg("word_count"), py::arg("intersection"),
      py::arg("tensor_core"), py::arg("device"), py::arg("stream"), "Intersections (F, F) uint32.");
  m.def(
      "pairwise_overlap_batch",
      [](uintptr_t masks, int64_t mask_count, int64_t largest, bool tensor_core, int device,
         uintptr_t stream) {
        overlap({{}, at<const DeviceMask>(masks), mask_count, largest}, tensor_core, device,
                stream);
      },
      py::arg("masks"), py::arg("mask_count"), py::arg("largest"), py::arg("tensor_core"),
      py::arg("device"), py::arg("stream"),
      "Every mask in one launch; `masks` is (B, 4) int64 on the device: words, frame_count, "
      "word_count, intersection.");
}

void bind_rigidity(py::module_& m) {
  m.def(
      "accumulate_distance_change",
      [](uintptr_t tracks, int64_t step_count, int64_t track_count, uintptr_t change,
         double noise_floor, const std::string& precision, int device, uintptr_t stream) {
        const DeviceClip clip{at<const double>(tracks), step_count, track_count,
                              at<double>(change)};
        accumulate({clip, nullptr, 1, track_count}, noise_floor, precision, device, stream);
      },
      py::arg("tracks"), py::arg("step_count"), py::arg("track_count"), py::arg("change"),
      py::arg("noise_floor"), py::arg("precision"), py::arg("device"), py::arg("stream"),
      "Condensed sums (N (N - 1) / 2,) float64.");
  m.def(
      "accumulate_distance_change_batch",
      [](uintptr_t clips, int64_t clip_count, int64_t largest, double noise_floor,
         const std::string& precision, int device, uintptr_t stream) {
        accumulate({{}, at<const DeviceClip>(clips), clip_count, largest}, noise_floor, precision,
                   device, stream);
      },
      py::arg("clips"), py::arg("clip_count"), py::arg("largest"), py::arg("noise_floor"),
      py::arg("precision"), py::arg("device"), py::arg("stream"),
      "Every clip in one launch; `clips` is (B, 4) int64 on the device: tracks, step_count, "
      "track_count, change.");
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
  m.def("project_points", &project_points, py::kw_only(), py::arg("points"),
        py::arg("points_are_float64"), py::arg("point_count"), py::arg("K"),
        py::arg("cam_from_world"), py::arg("frame_count"), py::arg("uv"), py::arg("depth"),
        py::arg("device"), py::arg("stream"), "uv (F, P, 2) and depth (F, P) float64.");
  bind_structs(m);
  bind_occlusion(m);
  bind_overlap(m);
  bind_rigidity(m);
}
