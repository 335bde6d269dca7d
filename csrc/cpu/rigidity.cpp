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

// Runs `kernel` over all blocks i <= j and hands every pair i < j to `take`.
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
        for (int64_t i = bi * kTrackBlock; i < std::min(n, (bi + 1) * kTrackBlock); ++i) {
          const int64_t j_end = std::min(n, (bj + 1) * kTrackBlock);
          for (int64_t j = std::max(i + 1, bj * kTrackBlock); j < j_end; ++j) {
            const int64_t at = (i % kTrackBlock) * kTrackBlock + j % kTrackBlock;
            take(i, j, sum[at], near[at]);
          }
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
    for_pairs<double>(clip, packed, pick<double, ChangeMode::kRms>(), threads,
                      [=](int64_t i, int64_t j, double sum, double count) {
                        condensed[condensed_row(i, n) + j] =
                            count > 0 ? std::sqrt(sum / count) : kNeverTogether;
                      });
  } else {
    for_pairs<double>(clip, packed, pick<double, ChangeMode::kSum>(), threads,
                      [=](int64_t i, int64_t j, double sum, double) {
                        condensed[condensed_row(i, n) + j] = sum;
                      });
  }
}

void sum_float32(const Clip& clip, ChangeMode mode, double* condensed, int64_t* redone_count,
                 int threads) {
  const auto packed =
      pack<float>(clip.tracks, clip.step_count, clip.track_count, clip.range.middle, threads);
  const int64_t n = clip.track_count;
  if (mode == ChangeMode::kFast) {
    for_pairs<float>(
        clip, packed, pick<float, ChangeMode::kFast>(), threads,
        [=](int64_t i, int64_t j, float sum, float) { condensed[condensed_row(i, n) + j] = sum; });
    return;
  }
  const auto wide = by_track(clip.tracks, clip.step_count, n, threads);
  const int64_t run = clip.step_count * 3;
  const Reach reach(clip.tracks, clip.step_count, n);
  const double largest = clip.range.largest, floor = clip.noise_floor;
  // Most pairs are clear of the floor by the margin of the longest distance that there can be.
  const float widest = float32_margin(largest, floor, 2.0 * std::sqrt(3.0) * clip.range.extent);
  std::atomic<int64_t> redone{0};
  for_pairs<float>(
      clip, packed, pick<float, ChangeMode::kExact>(), threads,
      [&](int64_t i, int64_t j, float sum, float near) {
        double value = sum;
        if (!(near > widest) && !(near > float32_margin(largest, floor, reach(i, j)))) {
          value = redo_pair(&wide[i * run], &wide[j * run], clip.step_count, floor);
          redone.fetch_add(1, std::memory_order_relaxed);
        }
        condensed[condensed_row(i, n) + j] = value;
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
