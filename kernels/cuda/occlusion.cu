// SPDX-License-Identifier: Apache-2.0
// Which of P points each of F depth frames sees. Contract: spatialcore/occlusion.h.
//
//   points          (P, 3)          m  in   float32 or float64; neighbours in space should be
//                                           neighbours in memory (Morton order), or nothing is
//                                           culled
//   K               (F, 3, 3)          in
//   cam_from_world  (F, 4, 4)          in
//   depth           (F, h, w)          in   uint16 or float32
//   words           (F, 2 ceil(P/64))  out  as uint32 halves, little-endian
//
// Numerics: a point is decided in float32 where that is certain (occlusion_float32.cuh), else by
// `is_visible` in float64, without fused operations, so every bit equals the CPU's. Culling only
// skips what float64 would reject: a block of points by its box against the planes of the frustum,
// with a margin 1e4 times the rounding error of the test. Points that are not finite are never
// visible and do not widen a box.
//
// A thread block owns 256 points and a tile of 32 frames of one scene of the batch: the points are
// read once, their box is reduced once, one warp tests it against all 32 frames, only those that it
// may touch are walked, and every thread stores one half word. Bytes for each point and frame:
// 12/32 of points, 1/8 of bits, and the depth reads of what is inside, which hit L2 as the points
// of a block are neighbours.
// Docs: docs/ops/occlusion.md. Tests: tests/ops/test_cuda_host.py, tests/ops/test_gpu.py.
#include "cuda/occlusion_float32.cuh"
#include "cuda/stream.cuh"

namespace spatialcore {
namespace {

constexpr int kThreadsPerBlock = 256;  // points of a thread block
constexpr int kWarps = kThreadsPerBlock / 32;
constexpr int kFrameTile = 32;                           // one lane a frame when boxes are tested
static_assert(kThreadsPerBlock == kFrameTile * kWarps);  // each thread stores one half word
constexpr double kCullMargin = 1e-11;  // of the summed magnitudes; float64 rounding is below 1e-15

// Smallest box of the finite points of the thread block; every thread gets it.
__device__ Box block_box(const double* point, bool usable) {
  __shared__ double partial[kWarps][6];
  __shared__ double whole[6];
  double bound[6];  // low x y z, then -high x y z: one minimum serves both
  for (int a = 0; a < 3; ++a) {
    bound[a] = usable ? point[a] : INFINITY;
    bound[a + 3] = usable ? -point[a] : INFINITY;
  }
  for (int a = 0; a < 6; ++a) {
    for (int step = 16; step; step /= 2) {
      bound[a] = fmin(bound[a], __shfl_xor_sync(kAllLanes, bound[a], step));
    }
  }
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  if (lane == 0) {
    for (int a = 0; a < 6; ++a) partial[warp][a] = bound[a];
  }
  __syncthreads();
  if (threadIdx.x < 6) {
    double least = partial[0][threadIdx.x];
    for (int w = 1; w < kWarps; ++w) least = fmin(least, partial[w][threadIdx.x]);
    whole[threadIdx.x] = least;
  }
  __syncthreads();
  Box box;
  for (int a = 0; a < 3; ++a) {
    box.low[a] = whole[a];
    box.high[a] = -whole[a + 3];
  }
  return box;
}

// Whether s . c < 0 for every point c of the box in camera coordinates, beyond rounding, where
// s . c >= 0 is what a visible point has to satisfy.
__device__ bool outside_plane(const double* pose, const Box& box, double sx, double sy, double sz) {
  double most = sx * pose[3] + sy * pose[7] + sz * pose[11];
  double size = fabs(sx * pose[3]) + fabs(sy * pose[7]) + fabs(sz * pose[11]);
  for (int a = 0; a < 3; ++a) {
    const double along = sx * pose[a] + sy * pose[4 + a] + sz * pose[8 + a];
    const double terms = fabs(sx * pose[a]) + fabs(sy * pose[4 + a]) + fabs(sz * pose[8 + a]);
    most += along > 0 ? along * box.high[a] : along * box.low[a];
    size += terms * fmax(fabs(box.low[a]), fabs(box.high[a]));
  }
  return most < -kCullMargin * size;  // false for NaN: what is not understood is not culled
}

__device__ bool outside_frustum(const OcclusionRule& r, const double* pose, const Pinhole& k,
                                const Box& box) {
  const double right = static_cast<double>(r.width), bottom = static_cast<double>(r.height);
  return outside_plane(pose, box, 0, 0, 1) || outside_plane(pose, box, k.fx, 0, k.cx) ||
         outside_plane(pose, box, -k.fx, 0, right - k.cx) ||
         outside_plane(pose, box, 0, k.fy, k.cy) ||
         outside_plane(pose, box, 0, -k.fy, bottom - k.cy);
}

template <class T, class DepthType>
__global__ void occlusion_kernel(const Batch<DeviceView> views) {
  __shared__ DeviceView view;  // read by every thread: shared memory spares 38 registers
  __shared__ unsigned touched;
  __shared__ uint32_t seen[kFrameTile][kWarps];  // a half word for each frame and warp
  __shared__ Lens lens[kFrameTile];
  const int warp = threadIdx.x / 32, row = threadIdx.x / kWarps, column = threadIdx.x % kWarps;
  if (threadIdx.x == 0) view = item_of(views);
  seen[row][column] = 0;
  __syncthreads();
  const int64_t p = static_cast<int64_t>(blockIdx.x) * kThreadsPerBlock + threadIdx.x;
  const int64_t first = static_cast<int64_t>(blockIdx.y) * kFrameTile;
  if (first >= view.frame_count || p - threadIdx.x >= view.point_count) return;  // whole blocks
  const T* points = static_cast<const T*>(view.points);
  double point[3] = {0, 0, 0};
  bool usable = p < view.point_count;
  for (int a = 0; a < 3 && usable; ++a) point[a] = points[3 * p + a];
  usable = usable && is_finite(point[0]) && is_finite(point[1]) && is_finite(point[2]);
  const Box box = block_box(point, usable);
  if (warp == 0) {
    const int64_t f = first + threadIdx.x;
    const bool may =
        f < view.frame_count && box.low[0] <= box.high[0] &&
        !outside_frustum(view.rule, view.cam_from_world + 16 * f, pinhole(view.K + 9 * f), box);
    if (may) {
      lens[threadIdx.x] = make_lens(view.rule, view.cam_from_world + 16 * f,
                                    pinhole(view.K + 9 * f), map_of(view, f), box);
    }
    const unsigned mask = __ballot_sync(kAllLanes, may);
    if (threadIdx.x == 0) touched = mask;
  }
  __syncthreads();
  const DepthType* maps = static_cast<const DepthType*>(view.depth);
  const int64_t map_size = view.rule.depth_width * view.rule.depth_height;
  float offset[3];
  for (int a = 0; a < 3; ++a) {
    offset[a] = static_cast<float>(point[a] - (box.low[a] + box.high[a]) / 2);
  }
  for (unsigned left = touched; left; left &= left - 1) {
    const int i = __ffs(left) - 1;
    const int64_t f = first + i;
    const DepthType* map = maps + f * map_size;
    Verdict verdict = Verdict::kHidden;
    if (usable) verdict = decide(lens[i], view.rule.rule.strict, map, offset);
    bool visible = verdict == Verdict::kSeen;
    if (verdict == Verdict::kOpen) {
      visible = is_visible(view.rule, view.cam_from_world + 16 * f, pinhole(view.K + 9 * f),
                           map_of(view, f), map, point[0], point[1], point[2]);
    }
    const unsigned bits = __ballot_sync(kAllLanes, visible);
    if (threadIdx.x % 32 == 0) seen[i][warp] = bits;
  }
  __syncthreads();
  const int64_t half_count = 2 * ((view.point_count + 63) / 64);
  const int64_t half = static_cast<int64_t>(blockIdx.x) * kWarps + column, f = first + row;
  if (f < view.frame_count && half < half_count) {
    reinterpret_cast<uint32_t*>(view.words)[f * half_count + half] = seen[row][column];
  }
}

}  // namespace

void visible_points_cuda(const Batch<DeviceView>& views, int64_t most_points, ViewTypes types,
                         Stream stream) {
  if (views.count == 0 || views.largest == 0 || most_points == 0) return;
  const dim3 grid(ceil_div(most_points, kThreadsPerBlock), ceil_div(views.largest, kFrameTile),
                  static_cast<unsigned>(views.count));
  const dim3 block(kThreadsPerBlock);
  const auto run = native(stream);
  if (types.points_are_float64 && types.depth_is_float) {
    SC_LAUNCH((occlusion_kernel<double, float>), grid, block, run, views);
  } else if (types.points_are_float64) {
    SC_LAUNCH((occlusion_kernel<double, uint16_t>), grid, block, run, views);
  } else if (types.depth_is_float) {
    SC_LAUNCH((occlusion_kernel<float, float>), grid, block, run, views);
  } else {
    SC_LAUNCH((occlusion_kernel<float, uint16_t>), grid, block, run, views);
  }
  check_launch("occlusion_kernel");
}

}  // namespace spatialcore
