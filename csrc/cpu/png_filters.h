// SPDX-License-Identifier: Apache-2.0
// Undoing the row filters of 16-bit greyscale PNG (ISO/IEC 15948, 9.2), bytes in place.
#pragma once

#include <cstddef>
#include <cstdint>

namespace spatialcore {

// Undoes the filters of a whole image.
//   raw    (height, 1 + 2 * width)  filter byte, then the row   in/out
//   zeros  (2 * width)              the row above the first     in
// Throws std::invalid_argument on an unknown filter.
void undo_filters(uint8_t* raw, const uint8_t* zeros, int64_t width, int64_t height);

}  // namespace spatialcore
