// SPDX-License-Identifier: Apache-2.0
// Rigidity with 16 float32 or 8 float64 pairs to a register. A block has 8 columns, so a register
// of float32 takes them twice, for two rows: the 8 x 8 pairs of a block are 4 registers each of
// previous distances, sums and nearest changes, and one pass over the steps serves all.
#include <immintrin.h>

#include "cpu/isa/rigidity_loops.h"

namespace spatialcore {
namespace {

template <class S>
struct Avx512;

template <>
struct Avx512<float> {
  static constexpr int kLanes = 16;
  using V = __m512;
  static V load(const float* p) { return _mm512_broadcast_f32x8(_mm256_loadu_ps(p)); }
  static void store(float* p, V v) { _mm512_storeu_ps(p, v); }
  static V all(float value) { return _mm512_set1_ps(value); }
  // Lower half: row[0]; upper half: row[1].
  static V from_row(V column, const float* row) {
    const V lower = _mm512_sub_ps(column, _mm512_set1_ps(row[0]));
    return _mm512_mask_sub_ps(lower, 0xFF00, column, _mm512_set1_ps(row[1]));
  }
  static V sub(V a, V b) { return _mm512_sub_ps(a, b); }
  static V add(V a, V b) { return _mm512_add_ps(a, b); }
  static V mul(V a, V b) { return _mm512_mul_ps(a, b); }
  static V sqrt(V a) { return _mm512_sqrt_ps(a); }
  static V abs(V a) { return _mm512_abs_ps(a); }
  static V add_where_greater(V sum, V a, V b, V value) {
    return _mm512_mask_add_ps(sum, _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ), sum, value);
  }
  static V add_where_at_least(V sum, V a, V b, V value) {
    return _mm512_mask_add_ps(sum, _mm512_cmp_ps_mask(a, b, _CMP_GE_OQ), sum, value);
  }
  static V min(V a, V b) { return _mm512_min_ps(a, b); }
};

template <>
struct Avx512<double> {
  static constexpr int kLanes = 8;
  using V = __m512d;
  static V load(const double* p) { return _mm512_loadu_pd(p); }
  static void store(double* p, V v) { _mm512_storeu_pd(p, v); }
  static V all(double value) { return _mm512_set1_pd(value); }
  static V from_row(V column, const double* row) { return _mm512_sub_pd(column, all(row[0])); }
  static V sub(V a, V b) { return _mm512_sub_pd(a, b); }
  static V add(V a, V b) { return _mm512_add_pd(a, b); }
  static V mul(V a, V b) { return _mm512_mul_pd(a, b); }
  static V sqrt(V a) { return _mm512_sqrt_pd(a); }
  static V abs(V a) { return _mm512_abs_pd(a); }
  static V add_where_greater(V sum, V a, V b, V value) {
    return _mm512_mask_add_pd(sum, _mm512_cmp_pd_mask(a, b, _CMP_GT_OQ), sum, value);
  }
  static V add_where_at_least(V sum, V a, V b, V value) {
    return _mm512_mask_add_pd(sum, _mm512_cmp_pd_mask(a, b, _CMP_GE_OQ), sum, value);
  }
  static V min(V a, V b) { return _mm512_min_pd(a, b); }
};

}  // namespace

template <class S, ChangeMode kMode>
void change_avx512(const ChangeBlock<S>& block) {
  change_block<Avx512<S>, S, kMode, 4>(block);
}

template void change_avx512<double, ChangeMode::kSum>(const ChangeBlock<double>&);
template void change_avx512<double, ChangeMode::kRms>(const ChangeBlock<double>&);
template void change_avx512<float, ChangeMode::kExact>(const ChangeBlock<float>&);
template void change_avx512<float, ChangeMode::kFast>(const ChangeBlock<float>&);

double pair_sum_avx512(const double* a, const double* b, int64_t step_count, double noise_floor) {
  return pair_sum<Avx512<double>>(a, b, step_count, noise_floor);
}

}  // namespace spatialcore
