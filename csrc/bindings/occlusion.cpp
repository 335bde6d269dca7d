// SPDX-License-Identifier: Apache-2.0
#include "spatialcore/occlusion.h"

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bindings/bind.h"
#include "cpu/morton.h"
#include "cpu/point_blocks.h"
#include "cpu/thread_pool.h"
#include "spatialcore/check.h"

namespace py = pybind11;

namespace spatialcore {
namespace {

using Doubles = py::array_t<double, py::array::c_style | py::array::forcecast>;
using Words = py::array_t<uint64_t>;

template <class T>
bool has_type(const py::array& array) {
  return py::isinstance<py::array_t<T>>(array);
}

// Itself where its elements lie side by side and aligned, else a copy.
py::array contiguous(const py::array& array) {
  constexpr int kFlags = py::array::c_style | py::detail::npy_api::NPY_ARRAY_ALIGNED_;
  return py::array::ensure(array, kFlags);
}

bool has_float_readings(const py::array& depth) {
  SC_REQUIRE(has_type<float>(depth) || has_type<uint16_t>(depth),
             "depth must have dtype uint16 or float32");
  return has_type<float>(depth);
}

DepthRule depth_rule(const py::object& rule) {
  return {rule.attr("kind").cast<std::string>() == "strict", rule.attr("relative").cast<double>(),
          rule.attr("absolute").cast<double>()};
}

PixelMap pixel_map(const py::object& map) {
  return {map.attr("ax").cast<double>(), map.attr("bx").cast<double>(),
          map.attr("ay").cast<double>(), map.attr("by").cast<double>()};
}

ScenePoints scene_points(const py::array& points) {
  SC_REQUIRE(points.ndim() == 2 && points.shape(1) == 3, "points_world must have shape (P, 3)");
  SC_REQUIRE(has_type<float>(points) || has_type<double>(points),
             "points_world must have dtype float32 or float64");
  return {points.data(), has_type<double>(points), points.shape(0)};
}

// The frames [first, first + count) of a call.
struct Call {
  const PointBlocks* points;
  const double* K;
  const double* cam_from_world;
  int64_t frame_count;
  OcclusionRule rule;
  int threads;
};

void run_frames(const Call& call, int64_t first, const std::vector<const void*>& maps,
                bool is_float, uint64_t* words) {
  const int64_t count = static_cast<int64_t>(maps.size());
  const View<const double, 3> K{call.K + 9 * first, {count, 3, 3}};
  const View<const double, 3> poses{call.cam_from_world + 16 * first, {count, 4, 4}};
  const int64_t row_words = (call.points->points().count + 63) / 64;
  py::gil_scoped_release release;
  visible_points_cpu(*call.points, K, poses, {maps.data(), is_float}, call.rule,
                     words + first * row_words, call.threads);
}

// Maps that wait to be tested together. A list's maps are held as they are; what another iterable
// yielded is copied, since a capture loop refills one buffer. The copies' memory is used again.
class WaitingMaps {
 public:
  explicit WaitingMaps(bool copies) : copies_(copies) {}

  void push(const py::array& map) {
    SC_REQUIRE(map.ndim() == 2, "depth map must have shape (h, w)");
    const bool is_float = has_float_readings(map);
    SC_REQUIRE(height == 0 ||
                   (is_float == this->is_float && map.shape(0) == height && map.shape(1) == width),
               "depth maps must share one type and size");
    this->is_float = is_float;
    height = map.shape(0);
    width = map.shape(1);
    const py::array dense = contiguous(map);
    if (copies_ && dense.is(map)) {
      maps.push_back(copy_of(dense.data(), dense.nbytes()));
      return;
    }
    held_.push_back(dense);
    maps.push_back(dense.data());
  }

  void clear() {
    maps.clear();
    held_.clear();
  }

  std::vector<const void*> maps;
  bool is_float = false;
  int64_t height = 0, width = 0;

 private:
  const void* copy_of(const void* readings, size_t size) {
    if (maps.size() == pool_.size()) pool_.emplace_back(new char[size]);
    return std::memcpy(pool_[maps.size()].get(), readings, size);
  }

  bool copies_;
  std::vector<py::array> held_;
  std::vector<std::unique_ptr<char[]>> pool_;
};

py::array as_array(const py::handle& item, int64_t index) {
  if (py::isinstance<py::array>(item)) return py::reinterpret_borrow<py::array>(item);
  throw py::type_error("depth map " + std::to_string(index) + " must be a numpy array, got " +
                       Py_TYPE(item.ptr())->tp_name);
}

// Maps come one by one. One thread tests each right after it was made, while it is in cache, and
// before the next is asked for; several wait for some maps together, since to wake them takes as
// long as to test a map.
void run_stream(Call& call, const py::iterable& source, uint64_t* words) {
  constexpr int kMapsHeld = 32;
  const size_t most = call.threads == 1 ? 1 : std::max(kMapsHeld, call.threads);
  const bool listed = PyList_CheckExact(source.ptr()) || PyTuple_CheckExact(source.ptr());
  WaitingMaps waiting(!listed && most > 1);
  int64_t done = 0, count = 0;
  const auto test = [&] {
    call.rule.depth_height = waiting.height;
    call.rule.depth_width = waiting.width;
    run_frames(call, done, waiting.maps, waiting.is_float, words);
    done = count;
    waiting.clear();
  };
  for (const py::handle item : source) {
    SC_REQUIRE(count < call.frame_count, "depth has more maps than poses");
    waiting.push(as_array(item, count++));
    if (waiting.maps.size() == most) test();
  }
  if (!waiting.maps.empty()) test();
  SC_REQUIRE(done == call.frame_count, "depth has fewer maps than poses");
}

Words visible_points(const py::array& points_world, const Doubles& K, const Doubles& poses,
                     const py::object& depth, std::pair<int64_t, int64_t> image_size,
                     double depth_scale, const py::object& depth_from_image, const py::object& rule,
                     int threads) {
  const py::array points = contiguous(points_world);
  const py::ssize_t frames = poses.shape(0);
  SC_REQUIRE(poses.ndim() == 3 && poses.shape(1) == 4 && poses.shape(2) == 4,
             "cam_from_world must have shape (F, 4, 4)");
  SC_REQUIRE(K.ndim() == 3 && K.shape(0) == frames, "K must have shape (F, 3, 3)");
  const ScenePoints scene = scene_points(points);
  const PointBlocks blocks = [&] {
    py::gil_scoped_release release;
    return PointBlocks(scene, frames, threads);
  }();
  if (threads <= 0) threads = available_threads();
  Call call{&blocks, K.data(), poses.data(), frames, {}, threads};
  call.rule = {image_size.first, image_size.second, 0, 0, depth_scale, pixel_map(depth_from_image),
               depth_rule(rule)};
  Words words({frames, py::ssize_t{(scene.count + 63) / 64}});
  uint64_t* out = words.mutable_data();
  const bool stack = py::isinstance<py::array>(depth) &&
                     (py::reinterpret_borrow<py::array>(depth).flags() & py::array::c_style);
  if (!stack) {
    run_stream(call, py::reinterpret_borrow<py::iterable>(depth), out);
    return words;
  }
  const py::array maps = py::reinterpret_borrow<py::array>(depth);
  SC_REQUIRE(maps.ndim() == 3 && maps.shape(0) == frames, "depth must have shape (F, h, w)");
  call.rule.depth_height = maps.shape(1);
  call.rule.depth_width = maps.shape(2);
  std::vector<const void*> frame_maps;
  for (py::ssize_t f = 0; f < frames; ++f) frame_maps.push_back(maps.data(f));
  run_frames(call, 0, frame_maps, has_float_readings(maps), out);
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
  m.def("visible_points", &visible_points, py::arg("points_world"), py::arg("K"),
        py::arg("cam_from_world"), py::arg("depth"), py::kw_only(), py::arg("image_size"),
        py::arg("depth_scale"), py::arg("depth_from_image"), py::arg("rule"),
        py::arg("threads") = 0,
        "Words (F, ceil(P / 64)); spatialcore.occlusion.visible_points is the contract.");
  m.def("morton_order", &order_of, py::arg("points"),
        "Order (P,) uint32 of float32 points (P, 3) by Morton key, 21 bits an axis, ties by row.");
}

}  // namespace spatialcore
