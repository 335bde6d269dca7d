// SPDX-License-Identifier: Apache-2.0
// Morton (Z-curve) order of points: neighbours in space become neighbours in memory.
#pragma once

#include <cstdint>
#include <vector>

namespace spatialcore {

constexpr int kMortonAxisBits = 21;  // of the key of a scene index: 63 bits in all

// Order of the points by key, ties by row. The key interleaves, x lowest, `axis_bits` bits an axis
// of floor((p - min) / cell), clipped to the last cell, where min is taken over the finite points
// and cell = (largest extent of an axis) / 2^axis_bits, in float64. Points with a coordinate that
// is not finite come last. Cost: one pass for each 11 bits of key.
//   points  (P, 3)  m  float32 or float64, P < 2^32
//   order   (P,)    out, row of the k-th point
template <class T>
void morton_order(const T* points, int64_t count, int axis_bits, uint32_t* order);

}  // namespace spatialcore
