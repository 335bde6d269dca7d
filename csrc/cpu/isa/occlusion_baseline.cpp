// SPDX-License-Identifier: Apache-2.0
// Occlusion loops in the compiler's vectors: pairs of SSE registers with x86-64-v2. Only the lane
// mask, which compilers do not find, names an instruction.
#include "cpu/isa/occlusion_quads.inc"

namespace spatialcore {
namespace {

inline Float fused(const Float& a, const Float& b, const Float& c) { return a * b + c; }
// Adding 1.5 * 2^23 leaves no fraction bits; exact for |v| < 2^22, and columns are fewer.
inline Float round_even(const Float& v) { return (v + splat(0x1.8p23)) - splat(0x1.8p23); }

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

}  // namespace
}  // namespace spatialcore

#include "cpu/isa/occlusion_kernel.inc"

namespace spatialcore {

int64_t occlusion_baseline(const OcclusionFrame& frame, const BlockView& blocks, int64_t first,
                           int64_t last, uint64_t* bits, Pending* pending) {
  return occlusion_run(frame, blocks, first, last, bits, pending);
}

}  // namespace spatialcore
