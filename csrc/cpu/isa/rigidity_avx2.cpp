// SPDX-License-Identifier: Apache-2.0
// Rigidity with 8 float32 or 4 float64 pairs to a register. The square root is the ceiling; the
// rest of the step fits beside it. 4 rows x (previous, sum) leave 8 registers for the step.
#include <immintrin.h>

#include "cpu/isa/rigidity_loops.h"

namespace spatialcore {
namespace {

template <class S>
struct Avx2;

template <>
struct Avx2<float> {
  static constexpr int kLanes = 8;
  using V = __m256;
  static V load(const float* p) { return _mm256_loadu_ps(p); }
  static void store(float* p, V v) { _mm256_storeu_ps(p, v); }
  static V all(float value) { return _mm256_set1_ps(value); }
  static V from_row(V column, const float* row) { return sub(column, all(row[0])); }
  static V sub(V a, V b) { return _mm256_sub_ps(a, b); }
  static V add(V a, V b) { return _mm256_add_ps(a, b); }
  static V mul(V a, V b) { return _mm256_mul_ps(a, b); }
  static V sqrt(V a) { return _mm256_sqrt_ps(a); }
  static V abs(V a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
  static V add_where_greater(V sum, V a, V b, V value) {
    return add(sum, _mm256_and_ps(_mm256_cmp_ps(a, b, _CMP_GT_OQ), value));
  }
  static V add_where_at_least(V sum, V a, V b, V value) {
    return add(sum, _mm256_and_ps(_mm256_cmp_ps(a, b, _CMP_GE_OQ), value));
  }
  static V min(V a, V b) { return _mm256_min_ps(a, b); }
};

template <>
struct Avx2<double> {
  static constexpr int kLanes = 4;
  using V = __m256d;
  static V load(const double* p) { return _mm256_loadu_pd(p); }
  static void store(double* p, V v) { _mm256_storeu_pd(p, v); }
  static V all(double value) { return _mm256_set1_pd(value); }
  static V from_row(V column, const double* row) { return sub(column, all(row[0])); }
  static V sub(V a, V b) { return _mm256_sub_pd(a, b); }
  static V add(V a, V b) { return _mm256_add_pd(a, b); }
  static V mul(V a, V b) { return _mm256_mul_pd(a, b); }
  static V sqrt(V a) { return _mm256_sqrt_pd(a); }
  static V abs(V a) { return _mm256_andnot_pd(_mm256_set1_pd(-0.0), a); }
  static V add_where_greater(V sum, V a, V b, V value) {
    return add(sum, _mm256_and_pd(_mm256_cmp_pd(a, b, _CMP_GT_OQ), value));
  }
  static V add_where_at_least(V sum, V a, V b, V value) {
    return add(sum, _mm256_and_pd(_mm256_cmp_pd(a, b, _CMP_GE_OQ), value));
  }
  static V min(V a, V b) { return _mm256_min_pd(a, b); }
};

}  // namespace

template <class S, ChangeMode kMode>
void change_avx2(const ChangeBlock<S>& block) {
  change_block<Avx2<S>, S, kMode, 4>(block);
}

template void change_avx2<double, ChangeMode::kSum>(const ChangeBlock<double>&);
template void change_avx2<double, ChangeMode::kRms>(const ChangeBlock<double>&);
template void change_avx2<float, ChangeMode::kExact>(const ChangeBlock<float>&);
template void change_avx2<float, ChangeMode::kFast>(const ChangeBlock<float>&);

double pair_sum_avx2(const double* a, const double* b, int64_t step_count, double noise_floor) {
  return pair_sum<Avx2<double>>(a, b, step_count, noise_floor);
}

}  // namespace spatialcore
