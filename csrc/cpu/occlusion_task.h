// SPDX-License-Identifier: Apache-2.0
// One frame of a call: runs the float32 loops over blocks, decides in float64 what they left open,
// and puts the bits in the caller's order. Scratch is on the stack, 12 KiB.
#pragma once

#include <algorithm>
#include <cstring>
#include <vector>

#include "cpu/isa/occlusion_loops.h"
#include "cpu/occlusion_frame.h"
#include "cpu/point_blocks.h"

namespace spatialcore {

constexpr int64_t kRunBlocks = 128;  // blocks decided at a time: 4 KiB of bits, 8 KiB of pending
constexpr int64_t kRunWords = kRunBlocks * kBlockWords;
// T: type of the points, D: of the depth.
template <class T, class D>
struct FrameTask {
  const PointBlocks& blocks;
  const OcclusionRule& rule;
  const double* pose;
  Pinhole pinhole;
  const PixelMap& map;
  const D* depth;
  uint64_t* words;  // ceil(P / 64), zero

  bool exact(int64_t row) const {
    const T* point = static_cast<const T*>(blocks.points().pointer) + 3 * row;
    return is_visible(rule, pose, pinhole, map, depth, point[0], point[1], point[2]);
  }

  void set(int64_t row) const { words[row >> 6] |= uint64_t{1} << (row & 63); }

  void run_exact(int64_t first_row, int64_t last_row) const {
    for (int64_t row = first_row; row < last_row; ++row) {
      if (exact(row)) set(row);
    }
  }

  // Decides the lanes that float32 left open; word 0 holds the points from `base`.
  void settle(const Pending* pending, int64_t count, int64_t base, uint64_t* bits) const {
    const std::vector<uint32_t>& order = blocks.order();
    for (int64_t i = 0; i < count; ++i) {
      const int64_t first = base + 64 * pending[i].word;
      uint64_t& word = bits[pending[i].word];
      for (uint64_t lanes = pending[i].lanes; lanes != 0; lanes &= lanes - 1) {
        const int lane = __builtin_ctzll(lanes);
        const uint64_t bit = uint64_t{1} << lane;
        const bool visible = exact(order.empty() ? first + lane : order[first + lane]);
        word = visible ? word | bit : word & ~bit;
      }
    }
  }

  void store(const uint64_t* bits, int64_t base, int64_t word_count) const {
    const std::vector<uint32_t>& order = blocks.order();
    if (order.empty()) {
      std::memcpy(words + base / 64, bits, word_count * sizeof(uint64_t));
      return;
    }
    for (int64_t w = 0; w < word_count; ++w) {
      for (uint64_t lanes = bits[w]; lanes != 0; lanes &= lanes - 1) {
        set(order[base + 64 * w + __builtin_ctzll(lanes)]);
      }
    }
  }

  void run_blocks(const OcclusionFrame& frame, OcclusionFn loops, int64_t first_run,
                  int64_t last_run) const {
    uint64_t bits[kRunWords];
    Pending pending[kRunWords];
    const int64_t total_words = (blocks.points().count + 63) / 64;
    for (int64_t run = first_run; run < last_run; ++run) {
      const int64_t first = run * kRunBlocks;
      const int64_t last = std::min(first + kRunBlocks, blocks.view().block_count);
      const int64_t base = first * kBlockPoints;
      const int64_t open = loops(frame, blocks.view(), first, last, bits, pending);
      settle(pending, open, base, bits);
      store(bits, base, std::min(kRunWords, total_words - base / 64));
    }
  }

  // Runs [first_run, last_run) of the frame.
  void run(OcclusionFn loops, int64_t first_run, int64_t last_run) const {
    OcclusionFrame frame;
    const Path path = set_frame(rule, blocks.view(), pose, pinhole, map, &frame);
    if (path == Path::kNothing) return;
    if (path == Path::kExact) {
      const int64_t run_points = kRunWords * 64;
      run_exact(first_run * run_points, std::min(last_run * run_points, blocks.points().count));
      return;
    }
    frame.depth = depth;
    frame.depth_is_float = sizeof(D) == sizeof(float);
    run_blocks(frame, loops, first_run, last_run);
  }

  void run_far() const {
    for (const int64_t row : blocks.far_rows()) {
      if (exact(row)) set(row);
    }
  }
};

}  // namespace spatialcore
