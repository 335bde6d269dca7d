// SPDX-License-Identifier: Apache-2.0
// The points of a call, made ready for the occlusion loops: blocks of 256 neighbours, each held as
// float32 offsets from the block's centre, and the boxes that let a frame skip whole blocks.
// Offsets are small where coordinates are large, so float32 errors follow the size of a block and
// its distance from the camera, not the distance from the world's origin.
#pragma once

#include <cstdint>
#include <vector>

#include "cpu/isa/occlusion_loops.h"
#include "spatialcore/occlusion.h"

namespace spatialcore {

class PointBlocks {
 public:
  // `frame_count` is what a sort has to pay for itself on.
  PointBlocks(const ScenePoints& points, int64_t frame_count, int threads);

  const BlockView& view() const { return view_; }
  const ScenePoints& points() const { return points_; }
  // Row of the k-th point of the blocks; empty when the blocks keep the caller's order.
  const std::vector<uint32_t>& order() const { return order_; }

  // Rows of points whose coordinates are finite and too large for the float32 loops.
  const std::vector<int64_t>& far_rows() const { return far_rows_; }

 private:
  template <class T>
  void build(const T* points, int64_t frame_count, int threads);
  template <class T>
  void fill(const T* points, int threads);
  void finish_boxes();

  ScenePoints points_;
  BlockView view_{};
  std::vector<uint32_t> order_;
  std::vector<int64_t> far_rows_;
  std::vector<float> offset_, box_centre_, box_half_;
  std::vector<double> centre_, half_;
  std::vector<uint8_t> has_gap_;
};

}  // namespace spatialcore
