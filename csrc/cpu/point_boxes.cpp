// SPDX-License-Identifier: Apache-2.0
// The boxes of the blocks: whether they are worth a sort, and in the form that frames cull by.
#include <algorithm>
#include <cmath>
#include <limits>

#include "cpu/point_blocks.h"

namespace spatialcore {
namespace {

// Mean boxes wider than this share of the scene cull little; Morton order has 2 / sqrt(blocks).
constexpr double kWideBox = 0.2;
constexpr float kRoundUp = 1.000001f;
constexpr double kInf = std::numeric_limits<double>::infinity();

}  // namespace

// Whether the mean block is wide against the scene, so that its box would seldom be culled.
bool PointBlocks::is_scattered() const {
  double low[3] = {kInf, kInf, kInf}, high[3] = {-kInf, -kInf, -kInf}, sides = 0;
  for (int64_t b = 0; b < view_.block_count; ++b) {
    double half = 0;
    for (int a = 0; a < 3; ++a) {
      half = std::max(half, half_[3 * b + a]);
      low[a] = std::min(low[a], centre_[3 * b + a] - half_[3 * b + a]);
      high[a] = std::max(high[a], centre_[3 * b + a] + half_[3 * b + a]);
    }
    sides += 2 * half;
  }
  const double scene = std::max({high[0] - low[0], high[1] - low[1], high[2] - low[2]});
  const double blocks = static_cast<double>(view_.block_count);
  return sides > std::max(kWideBox, 4.0 / std::sqrt(blocks)) * scene * blocks;
}

void PointBlocks::finish_boxes() {
  // Half sides of -inf: a block without points is outside of every frame.
  box_centre_.assign(3 * view_.box_stride, 0.0f);
  box_half_.assign(3 * view_.box_stride, -std::numeric_limits<float>::infinity());
  for (int a = 0; a < 3; ++a) {
    double low = kInf, high = -kInf;
    for (int64_t b = 0; b < view_.block_count; ++b) {
      if (half_[3 * b + a] < 0) continue;
      low = std::min(low, centre_[3 * b + a]);
      high = std::max(high, centre_[3 * b + a]);
    }
    view_.scene_centre[a] = low <= high ? (low + high) / 2 : 0;
    for (int64_t b = 0; b < view_.block_count; ++b) {
      if (half_[3 * b + a] < 0) continue;
      const float c = static_cast<float>(centre_[3 * b + a] - view_.scene_centre[a]);
      const float half = static_cast<float>(half_[3 * b + a]) * kRoundUp;
      box_centre_[a * view_.box_stride + b] = c;
      box_half_[a * view_.box_stride + b] = half;
      view_.reach[a] = std::max(view_.reach[a], std::abs(c) + half);
    }
  }
  view_.offset = offset_.get();
  view_.centre = centre_.data();
  view_.box_centre = box_centre_.data();
  view_.box_half = box_half_.data();
  view_.has_gap = has_gap_.data();
}

}  // namespace spatialcore
