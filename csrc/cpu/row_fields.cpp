// SPDX-License-Identifier: Apache-2.0
// Copies fields out of packed records. Fields of files are not aligned, which costs numpy an
// element-wise copy: three times as long for the faces of a mesh. Tests:
// tests/io/test_row_fields.py.
#include "spatialcore/row_fields.h"

#include <cstring>

namespace spatialcore {
namespace {

// A width that the compiler knows is one or two moves instead of a call.
template <size_t kWidth>
void copy_of(const uint8_t* from, size_t row_count, size_t row_bytes, uint8_t* out) {
  for (size_t i = 0; i < row_count; ++i, from += row_bytes, out += kWidth) {
    std::memcpy(out, from, kWidth);
  }
}

}  // namespace

void copy_fields(const uint8_t* rows, size_t row_count, size_t row_bytes, size_t offset,
                 size_t width, uint8_t* out) {
  const uint8_t* from = rows + offset;
  if (width == 12) return copy_of<12>(from, row_count, row_bytes, out);  // three float or int32
  if (width == 3) return copy_of<3>(from, row_count, row_bytes, out);    // a colour
  if (width == 24) return copy_of<24>(from, row_count, row_bytes, out);  // three doubles
  for (size_t i = 0; i < row_count; ++i) std::memcpy(out + i * width, from + i * row_bytes, width);
}

}  // namespace spatialcore
