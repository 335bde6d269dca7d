// SPDX-License-Identifier: Apache-2.0
#include "spatialcore/cloud.h"

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <mutex>
#include <optional>
#include <vector>

#include "bindings/bind.h"
#include "spatialcore/check.h"

namespace py = pybind11;

namespace spatialcore {
namespace {

template <class T>
using Array = py::array_t<T, py::array::c_style>;

// The grid and the lock that makes a call from a second thread wait while the GIL is released. No
// call asks for the GIL while it has the lock.
struct LockedCloud {
  VoxelCloud cloud;
  std::mutex lock;
  explicit LockedCloud(double voxel) : cloud(voxel) {}
};

template <class T>
void add(LockedCloud& self, const Array<T>& depth, double depth_scale, const Pinhole& K,
         const double* world_from_cam, const ReadingRule& rule, const int32_t* instance) {
  const View<const T, 2> view{depth.data(), {depth.shape(0), depth.shape(1)}};
  py::gil_scoped_release release;
  const std::lock_guard<std::mutex> guard(self.lock);
  self.cloud.add_frame(view, depth_scale, K, world_from_cam, rule, instance);
}

void add_frame(LockedCloud& self, const py::array& depth, double depth_scale,
               const Array<double>& K, const Array<double>& world_from_cam, double depth_min,
               double depth_max, double edge_relative, double edge_absolute,
               const std::optional<Array<int32_t>>& instance) {
  SC_REQUIRE(depth.ndim() == 2, "depth must have shape (h, w)");
  SC_REQUIRE(K.ndim() == 2 && K.shape(0) == 3 && K.shape(1) == 3, "K must have shape (3, 3)");
  SC_REQUIRE(
      world_from_cam.ndim() == 2 && world_from_cam.shape(0) == 4 && world_from_cam.shape(1) == 4,
      "world_from_cam must have shape (4, 4)");
  SC_REQUIRE(!instance || (instance->ndim() == 2 && instance->shape(0) == depth.shape(0) &&
                           instance->shape(1) == depth.shape(1)),
             "instance must have the shape of depth");
  const Pinhole pinhole{K.at(0, 0), K.at(1, 1), K.at(0, 2), K.at(1, 2)};
  const ReadingRule rule{depth_min, depth_max, edge_relative, edge_absolute};
  const int32_t* ids = instance ? instance->data() : nullptr;
  const double* pose = world_from_cam.data();
  if (py::isinstance<Array<uint16_t>>(depth)) {
    add<uint16_t>(self, depth, depth_scale, pinhole, pose, rule, ids);
  } else if (py::isinstance<Array<float>>(depth)) {
    add<float>(self, depth, depth_scale, pinhole, pose, rule, ids);
  } else {
    throw py::type_error("depth must be contiguous with dtype uint16 or float32");
  }
}

int64_t count(LockedCloud& self, int min_frames) {
  py::gil_scoped_release release;
  const std::lock_guard<std::mutex> guard(self.lock);
  return self.cloud.count(min_frames);
}

py::tuple extract(LockedCloud& self, int min_frames) {
  std::vector<float> points;
  std::vector<int32_t> instance;
  {
    py::gil_scoped_release release;
    const std::lock_guard<std::mutex> guard(self.lock);
    const size_t voxels = static_cast<size_t>(self.cloud.count(min_frames));
    points.resize(3 * voxels);
    instance.resize(voxels);
    self.cloud.extract(min_frames, points.data(), instance.data());
  }
  const auto rows = static_cast<py::ssize_t>(instance.size());
  return py::make_tuple(Array<float>({rows, py::ssize_t{3}}, points.data()),
                        Array<int32_t>(rows, instance.data()));
}

}  // namespace

void bind_cloud(py::module_& m) {
  py::class_<LockedCloud>(m, "VoxelCloud", "Mean of the depth readings in each voxel of a grid.")
      .def(py::init<double>(), py::arg("voxel"))
      .def("add_frame", &add_frame, py::arg("depth"), py::arg("depth_scale"), py::arg("K"),
           py::arg("world_from_cam"), py::kw_only(), py::arg("depth_min"), py::arg("depth_max"),
           py::arg("edge_relative"), py::arg("edge_absolute"), py::arg("instance") = py::none(),
           "Add the readings of one frame; spatialcore.index.cloud is the contract.")
      .def("count", &count, py::arg("min_frames"),
           "Voxels with readings of at least so many frames.")
      .def("extract", &extract, py::arg("min_frames"),
           "points (V, 3) float32 and instance (V,) int32, by voxel key.");
}

}  // namespace spatialcore
