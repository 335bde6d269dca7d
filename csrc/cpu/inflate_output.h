// SPDX-License-Identifier: Apache-2.0
// What a symbol of a deflate stream writes: one or two literals, or a copy of earlier bytes.
#pragma once

#include <cstdint>
#include <cstring>

#include "cpu/huffman_table.h"

namespace spatialcore {

// Whole vectors may run over by 31 bytes, into the slack. Long runs of one value (missing readings,
// flat residuals) are most of a captured map.
inline uint8_t* copy_match(uint8_t* out, uint32_t length, uint32_t distance) {
  const uint8_t* from = out - distance;
  uint8_t* const end = out + length;
  if (distance >= 32) {
    do {
      std::memcpy(out, from, 32);
      out += 32;
      from += 32;
    } while (out < end);
  } else if (distance >= 8) {
    do {
      std::memcpy(out, from, 8);
      out += 8;
      from += 8;
    } while (out < end);
  } else if ((distance & (distance - 1)) == 0) {  // runs of one pixel: 1, 2 or 4 bytes repeated
    uint64_t pattern = 0;
    std::memcpy(&pattern, from, distance);
    for (uint32_t filled = distance; filled < 8; filled *= 2) pattern |= pattern << (8 * filled);
    const uint64_t wide[4] = {pattern, pattern, pattern, pattern};
    do {
      std::memcpy(out, wide, 32);
      out += 32;
    } while (out < end);
  } else {
    while (out < end) *out++ = *from++;
  }
  return end;
}

inline uint8_t* put_literals(uint8_t* out, uint32_t entry) {
  const uint16_t pair = static_cast<uint16_t>(huffman::value_of(entry));
  std::memcpy(out, &pair, 2);
  return out + huffman::second_of(entry);
}

}  // namespace spatialcore
