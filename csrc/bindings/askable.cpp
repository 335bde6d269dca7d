// SPDX-License-Identifier: Apache-2.0
#include "spatialcore/askable.h"

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <array>
#include <utility>

#include "bindings/bind.h"
#include "spatialcore/check.h"

namespace py = pybind11;

namespace spatialcore {
namespace {

template <class T>
using Array = py::array_t<T, py::array::c_style>;

template <class T>
py::array run(const Array<float>& points, const Pinhole& K, const OcclusionRule& view,
              const Array<double>& poses, const Array<T>& depth, const AskableRule& rule,
              const Array<uint64_t>& visible, int threads) {
  const py::ssize_t frames = poses.shape(0);
  Array<uint64_t> askable({frames, visible.shape(1)});
  uint64_t* out = askable.mutable_data();
  const View<const float, 2> point_view{points.data(), {points.shape(0), 3}};
  const View<const double, 3> pose_view{poses.data(), {frames, 4, 4}};
  const View<const T, 3> depth_view{depth.data(), {frames, depth.shape(1), depth.shape(2)}};
  const View<const uint64_t, 2> mask{visible.data(), {frames, visible.shape(1)}};
  {
    py::gil_scoped_release release;
    askable_points_cpu(point_view, K, view, pose_view, depth_view, rule, mask, out, threads);
  }
  return std::move(askable);
}

py::array askable_points(const Array<float>& points, const Array<double>& K,
                         const Array<double>& cam_from_world, const py::array& depth,
                         const Array<uint64_t>& visible, std::pair<int, int> image_size,
                         double depth_scale, std::array<double, 4> pixel_map, double depth_min,
                         double depth_max, bool border, double mark_radius, double edge_share,
                         double edge_relative, double edge_absolute, double agreement_relative,
                         double agreement_absolute, double disc_radius, int threads) {
  const py::ssize_t frames = cam_from_world.ndim() == 3 ? cam_from_world.shape(0) : -1;
  SC_REQUIRE(points.ndim() == 2 && points.shape(1) == 3, "points_world must have shape (P, 3)");
  SC_REQUIRE(K.ndim() == 2 && K.shape(0) == 3 && K.shape(1) == 3, "K must have shape (3, 3)");
  SC_REQUIRE(frames >= 0 && cam_from_world.shape(1) == 4 && cam_from_world.shape(2) == 4,
             "cam_from_world must have shape (F, 4, 4)");
  SC_REQUIRE(
      depth.ndim() == 3 && depth.shape(0) == frames && depth.shape(1) > 0 && depth.shape(2) > 0,
      "depth must have shape (F, h, w)");
  SC_REQUIRE(visible.ndim() == 2 && visible.shape(0) == frames &&
                 visible.shape(1) == (points.shape(0) + 63) / 64,
             "visible must have shape (F, ceil(P / 64))");
  const Pinhole pinhole{K.at(0, 0), K.at(1, 1), K.at(0, 2), K.at(1, 2)};
  const auto [width, height] = image_size;
  const OcclusionRule view{width,
                           height,
                           depth.shape(2),
                           depth.shape(1),
                           depth_scale,
                           {pixel_map[0], pixel_map[1], pixel_map[2], pixel_map[3]},
                           {}};
  const AskableRule rule{depth_min,          depth_max,     border,        mark_radius,
                         edge_share,         edge_relative, edge_absolute, agreement_relative,
                         agreement_absolute, disc_radius};
  if (py::isinstance<Array<uint16_t>>(depth)) {
    return run<uint16_t>(points, pinhole, view, cam_from_world, depth, rule, visible, threads);
  }
  if (py::isinstance<Array<float>>(depth)) {
    return run<float>(points, pinhole, view, cam_from_world, depth, rule, visible, threads);
  }
  throw py::type_error("depth must be contiguous with dtype uint16 or float32");
}

}  // namespace

void bind_askable(py::module_& m) {
  m.def("askable_points", &askable_points, py::arg("points_world"), py::arg("K"),
        py::arg("cam_from_world"), py::arg("depth"), py::arg("visible"), py::kw_only(),
        py::arg("image_size"), py::arg("depth_scale"), py::arg("pixel_map"), py::arg("depth_min"),
        py::arg("depth_max"), py::arg("border"), py::arg("mark_radius"), py::arg("edge_share"),
        py::arg("edge_relative"), py::arg("edge_absolute"), py::arg("agreement_relative"),
        py::arg("agreement_absolute"), py::arg("disc_radius"), py::arg("threads") = 0,
        "Words (F, ceil(P / 64)) of the visible points that pass the guards.");
}

}  // namespace spatialcore
