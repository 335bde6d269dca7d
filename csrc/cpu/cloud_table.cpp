// SPDX-License-Identifier: Apache-2.0
// The table behind VoxelCloud: voxels and votes by open addressing, and the cloud they give; see
// spatialcore/cloud.h for the formula.
#include <algorithm>

#include "spatialcore/check.h"
#include "spatialcore/cloud.h"

namespace spatialcore {
namespace {

// SplitMix64's finaliser: neighbouring voxels must not share a neighbourhood of the table.
uint64_t mix(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
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
      const double index = static_cast<double>(static_cast<int64_t>(biased) - kVoxelAxisBias);
      const double offset = static_cast<double>(v.offset_sum[axis]) / readings + 0.5;
      points[3 * row + axis] = static_cast<float>((index + offset / kVoxelUnits) * voxel_);
    }
    instance[row] = majority.empty() ? -1 : majority[kept[row]];
  }
}

}  // namespace spatialcore
