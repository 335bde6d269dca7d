// SPDX-License-Identifier: Apache-2.0
// Sparse voxel grid of depth readings; see the header for the formula. One thread adds frames in
// order while others decode. Neighbouring pixels mostly share a voxel, so runs of a row are summed
// in registers and the table is visited once a run.
#include "spatialcore/cloud.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace spatialcore {
namespace {

constexpr uint64_t kOffsetMask = (uint64_t{1} << kVoxelFractionBits) - 1;
constexpr uint64_t kNoKey = std::numeric_limits<uint64_t>::max();

// Metres of one row; no reading becomes 0.
template <class T>
void read_row(const T* row, int64_t width, double scale, double* metres) {
  for (int64_t u = 0; u < width; ++u) {
    const double d = static_cast<double>(row[u]) * scale;
    metres[u] = is_reading(d) ? d : 0.0;
  }
}

bool jumps(double d, double neighbour, const ReadingRule& rule) {
  const double smaller = std::min(d, neighbour);
  return neighbour > 0.0 &&
         std::fabs(d - neighbour) > tolerance_at(smaller, rule.edge_relative, rule.edge_absolute);
}

}  // namespace

template <class T>
void VoxelCloud::add_frame(View<const T, 2> depth, double depth_scale, const Pinhole& K,
                           const double* world_from_cam, const ReadingRule& rule,
                           const int32_t* instance) {
  const int64_t height = depth.shape[0], width = depth.shape[1];
  const double* m = world_from_cam;
  ++frame_;
  std::vector<double> rows(4 * static_cast<size_t>(width), 0.0);
  double* above = rows.data();  // zeros before the first row
  double* here = above + width;
  double* below = here + width;
  double* column_slope = below + width;
  for (int64_t u = 0; u < width; ++u) column_slope[u] = (static_cast<double>(u) - K.cx) / K.fx;
  if (height > 0) read_row(depth.row(0), width, depth_scale, here);

  for (int64_t v = 0; v < height; ++v) {
    if (v + 1 < height) {
      read_row(depth.row(v + 1), width, depth_scale, below);
    } else {
      std::fill(below, below + width, 0.0);
    }
    const double row_slope = (static_cast<double>(v) - K.cy) / K.fy;
    uint64_t run_key = kNoKey, run_sum[3] = {0, 0, 0};
    uint32_t run_count = 0;
    int32_t run_id = -1;
    auto flush = [&] {
      if (run_count == 0) return;
      Voxel& voxel = find(run_key);
      for (int axis = 0; axis < 3; ++axis) voxel.offset_sum[axis] += run_sum[axis];
      voxel.reading_count += run_count;
      voxel.frame_count += voxel.last_frame != frame_;
      voxel.last_frame = frame_;
      if (run_id >= 0) vote(static_cast<uint32_t>(&voxel - voxels_.data()), run_id, run_count);
    };
    for (int64_t u = 0; u < width; ++u) {
      const double z = here[u];
      if (!(z >= rule.depth_min && z <= rule.depth_max && z > 0.0)) continue;
      if (jumps(z, above[u], rule) || jumps(z, below[u], rule) ||
          (u > 0 && jumps(z, here[u - 1], rule)) || (u + 1 < width && jumps(z, here[u + 1], rule)))
        continue;
      const double x = column_slope[u] * z, y = row_slope * z;
      uint64_t key = 0, offset[3];
      bool inside = true;
      for (int axis = 0; axis < 3; ++axis) {
        const double* r = m + 4 * axis;
        const double world = ((r[0] * x + r[1] * y) + r[2] * z) + r[3];
        const double q = std::floor(world / voxel_ * kVoxelUnits);
        inside = inside && std::fabs(q) < kVoxelUnits * static_cast<double>(kVoxelAxisBias - 1);
        const int64_t fixed = inside ? static_cast<int64_t>(q) : 0;
        offset[axis] = static_cast<uint64_t>(fixed) & kOffsetMask;
        key = key << kVoxelAxisBits |
              static_cast<uint64_t>((fixed >> kVoxelFractionBits) + kVoxelAxisBias);
      }
      if (!inside) continue;
      const int32_t id = instance == nullptr ? -1 : instance[v * width + u];
      if (key != run_key || id != run_id) {
        flush();
        run_key = key;
        run_id = id;
        run_count = 0;
        run_sum[0] = run_sum[1] = run_sum[2] = 0;
      }
      ++run_count;
      for (int axis = 0; axis < 3; ++axis) run_sum[axis] += offset[axis];
    }
    flush();
    std::swap(above, here);
    std::swap(here, below);
  }
}

template void VoxelCloud::add_frame(View<const uint16_t, 2>, double, const Pinhole&, const double*,
                                    const ReadingRule&, const int32_t*);
template void VoxelCloud::add_frame(View<const float, 2>, double, const Pinhole&, const double*,
                                    const ReadingRule&, const int32_t*);

}  // namespace spatialcore
