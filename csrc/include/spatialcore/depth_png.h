// SPDX-License-Identifier: Apache-2.0
// 16-bit greyscale PNG, the depth image of every RGB-D layout.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace spatialcore {

struct DepthPngHeader {
  int64_t width;
  int64_t height;
  bool plain;  // 16-bit greyscale without interlace: what decode_depth_png reads
};

// Reads the signature and IHDR. Throws std::invalid_argument when they are not there.
DepthPngHeader read_depth_png_header(const uint8_t* png, size_t size);

// Decodes into `depth` (height, width) uint16, host byte order. `scratch` is reused between calls
// and grows to about two images. Throws std::invalid_argument: not plain, a chunk that leaves the
// file, no image data, a damaged stream, an unknown filter.
void decode_depth_png(const uint8_t* png, size_t size, std::vector<uint8_t>& scratch,
                      uint16_t* depth);

}  // namespace spatialcore
