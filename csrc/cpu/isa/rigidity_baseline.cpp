// SPDX-License-Identifier: Apache-2.0
// Rigidity over blocks of two tracks in the compiler's vectors of 16 bytes: SSE registers with
// x86-64-v2, NEON registers on AArch64.
#include <cmath>

#include "cpu/isa/rigidity_loops.h"

namespace spatialcore {
namespace {

template <class S>
struct Registers;
template <>
struct Registers<float> {
  using V = float __attribute__((vector_size(16)));
  using Bits = int32_t __attribute__((vector_size(16)));  // all bits of a lane or none
};
template <>
struct Registers<double> {
  using V = double __attribute__((vector_size(16)));
  using Bits = int64_t __attribute__((vector_size(16)));
};

template <class S>
struct Plain {
  static constexpr int kLanes = 16 / sizeof(S);
  using V = typename Registers<S>::V;
  using Bits = typename Registers<S>::Bits;

  static V load(const S* p) {
    V v;
    __builtin_memcpy(&v, p, sizeof(v));
    return v;
  }
  static void store(S* p, V v) { __builtin_memcpy(p, &v, sizeof(v)); }
  static V all(S value) { return V{} + value; }
  static V from_row(V column, const S* row) { return column - row[0]; }
  static V sub(V a, V b) { return a - b; }
  static V add(V a, V b) { return a + b; }
  static V mul(V a, V b) { return a * b; }
  static V sqrt(V a) {
    V root;
    for (int n = 0; n < kLanes; ++n) root[n] = std::sqrt(a[n]);
    return root;
  }
  static V abs(V a) {
    const V sign = -V{};
    return reinterpret_cast<V>(reinterpret_cast<Bits>(a) & ~reinterpret_cast<Bits>(sign));
  }
  static V add_where_greater(V sum, V a, V b, V value) { return sum + choose(a > b, value, V{}); }
  static V add_where_at_least(V sum, V a, V b, V value) { return sum + choose(a >= b, value, V{}); }
  static V min(V a, V b) { return a < b ? a : b; }

 private:
  static V choose(Bits mask, V a, V b) {
    return reinterpret_cast<V>((mask & reinterpret_cast<Bits>(a)) |
                               (~mask & reinterpret_cast<Bits>(b)));
  }
};

}  // namespace

template <class S, ChangeMode kMode>
void change_baseline(const ChangeBlock<S>& block) {
  change_block<Plain<S>, S, kMode, 2>(block);
}

template void change_baseline<double, ChangeMode::kSum>(const ChangeBlock<double>&);
template void change_baseline<double, ChangeMode::kRms>(const ChangeBlock<double>&);
template void change_baseline<float, ChangeMode::kExact>(const ChangeBlock<float>&);
template void change_baseline<float, ChangeMode::kFast>(const ChangeBlock<float>&);

double pair_sum_baseline(const double* a, const double* b, int64_t step_count, double noise_floor) {
  return pair_sum<Plain<double>>(a, b, step_count, noise_floor);
}

}  // namespace spatialcore
