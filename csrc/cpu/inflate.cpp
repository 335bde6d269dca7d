// SPDX-License-Identifier: Apache-2.0
// Inflates a zlib stream of known size.
//
//   input   (input_size + slack)   bytes  in
//   output  (output_size + slack)  bytes  out
//
// A 64-bit bit buffer is refilled by one unaligned load: after a refill it holds at least 56 bits,
// enough for three literals, or for a length code with its extra bits (20) and a distance code
// with its extra bits (28). The slack behind both buffers lets loads and copies run over by a
// word, so the loop checks one input and one output limit a symbol. Corrupt input can not leave
// the buffers: distances are checked against what was written, lengths against what is left.
// Depth images are one-shot and of known size, so there is no window, state or resumption.
// Tests: tests/io/test_inflate.py. Measured: docs/ops/decode.md.
#include "spatialcore/inflate.h"

#include "cpu/adler32.h"
#include "cpu/inflate_decoder.h"

namespace spatialcore {

void Decoder::stored_block() {
  take(bit_count & 7);
  in -= bit_count >> 3;  // whole bytes that the buffer holds go back
  bits = bit_count = 0;
  if (in_end - in < 4) damaged("compressed data ends too early");
  const uint32_t size = in[0] | in[1] << 8, complement = in[2] | in[3] << 8;
  in += 4;
  if (size != (complement ^ 0xFFFF)) damaged("damaged length of a stored block");
  if (in_end - in < size) damaged("compressed data ends too early");
  if (out_end - out < size) damaged("more data than the image holds");
  std::memcpy(out, in, size);
  in += size;
  out += size;
}

// Both limits are checked; whole vectors may run over by 31 bytes, into the slack. Long runs of one
// value (missing readings, flat residuals) are most of a captured map.
inline void Decoder::copy_match(uint32_t length, uint32_t distance) {
  if (distance > out - out_begin) damaged("distance before the start");
  if (length > out_end - out) damaged("more data than the image holds");
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
  out = end;
}

void Decoder::compressed_block() {
  constexpr uint64_t kLengthMask = (1 << kLengthBits) - 1, kDistanceMask = (1 << kDistanceBits) - 1;
  for (;;) {
    refill();
    uint32_t entry = length_table[bits & kLengthMask];
    // Up to three literals from one refill: 45 of at least 56 bits. They may run over by as many
    // bytes, into the slack, before the limit is checked.
    for (int i = 0; i < 3 && huffman::kind_of(entry) == kLiteral; ++i) {
      take(huffman::length_of(entry));
      *out++ = static_cast<uint8_t>(huffman::value_of(entry));
      entry = length_table[bits & kLengthMask];
    }
    refill();  // leaves the low bits, and so `entry`, as they are
    entry = follow(entry, length_table);
    if (huffman::kind_of(entry) == kLiteral)
      *out++ = static_cast<uint8_t>(huffman::value_of(entry));
    if (out > out_end) damaged("more data than the image holds");
    if (huffman::kind_of(entry) == kLiteral) continue;
    if (huffman::kind_of(entry) == kEnd) {
      if (entry == huffman::kNoSymbol) damaged("symbol outside the code");
      return;
    }
    const uint32_t length = huffman::value_of(entry) + take(huffman::extra_of(entry));
    entry = follow(distance_table[bits & kDistanceMask], distance_table);
    if (huffman::kind_of(entry) != kBase) damaged("distance outside the code");
    copy_match(length, huffman::value_of(entry) + take(huffman::extra_of(entry)));
  }
}

void inflate_zlib(const uint8_t* input, size_t input_size, uint8_t* output, size_t output_size) {
  if (input_size < 6 || (input[0] & 15) != 8 || (input[0] >> 4) > 7 || (input[1] & 32) ||
      ((input[0] << 8) | input[1]) % 31 != 0) {
    damaged("not a zlib stream");
  }
  Decoder d;
  d.in = input + 2;
  d.in_end = input + input_size;
  d.out_begin = d.out = output;
  d.out_end = output + output_size;
  for (bool last = false; !last;) {
    d.refill();
    last = d.take(1);
    const uint32_t kind = d.take(2);
    if (kind == 3) damaged("reserved block type");
    if (kind == 0) {
      d.stored_block();
      continue;
    }
    if (kind == 1) d.use_fixed_code();
    if (kind == 2) d.read_code_lengths();
    d.compressed_block();
  }
  d.in -= d.bit_count >> 3;
  if (d.out != d.out_end) damaged("less data than the image holds");
  if (d.in_end - d.in < 4) damaged("compressed data ends too early");
  const uint32_t expected =
      static_cast<uint32_t>(d.in[0]) << 24 | d.in[1] << 16 | d.in[2] << 8 | d.in[3];
  if (expected != adler32(output, output_size)) damaged("checksum does not match");
}

}  // namespace spatialcore
