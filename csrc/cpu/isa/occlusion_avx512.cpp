// SPDX-License-Identifier: Apache-2.0
// Occlusion loops for AVX-512 (F, BW, DQ, VL): sixteen lanes, comparisons straight into mask
// registers, and a compress instruction for the packing.
#include <immintrin.h>

#include <cstdint>

namespace spatialcore {
namespace {

constexpr int kLanes = 16;

struct Float {
  __m512 v;
};
struct Int {
  __m512i v;
};
struct Mask {
  __mmask16 lanes = 0;
};

inline Float operator+(Float a, Float b) { return {_mm512_add_ps(a.v, b.v)}; }
inline Float operator-(Float a, Float b) { return {_mm512_sub_ps(a.v, b.v)}; }
inline Float operator*(Float a, Float b) { return {_mm512_mul_ps(a.v, b.v)}; }
inline Float operator/(Float a, Float b) { return {_mm512_div_ps(a.v, b.v)}; }
inline Float operator-(Float v) {
  const __m512i sign = _mm512_set1_epi32(static_cast<int32_t>(0x80000000));
  return {_mm512_castsi512_ps(_mm512_xor_si512(_mm512_castps_si512(v.v), sign))};
}
inline Mask operator<(Float a, Float b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ)}; }
inline Mask operator>(Float a, Float b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_GT_OQ)}; }
inline Mask operator<=(Float a, Float b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_LE_OQ)}; }
inline Mask operator>=(Float a, Float b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_GE_OQ)}; }
inline Mask operator&(Mask a, Mask b) { return {static_cast<__mmask16>(a.lanes & b.lanes)}; }
inline Mask operator|(Mask a, Mask b) { return {static_cast<__mmask16>(a.lanes | b.lanes)}; }
inline Mask operator~(Mask a) { return {static_cast<__mmask16>(~a.lanes)}; }
inline Mask& operator&=(Mask& a, Mask b) { return a = a & b; }
inline Mask& operator|=(Mask& a, Mask b) { return a = a | b; }
inline unsigned lane_mask(Mask m) { return m.lanes; }

inline Float splat(double x) { return {_mm512_set1_ps(static_cast<float>(x))}; }
inline Float load(const float* p) { return {_mm512_loadu_ps(p)}; }
inline void store(Float v, float* p) { _mm512_storeu_ps(p, v.v); }
inline void store(Int v, int32_t* p) { _mm512_storeu_si512(p, v.v); }
inline Float fused(Float a, Float b, Float c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
inline Float round_even(Float v) {
  return {_mm512_roundscale_ps(v.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
// The second operand where the first is NaN.
inline Float minimum(Float a, Float b) { return {_mm512_min_ps(a.v, b.v)}; }
inline Float maximum(Float a, Float b) { return {_mm512_max_ps(a.v, b.v)}; }
inline Float absolute(Float v) { return {_mm512_abs_ps(v.v)}; }
inline Int to_int(Float v) { return {_mm512_cvttps_epi32(v.v)}; }
inline Float load_u16(const uint16_t* p) {
  const __m256i raw = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  return {_mm512_cvtepi32_ps(_mm512_cvtepu16_epi32(raw))};
}
// Into a register and then stored whole: stores that compress are microcode on Zen 4.
inline void compress(Int v, unsigned mask, int32_t* out) {
  _mm512_storeu_si512(out, _mm512_maskz_compress_epi32(static_cast<__mmask16>(mask), v.v));
}
inline void compress(Float v, unsigned mask, float* out) {
  _mm512_storeu_ps(out, _mm512_maskz_compress_ps(static_cast<__mmask16>(mask), v.v));
}
inline uint64_t expand_bits(uint64_t packed, uint64_t lanes) { return _pdep_u64(packed, lanes); }

}  // namespace
}  // namespace spatialcore

#include "cpu/isa/occlusion_kernel.inc"

namespace spatialcore {

int64_t occlusion_avx512(const OcclusionFrame& frame, const BlockView& blocks, int64_t first,
                         int64_t last, uint64_t* bits, Pending* pending) {
  return occlusion_run(frame, blocks, first, last, bits, pending);
}

}  // namespace spatialcore
