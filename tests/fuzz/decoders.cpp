// SPDX-License-Identifier: Apache-2.0
// The compiled decoders under libFuzzer: a 16-bit PNG, or a zlib stream of a size that the first
// two bytes give. Built and run by `python -m tests.fuzz`; needs clang with its libFuzzer.
#include <cstring>
#include <stdexcept>
#include <vector>

#include "cpu/isa/dispatch.h"
#include "spatialcore/depth_png.h"
#include "spatialcore/inflate.h"

namespace {

constexpr int64_t kMaxPixels = 1 << 16;

void decode_png(const uint8_t* data, size_t size) {
  // Exactly as large as it is, so that a read behind it is seen.
  const std::vector<uint8_t> png(data, data + size);
  const spatialcore::DepthPngHeader header =
      spatialcore::read_depth_png_header(png.data(), png.size());
  if (header.width > kMaxPixels / header.height) return;
  std::vector<uint16_t> depth(header.width * header.height);
  std::vector<uint8_t> scratch;
  spatialcore::decode_depth_png(png.data(), png.size(), scratch, depth.data());
}

void inflate(const uint8_t* data, size_t size) {
  if (size < 2) return;
  const size_t length = data[0] | data[1] << 8;
  const size_t stored = size - 2;
  std::vector<uint8_t> input(stored + spatialcore::kInflateInputSlack);
  std::vector<uint8_t> output(length + spatialcore::kInflateOutputSlack);
  std::memcpy(input.data(), data + 2, stored);
  spatialcore::inflate_zlib(input.data(), stored, output.data(), length);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  spatialcore::set_isa(size & 1 ? "baseline" : "");
  try {
    if (size != 0 && data[0] == 0x89) {
      decode_png(data, size);
    } else {
      inflate(data, size);
    }
  } catch (const std::invalid_argument&) {  // damage, said so
  }
  return 0;
}
