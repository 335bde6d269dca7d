// SPDX-License-Identifier: Apache-2.0
// A cloud built from posed depth: the readings of all frames, averaged in a sparse voxel grid.
//
//   x = ((u - cx) / fx) z,  y = ((v - cy) / fy) z,  world = world_from_cam (x, y, z)
//   q = floor(world / voxel * 2^20) per axis;  voxel index = q >> 20,  offset = q & (2^20 - 1)
//   point = (index + (sum of offsets / readings + 1/2) / 2^20) voxel
//
// A reading counts iff depth_min <= z <= depth_max and it is not on a depth edge: no 4-neighbour
// with a reading differs by more than max(edge_relative of the smaller, edge_absolute).
// Sums are integers, so the cloud depends neither on the order of pixels nor on threads. Memory
// grows with the surface: 48 bytes and 4 to 8 of table for each occupied voxel, held by the object.
// Specification: python_engines/spatial_engine/reference/cloud.py. Test: tests/index/test_cloud.py.
#pragma once

#include <cstdint>
#include <vector>

#include "spatialcore/camera.h"
#include "spatialcore/view.h"

namespace spatialcore {

constexpr int kVoxelAxisBits = 21;      // +-2^20 voxels an axis; readings beyond are left out
constexpr int kVoxelFractionBits = 20;  // of the offset inside a voxel: 30 nm at 3 cm
constexpr int64_t kVoxelAxisBias = int64_t{1} << (kVoxelAxisBits - 1);
constexpr double kVoxelUnits = static_cast<double>(uint64_t{1} << kVoxelFractionBits);

struct ReadingRule {
  double depth_min, depth_max;          // metres
  double edge_relative, edge_absolute;  // share of the smaller reading; metres
};

class VoxelCloud {
 public:
  explicit VoxelCloud(double voxel);

  // Adds one frame; frames count as different from each other.
  //   depth           (h, w)  units of depth_scale   in   uint16_t or float
  //   world_from_cam  12 numbers, the upper rows of the pose, finite
  //   instance        (h, w) ids >= 0, -1 = none, or null
  template <class T>
  void add_frame(View<const T, 2> depth, double depth_scale, const Pinhole& K,
                 const double* world_from_cam, const ReadingRule& rule, const int32_t* instance);

  // Voxels that at least `min_frames` frames have readings in.
  int64_t count(int min_frames) const;

  // Those voxels in ascending order of their keys (x, then y, then z index).
  //   points    (count, 3) metres    out
  //   instance  (count,)   out: the id that at least 60 % of the voxel's readings have, else -1
  void extract(int min_frames, float* points, int32_t* instance) const;

 private:
  struct Voxel {
    uint64_t key;
    uint64_t offset_sum[3];
    uint32_t reading_count;
    uint32_t frame_count;
    uint32_t last_frame;
  };
  struct Vote {
    uint64_t key;  // voxel slot << 32 | id
    uint32_t count;
  };

  Voxel& find(uint64_t key);
  void vote(uint32_t slot, int32_t id, uint32_t count);

  double voxel_;
  uint32_t frame_ = 0;
  std::vector<Voxel> voxels_;    // in order of first reading
  std::vector<uint32_t> table_;  // open addressing: slot + 1, 0 = empty
  std::vector<Vote> votes_;      // open addressing, count 0 = empty
  size_t vote_count_ = 0;
};

}  // namespace spatialcore
