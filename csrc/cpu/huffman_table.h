// SPDX-License-Identifier: Apache-2.0
// Decoding tables of a canonical Huffman code (RFC 1951, 3.2.2) for codes read low bit first.
//
// One lookup of `primary_bits` bits resolves short codes; longer ones point to a subtable that is
// indexed by the bits that follow. An entry packs, from bit 0:
//   8 bits  what it consumes: its code, and for a base its extra bits too
//   4 bits  length of the code (base), bits of the subtable, or how many literals it holds
//   2 bits  kind
//   16 bits of value above bit 16: one or two literals, a base, where the subtable starts
#pragma once

#include <algorithm>
#include <cstdint>
#include <stdexcept>

namespace spatialcore::huffman {

enum Kind : uint32_t { kLiteral = 0, kBase = 1, kEnd = 2, kSubtable = 3 };

inline uint32_t consumed_by(uint32_t entry) { return entry & 255; }
inline uint32_t second_of(uint32_t entry) { return (entry >> 8) & 15; }
inline Kind kind_of(uint32_t entry) { return static_cast<Kind>((entry >> 12) & 3); }
inline uint32_t value_of(uint32_t entry) { return entry >> 16; }
inline uint32_t make_entry(uint32_t value, Kind kind, uint32_t second, uint32_t consumed) {
  return (value << 16) | (kind << 12) | (second << 8) | consumed;
}

// A bit pattern that no symbol owns, or a symbol that the format reserves.
constexpr uint32_t kNoSymbol = (kEnd << 12) | (15 << 8);

// An entry of `symbol_entry` gives `consumed` as its extra bits; here the code's length is known.
// A symbol without a meaning stays as it is.
inline uint32_t with_length(uint32_t entry, uint32_t length) {
  if (entry == kNoSymbol) return entry;
  return entry + length + (kind_of(entry) == kBase ? length << 8 : 0);
}

inline uint32_t reverse_bits(uint32_t code, int bits) {
  code = (code & 0x5555) << 1 | (code >> 1 & 0x5555);
  code = (code & 0x3333) << 2 | (code >> 2 & 0x3333);
  code = (code & 0x0F0F) << 4 | (code >> 4 & 0x0F0F);
  code = (code & 0x00FF) << 8 | code >> 8;
  return code >> (16 - bits);
}

// Fills `table` from code lengths. `symbol_entry(symbol)` gives an entry without its length.
//   lengths  symbol_count  bits, 0 = unused, at most 15   in
//   table    capacity      entries                        out
// A complete code needs 2^primary_bits entries and at most half of its symbols as subtables of
// 2^(15 - primary_bits) entries each; `Capacity` states that bound. An incomplete code is damage,
// but for the single code of one bit that RFC 1951 allows to `lone_code`: lengths and distances.
template <int kPrimaryBits, int kCapacity, typename SymbolEntry>
void build_table(const uint8_t* lengths, int symbol_count, SymbolEntry symbol_entry, bool lone_code,
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
  if (left > 0 && longest > (lone_code ? 1 : 0))
    throw std::invalid_argument("incomplete Huffman code");
  if (left > 0) std::fill(table, table + kPrimarySize, kNoSymbol);  // else every pattern is owned

  // The longest code behind each prefix decides the size of its subtable.
  uint8_t subtable_bits[kPrimarySize] = {};
  uint32_t codes[288];
  for (int s = 0; s < symbol_count; ++s) {
    const int bits = lengths[s];
    if (!bits) continue;
    codes[s] = reverse_bits(next_code[bits]++, bits);
    if (bits <= kPrimaryBits) continue;
    uint8_t& wanted = subtable_bits[codes[s] & (kPrimarySize - 1)];
    if (bits - kPrimaryBits > wanted) wanted = bits - kPrimaryBits;
  }
  uint32_t used = kPrimarySize;
  for (int s = 0; s < symbol_count && longest > kPrimaryBits; ++s) {
    const uint32_t prefix = codes[s] & (kPrimarySize - 1);
    if (lengths[s] <= kPrimaryBits || !subtable_bits[prefix]) continue;
    if (used + (1u << subtable_bits[prefix]) > kCapacity) {
      throw std::invalid_argument("Huffman code too irregular");
    }
    table[prefix] = make_entry(used, kSubtable, subtable_bits[prefix], kPrimaryBits);
    used += 1u << subtable_bits[prefix];
    subtable_bits[prefix] = 0;  // made
  }
  for (int s = 0; s < symbol_count; ++s) {
    const int bits = lengths[s];
    if (!bits) continue;
    uint32_t* base = table;
    uint32_t size = kPrimarySize, index = codes[s], step_bits = bits;
    if (bits > kPrimaryBits) {
      const uint32_t pointer = table[codes[s] & (kPrimarySize - 1)];
      base = table + value_of(pointer);
      size = 1u << second_of(pointer);
      index = codes[s] >> kPrimaryBits;
      step_bits = bits - kPrimaryBits;
    }
    const uint32_t entry = with_length(symbol_entry(s), step_bits);
    for (; index < size; index += 1u << step_bits) base[index] = entry;
  }
}

// Puts two literals into one entry wherever both codes fit the primary lookup: the high bytes of
// 16-bit residuals have codes of two or three bits, so most pairs do. From the top down, since an
// entry looks at one of a lower index.
template <int kPrimaryBits>
void join_literals(uint32_t* table) {
  for (uint32_t i = 1u << kPrimaryBits; i-- > 0;) {
    const uint32_t first = table[i], second = table[i >> (consumed_by(first) & 31)];
    const uint32_t consumed = consumed_by(first) + consumed_by(second);
    const uint32_t both = (first & 0xFF0000) | (second & 0xFF0000) << 8 | 2 << 8 | consumed;
    const bool literals = kind_of(first | second) == kLiteral, fits = consumed <= kPrimaryBits;
    table[i] = first ^ ((first ^ both) & -static_cast<uint32_t>(literals & fits));  // no branch
  }
}

}  // namespace spatialcore::huffman
