// SPDX-License-Identifier: Apache-2.0
// Contract: spatialcore/blake2b.h.
#include "spatialcore/blake2b.h"

#include <algorithm>
#include <cstring>

namespace spatialcore {
namespace {

constexpr int kBlockBytes = 128;
constexpr int kRounds = 12;

constexpr uint64_t kStart[8] = {
    0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
    0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179,
};

// Which word of the block each step of a round takes; rounds 10 and 11 repeat 0 and 1.
constexpr uint8_t kOrder[10][16] = {
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
    {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
    {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4},
    {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
    {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13},
    {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
    {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11},
    {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
    {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5},
    {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0},
};

uint64_t turned(uint64_t x, int bits) { return x >> bits | x << (64 - bits); }

void mix(uint64_t* v, int a, int b, int c, int d, uint64_t x, uint64_t y) {
  v[a] += v[b] + x;
  v[d] = turned(v[d] ^ v[a], 32);
  v[c] += v[d];
  v[b] = turned(v[b] ^ v[c], 24);
  v[a] += v[b] + y;
  v[d] = turned(v[d] ^ v[a], 16);
  v[c] += v[d];
  v[b] = turned(v[b] ^ v[c], 63);
}

// Folds a block into the state; `end` is the number of bytes up to its end.
void compress(uint64_t* state, const uint64_t* block, uint64_t end, bool last) {
  uint64_t v[16];
  std::copy_n(state, 8, v);
  std::copy_n(kStart, 8, v + 8);
  v[12] ^= end;
  if (last) v[14] = ~v[14];
  for (int round = 0; round < kRounds; ++round) {
    const uint8_t* s = kOrder[round % 10];
    mix(v, 0, 4, 8, 12, block[s[0]], block[s[1]]);
    mix(v, 1, 5, 9, 13, block[s[2]], block[s[3]]);
    mix(v, 2, 6, 10, 14, block[s[4]], block[s[5]]);
    mix(v, 3, 7, 11, 15, block[s[6]], block[s[7]]);
    mix(v, 0, 5, 10, 15, block[s[8]], block[s[9]]);
    mix(v, 1, 6, 11, 12, block[s[10]], block[s[11]]);
    mix(v, 2, 7, 8, 13, block[s[12]], block[s[13]]);
    mix(v, 3, 4, 9, 14, block[s[14]], block[s[15]]);
  }
  for (int k = 0; k < 8; ++k) state[k] ^= v[k] ^ v[k + 8];
}

}  // namespace

uint64_t blake2b_8(std::string_view text) {
  uint64_t state[8];
  std::copy_n(kStart, 8, state);
  state[0] ^= 0x01010008;  // one leaf, no key, a digest of 8 bytes
  for (size_t begin = 0, end; begin == 0 || begin < text.size(); begin = end) {
    end = std::min(begin + kBlockBytes, text.size());
    uint64_t block[kBlockBytes / 8] = {};
    std::memcpy(block, text.data() + begin, end - begin);
    compress(state, block, end, end == text.size());
    if (end == text.size()) break;
  }
  return state[0];
}

}  // namespace spatialcore
