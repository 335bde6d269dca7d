// SPDX-License-Identifier: Apache-2.0
// Occlusion loops for AVX2, FMA and BMI2. Eight lanes.
#include <immintrin.h>

#include <cstdint>

namespace spatialcore {
namespace {

using Float = float __attribute__((vector_size(32)));
using Int = int32_t __attribute__((vector_size(32)));
using Mask = Int;  // all bits of a lane or none
constexpr int kLanes = 8;

inline Float splat(double x) { return _mm256_set1_ps(static_cast<float>(x)); }
inline Float load(const float* p) { return _mm256_loadu_ps(p); }
inline void store(Float v, float* p) { _mm256_storeu_ps(p, v); }
inline void store(Int v, int32_t* p) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), reinterpret_cast<__m256i>(v));
}
inline Float fused(Float a, Float b, Float c) { return _mm256_fmadd_ps(a, b, c); }
inline Float round_even(Float v) {
  return _mm256_round_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
// The second operand where the first is NaN.
inline Float minimum(Float a, Float b) { return _mm256_min_ps(a, b); }
inline Float maximum(Float a, Float b) { return _mm256_max_ps(a, b); }
inline Float absolute(Float v) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), v); }
inline Int to_int(Float v) { return reinterpret_cast<Int>(_mm256_cvttps_epi32(v)); }
inline unsigned lane_mask(Int v) {
  return static_cast<unsigned>(_mm256_movemask_ps(reinterpret_cast<__m256>(v)));
}
inline Float load_u16(const uint16_t* p) {
  const __m128i raw = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return _mm256_cvtepi32_ps(_mm256_cvtepu16_epi32(raw));
}

// Lanes of an 8-bit mask, packed to the front, one byte each.
struct PackTable {
  alignas(64) uint64_t lanes[256];
  constexpr PackTable() : lanes{} {
    for (int mask = 0; mask < 256; ++mask) {
      int filled = 0;
      for (int lane = 0; lane < 8; ++lane) {
        if (mask >> lane & 1) lanes[mask] |= static_cast<uint64_t>(lane) << (8 * filled++);
      }
    }
  }
};
constexpr PackTable kPack;

inline __m256i pack_order(unsigned mask) {
  return _mm256_cvtepu8_epi32(
      _mm_loadl_epi64(reinterpret_cast<const __m128i*>(kPack.lanes + mask)));
}
inline void compress(Int v, unsigned mask, int32_t* out) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(out),
                      _mm256_permutevar8x32_epi32(reinterpret_cast<__m256i>(v), pack_order(mask)));
}
inline void compress(Float v, unsigned mask, float* out) {
  _mm256_storeu_ps(out, _mm256_permutevar8x32_ps(v, pack_order(mask)));
}
inline uint64_t expand_bits(uint64_t packed, uint64_t lanes) { return _pdep_u64(packed, lanes); }

}  // namespace
}  // namespace spatialcore

#include "cpu/isa/occlusion_kernel.inc"

namespace spatialcore {

int64_t occlusion_avx2(const OcclusionFrame& frame, const BlockView& blocks, int64_t first,
                       int64_t last, uint64_t* bits, Pending* pending) {
  return occlusion_run(frame, blocks, first, last, bits, pending);
}

}  // namespace spatialcore
