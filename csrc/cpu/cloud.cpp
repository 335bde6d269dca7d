// SPDX-License-Identifier: Apache-2.0
// Sparse voxel grid of depth readings; see the header for the formula. One thread adds frames in
// order while others decode. Neighbouring pixels mostly share a voxel, so runs of a row are summed
// in registers and the table is visited once a run.
#include "spatialcore/cloud.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "spatialcore/check.h"

namespace spatialcore {
namespace {

constexpr uint64_t kOffsetMask = (uint64_t{1} << kVoxelFractionBits) - 1;
constexpr int64_t kAxisBias = int64_t{1} << (kVoxelAxisBits - 1);
constexpr double kFractionUnits = static_cast<double>(uint64_t{1} << kVoxelFractionBits);
constexpr uint64_t kNoKey = std::numeric_limits<uint64_t>::max();

// SplitMix64's finaliser: neighbouring voxels must not share a neighbourhood of the table.
uint64_t mix(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

// Metres of one row; no reading becomes 0.
template <class T>
void read_row(const T* row, int64_t width, double scale, double* metres) {
  for (int64_t u = 0; u < width; ++u) {
    const double d = static_cast<double>(row[u]) * scale;
    metres[u] = d > 0.0 && is_finite(d) ? d : 0.0;
  }
}

bool jumps(double d, double neighbour, const ReadingRule& rule) {
  const double smaller = std::min(d, neighbour);
  return neighbour > 0.0 &&
         std::fabs(d - neighbour) > std::max(rule.edge_relative * smaller, rule.edge_absolute);
}

}  // namespace

VoxelCloud::VoxelCloud(double voxel) : voxel_(voxel), table_(1 << 16), votes_() {
  SC_REQUIRE(voxel > 0.0 && is_finite(voxel), "voxel must be positive");
}

VoxelCloud::Voxel& VoxelCloud::find(uint64_t key) {
  if (2 * voxels_.size() >= table_.size()) {
    SC_REQUIRE(voxels_.size() < (uint64_t{1} << 31), "the grid holds more than 2^31 voxels");
    table_.assign(2 * table_.size(), 0);
    for (size_t slot = 0; slot < voxels_.size(); ++slot) {
      size_t at = mix(voxels_[slot].key) & (table_.size() - 1);
      while (table_[at] != 0) at = (at + 1) & (table_.size() - 1);
      table_[at] = static_cast<uint32_t>(slot + 1);
    }
  }
  size_t at = mix(key) & (table_.size() - 1);
  while (table_[at] != 0) {
    Voxel& found = voxels_[table_[at] - 1];
    if (found.key == key) return found;
    at = (at + 1) & (table_.size() - 1);
  }
  voxels_.push_back({key, {0, 0, 0}, 0, 0, 0});
  table_[at] = static_cast<uint32_t>(voxels_.size());
  return voxels_.back();
}

void VoxelCloud::vote(uint32_t slot, int32_t id, uint32_t count) {
  if (2 * (vote_count_ + 1) >= votes_.size()) {
    std::vector<Vote> old(std::max<size_t>(1 << 12, 2 * votes_.size()), Vote{0, 0});
    old.swap(votes_);
    for (const Vote& v : old) {
      if (v.count == 0) continue;
      size_t at = mix(v.key) & (votes_.size() - 1);
      while (votes_[at].count != 0) at = (at + 1) & (votes_.size() - 1);
      votes_[at] = v;
    }
  }
  const uint64_t key = uint64_t{slot} << 32 | static_cast<uint32_t>(id);
  size_t at = mix(key) & (votes_.size() - 1);
  while (votes_[at].count != 0 && votes_[at].key != key) at = (at + 1) & (votes_.size() - 1);
  vote_count_ += votes_[at].count == 0;
  votes_[at].key = key;
  votes_[at].count += count;
}

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
        const double q = std::floor(world / voxel_ * kFractionUnits);
        inside = inside && std::fabs(q) < kFractionUnits * static_cast<double>(kAxisBias - 1);
        const int64_t fixed = inside ? static_cast<int64_t>(q) : 0;
        offset[axis] = static_cast<uint64_t>(fixed) & kOffsetMask;
        key = key << kVoxelAxisBits |
              static_cast<uint64_t>((fixed >> kVoxelFractionBits) + kAxisBias);
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

int64_t VoxelCloud::count(int min_frames) const {
  const uint32_t least = static_cast<uint32_t>(min_frames);
  return std::count_if(voxels_.begin(), voxels_.end(),
                       [least](const Voxel& v) { return v.frame_count >= least; });
}

void VoxelCloud::extract(int min_frames, float* points, int32_t* instance) const {
  std::vector<int32_t> majority(votes_.empty() ? 0 : voxels_.size(), -1);
  for (const Vote& v : votes_) {
    const uint32_t slot = static_cast<uint32_t>(v.key >> 32);
    // At least 60 %: no two ids can both reach it.
    if (v.count != 0 && 5 * uint64_t{v.count} >= 3 * uint64_t{voxels_[slot].reading_count}) {
      majority[slot] = static_cast<int32_t>(v.key & 0xFFFFFFFFu);
    }
  }
  std::vector<uint32_t> kept;
  for (size_t slot = 0; slot < voxels_.size(); ++slot) {
    if (voxels_[slot].frame_count >= static_cast<uint32_t>(min_frames)) {
      kept.push_back(static_cast<uint32_t>(slot));
    }
  }
  std::sort(kept.begin(), kept.end(),
            [this](uint32_t a, uint32_t b) { return voxels_[a].key < voxels_[b].key; });
  constexpr uint64_t kAxisMask = (uint64_t{1} << kVoxelAxisBits) - 1;
  for (size_t row = 0; row < kept.size(); ++row) {
    const Voxel& v = voxels_[kept[row]];
    const double readings = static_cast<double>(v.reading_count);
    for (int axis = 0; axis < 3; ++axis) {
      const uint64_t biased = v.key >> (kVoxelAxisBits * (2 - axis)) & kAxisMask;
      const double index = static_cast<double>(static_cast<int64_t>(biased) - kAxisBias);
      const double offset = static_cast<double>(v.offset_sum[axis]) / readings + 0.5;
      points[3 * row + axis] = static_cast<float>((index + offset / kFractionUnits) * voxel_);
    }
    instance[row] = majority.empty() ? -1 : majority[kept[row]];
  }
}

template void VoxelCloud::add_frame(View<const uint16_t, 2>, double, const Pinhole&, const double*,
                                    const ReadingRule&, const int32_t*);
template void VoxelCloud::add_frame(View<const float, 2>, double, const Pinhole&, const double*,
                                    const ReadingRule&, const int32_t*);

}  // namespace spatialcore
