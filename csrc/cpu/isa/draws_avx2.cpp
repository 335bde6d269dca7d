// SPDX-License-Identifier: Apache-2.0
// The draw loop in AVX2, four ids a step. There is no 64-bit product: it is made of three of 32
// bits, modulo 2^64 as the scalar one.
#include <immintrin.h>

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

void draw_loop_avx2(uint64_t state, const int64_t* ids, int64_t count, uint64_t* out) {
  const __m256i start = _mm256_set1_epi64x(static_cast<int64_t>(state));
  const __m256i golden = _mm256_set1_epi64x(static_cast<int64_t>(0x9E3779B97F4A7C15));
  int64_t k = 0;
  for (; k + 4 <= count; k += 4) {
    const __m256i id = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(ids + k));
    __m256i z = _mm256_add_epi64(_mm256_xor_si256(start, id), golden);
    z = times(shifted(z, 30), 0xBF58476D1CE4E5B9);
    z = times(shifted(z, 27), 0x94D049BB133111EB);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + k), shifted(z, 31));
  }
  for (; k < count; ++k) out[k] = fold(state, static_cast<uint64_t>(ids[k]));
}

}  // namespace spatialcore
