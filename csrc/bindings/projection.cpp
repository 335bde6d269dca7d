// SPDX-License-Identifier: Apache-2.0
#include "spatialcore/projection.h"

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include "bindings/bind.h"
#include "spatialcore/check.h"

namespace py = pybind11;

namespace spatialcore {
namespace {

template <class T>
using Array = py::array_t<T, py::array::c_style | py::array::forcecast>;

template <class T>
py::tuple project_typed(const Array<T>& points, const Array<double>& K,
                        const Array<double>& cam_from_world, int threads) {
  const py::ssize_t frames = cam_from_world.shape(0), count = points.shape(0);
  SC_REQUIRE(K.ndim() == 3 && K.shape(0) == frames, "K must have shape (F, 3, 3)");
  py::array_t<double> uv({frames, count, py::ssize_t{2}});
  py::array_t<double> depth({frames, count});
  double* uv_out = uv.mutable_data();
  double* depth_out = depth.mutable_data();
  const View<const T, 2> points_view{points.data(), {count, 3}};
  const View<const double, 3> K_view{K.data(), {frames, 3, 3}};
  const View<const double, 3> pose_view{cam_from_world.data(), {frames, 4, 4}};
  {
    py::gil_scoped_release release;
    project_points_cpu(points_view, K_view, pose_view, uv_out, depth_out, threads);
  }
  return py::make_tuple(uv, depth);
}

py::tuple project(const py::array& points, const Array<double>& K,
                  const Array<double>& cam_from_world, int threads) {
  SC_REQUIRE(points.ndim() == 2 && points.shape(1) == 3, "points_world must have shape (P, 3)");
  SC_REQUIRE(
      cam_from_world.ndim() == 3 && cam_from_world.shape(1) == 4 && cam_from_world.shape(2) == 4,
      "cam_from_world must have shape (F, 4, 4)");
  if (py::isinstance<py::array_t<float>>(points)) {
    return project_typed<float>(points, K, cam_from_world, threads);
  }
  return project_typed<double>(points, K, cam_from_world, threads);
}

}  // namespace

void bind_projection(py::module_& m) {
  m.def("project_points", &project, py::arg("points_world"), py::arg("K"),
        py::arg("cam_from_world"), py::kw_only(), py::arg("threads") = 0,
        "uv (F, P, 2) and depth (F, P); spatialcore.projection.project_points is the contract.");
}

}  // namespace spatialcore
