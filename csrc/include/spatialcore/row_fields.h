// SPDX-License-Identifier: Apache-2.0
// Neighbouring fields of packed records, as binary scene files store vertices and faces.
#pragma once

#include <cstddef>
#include <cstdint>

namespace spatialcore {

// Copies bytes [offset, offset + width) of each record.
//   rows  (row_count, row_bytes)  in
//   out   (row_count, width)      out
void copy_fields(const uint8_t* rows, size_t row_count, size_t row_bytes, size_t offset,
                 size_t width, uint8_t* out);

}  // namespace spatialcore
