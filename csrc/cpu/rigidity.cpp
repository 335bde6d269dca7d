// SPDX-License-Identifier: Apache-2.0
// Distance changes on the CPU: packing, tasks for the threads, float64 redo. See
// spatialcore/rigidity.h.
#include "spatialcore/rigidity.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <type_traits>

#include "cpu/isa/rigidity_loops.h"
#include "cpu/thread_pool.h"
#include "cpu/track_blocks.h"

namespace spatialcore {
namespace {

constexpr int64_t kBlockGroup = 4;      // row blocks that share one pass over the column blocks
constexpr double kNeverTogether = 1e6;  // metres: the RMS change of tracks without a common step

struct Clip {
  const double* tracks;
  int64_t step_count;
  int64_t track_count;
  double noise_floor;
  Range range;
};

// Runs `kernel` over all blocks i <= j and hands the pairs of track i with `count` tracks from j on
// to `take`.
template <class S, class Take>
void for_pairs(const Clip& clip, const std::vector<S>& packed, ChangeFn<S> kernel, int threads,
               Take take) {
  const int64_t n = clip.track_count;
  const int64_t block_count = (n + kTrackBlock - 1) / kTrackBlock;
  const int64_t size = clip.step_count * 3 * kTrackBlock;
  const int64_t group_count = (block_count + kBlockGroup - 1) / kBlockGroup;
  parallel_for(group_count, 1, threads, [&](int64_t begin, int64_t end) {
    alignas(32) S sum[kTrackBlock * kTrackBlock], near[kTrackBlock * kTrackBlock];
    const int64_t last_block = std::min(end * kBlockGroup, block_count);
    for (int64_t bj = begin * kBlockGroup; bj < block_count; ++bj) {
      for (int64_t bi = begin * kBlockGroup; bi < std::min(last_block, bj + 1); ++bi) {
        kernel({packed.data() + bi * size, packed.data() + bj * size, clip.step_count,
                static_cast<S>(clip.noise_floor), sum, near});
        const int64_t j_end = std::min(n, (bj + 1) * kTrackBlock);
        for (int64_t i = bi * kTrackBlock; i < std::min(n, (bi + 1) * kTrackBlock); ++i) {
          const int64_t j = std::max(i + 1, bj * kTrackBlock);
          const int64_t at = (i % kTrackBlock) * kTrackBlock + j % kTrackBlock;
          if (j < j_end) take(i, j, j_end - j, sum + at, near + at);
        }
      }
    }
  });
}

template <class S, ChangeMode kMode>
ChangeFn<S> pick() {
  // The baseline's vectors are NEON registers on AArch64.
  static constexpr IsaTable<ChangeFn<S>> kTable{change_baseline<S, kMode>,
                                                SC_AVX2(change_avx2<S, kMode>),
                                                SC_AVX512(change_avx512<S, kMode>), nullptr};
  return kTable.active();
}

void sum_float64(const Clip& clip, ChangeMode mode, double* condensed, int threads) {
  const double zero[3] = {};
  const auto packed = pack<double>(clip.tracks, clip.step_count, clip.track_count, zero, threads);
  const int64_t n = clip.track_count;
  if (mode == ChangeMode::kRms) {
    for_pairs<double>(
        clip, packed, pick<double, ChangeMode::kRms>(), threads,
        [=](int64_t i, int64_t j, int64_t count, const double* sum, const double* present_count) {
          double* out = condensed + condensed_row(i, n) + j;
          for (int64_t k = 0; k < count; ++k) {
            out[k] = present_count[k] > 0 ? std::sqrt(sum[k] / present_count[k]) : kNeverTogether;
          }
        });
  } else {
    for_pairs<double>(clip, packed, pick<double, ChangeMode::kSum>(), threads,
                      [=](int64_t i, int64_t j, int64_t count, const double* sum, const double*) {
                        std::copy_n(sum, count, condensed + condensed_row(i, n) + j);
                      });
  }
}

void sum_float32(const Clip& clip, ChangeMode mode, double* condensed, int64_t* redone_count,
                 int threads) {
  const auto packed =
      pack<float>(clip.tracks, clip.step_count, clip.track_count, clip.range.middle, threads);
  const int64_t n = clip.track_count;
  if (mode == ChangeMode::kFast) {
    for_pairs<float>(clip, packed, pick<float, ChangeMode::kFast>(), threads,
                     [=](int64_t i, int64_t j, int64_t count, const float* sum, const float*) {
                       std::copy_n(sum, count, condensed + condensed_row(i, n) + j);
                     });
    return;
  }
  static constexpr IsaTable<PairSumFn> kPairSum{pair_sum_baseline, SC_AVX2(pair_sum_avx2),
                                                SC_AVX512(pair_sum_avx512), nullptr};
  const PairSumFn pair_sum = kPairSum.active();
  const SingleTracks singles(clip.tracks, clip.step_count, n, threads);
  const Reach reach(clip.tracks, clip.step_count, n);
  const double largest = clip.range.largest, floor = clip.noise_floor;
  // Most pairs are clear of the floor by the margin of the longest distance that there can be.
  const float widest = float32_margin(largest, floor, 2.0 * std::sqrt(3.0) * clip.range.extent);
  std::atomic<int64_t> redone{0};
  for_pairs<float>(
      clip, packed, pick<float, ChangeMode::kExact>(), threads,
      [&](int64_t i, int64_t j, int64_t count, const float* sum, const float* near) {
        double* out = condensed + condensed_row(i, n) + j;
        std::copy_n(sum, count, out);
        for (int64_t k = 0; k < count; ++k) {
          if (near[k] > widest || near[k] > float32_margin(largest, floor, reach(i, j + k))) {
            continue;
          }
          out[k] = pair_sum(singles[i], singles[j + k], clip.step_count, floor);
          redone.fetch_add(1, std::memory_order_relaxed);
        }
      });
  if (redone_count) *redone_count = redone.load();
}

}  // namespace

float float32_margin(double largest_coordinate, double noise_floor, double largest_distance) {
  constexpr double kUnit = 1.0 / (1 << 24);
  return static_cast<float>(
      kUnit * (7.2 * largest_coordinate + 9.0 * largest_distance + 2.0 * noise_floor) + 1e-30);
}

void distance_change_cpu(const double* tracks, int64_t step_count, int64_t track_count,
                         double noise_floor, ChangeMode mode, double* condensed,
                         int64_t* redone_count, int threads) {
  if (redone_count) *redone_count = 0;
  if (track_count < 2) return;
  if (step_count == 0) {
    std::fill_n(condensed, track_count * (track_count - 1) / 2,
                mode == ChangeMode::kRms ? kNeverTogether : 0.0);
    return;
  }
  Clip clip{tracks, step_count, track_count, noise_floor, {}};
  const bool narrow = mode == ChangeMode::kExact || mode == ChangeMode::kFast;
  if (narrow) clip.range = measure(tracks, step_count * track_count);
  if (narrow && clip.range.extent < kLargestFloat32 && noise_floor < kLargestFloat32) {
    sum_float32(clip, mode, condensed, redone_count, threads);
  } else {
    sum_float64(clip, narrow ? ChangeMode::kSum : mode, condensed, threads);
  }
}

}  // namespace spatialcore
