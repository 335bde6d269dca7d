// SPDX-License-Identifier: Apache-2.0
#include "spatialcore/askable.h"

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include "bindings/bind.h"
#include "bindings/depth_views.h"
#include "spatialcore/check.h"

namespace py = pybind11;

namespace spatialcore {
namespace {

using Words = py::array_t<uint64_t, py::array::c_style>;

AskableRule askable_rule(const py::object& rule) {
  const auto number = [&](const char* name) { return rule.attr(name).cast<double>(); };
  return {number("depth_min"),     number("depth_max"),          rule.attr("border").cast<bool>(),
          number("mark_radius"),   number("edge_share"),         number("edge_relative"),
          number("edge_absolute"), number("agreement_relative"), number("agreement_absolute"),
          number("disc_radius")};
}

Words askable_points(const py::object& given, const Words& visible, const py::object& guards,
                     int threads) {
  const HeldViews views(given);
  const int64_t frames = views.frame_count(), count = views.points.shape(0);
  if (!py::isinstance<py::array_t<float>>(views.points)) {
    throw py::type_error("points_world must have dtype float32");
  }
  SC_REQUIRE(
      visible.ndim() == 2 && visible.shape(0) == frames && visible.shape(1) == (count + 63) / 64,
      "visible must have shape (F, ceil(P / 64))");
  WaitingMaps maps(false);
  maps.push_all(views.depth);
  SC_REQUIRE(static_cast<int64_t>(maps.maps.size()) == frames, "depth must hold one map a pose");
  const OcclusionRule view = views.rule_for(maps);
  const AskableRule rule = askable_rule(guards);
  Words askable({frames, static_cast<int64_t>(visible.shape(1))});
  uint64_t* out = askable.mutable_data();
  {
    py::gil_scoped_release release;
    askable_points_cpu({static_cast<const float*>(views.points.data()), {count, 3}},
                       views.K_view(0, frames), views.pose_view(0, frames),
                       {maps.maps.data(), views.from_image.data(), maps.is_float}, view, rule,
                       {visible.data(), {frames, visible.shape(1)}}, out, threads);
  }
  return askable;
}

}  // namespace

void bind_askable(py::module_& m) {
  m.def("askable_points", &askable_points, py::arg("views"), py::arg("visible"), py::arg("rule"),
        py::kw_only(), py::arg("threads") = 0,
        "Words (F, ceil(P / 64)) of the visible points of a checked DepthViews that pass the "
        "guards of an AskableRule.");
}

}  // namespace spatialcore
