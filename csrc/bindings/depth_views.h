// SPDX-License-Identifier: Apache-2.0
// spatialcore.occlusion.DepthViews as the kernels take it.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <memory>
#include <vector>

#include "spatialcore/occlusion.h"

namespace spatialcore {

// Itself where its elements lie side by side and aligned, else a copy.
pybind11::array contiguous(const pybind11::array& array);

// Maps that wait to be tested together, all of one size and type. Those of a list are held as they
// are; what another iterable yielded is copied, since a capture loop refills one buffer. The memory
// of the copies is used again.
class WaitingMaps {
 public:
  explicit WaitingMaps(bool copies) : copies_(copies) {}

  // One more map; TypeError, which names its place `index`, unless it is an array.
  void push(const pybind11::handle& map, int64_t index);
  // All maps of an array (F, h, w), or of a list or tuple.
  void push_all(const pybind11::object& depth);
  void clear();

  std::vector<const void*> maps;
  bool is_float = false;
  int64_t height = 0, width = 0;

 private:
  void set_kind(const pybind11::array& map, int64_t h, int64_t w);
  const void* copy_of(const pybind11::array& map);

  bool copies_;
  std::vector<pybind11::array> held_;
  std::vector<std::unique_ptr<char[]>> pool_;
};

// The checked views, but for their maps; it holds the arrays that it points into.
struct HeldViews {
  explicit HeldViews(const pybind11::object& views);

  int64_t frame_count() const { return poses.shape(0); }
  View<const double, 3> K_view(int64_t first, int64_t count) const {
    return {K.data() + 9 * first, {count, 3, 3}};
  }
  View<const double, 3> pose_view(int64_t first, int64_t count) const {
    return {poses.data() + 16 * first, {count, 4, 4}};
  }
  // Sizes and scale for maps of the size of `maps`; the depth rule is left as it is.
  OcclusionRule rule_for(const WaitingMaps& maps) const;

  using Doubles = pybind11::array_t<double, pybind11::array::c_style | pybind11::array::forcecast>;
  pybind11::array points;  // (P, 3) float32 or float64
  Doubles K, poses;        // (F, 3, 3), (F, 4, 4)
  pybind11::object depth;
  std::vector<PixelMap> from_image;  // (F,)

 private:
  OcclusionRule rule_;
};

}  // namespace spatialcore
