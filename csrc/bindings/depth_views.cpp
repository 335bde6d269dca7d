// SPDX-License-Identifier: Apache-2.0
#include "bindings/depth_views.h"

#include <cstring>
#include <string>
#include <utility>

#include "spatialcore/check.h"

namespace py = pybind11;

namespace spatialcore {
namespace {

template <class T>
bool has_type(const py::array& array) {
  return py::isinstance<py::array_t<T>>(array);
}

PixelMap pixel_map(const py::handle& map) {
  return {map.attr("ax").cast<double>(), map.attr("bx").cast<double>(),
          map.attr("ay").cast<double>(), map.attr("by").cast<double>()};
}

// One map for every frame, or a tuple of one each.
std::vector<PixelMap> pixel_maps(const py::object& given, int64_t frame_count) {
  if (!py::isinstance<py::tuple>(given)) {
    return std::vector<PixelMap>(static_cast<size_t>(frame_count), pixel_map(given));
  }
  std::vector<PixelMap> maps;
  for (const py::handle map : given) maps.push_back(pixel_map(map));
  SC_REQUIRE(static_cast<int64_t>(maps.size()) == frame_count,
             "depth_from_image must hold one map a frame");
  return maps;
}

}  // namespace

py::array contiguous(const py::array& array) {
  constexpr int kFlags = py::array::c_style | py::detail::npy_api::NPY_ARRAY_ALIGNED_;
  return py::array::ensure(array, kFlags);
}

void WaitingMaps::set_kind(const py::array& map, int64_t h, int64_t w) {
  SC_REQUIRE(has_type<float>(map) || has_type<uint16_t>(map),
             "depth must have dtype uint16 or float32");
  const bool floats = has_type<float>(map);
  SC_REQUIRE(height == 0 || (floats == is_float && h == height && w == width),
             "depth maps must share one type and size");
  SC_REQUIRE(h > 0 && w > 0, "depth maps must not be empty");
  is_float = floats;
  height = h;
  width = w;
}

void WaitingMaps::push(const py::handle& map, int64_t index) {
  if (!py::isinstance<py::array>(map)) {
    throw py::type_error("depth map " + std::to_string(index) + " must be a numpy array, got " +
                         Py_TYPE(map.ptr())->tp_name);
  }
  const py::array given = py::reinterpret_borrow<py::array>(map);
  SC_REQUIRE(given.ndim() == 2, "depth map must have shape (h, w)");
  set_kind(given, given.shape(0), given.shape(1));
  const py::array dense = contiguous(given);
  if (copies_ && dense.is(given)) {
    maps.push_back(copy_of(dense));
    return;
  }
  held_.push_back(dense);
  maps.push_back(dense.data());
}

const void* WaitingMaps::copy_of(const py::array& map) {
  const size_t size = static_cast<size_t>(map.nbytes()), slot = maps.size();
  if (slot == pool_.size()) pool_.emplace_back(new char[size]);
  return std::memcpy(pool_[slot].get(), map.data(), size);
}

void WaitingMaps::push_all(const py::object& depth) {
  if (!py::isinstance<py::array>(depth)) {
    int64_t index = 0;
    for (const py::handle map : depth) push(map, index++);
    return;
  }
  const py::array stack = contiguous(py::reinterpret_borrow<py::array>(depth));
  SC_REQUIRE(stack.ndim() == 3, "depth must have shape (F, h, w)");
  set_kind(stack, stack.shape(1), stack.shape(2));
  for (py::ssize_t f = 0; f < stack.shape(0); ++f) maps.push_back(stack.data(f));
  held_.push_back(stack);
}

void WaitingMaps::clear() {
  maps.clear();
  held_.clear();
}

HeldViews::HeldViews(const py::object& views)
    : points(contiguous(views.attr("points_world").cast<py::array>())),
      K(views.attr("K").cast<Doubles>()),
      poses(views.attr("cam_from_world").cast<Doubles>()),
      depth(views.attr("depth")),
      rule_{} {
  SC_REQUIRE(points.ndim() == 2 && points.shape(1) == 3, "points_world must have shape (P, 3)");
  SC_REQUIRE(has_type<float>(points) || has_type<double>(points),
             "points_world must have dtype float32 or float64");
  SC_REQUIRE(poses.ndim() == 3 && poses.shape(1) == 4 && poses.shape(2) == 4,
             "cam_from_world must have shape (F, 4, 4)");
  SC_REQUIRE(K.ndim() == 3 && K.shape(0) == frame_count() && K.shape(1) == 3 && K.shape(2) == 3,
             "K must have shape (F, 3, 3)");
  from_image = pixel_maps(views.attr("depth_from_image"), frame_count());
  const auto size = views.attr("image_size").cast<std::pair<int64_t, int64_t>>();
  rule_.width = size.first;
  rule_.height = size.second;
  rule_.depth_scale = views.attr("depth_scale").cast<double>();
}

OcclusionRule HeldViews::rule_for(const WaitingMaps& maps) const {
  OcclusionRule rule = rule_;
  rule.depth_width = maps.width;
  rule.depth_height = maps.height;
  return rule;
}

}  // namespace spatialcore
