// SPDX-License-Identifier: Apache-2.0
// <immintrin.h> by SIMDe: every AVX-512 function in plain C, whatever the machine. Written here are
// the few that SIMDe 0.7.4 lacks.
#pragma once

#define SIMDE_NO_NATIVE
#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx2.h>
#include <simde/x86/avx512.h>
#include <simde/x86/fma.h>

#include <cstdint>

#if !defined(_MM_FROUND_NO_EXC)
#define _MM_FROUND_NO_EXC SIMDE_MM_FROUND_NO_EXC
#endif

using __mmask8 = simde__mmask8;
using __mmask16 = simde__mmask16;

using Floats16 = float __attribute__((vector_size(64), may_alias));
using Ints16 = int32_t __attribute__((vector_size(64), may_alias));

#if !defined(_mm512_cvttps_epi32)
// Numbers that do not fit give the lowest integer.
inline __m512i _mm512_cvttps_epi32(__m512 v) {
  const Floats16 in = reinterpret_cast<Floats16>(v);
  Ints16 out;
  for (int n = 0; n < 16; ++n) {
    const bool fits = in[n] >= -0x1p31f && in[n] < 0x1p31f;
    out[n] = fits ? static_cast<int32_t>(in[n]) : INT32_MIN;
  }
  return reinterpret_cast<__m512i>(out);
}
#endif

#if !defined(_mm512_cvtepi32_ps)
inline __m512 _mm512_cvtepi32_ps(__m512i v) {
  return reinterpret_cast<__m512>(__builtin_convertvector(reinterpret_cast<Ints16>(v), Floats16));
}
#endif

#if !defined(_mm512_cvtepu16_epi32)
inline __m512i _mm512_cvtepu16_epi32(__m256i v) {
  uint16_t in[16];
  __builtin_memcpy(in, &v, sizeof(in));
  Ints16 out;
  for (int n = 0; n < 16; ++n) out[n] = in[n];
  return reinterpret_cast<__m512i>(out);
}
#endif

#if !defined(_mm256_cvtepi64_epi32)
inline __m128i _mm256_cvtepi64_epi32(__m256i v) {
  int64_t in[4];
  __builtin_memcpy(in, &v, sizeof(in));
  const int32_t out[4] = {static_cast<int32_t>(in[0]), static_cast<int32_t>(in[1]),
                          static_cast<int32_t>(in[2]), static_cast<int32_t>(in[3])};
  __m128i narrow;
  __builtin_memcpy(&narrow, out, sizeof(narrow));
  return narrow;
}
#endif

inline uint64_t _pdep_u64(uint64_t bits, uint64_t mask) {
  uint64_t out = 0;
  for (; mask != 0; mask &= mask - 1, bits >>= 1) {
    if (bits & 1) out |= mask & -mask;
  }
  return out;
}
