// SPDX-License-Identifier: Apache-2.0
// Inflating a zlib stream whose size is known beforehand: depth payloads of .sens and PNG.
#pragma once

#include <cstddef>
#include <cstdint>

namespace spatialcore {

// Bytes that must be readable (of any value) behind the input and writable behind the output, so
// that the inner loop may load whole words and store whole vectors.
constexpr size_t kInflateInputSlack = 16;
constexpr size_t kInflateOutputSlack = 40;

// Inflates the zlib stream (RFC 1950, 1951) input[0, input_size) into exactly output_size bytes.
//   input   (input_size + kInflateInputSlack)    in
//   output  (output_size + kInflateOutputSlack)  out
// Throws std::invalid_argument when the stream is damaged, truncated, fails its Adler-32, or holds
// fewer or more bytes than output_size; never reads or writes beyond the slack.
void inflate_zlib(const uint8_t* input, size_t input_size, uint8_t* output, size_t output_size);

}  // namespace spatialcore
