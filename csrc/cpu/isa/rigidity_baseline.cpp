// SPDX-License-Identifier: Apache-2.0
// Rigidity over blocks of two tracks in plain C++: one vector is an array that the compiler maps to
// the widest registers of the baseline.
#include <cmath>

#include "cpu/isa/rigidity_loops.h"

namespace spatialcore {
namespace {

template <class S>
struct Plain {
  static constexpr int kLanes = 16 / sizeof(S);
  struct V {
    S lane[kLanes];
  };
  template <class Fn>
  static V each(Fn fn) {
    V out;
    for (int n = 0; n < kLanes; ++n) out.lane[n] = fn(n);
    return out;
  }
  static V load(const S* p) {
    return each([=](int n) { return p[n]; });
  }
  static void store(S* p, const V& v) {
    for (int n = 0; n < kLanes; ++n) p[n] = v.lane[n];
  }
  static V all(S value) {
    return each([=](int) { return value; });
  }
  static V sub(const V& a, const V& b) {
    return each([&](int n) { return a.lane[n] - b.lane[n]; });
  }
  static V add(const V& a, const V& b) {
    return each([&](int n) { return a.lane[n] + b.lane[n]; });
  }
  static V mul(const V& a, const V& b) {
    return each([&](int n) { return a.lane[n] * b.lane[n]; });
  }
  static V sqrt(const V& a) {
    return each([&](int n) { return std::sqrt(a.lane[n]); });
  }
  static V abs(const V& a) {
    return each([&](int n) { return std::fabs(a.lane[n]); });
  }
  static V where_greater(const V& a, const V& b, const V& value) {
    return each([&](int n) { return a.lane[n] > b.lane[n] ? value.lane[n] : S{0}; });
  }
  static V where_at_least(const V& a, const V& b, const V& value) {
    return each([&](int n) { return a.lane[n] >= b.lane[n] ? value.lane[n] : S{0}; });
  }
  static V min(const V& a, const V& b) {
    return each([&](int n) { return a.lane[n] < b.lane[n] ? a.lane[n] : b.lane[n]; });
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

}  // namespace spatialcore
