// SPDX-License-Identifier: Apache-2.0
#include "spatialcore/occlusion.h"

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <algorithm>
#include <string>

#include "bindings/bind.h"
#include "bindings/depth_views.h"
#include "cpu/morton.h"
#include "cpu/point_blocks.h"
#include "cpu/thread_pool.h"
#include "spatialcore/check.h"

namespace py = pybind11;

namespace spatialcore {
namespace {

using Words = py::array_t<uint64_t>;

DepthRule depth_rule(const py::object& rule) {
  return {rule.attr("kind").cast<std::string>() == "strict", rule.attr("relative").cast<double>(),
          rule.attr("absolute").cast<double>()};
}

struct Call {
  const HeldViews& views;
  const PointBlocks& points;
  DepthRule rule;
  int threads;
  uint64_t* words;  // (F, ceil(P / 64))
};

// The frames from `first` whose maps wait.
void run_frames(const Call& call, int64_t first, const WaitingMaps& waiting) {
  const int64_t count = static_cast<int64_t>(waiting.maps.size());
  const int64_t row_words = (call.points.points().count + 63) / 64;
  OcclusionRule rule = call.views.rule_for(waiting);
  rule.rule = call.rule;
  const DepthMaps depth{waiting.maps.data(), call.views.from_image.data() + first,
                        waiting.is_float};
  py::gil_scoped_release release;
  visible_points_cpu(call.points, call.views.K_view(first, count),
                     call.views.pose_view(first, count), depth, rule,
                     call.words + first * row_words, call.threads);
}

// Maps come one by one. One thread tests each right after it was made, while it is in cache, and
// before the next is asked for; several wait for some maps together, since to wake them takes as
// long as to test a map.
void run_stream(const Call& call, bool refilled) {
  constexpr int kMapsHeld = 32;
  const size_t most = call.threads == 1 ? 1 : std::max(kMapsHeld, call.threads);
  WaitingMaps waiting(refilled && most > 1);
  int64_t done = 0, count = 0;
  const auto test = [&] {
    run_frames(call, done, waiting);
    done = count;
    waiting.clear();
  };
  for (const py::handle item : call.views.depth) {
    SC_REQUIRE(count < call.views.frame_count(), "depth has more maps than poses");
    waiting.push(item, count++);
    if (waiting.maps.size() == most) test();
  }
  if (!waiting.maps.empty()) test();
  SC_REQUIRE(done == call.views.frame_count(), "depth has fewer maps than poses");
}

Words visible_points(const py::object& given, const py::object& rule, int threads) {
  const HeldViews views(given);
  const ScenePoints scene{views.points.data(), py::isinstance<py::array_t<double>>(views.points),
                          views.points.shape(0)};
  const PointBlocks blocks = [&] {
    py::gil_scoped_release release;
    return PointBlocks(scene, views.frame_count(), threads);
  }();
  if (threads <= 0) threads = available_threads();
  Words words({views.frame_count(), (scene.count + 63) / 64});
  const Call call{views, blocks, depth_rule(rule), threads, words.mutable_data()};
  const bool stack = py::isinstance<py::array>(views.depth);
  const bool listed = PyList_CheckExact(views.depth.ptr()) || PyTuple_CheckExact(views.depth.ptr());
  const bool dense =
      stack && (py::reinterpret_borrow<py::array>(views.depth).flags() & py::array::c_style);
  if (!listed && !dense) {
    run_stream(call, !stack);
    return words;
  }
  WaitingMaps all(false);
  all.push_all(views.depth);
  SC_REQUIRE(static_cast<int64_t>(all.maps.size()) == views.frame_count(),
             "depth must hold one map a pose");
  run_frames(call, 0, all);
  return words;
}

py::array_t<uint32_t> order_of(const py::array_t<float, py::array::c_style>& points) {
  SC_REQUIRE(points.ndim() == 2 && points.shape(1) == 3, "points must have shape (P, 3)");
  py::array_t<uint32_t> order(points.shape(0));
  const float* from = points.data();
  uint32_t* to = order.mutable_data();
  const int64_t count = points.shape(0);
  py::gil_scoped_release release;
  morton_order(from, count, kMortonAxisBits, to);
  return order;
}

}  // namespace

void bind_occlusion(py::module_& m) {
  m.def("visible_points", &visible_points, py::arg("views"), py::kw_only(), py::arg("rule"),
        py::arg("threads") = 0,
        "Words (F, ceil(P / 64)) of a checked DepthViews; spatialcore.occlusion is the contract.");
  m.def("morton_order", &order_of, py::arg("points"),
        "Order (P,) uint32 of float32 points (P, 3) by Morton key, 21 bits an axis, ties by row.");
}

}  // namespace spatialcore
