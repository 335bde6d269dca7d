// SPDX-License-Identifier: Apache-2.0
// Projection of P points into F frames. Contract and formula: spatialcore/projection.h.
//
//   points          (P, 3)     m       in   float32 or float64
//   K               (F, 3, 3)  pixel   in
//   cam_from_world  (F, 4, 4)          in
//   uv              (F, P, 2)  pixel   out  NaN where z <= 0 or z is not finite
//   depth           (F, P)     m       out
//
// Numerics: float64 in the order of camera.h, compiled without fused operations: equal to the CPU
// in every bit. A thread owns one point and loops over the frames of its tile, so a point is read
// once a tile; 24 bytes are written for each point and frame, which is the bound.
// Docs: docs/ops/projection.md. Tests: tests/ops/test_cuda_host.py, tests/ops/test_gpu.py.
#include "cuda/stream.cuh"
#include "spatialcore/projection.h"

namespace spatialcore {
namespace {

constexpr int kThreadsPerBlock = 256;
constexpr int kFrameTile = 16;  // a point's 12 or 24 bytes are shared by this many frames

template <class T>
__global__ void projection_kernel(const T* __restrict__ points,               // (P, 3)
                                  int64_t point_count,                        // P
                                  const double* __restrict__ K,               // (F, 3, 3)
                                  const double* __restrict__ cam_from_world,  // (F, 4, 4)
                                  int64_t frame_count,                        // F
                                  double* __restrict__ uv,                    // (F, P, 2)
                                  double* __restrict__ depth) {               // (F, P)
  const int64_t p = static_cast<int64_t>(blockIdx.x) * kThreadsPerBlock + threadIdx.x;
  if (p >= point_count) return;
  const double x = points[3 * p], y = points[3 * p + 1], z = points[3 * p + 2];
  const int64_t first = static_cast<int64_t>(blockIdx.y) * kFrameTile;
  const int64_t last = first + kFrameTile < frame_count ? first + kFrameTile : frame_count;
  for (int64_t f = first; f < last; ++f) {
    const CameraPoint c = to_camera(cam_from_world + 16 * f, x, y, z);
    const double nothing = nan("");
    double u = nothing, v = nothing;
    if (in_front(c.z)) to_pixel(c, pinhole(K + 9 * f), &u, &v);
    const int64_t at = f * point_count + p;
    uv[2 * at] = u;
    uv[2 * at + 1] = v;
    depth[at] = c.z;
  }
}

}  // namespace

void project_points_cuda(const DeviceScene& scene, double* uv, double* depth, Stream stream) {
  if (scene.point_count == 0 || scene.frame_count == 0) return;
  const dim3 grid(ceil_div(scene.point_count, kThreadsPerBlock),
                  ceil_div(scene.frame_count, kFrameTile));
  const auto launch = [&](auto* points) {
    SC_LAUNCH(projection_kernel, grid, dim3(kThreadsPerBlock), native(stream), points,
              scene.point_count, scene.K, scene.cam_from_world, scene.frame_count, uv, depth);
  };
  if (scene.is_float64) {
    launch(static_cast<const double*>(scene.points));
  } else {
    launch(static_cast<const float*>(scene.points));
  }
  check_launch("projection_kernel");
}

}  // namespace spatialcore
