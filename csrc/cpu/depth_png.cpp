// SPDX-License-Identifier: Apache-2.0
// 16-bit greyscale PNG (ISO/IEC 15948) in three passes over data that stays in L2: join the IDAT
// chunks, inflate, undo the row filters and swap bytes.
//
//   png    (size)           bytes            in
//   depth  (height, width)  uint16, units of the source  out
//
// Pixel (row, column) is exact; no gamma, no scaling. Chunk CRCs are not computed: the zlib
// Adler-32, which is checked, covers every byte of the image.
// Tests: tests/io/test_depth_png.py against a second decoder. Figures: docs/ops/decode.md.
#include "spatialcore/depth_png.h"

#include <cstring>
#include <stdexcept>

#include "cpu/png_filters.h"
#include "spatialcore/inflate.h"

namespace spatialcore {
namespace {

constexpr uint8_t kSignature[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n'};
constexpr int kPixelBytes = 2;

uint32_t big_endian(const uint8_t* p) {
  return static_cast<uint32_t>(p[0]) << 24 | p[1] << 16 | p[2] << 8 | p[3];
}

// Appends the payload of every IDAT chunk to `joined`; returns their size.
size_t join_image_data(const uint8_t* png, size_t size, std::vector<uint8_t>& joined) {
  size_t used = 0;
  for (size_t at = 8; at + 12 <= size;) {
    const size_t length = big_endian(png + at);
    if (length > size - at - 12) throw std::invalid_argument("a chunk leaves the file");
    if (std::memcmp(png + at + 4, "IDAT", 4) == 0) {
      if (joined.size() < used + length + kInflateInputSlack) {
        joined.resize(used + length + kInflateInputSlack);
      }
      std::memcpy(joined.data() + used, png + at + 8, length);
      used += length;
    }
    if (std::memcmp(png + at + 4, "IEND", 4) == 0) return used;
    at += length + 12;
  }
  throw std::invalid_argument("the file ends before its last chunk");
}

}  // namespace

DepthPngHeader read_depth_png_header(const uint8_t* png, size_t size) {
  if (size < 33 || std::memcmp(png, kSignature, 8) != 0 || std::memcmp(png + 12, "IHDR", 4) != 0 ||
      big_endian(png + 8) != 13) {
    throw std::invalid_argument("not a PNG file");
  }
  const uint8_t* ihdr = png + 16;
  const bool plain = ihdr[8] == 16 && ihdr[9] == 0 && ihdr[10] == 0 && ihdr[11] == 0 && !ihdr[12];
  const DepthPngHeader header{big_endian(ihdr), big_endian(ihdr + 4), plain};
  if (header.width < 1 || header.height < 1) throw std::invalid_argument("empty image");
  return header;
}

void decode_depth_png(const uint8_t* png, size_t size, std::vector<uint8_t>& scratch,
                      uint16_t* depth) {
  const DepthPngHeader header = read_depth_png_header(png, size);
  if (!header.plain) throw std::invalid_argument("not a plain 16-bit greyscale PNG");
  const size_t row_bytes = static_cast<size_t>(header.width) * kPixelBytes;
  const size_t stride = row_bytes + 1, raw_size = stride * header.height;
  const size_t data_size = join_image_data(png, size, scratch);
  if (!data_size) throw std::invalid_argument("no image data");
  // One buffer: the joined stream, then a row of zeros (the row above the first), then the rows.
  const size_t zeros_at = data_size + kInflateInputSlack, raw_at = zeros_at + row_bytes;
  if (scratch.size() < raw_at + raw_size + kInflateOutputSlack) {
    scratch.resize(raw_at + raw_size + kInflateOutputSlack);
  }
  uint8_t* const raw = scratch.data() + raw_at;
  inflate_zlib(scratch.data(), data_size, raw, raw_size);
  std::memset(scratch.data() + zeros_at, 0, row_bytes);
  undo_filters(raw, scratch.data() + zeros_at, header.width, header.height);
  for (int64_t r = 0; r < header.height; ++r) {
    const uint8_t* row = raw + r * stride + 1;
    uint16_t* out = depth + r * header.width;
    for (int64_t c = 0; c < header.width; ++c) {
      out[c] = static_cast<uint16_t>(row[2 * c] << 8 | row[2 * c + 1]);
    }
  }
}

}  // namespace spatialcore
