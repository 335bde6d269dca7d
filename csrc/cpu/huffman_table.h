// SPDX-License-Identifier: Apache-2.0
// Decoding tables of a canonical Huffman code (RFC 1951, 3.2.2) for codes read low bit first.
//
// One lookup of `primary_bits` bits resolves short codes; longer ones point to a subtable that is
// indexed by the bits that follow. An entry packs, from bit 0: code length (4 bits; 0 marks a bit
// pattern that no symbol owns), extra bits or subtable bits (4), kind (2), 16 bits of value above
// bit 16.
#pragma once

#include <cstdint>
#include <stdexcept>

namespace spatialcore::huffman {

enum Kind : uint32_t { kLiteral = 0, kBase = 1, kEnd = 2, kSubtable = 3 };

inline uint32_t length_of(uint32_t entry) { return entry & 15; }
inline uint32_t extra_of(uint32_t entry) { return (entry >> 4) & 15; }
inline uint32_t kind_of(uint32_t entry) { return (entry >> 8) & 3; }
inline uint32_t value_of(uint32_t entry) { return entry >> 16; }
inline uint32_t make_entry(uint32_t value, Kind kind, uint32_t extra) {
  return (value << 16) | (kind << 8) | (extra << 4);
}

inline uint32_t reverse_bits(uint32_t code, int bits) {
  uint32_t reversed = 0;
  for (int i = 0; i < bits; ++i) reversed |= ((code >> i) & 1u) << (bits - 1 - i);
  return reversed;
}

constexpr uint32_t kNoSymbol = (kEnd << 8) | (15 << 4);

// Fills `table` from code lengths. `symbol_entry(symbol)` gives an entry without its length.
//   lengths  symbol_count  bits, 0 = unused, at most 15   in
//   table    capacity      entries                        out
// A complete code needs 2^primary_bits entries and at most half of its symbols as subtables of
// 2^(15 - primary_bits) entries each; `Capacity` states that bound. An incomplete code is damage,
// but for the single code of one bit that RFC 1951 allows.
template <int kPrimaryBits, int kCapacity, typename SymbolEntry>
void build_table(const uint8_t* lengths, int symbol_count, SymbolEntry symbol_entry,
                 uint32_t* table) {
  constexpr int kMaxBits = 15;
  constexpr uint32_t kPrimarySize = 1u << kPrimaryBits;
  int count[kMaxBits + 1] = {};
  for (int s = 0; s < symbol_count; ++s) ++count[lengths[s]];
  count[0] = 0;
  int left = 1, longest = 0;
  uint32_t next_code[kMaxBits + 1] = {};
  for (int bits = 1; bits <= kMaxBits; ++bits) {
    left = (left << 1) - count[bits];
    if (left < 0) throw std::invalid_argument("over-subscribed Huffman code");
    next_code[bits] = (next_code[bits - 1] + count[bits - 1]) << 1;
    if (count[bits]) longest = bits;
  }
  if (left > 0 && longest > 1) throw std::invalid_argument("incomplete Huffman code");
  for (uint32_t i = 0; i < kPrimarySize; ++i) table[i] = kNoSymbol;

  // The longest code behind each prefix decides the size of its subtable.
  uint8_t subtable_bits[kPrimarySize] = {};
  uint32_t codes[288];
  for (int s = 0; s < symbol_count; ++s) {
    const int bits = lengths[s];
    if (!bits) continue;
    codes[s] = reverse_bits(next_code[bits]++, bits);
    uint8_t& wanted = subtable_bits[codes[s] & (kPrimarySize - 1)];
    if (bits > kPrimaryBits && bits - kPrimaryBits > wanted) wanted = bits - kPrimaryBits;
  }
  uint32_t used = kPrimarySize;
  for (uint32_t prefix = 0; prefix < kPrimarySize; ++prefix) {
    if (!subtable_bits[prefix]) continue;
    const uint32_t size = 1u << subtable_bits[prefix];
    if (used + size > kCapacity) throw std::invalid_argument("Huffman code too irregular");
    table[prefix] = make_entry(used, kSubtable, subtable_bits[prefix]) | kPrimaryBits;
    for (uint32_t i = 0; i < size; ++i) table[used + i] = kNoSymbol;
    used += size;
  }
  for (int s = 0; s < symbol_count; ++s) {
    const int bits = lengths[s];
    if (!bits) continue;
    uint32_t* base = table;
    uint32_t size = kPrimarySize, index = codes[s], step_bits = bits;
    if (bits > kPrimaryBits) {
      const uint32_t pointer = table[codes[s] & (kPrimarySize - 1)];
      base = table + value_of(pointer);
      size = 1u << extra_of(pointer);
      index = codes[s] >> kPrimaryBits;
      step_bits = bits - kPrimaryBits;
    }
    const uint32_t entry = symbol_entry(s) | step_bits;
    for (; index < size; index += 1u << step_bits) base[index] = entry;
  }
}

}  // namespace spatialcore::huffman
