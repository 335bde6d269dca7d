// SPDX-License-Identifier: Apache-2.0
// Rates of this machine that bound the kernels, one core, as JSON: bits per second of and +
// popcount by nibbles + add, square roots per second, bytes copied per second.
#include <immintrin.h>
#include <time.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <vector>

namespace {

double seconds() {
  timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return t.tv_sec + t.tv_nsec * 1e-9;
}

template <class Fn>
double fastest(Fn fn) {
  double best = 1e9;
  for (int repeat = 0; repeat < 15; ++repeat) {
    const double begin = seconds();
    fn();
    best = std::min(best, seconds() - begin);
  }
  return best;
}

constexpr long kRounds = 1000000;

}  // namespace

#define EIGHT(op) op(0) op(1) op(2) op(3) op(4) op(5) op(6) op(7)
#define DECLARE(i) __m256i r##i = _mm256_set1_epi32(0x3f800000 + i), q##i = r##i;
// One vector of 128 bit pairs as nibbles: and, shuffle, add.
#define COUNT(i)                                                             \
  {                                                                          \
    __m256i t;                                                               \
    asm volatile("vpand %2, %3, %1\n vpshufb %1, %3, %1\n vpaddb %1, %0, %0" \
                 : "+x"(q##i), "=&x"(t)                                      \
                 : "x"(r##i), "x"(x));                                       \
  }
#define SQRT_PS(i) asm volatile("vsqrtps %1, %0" : "=x"(q##i) : "x"(r##i));
#define SQRT_PD(i) asm volatile("vsqrtpd %1, %0" : "=x"(q##i) : "x"(r##i));

int main() {
  EIGHT(DECLARE)
  const __m256i x = _mm256_set1_epi8(3);
  const double count = fastest([&] {
    for (long n = 0; n < kRounds; ++n) {
      EIGHT(COUNT)
    }
  });
  const double ps = fastest([&] {
    for (long n = 0; n < kRounds / 8; ++n) {
      EIGHT(SQRT_PS)
    }
  });
  const double pd = fastest([&] {
    for (long n = 0; n < kRounds / 8; ++n) {
      EIGHT(SQRT_PD)
    }
  });
  std::vector<char> from(1 << 27, 1), to(1 << 27, 2);
  const double copy = fastest([&] { std::memcpy(to.data(), from.data(), from.size()); });
  std::printf(
      "{\"and_popcount_add_bits\": %.4g, \"sqrt_float32\": %.4g, \"sqrt_float64\": %.4g, "
      "\"copy_bytes\": %.4g}\n",
      kRounds * 8 * 128 / count, kRounds * 8.0 / ps, kRounds * 4.0 / pd, from.size() / copy);
}
