// SPDX-License-Identifier: Apache-2.0
// View<T, Rank>: a pointer and a shape, row-major and contiguous. It owns nothing.
#pragma once

#include <cstdint>

#include "spatialcore/host_device.h"

namespace spatialcore {

template <class T, int Rank>
struct View {
  T* pointer;
  int64_t shape[Rank];

  SC_HD int64_t size() const {
    int64_t product = 1;
    for (int axis = 0; axis < Rank; ++axis) product *= shape[axis];
    return product;
  }

  // Start of row `index` of the first axis.
  SC_HD T* row(int64_t index) const {
    int64_t stride = 1;
    for (int axis = 1; axis < Rank; ++axis) stride *= shape[axis];
    return pointer + index * stride;
  }
};

}  // namespace spatialcore
