// SPDX-License-Identifier: Apache-2.0
// The state of inflating one stream: bit buffer, output limits, and the two Huffman codes of the
// current block. The blocks themselves are decoded in inflate.cpp.
#pragma once

#include <cstdint>
#include <cstring>
#include <stdexcept>

#include "cpu/huffman_table.h"

namespace spatialcore {

using huffman::kBase;
using huffman::kEnd;
using huffman::kLiteral;
using huffman::kSubtable;
using huffman::make_entry;

constexpr int kLengthBits = 11;   // primary lookup of literals and lengths
constexpr int kDistanceBits = 9;  // primary lookup of distances
constexpr int kPrecodeBits = 7;   // the longest code of the code lengths
constexpr int kLengthCapacity = (1 << kLengthBits) + 144 * 16;
constexpr int kDistanceCapacity = (1 << kDistanceBits) + 16 * 64;

constexpr uint16_t kLengthBase[29] = {3,  4,  5,  6,   7,   8,   9,   10,  11, 13,
                                      15, 17, 19, 23,  27,  31,  35,  43,  51, 59,
                                      67, 83, 99, 115, 131, 163, 195, 227, 258};
constexpr uint8_t kLengthExtra[29] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2,
                                      2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0};
constexpr uint16_t kDistanceBase[30] = {
    1,   2,   3,   4,   5,   7,    9,    13,   17,   25,   33,   49,   65,    97,    129,
    193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577};

[[noreturn]] inline void damaged(const char* what) { throw std::invalid_argument(what); }

inline uint32_t length_entry(int symbol) {
  if (symbol < 256) return make_entry(symbol, kLiteral, 1, 0);
  if (symbol == 256) return make_entry(0, kEnd, 0, 0);
  if (symbol > 285) return huffman::kNoSymbol;  // reserved
  return make_entry(kLengthBase[symbol - 257], kBase, 0, kLengthExtra[symbol - 257]);
}

inline uint32_t distance_entry(int symbol) {
  if (symbol > 29) return huffman::kNoSymbol;
  return make_entry(kDistanceBase[symbol], kBase, 0, symbol < 4 ? 0 : symbol / 2 - 1);
}

// The next bits of the stream. A function that decodes keeps its own copy in registers: bytes
// written through `out` may alias anything that is reached by a pointer.
struct BitBuffer {
  const uint8_t* in;
  uint64_t bits = 0;
  uint32_t count = 0;

  // At least 56 bits afterwards; the low `count` bits stay as they are.
  void refill() {
    uint64_t word;
    std::memcpy(&word, in, 8);  // little-endian hosts only, as the whole library
    bits |= word << count;
    in += (63 - count) >> 3;
    count |= 56;
  }
  uint32_t peek(uint32_t n) const { return static_cast<uint32_t>(bits & ((uint64_t{1} << n) - 1)); }
  void skip(uint32_t n) {
    bits >>= n;
    count -= n;
  }
  uint32_t take(uint32_t n) {
    const uint32_t value = peek(n);
    skip(n);
    return value;
  }
  // The base of an entry plus its extra bits, which follow the code.
  uint32_t take_base(uint32_t entry) {
    const uint32_t both = peek(huffman::consumed_by(entry));
    skip(huffman::consumed_by(entry));
    return huffman::value_of(entry) + (both >> huffman::second_of(entry));
  }
  uint32_t in_subtable(uint32_t pointer, const uint32_t* table) {
    skip(huffman::consumed_by(pointer));
    return table[huffman::value_of(pointer) + peek(huffman::second_of(pointer))];
  }
};

struct Decoder {
  BitBuffer stream;
  const uint8_t* in_end;
  uint8_t* out_begin;
  uint8_t* out;
  uint8_t* out_end;
  uint32_t length_table[kLengthCapacity];
  uint32_t distance_table[kDistanceCapacity];

  void refill() {
    if (stream.in > in_end + 8) damaged("compressed data ends too early");
    stream.refill();
  }
  void read_code_lengths();
  void use_fixed_code();
  void stored_block();
  bool fast_symbols();
  void compressed_block();
  void build(const uint8_t* lengths, int length_count, int distance_count) {
    huffman::build_table<kLengthBits, kLengthCapacity>(lengths, length_count, length_entry, true,
                                                       length_table);
    huffman::join_literals<kLengthBits>(length_table);
    huffman::build_table<kDistanceBits, kDistanceCapacity>(lengths + length_count, distance_count,
                                                           distance_entry, true, distance_table);
  }
};

inline void Decoder::use_fixed_code() {
  uint8_t lengths[288 + 32];
  for (int s = 0; s < 288; ++s) lengths[s] = s < 144 ? 8 : s < 256 ? 9 : s < 280 ? 7 : 8;
  std::memset(lengths + 288, 5, 32);
  build(lengths, 288, 32);
}

inline void Decoder::read_code_lengths() {
  static constexpr uint8_t kOrder[19] = {16, 17, 18, 0, 8,  7, 9,  6, 10, 5,
                                         11, 4,  12, 3, 13, 2, 14, 1, 15};
  refill();
  const int length_count = stream.take(5) + 257, distance_count = stream.take(5) + 1;
  const int precode_count = stream.take(4) + 4;
  if (length_count > 286 || distance_count > 30) damaged("too many Huffman codes");
  uint8_t precode_lengths[19] = {};
  for (int i = 0; i < precode_count; ++i) {
    refill();
    precode_lengths[kOrder[i]] = stream.take(3);
  }
  uint32_t precode[1 << kPrecodeBits];
  huffman::build_table<kPrecodeBits, 1 << kPrecodeBits>(
      precode_lengths, 19, [](int s) { return make_entry(s, kLiteral, 1, 0); }, false, precode);
  uint8_t lengths[286 + 30];
  const int total = length_count + distance_count;
  for (int i = 0; i < total;) {
    refill();
    const uint32_t entry = precode[stream.peek(kPrecodeBits)];
    if (entry == huffman::kNoSymbol) damaged("code length outside the code");
    stream.skip(huffman::consumed_by(entry));
    const uint32_t symbol = huffman::value_of(entry);
    if (symbol < 16) {
      lengths[i++] = symbol;
      continue;
    }
    if (symbol == 16 && i == 0) damaged("repeated code length without a first one");
    const uint8_t value = symbol == 16 ? lengths[i - 1] : 0;
    const int repeat = symbol == 16   ? 3 + stream.take(2)
                       : symbol == 17 ? 3 + stream.take(3)
                                      : 11 + stream.take(7);
    if (i + repeat > total) damaged("too many code lengths");
    std::memset(lengths + i, value, repeat);
    i += repeat;
  }
  if (!lengths[256]) damaged("no code for the end of the block");
  build(lengths, length_count, distance_count);
}

}  // namespace spatialcore
