// SPDX-License-Identifier: Apache-2.0
// Which visible points may be asked about. Contract: spatialcore/askable.h.
//
//   view      points (P, 3) float32, K, cam_from_world, depth (F, h, w), sizes and pixel map   in
//   visible   (F, ceil(P/64)) bits                                                             in
//   words     (F, ceil(P/64)) bits, of the view; every word is written                         out
//
// Numerics: `is_askable` in float64, without fused operations, as on the CPU: every bit is equal.
//
// A thread block owns 256 points and a tile of 32 frames: a point is read once, and a warp whose 32
// points a frame does not see costs one read and one write of 4 bytes. The disc's readings, about
// pi disc_radius^2 a visible point, are neighbours of its own reading and hit L1 and L2.
// Docs: docs/gpu.md. Tests: tests/ops/test_cuda_host.py, tests/ops/test_gpu.py.
#include "cuda/stream.cuh"

namespace spatialcore {
namespace {

constexpr int kThreadsPerBlock = 256;
constexpr int kFrameTile = 32;

template <class DepthType>
__global__ void askable_kernel(DeviceView view, const uint32_t* __restrict__ visible,
                               AskableRule rule) {
  const int64_t p = static_cast<int64_t>(blockIdx.x) * kThreadsPerBlock + threadIdx.x;
  const int64_t half_count = 2 * ((view.point_count + 63) / 64);
  const int64_t half = p / 32, lane = p % 32;
  const int64_t first = static_cast<int64_t>(blockIdx.y) * kFrameTile;
  if (half >= half_count) return;  // whole warps
  const float* points = static_cast<const float*>(view.points);
  const DepthType* maps = static_cast<const DepthType*>(view.depth);
  uint32_t* halves = reinterpret_cast<uint32_t*>(view.words);
  const int64_t map_size = view.rule.depth_width * view.rule.depth_height;
  const int64_t reach = static_cast<int64_t>(rule.disc_radius);
  const auto half_width = [&](int64_t dy) { return disc_half_width(rule.disc_radius, dy); };
  double point[3] = {0, 0, 0};
  for (int a = 0; a < 3 && p < view.point_count; ++a) point[a] = points[3 * p + a];
  for (int i = 0; i < kFrameTile && first + i < view.frame_count; ++i) {
    const int64_t f = first + i;
    const uint32_t seen = visible[f * half_count + half];
    uint32_t kept = 0;
    if (seen) {
      const bool asked = (seen >> lane & 1) &&
                         is_askable(view.rule, rule, view.cam_from_world + 16 * f,
                                    pinhole(view.K + 9 * f), map_of(view, f), maps + f * map_size,
                                    point[0], point[1], point[2], reach, half_width);
      kept = __ballot_sync(kAllLanes, asked);
    }
    if (lane == 0) halves[f * half_count + half] = kept;
  }
}

}  // namespace

void askable_points_cuda(const DeviceView& view, const uint64_t* visible, const AskableRule& rule,
                         bool depth_is_float, Stream stream) {
  if (view.point_count == 0 || view.frame_count == 0) return;
  const dim3 grid(ceil_div(view.point_count, kThreadsPerBlock),
                  ceil_div(view.frame_count, kFrameTile));
  const dim3 block(kThreadsPerBlock);
  const auto* halves = reinterpret_cast<const uint32_t*>(visible);
  if (depth_is_float) {
    SC_LAUNCH(askable_kernel<float>, grid, block, native(stream), view, halves, rule);
  } else {
    SC_LAUNCH(askable_kernel<uint16_t>, grid, block, native(stream), view, halves, rule);
  }
  check_launch("askable_kernel");
}

}  // namespace spatialcore
