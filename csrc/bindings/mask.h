// SPDX-License-Identifier: Apache-2.0
// The words of a BitMask as kernels take them.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include "spatialcore/check.h"
#include "spatialcore/overlap.h"

namespace spatialcore {

using Words = pybind11::array_t<uint64_t, 0>;

// Viewed; copied only when the words of a row do not lie side by side.
inline Words words_of(const pybind11::object& mask) {
  const pybind11::object words = mask.attr("words");
  SC_REQUIRE(Words::check_(words), "words must be a uint64 array");
  Words held = pybind11::reinterpret_borrow<Words>(words);
  SC_REQUIRE(held.ndim() == 2, "words must have two axes");
  constexpr int64_t kBytes = sizeof(uint64_t);
  const bool side_by_side = held.shape(1) <= 1 || held.strides(1) == kBytes;
  if (side_by_side && held.strides(0) % kBytes == 0) return held;
  constexpr int kFlags = pybind11::array::c_style | pybind11::array::forcecast;
  return pybind11::array_t<uint64_t, kFlags>(held);
}

inline MaskRows view_words(const Words& words) {
  return {words.data(), words.shape(0), words.shape(1),
          words.strides(0) / static_cast<int64_t>(sizeof(uint64_t))};
}

}  // namespace spatialcore
