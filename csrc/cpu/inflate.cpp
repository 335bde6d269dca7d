// SPDX-License-Identifier: Apache-2.0
// Inflates a zlib stream of known size.
//
//   input   (input_size + slack)   bytes  in
//   output  (output_size + slack)  bytes  out
//
// A 64-bit bit buffer is refilled by one unaligned load: after a refill it holds at least 56 bits,
// enough for four lookups of 11 bits. A lookup gives one or two literals, a length or a pointer to
// a subtable. Far from both ends a step checks one limit of each; the last symbols are checked one
// by one, and the slack behind both buffers lets loads and copies run over by a vector. Corrupt
// input can not leave the buffers: distances are checked against what was written, lengths against
// what is left.
// Depth images are one-shot and of known size, so there is no window, state or resumption.
// Tests: tests/io/test_inflate.py. Measured: docs/ops/decode.md.
#include "spatialcore/inflate.h"

#include "cpu/adler32.h"
#include "cpu/inflate_decoder.h"
#include "cpu/inflate_output.h"
#include "cpu/isa/dispatch.h"

namespace spatialcore {

void Decoder::stored_block() {
  stream.skip(stream.count & 7);
  const uint8_t* in = stream.in - (stream.count >> 3);  // whole bytes of the buffer go back
  if (in_end - in < 4) damaged("compressed data ends too early");
  const uint32_t size = in[0] | in[1] << 8, complement = in[2] | in[3] << 8;
  in += 4;
  if (size != (complement ^ 0xFFFF)) damaged("damaged length of a stored block");
  if (in_end - in < size) damaged("compressed data ends too early");
  if (out_end - out < size) damaged("more data than the image holds");
  std::memcpy(out, in, size);
  out += size;
  stream = {in + size};
}

// Symbols as long as neither limit can be reached; true at the end of the block. A step takes at
// most 24 bytes and leaves at most 8 literals or a match.
__attribute__((always_inline)) inline bool decode_symbols(Decoder& d) {
  constexpr int kStepIn = 32, kStepOut = 300;
  const uint32_t* const length_table = d.length_table;
  const uint32_t* const distance_table = d.distance_table;
  BitBuffer s = d.stream;
  uint8_t* to = d.out;
  bool ended = false;
  s.refill();
  uint32_t entry = length_table[s.peek(kLengthBits)];
  while (d.in_end - s.in >= kStepIn && d.out_end - to >= kStepOut) {
    s.refill();  // leaves the low bits, and so `entry`, as they are
    int run = 0;
    // Four lookups of 11 bits, or three and a length of 20, from 56 bits.
    for (; run < 4 && huffman::kind_of(entry) == kLiteral; ++run) {
      to = put_literals(to, entry);
      s.skip(huffman::consumed_by(entry));
      entry = length_table[s.peek(kLengthBits)];
    }
    if (run == 4) continue;
    if (huffman::kind_of(entry) == kSubtable) entry = s.in_subtable(entry, length_table);
    if (huffman::kind_of(entry) == kBase) {
      const uint32_t length = s.take_base(entry);
      s.refill();
      entry = distance_table[s.peek(kDistanceBits)];
      if (huffman::kind_of(entry) == kSubtable) entry = s.in_subtable(entry, distance_table);
      if (huffman::kind_of(entry) != kBase) damaged("distance outside the code");
      const uint32_t distance = s.take_base(entry);
      if (distance > to - d.out_begin) damaged("distance before the start");
      entry = length_table[s.peek(kLengthBits)];
      to = copy_match(to, length, distance);
      continue;
    }
    if (entry == huffman::kNoSymbol) damaged("symbol outside the code");
    s.skip(huffman::consumed_by(entry));
    if (huffman::kind_of(entry) == kEnd) {
      ended = true;
      break;
    }
    to = put_literals(to, entry);
    entry = length_table[s.peek(kLengthBits)];
  }
  d.stream = s;
  d.out = to;
  return ended;
}

#if defined(__x86_64__)
// Shifts by a register without a detour through cl: a tenth of the time.
__attribute__((target("bmi,bmi2"))) bool decode_symbols_bmi2(Decoder& d) {
  return decode_symbols(d);
}
#endif

bool Decoder::fast_symbols() {
#if defined(__x86_64__)
  if (active_isa() != Isa::kBaseline) return decode_symbols_bmi2(*this);
#endif
  return decode_symbols(*this);
}

void Decoder::compressed_block() {
  if (fast_symbols()) return;
  for (;;) {  // the last symbols, each of them checked against both limits
    refill();
    uint32_t entry = length_table[stream.peek(kLengthBits)];
    if (huffman::kind_of(entry) == kSubtable) entry = stream.in_subtable(entry, length_table);
    if (entry == huffman::kNoSymbol) damaged("symbol outside the code");
    if (huffman::kind_of(entry) == kBase) {
      const uint32_t length = stream.take_base(entry);
      refill();
      entry = distance_table[stream.peek(kDistanceBits)];
      if (huffman::kind_of(entry) == kSubtable) entry = stream.in_subtable(entry, distance_table);
      if (huffman::kind_of(entry) != kBase) damaged("distance outside the code");
      const uint32_t distance = stream.take_base(entry);
      if (distance > out - out_begin) damaged("distance before the start");
      if (length > out_end - out) damaged("more data than the image holds");
      out = copy_match(out, length, distance);
      continue;
    }
    stream.skip(huffman::consumed_by(entry));
    if (huffman::kind_of(entry) == kEnd) return;
    out = put_literals(out, entry);
    if (out > out_end) damaged("more data than the image holds");
  }
}

void inflate_zlib(const uint8_t* input, size_t input_size, uint8_t* output, size_t output_size) {
  if (input_size < 6 || (input[0] & 15) != 8 || (input[0] >> 4) > 7 || (input[1] & 32) ||
      ((input[0] << 8) | input[1]) % 31 != 0) {
    damaged("not a zlib stream");
  }
  Decoder d;
  d.stream = {input + 2};
  d.in_end = input + input_size;
  d.out_begin = d.out = output;
  d.out_end = output + output_size;
  for (bool last = false; !last;) {
    d.refill();
    last = d.stream.take(1);
    const uint32_t kind = d.stream.take(2);
    if (kind == 3) damaged("reserved block type");
    if (kind == 0) {
      d.stored_block();
      continue;
    }
    if (kind == 1) d.use_fixed_code();
    if (kind == 2) d.read_code_lengths();
    d.compressed_block();
  }
  const uint8_t* in = d.stream.in - (d.stream.count >> 3);
  if (d.out != d.out_end) damaged("less data than the image holds");
  if (d.in_end - in < 4) damaged("compressed data ends too early");
  const uint32_t expected = static_cast<uint32_t>(in[0]) << 24 | in[1] << 16 | in[2] << 8 | in[3];
  if (expected != adler32(output, output_size)) damaged("checksum does not match");
}

}  // namespace spatialcore
