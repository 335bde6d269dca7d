// SPDX-License-Identifier: Apache-2.0
// Contract: spatialcore/occlusion.h. This file shares frames and runs of blocks out to threads,
// runs the loops of the instruction set, decides in float64 what they left open, and puts bits in
// the caller's order. The loops' error bound: csrc/cpu/occlusion_frame.cpp.
#include "spatialcore/occlusion.h"

#include <cstring>

#include "cpu/isa/dispatch.h"
#include "cpu/isa/occlusion_loops.h"
#include "cpu/occlusion_task.h"
#include "cpu/point_blocks.h"
#include "cpu/thread_pool.h"

namespace spatialcore {
namespace {

constexpr IsaTable<OcclusionFn> kLoops{occlusion_baseline, SC_AVX2(occlusion_avx2),
                                       SC_AVX512(occlusion_avx512), SC_NEON(occlusion_neon)};

template <class T, class D>
void visible_typed(const PointBlocks& blocks, View<const double, 3> K, View<const double, 3> poses,
                   const DepthMaps& depth, const OcclusionRule& rule, uint64_t* words,
                   int threads) {
  const int64_t frame_count = poses.shape[0], count = blocks.points().count;
  const int64_t row_words = (count + 63) / 64;
  const int64_t run_count = (blocks.view().block_count + kRunBlocks - 1) / kRunBlocks;
  if (threads <= 0) threads = available_threads();
  // Few frames: their runs are shared out too, unless bits are scattered to a common row.
  const bool split = frame_count < 4 * threads && blocks.order().empty();
  const int64_t part_count = split ? run_count : 1;
  const OcclusionFn loops = kLoops.active();
  std::memset(words, 0, frame_count * row_words * sizeof(uint64_t));
  const auto task = [&](int64_t f) {
    return FrameTask<T, D>{blocks,
                           rule,
                           poses.row(f),
                           pinhole(K.row(f)),
                           depth.from_image[f],
                           static_cast<const D*>(depth.maps[f]),
                           words + f * row_words};
  };
  parallel_for(frame_count * part_count, 1, threads, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      const int64_t part = i % part_count;
      task(i / part_count).run(loops, split ? part : 0, split ? part + 1 : run_count);
    }
  });
  if (blocks.far_rows().empty()) return;
  for (int64_t f = 0; f < frame_count; ++f) task(f).run_far();
}

}  // namespace

void visible_points_cpu(const PointBlocks& blocks, View<const double, 3> K,
                        View<const double, 3> cam_from_world, const DepthMaps& depth,
                        const OcclusionRule& rule, uint64_t* words, int threads) {
  if (blocks.points().count == 0) return;
  const bool wide = blocks.points().is_float64;
  const auto run =
      wide ? (depth.is_float ? visible_typed<double, float> : visible_typed<double, uint16_t>)
           : (depth.is_float ? visible_typed<float, float> : visible_typed<float, uint16_t>);
  run(blocks, K, cam_from_world, depth, rule, words, threads);
}

}  // namespace spatialcore
