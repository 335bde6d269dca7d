// SPDX-License-Identifier: Apache-2.0
// Contract: spatialcore/projection.h. The compiler vectorises the loop over points; the stores,
// 24 bytes a point and frame, are the bound.
#include "spatialcore/projection.h"

#include <algorithm>
#include <limits>

#include "cpu/thread_pool.h"

namespace spatialcore {
namespace {

constexpr int64_t kGrainPoints = 16384;  // 384 KiB written: large against the cost of a chunk

template <class T>
void project_run(const T* points, int64_t begin, int64_t end, const double* pose, const Pinhole& k,
                 double* uv, double* depth) {
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  for (int64_t p = begin; p < end; ++p) {
    const T* point = points + 3 * p;
    const CameraPoint c = to_camera(pose, point[0], point[1], point[2]);
    double u, v;
    to_pixel(c, k, &u, &v);
    const bool front = in_front(c.z);
    uv[2 * p] = front ? u : kNan;
    uv[2 * p + 1] = front ? v : kNan;
    depth[p] = c.z;
  }
}

template <class T>
void project(View<const T, 2> points, View<const double, 3> K, View<const double, 3> cam_from_world,
             double* uv, double* depth, int threads) {
  const int64_t point_count = points.shape[0];
  const int64_t run_count = (point_count + kGrainPoints - 1) / kGrainPoints;
  parallel_for(cam_from_world.shape[0] * run_count, 1, threads, [&](int64_t first, int64_t last) {
    for (int64_t task = first; task < last; ++task) {
      const int64_t frame = task / run_count;
      const int64_t begin = (task % run_count) * kGrainPoints;
      project_run(points.pointer, begin, std::min(begin + kGrainPoints, point_count),
                  cam_from_world.row(frame), pinhole(K.row(frame)), uv + 2 * frame * point_count,
                  depth + frame * point_count);
    }
  });
}

}  // namespace

void project_points_cpu(View<const float, 2> points, View<const double, 3> K,
                        View<const double, 3> cam_from_world, double* uv, double* depth,
                        int threads) {
  project(points, K, cam_from_world, uv, depth, threads);
}

void project_points_cpu(View<const double, 2> points, View<const double, 3> K,
                        View<const double, 3> cam_from_world, double* uv, double* depth,
                        int threads) {
  project(points, K, cam_from_world, uv, depth, threads);
}

}  // namespace spatialcore
