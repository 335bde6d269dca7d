// SPDX-License-Identifier: Apache-2.0
// Occlusion loops in the compiler's vectors: pairs of SSE registers with x86-64-v2, pairs of NEON
// registers on AArch64. Nothing here names an instruction set.
#include <cstdint>

namespace spatialcore {
namespace {

using Float = float __attribute__((vector_size(32)));
using Int = int32_t __attribute__((vector_size(32)));

inline Float load(const float* p) {
  Float v;
  __builtin_memcpy(&v, p, sizeof(v));
  return v;
}
inline void store(Float v, float* p) { __builtin_memcpy(p, &v, sizeof(v)); }
inline void store(Int v, int32_t* p) { __builtin_memcpy(p, &v, sizeof(v)); }
inline Float fused(Float a, Float b, Float c) { return a * b + c; }  // two roundings
// Adding 1.5 * 2^23 leaves no fraction bits; exact for |v| < 2^22, and columns are fewer.
inline Float round_even(Float v) { return (v + 0x1.8p23f) - 0x1.8p23f; }
// The second operand where the first is NaN.
inline Float minimum(Float a, Float b) { return a < b ? a : b; }
inline Float maximum(Float a, Float b) { return a > b ? a : b; }
inline Float absolute(Float v) {
  return reinterpret_cast<Float>(reinterpret_cast<Int>(v) & 0x7fffffff);
}
inline Int to_int(Float v) { return __builtin_convertvector(v, Int); }
inline unsigned lane_mask(Int v) {
  const Int bit = {1, 2, 4, 8, 16, 32, 64, 128};
  const Int set = v & bit;
  return static_cast<unsigned>(((set[0] | set[1]) | (set[2] | set[3])) |
                               ((set[4] | set[5]) | (set[6] | set[7])));
}
inline Float load_u16(const uint16_t* p) {
  using Short = uint16_t __attribute__((vector_size(16)));
  Short raw;
  __builtin_memcpy(&raw, p, sizeof(raw));
  return __builtin_convertvector(__builtin_convertvector(raw, Int), Float);
}

template <class Vector, class T>
inline void compress(Vector v, unsigned mask, T* out) {
  for (int lane = 0; lane < 8; ++lane) {
    *out = v[lane];
    out += mask >> lane & 1;
  }
}
inline uint64_t expand_bits(uint64_t packed, uint64_t lanes) {
  if (lanes == ~uint64_t{0}) return packed;
  uint64_t out = 0;
  for (; lanes != 0 && packed != 0; lanes &= lanes - 1, packed >>= 1) {
    if (packed & 1) out |= lanes & -lanes;
  }
  return out;
}

}  // namespace
}  // namespace spatialcore

#include "cpu/isa/occlusion_kernel.inc"

namespace spatialcore {

int64_t occlusion_baseline(const OcclusionFrame& frame, const BlockView& blocks, int64_t first,
                           int64_t last, uint64_t* bits, Pending* pending) {
  return occlusion_run(frame, blocks, first, last, bits, pending);
}

}  // namespace spatialcore
