// SPDX-License-Identifier: Apache-2.0
// Occlusion loops for AArch64, eight lanes as two registers. Instructions are named where the
// compiler finds none: fused products, rounding, the lane mask, widening, and packing by a table
// lookup of bytes.
#include <arm_neon.h>

#include "cpu/isa/occlusion_quads.inc"

namespace spatialcore {
namespace {

inline Float fused(const Float& a, const Float& b, const Float& c) {
  return {{vfmaq_f32(c.half[0], a.half[0], b.half[0]), vfmaq_f32(c.half[1], a.half[1], b.half[1])}};
}
inline Float round_even(const Float& v) { return {{vrndnq_f32(v.half[0]), vrndnq_f32(v.half[1])}}; }
inline unsigned lane_mask(const Int& v) {
  const IntQuad set = (v.half[0] & IntQuad{1, 2, 4, 8}) | (v.half[1] & IntQuad{16, 32, 64, 128});
  return static_cast<unsigned>(vaddvq_s32(set));
}
inline Float load_u16(const uint16_t* p) {
  const uint16x8_t raw = vld1q_u16(p);
  return {{vcvtq_f32_u32(vmovl_u16(vget_low_u16(raw))), vcvtq_f32_u32(vmovl_high_u16(raw))}};
}

// Bytes of the lanes of a 4-bit mask, packed to the front; past them zero.
struct PackTable {
  alignas(16) uint8_t bytes[16][16];
  constexpr PackTable() : bytes{} {
    for (int mask = 0; mask < 16; ++mask) {
      int filled = 0;
      for (int lane = 0; lane < 4; ++lane) {
        if (!(mask >> lane & 1)) continue;
        for (int b = 0; b < 4; ++b) bytes[mask][filled++] = static_cast<uint8_t>(4 * lane + b);
      }
      for (; filled < 16; ++filled) bytes[mask][filled] = 0xFF;
    }
  }
};
constexpr PackTable kPack;

template <class Vector, class T>
inline void compress(const Vector& v, unsigned mask, T* out) {
  for (int h = 0; h < 2; ++h, mask >>= 4) {
    const uint8x16_t order = vld1q_u8(kPack.bytes[mask & 15]);
    const uint8x16_t packed = vqtbl1q_u8(reinterpret_cast<uint8x16_t>(v.half[h]), order);
    vst1q_u8(reinterpret_cast<uint8_t*>(out), packed);
    out += __builtin_popcount(mask & 15);
  }
}

}  // namespace
}  // namespace spatialcore

#include "cpu/isa/occlusion_kernel.inc"

namespace spatialcore {

int64_t occlusion_neon(const OcclusionFrame& frame, const BlockView& blocks, int64_t first,
                       int64_t last, uint64_t* bits, Pending* pending) {
  return occlusion_run(frame, blocks, first, last, bits, pending);
}

}  // namespace spatialcore
