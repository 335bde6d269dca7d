// SPDX-License-Identifier: Apache-2.0
// The draw loop in AVX2, four ids a step. There is no 64-bit product: it is made of three of 32
// bits, modulo 2^64 as the scalar one.
#include <immintrin.h>

#include <limits>

#include "cpu/isa/draws_loops.h"
#include "spatialcore/draws.h"

namespace spatialcore {
namespace {

inline __m256i times(__m256i a, uint64_t factor) {
  const __m256i b = _mm256_set1_epi64x(static_cast<int64_t>(factor));
  const __m256i high = _mm256_set1_epi64x(static_cast<int64_t>(factor >> 32));
  const __m256i crossed =
      _mm256_add_epi64(_mm256_mul_epu32(_mm256_srli_epi64(a, 32), b), _mm256_mul_epu32(a, high));
  return _mm256_add_epi64(_mm256_mul_epu32(a, b), _mm256_slli_epi64(crossed, 32));
}

inline __m256i shifted(__m256i z, int bits) {
  return _mm256_xor_si256(z, _mm256_srli_epi64(z, bits));
}

}  // namespace

int64_t draw_loop_avx2(uint64_t state, const int64_t* ids, int64_t count, uint64_t bound,
                       int64_t* at, uint64_t* values) {
  const __m256i start = _mm256_set1_epi64x(static_cast<int64_t>(state));
  const __m256i golden = _mm256_set1_epi64x(static_cast<int64_t>(0x9E3779B97F4A7C15));
  // Unsigned numbers compare as signed ones do once their highest bits are flipped.
  const __m256i flip = _mm256_set1_epi64x(std::numeric_limits<int64_t>::min());
  const __m256i most = _mm256_xor_si256(_mm256_set1_epi64x(static_cast<int64_t>(bound)), flip);
  int64_t k = 0, found = 0;
  for (; k + 4 <= count; k += 4) {
    const __m256i id = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(ids + k));
    __m256i z = _mm256_add_epi64(_mm256_xor_si256(start, id), golden);
    z = times(shifted(z, 30), 0xBF58476D1CE4E5B9);
    z = shifted(times(shifted(z, 27), 0x94D049BB133111EB), 31);
    const __m256i above = _mm256_cmpgt_epi64(_mm256_xor_si256(z, flip), most);
    int kept = ~_mm256_movemask_pd(_mm256_castsi256_pd(above)) & 15;
    if (kept == 0) continue;
    alignas(32) uint64_t four[4];
    _mm256_store_si256(reinterpret_cast<__m256i*>(four), z);
    for (; kept != 0; kept &= kept - 1) {
      const int lane = __builtin_ctz(kept);
      at[found] = k + lane, values[found++] = four[lane];
    }
  }
  for (; k < count; ++k) {
    const uint64_t value = fold(state, static_cast<uint64_t>(ids[k]));
    if (value <= bound) at[found] = k, values[found++] = value;
  }
  return found;
}

}  // namespace spatialcore
