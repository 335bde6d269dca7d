// SPDX-License-Identifier: Apache-2.0
// One rate of this machine that bounds a kernel, for the instruction set that this file is compiled
// for: `ceilings NAME` prints units a second of one core.
//
//   overlap_bits  what a dense overlap loop does for a pair of bits: and + popcount + add
//                 of registers; with AVX2 shuffle + add, since the lookup needs no `and`
//   sqrt_float32, sqrt_float64   square roots of vectors
//   read_bytes, copy_bytes       of memory that no cache holds
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
double fastest(Fn fn, int repeats) {
  double best = 1e9;
  for (int repeat = 0; repeat < repeats; ++repeat) {
    const double begin = seconds();
    fn();
    best = std::min(best, seconds() - begin);
  }
  return best;
}

constexpr long kRounds = 200000;
constexpr int kRepeats = 9;

#if defined(__AVX512VPOPCNTDQ__)
using Vector = __m512i;
constexpr double kBitPairs = 512;
inline Vector filled(int x) { return _mm512_set1_epi32(x); }
inline Vector load(const char* p) { return _mm512_loadu_si512(p); }
#define COUNT(i)                                                           \
  {                                                                        \
    Vector t;                                                              \
    asm volatile("vpandq %2, %3, %1\n vpopcntq %1, %1\n vpaddq %1, %0, %0" \
                 : "+v"(q##i), "=&v"(t)                                    \
                 : "v"(r##i), "v"(x));                                     \
  }
#define SQRT(kind, i) asm volatile("vsqrt" kind " %1, %0" : "=v"(q##i) : "v"(r##i));
#elif defined(__AVX2__)
using Vector = __m256i;
constexpr double kBitPairs = 128;  // a byte of the table counts a nibble of each of 32 pairs
inline Vector filled(int x) { return _mm256_set1_epi32(x); }
inline Vector load(const char* p) { return _mm256_loadu_si256(reinterpret_cast<const Vector*>(p)); }
#define COUNT(i)                                          \
  {                                                       \
    Vector t;                                             \
    asm volatile("vpshufb %2, %3, %1\n vpaddb %1, %0, %0" \
                 : "+x"(q##i), "=&x"(t)                   \
                 : "x"(r##i), "x"(x));                    \
  }
#define SQRT(kind, i) asm volatile("vsqrt" kind " %1, %0" : "=x"(q##i) : "x"(r##i));
#else
using Vector = __m128i;
constexpr double kBitPairs = 64;
inline Vector filled(int x) { return _mm_set1_epi32(x); }
inline Vector load(const char* p) { return _mm_loadu_si128(reinterpret_cast<const Vector*>(p)); }
#define COUNT(i)                                                        \
  {                                                                     \
    uint64_t t;                                                         \
    asm volatile("mov %3, %1\n and %2, %1\n popcnt %1, %1\n add %1, %0" \
                 : "+r"(sum[i & 3]), "=&r"(t)                           \
                 : "r"(word[i & 3]), "r"(other));                       \
  }
#define SQRT(kind, i) asm volatile("sqrt" kind " %1, %0" : "=x"(q##i) : "x"(r##i));
#endif

#define EIGHT(op) op(0) op(1) op(2) op(3) op(4) op(5) op(6) op(7)
#define DECLARE(i) Vector r##i = filled(0x3f800000 + i), q##i = r##i;
#define SQRT_PS(i) SQRT("ps", i)
#define SQRT_PD(i) SQRT("pd", i)

double read_bytes() {
  constexpr size_t kBytes = size_t{1} << 27;
  const std::vector<char> from(kBytes, 1);
  const double spent = fastest(
      [&] {
        for (size_t i = 0; i < kBytes; i += 64) {
          for (size_t k = 0; k < 64; k += sizeof(Vector)) {
            Vector v = load(from.data() + i + k);
            asm volatile("" : "+x"(v));
          }
        }
      },
      5);
  return kBytes / spent;
}

double copy_bytes() {
  const std::vector<char> from(1 << 27, 1);
  std::vector<char> to(1 << 27, 2);
  return from.size() / fastest([&] { std::memcpy(to.data(), from.data(), from.size()); }, 5);
}

double rate(const char* name) {
  EIGHT(DECLARE)
  [[maybe_unused]] Vector x = filled(0x03030303);
  [[maybe_unused]] uint64_t sum[4] = {}, word[4] = {1, 2, 3, 4}, other = 5;
  if (!std::strcmp(name, "overlap_bits")) {
    const auto loop = [&] {
      for (long n = 0; n < kRounds; ++n) {
        EIGHT(COUNT)
      }
    };
    return kRounds * 8 * kBitPairs / fastest(loop, kRepeats);
  }
  if (!std::strcmp(name, "sqrt_float32")) {
    const auto loop = [&] {
      for (long n = 0; n < kRounds / 4; ++n) {
        EIGHT(SQRT_PS)
      }
    };
    return kRounds * 2.0 * (sizeof(Vector) / 4) / fastest(loop, kRepeats);
  }
  if (!std::strcmp(name, "sqrt_float64")) {
    const auto loop = [&] {
      for (long n = 0; n < kRounds / 4; ++n) {
        EIGHT(SQRT_PD)
      }
    };
    return kRounds * 2.0 * (sizeof(Vector) / 8) / fastest(loop, kRepeats);
  }
  return std::strcmp(name, "read_bytes") ? copy_bytes() : read_bytes();
}

}  // namespace

int main(int, char** arguments) { std::printf("%.5g\n", rate(arguments[1])); }
