// SPDX-License-Identifier: Apache-2.0
// Occlusion loops in the compiler's vectors: pairs of SSE registers with x86-64-v2, pairs of NEON
// registers on AArch64. Only the lane mask, which compilers do not find, names an instruction.
#include <cstdint>

namespace spatialcore {
namespace {

using Quad = float __attribute__((vector_size(16)));
using IntQuad = int32_t __attribute__((vector_size(16)));

// Eight lanes as two registers: wider compiler vectors would be taken apart lane by lane.
struct Float {
  Quad half[2];
  float operator[](int lane) const { return half[lane >> 2][lane & 3]; }
};
struct Int {
  IntQuad half[2];
  int32_t operator[](int lane) const { return half[lane >> 2][lane & 3]; }
};

template <class T>
inline T read(const void* p) {
  T v;
  __builtin_memcpy(&v, p, sizeof(v));
  return v;
}
inline Quad bits_of(IntQuad v) { return reinterpret_cast<Quad>(v); }
inline IntQuad bits_of(Quad v) { return reinterpret_cast<IntQuad>(v); }

#define SC_LANES(name, In, Out, op)                            \
  inline Out name(const In& a, const In& b) {                  \
    return {{a.half[0] op b.half[0], a.half[1] op b.half[1]}}; \
  }
SC_LANES(operator+, Float, Float, +)
SC_LANES(operator-, Float, Float, -)
SC_LANES(operator*, Float, Float, *)
SC_LANES(operator/, Float, Float, /)
SC_LANES(operator<, Float, Int, <)
SC_LANES(operator>, Float, Int, >)
SC_LANES(operator<=, Float, Int, <=)
SC_LANES(operator>=, Float, Int, >=)
SC_LANES(operator&, Int, Int, &)
SC_LANES(operator|, Int, Int, |)
#undef SC_LANES

inline Int operator~(const Int& v) { return {{~v.half[0], ~v.half[1]}}; }
inline Float operator-(const Float& v) { return {{-v.half[0], -v.half[1]}}; }
inline Int& operator|=(Int& a, const Int& b) { return a = a | b; }
inline Int& operator&=(Int& a, const Int& b) { return a = a & b; }

inline Float splat(double x) {
  const float v = static_cast<float>(x);
  const Quad quad = {v, v, v, v};
  return {{quad, quad}};
}
inline Float load(const float* p) { return read<Float>(p); }
inline void store(const Float& v, float* p) { __builtin_memcpy(p, &v, sizeof(v)); }
inline void store(const Int& v, int32_t* p) { __builtin_memcpy(p, &v, sizeof(v)); }
inline Float fused(const Float& a, const Float& b, const Float& c) { return a * b + c; }
// Adding 1.5 * 2^23 leaves no fraction bits; exact for |v| < 2^22, and columns are fewer.
inline Float round_even(const Float& v) { return (v + splat(0x1.8p23)) - splat(0x1.8p23); }

inline Quad choose(IntQuad mask, Quad a, Quad b) {
  return bits_of((bits_of(a) & mask) | (bits_of(b) & ~mask));
}
// The second operand where the first is NaN.
inline Float minimum(const Float& a, const Float& b) {
  const Int less = a < b;
  return {{choose(less.half[0], a.half[0], b.half[0]), choose(less.half[1], a.half[1], b.half[1])}};
}
inline Float maximum(const Float& a, const Float& b) {
  const Int more = a > b;
  return {{choose(more.half[0], a.half[0], b.half[0]), choose(more.half[1], a.half[1], b.half[1])}};
}
inline Float absolute(const Float& v) {
  return {{bits_of(bits_of(v.half[0]) & 0x7fffffff), bits_of(bits_of(v.half[1]) & 0x7fffffff)}};
}
inline Int to_int(const Float& v) {
  return {
      {__builtin_convertvector(v.half[0], IntQuad), __builtin_convertvector(v.half[1], IntQuad)}};
}
inline unsigned lane_mask(const Int& v) {
#if defined(__SSE2__)
  return static_cast<unsigned>(__builtin_ia32_movmskps(bits_of(v.half[0])) |
                               __builtin_ia32_movmskps(bits_of(v.half[1])) << 4);
#else
  const IntQuad set = (v.half[0] & IntQuad{1, 2, 4, 8}) | (v.half[1] & IntQuad{16, 32, 64, 128});
  return static_cast<unsigned>((set[0] | set[1]) | (set[2] | set[3]));
#endif
}
inline Float load_u16(const uint16_t* p) {
  Float v;
  for (int i = 0; i < 8; ++i) v.half[i >> 2][i & 3] = static_cast<float>(p[i]);
  return v;
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
