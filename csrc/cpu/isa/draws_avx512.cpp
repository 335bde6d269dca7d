// SPDX-License-Identifier: Apache-2.0
// The draw loop in AVX-512, eight ids a step: a 64-bit product, an unsigned comparison and the
// packing of what is kept are an instruction each.
#include <immintrin.h>

#include "cpu/isa/draws_loops.h"
#include "spatialcore/draws.h"

namespace spatialcore {
namespace {

inline __m512i times(__m512i a, uint64_t factor) {
  return _mm512_mullo_epi64(a, _mm512_set1_epi64(static_cast<int64_t>(factor)));
}

template <int kBits>
inline __m512i shifted(__m512i z) {
  return _mm512_xor_si512(z, _mm512_srli_epi64(z, kBits));
}

}  // namespace

int64_t draw_loop_avx512(uint64_t state, const int64_t* ids, int64_t count, uint64_t bound,
                         int64_t* at, uint64_t* values) {
  const __m512i start = _mm512_set1_epi64(static_cast<int64_t>(state));
  const __m512i golden = _mm512_set1_epi64(static_cast<int64_t>(0x9E3779B97F4A7C15));
  const __m512i most = _mm512_set1_epi64(static_cast<int64_t>(bound));
  const __m512i lanes = _mm512_set_epi64(7, 6, 5, 4, 3, 2, 1, 0);
  int64_t k = 0, found = 0;
  for (; k + 8 <= count; k += 8) {
    __m512i z = _mm512_add_epi64(_mm512_xor_si512(start, _mm512_loadu_si512(ids + k)), golden);
    z = times(shifted<30>(z), 0xBF58476D1CE4E5B9);
    z = shifted<31>(times(shifted<27>(z), 0x94D049BB133111EB));
    const __mmask8 kept = _mm512_cmple_epu64_mask(z, most);
    if (kept == 0) continue;
    // Eight are stored, since found <= k: both arrays have room for `count`.
    const __m512i index = _mm512_add_epi64(lanes, _mm512_set1_epi64(k));
    _mm512_storeu_si512(at + found, _mm512_maskz_compress_epi64(kept, index));
    _mm512_storeu_si512(values + found, _mm512_maskz_compress_epi64(kept, z));
    found += __builtin_popcount(kept);
  }
  for (; k < count; ++k) {
    const uint64_t value = fold(state, static_cast<uint64_t>(ids[k]));
    if (value <= bound) at[found] = k, values[found++] = value;
  }
  return found;
}

}  // namespace spatialcore
