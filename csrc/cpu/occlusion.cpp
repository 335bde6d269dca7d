// SPDX-License-Identifier: Apache-2.0
// Contract: spatialcore/occlusion.h. This file sets a frame up for the float32 loops, chooses the
// loops, decides in float64 what they left open, and puts bits in the caller's order.
//
// Error bound of the loops. eps = 2^-24. A row gives p = ((k + r0 d0) + r1 d1) + r2 d2 for a point
// at the offset d from its block's centre, with k the centre's value. Let D = sum |r_j| half_j.
// Rounding k: eps |k|; coefficients, offsets and (unfused) products: eps D each; three sums of at
// most |k| + D: 3 eps each. Together at most e = 5 eps |k| + 8 eps D, second order included. To it
// comes E64 = 2^-48 (sums of absolute terms), which covers every float64 rounding of the centre's
// value and of the reference itself.
//   s = p / z:  with |s| <= Q inside the image and z > 128 e_z,
//               |s~ - s| <= 1.05 (e_p + Q e_z) / z~ + 10 eps (Q + 1),
//               as s~ - s = (e_p - s~ e_z) / z and quotient, product, limits and sums round on the
//               scale of Q. Lanes with -e_z <= z~ <= 128 e_z are left open.
//   A lane is open when s~ is within that margin of an image edge or of a rounding tie.
//   rule:       near its edge d <= (1 + relative) z + absolute, so the signed excess is off by at
//               most (1 + relative) e_z + 12 eps ((1 + relative) z + absolute), and
//               e_z <= eps (5 z~ + 14 D) + E64. Lanes within that of zero are open.
// All margins are relative to the block and its distance from the camera, not to the origin.
#include "spatialcore/occlusion.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "cpu/isa/dispatch.h"
#include "cpu/isa/occlusion_loops.h"
#include "cpu/point_blocks.h"
#include "cpu/thread_pool.h"

namespace spatialcore {
namespace {

constexpr int64_t kRunBlocks = 128;  // blocks decided at a time: 4 KiB of bits, 8 KiB of pending
constexpr int64_t kRunWords = kRunBlocks * kBlockWords;
constexpr int64_t kMaxPixels = int64_t{1} << 24;  // indices stay exact in float32
constexpr int64_t kMaxColumns = int64_t{1} << 20;
constexpr double kMaxPixel = 1e8;   // of the map's terms: float64 error stays below the margin
constexpr double kMaxMetre = 1e12;  // of pose and box sizes: float32 stays far from overflow
constexpr double kEps = 0x1p-24;
constexpr double kEps64 = 0x1p-48;
constexpr double kTiny = 1e-30;

constexpr IsaTable<OcclusionFn> kLoops{occlusion_baseline,
#if defined(__x86_64__)
                                       occlusion_avx2};
#else
                                       nullptr};
#endif

// One image axis: colour pixel -> shifted depth pixel, and the interval that is inside.
struct AxisMap {
  double focal, principal, shift;  // of s = (focal c + principal z) / z
  double principal_size;
  double low, high;    // s of the two image edges
  double first, last;  // shifted first and last depth pixel
};

AxisMap axis_map(double f, double c, double a, double b, double image_size, int64_t depth_size) {
  AxisMap m;
  const double edge0 = b, edge1 = a * image_size + b;
  const double last = static_cast<double>(depth_size - 1);
  m.shift = std::clamp(std::rint((edge0 + edge1) / 2), 0.0, last);
  m.focal = f * a;
  m.principal = (a * c + b) - m.shift;
  m.principal_size = std::abs(a * c) + std::abs(b) + m.shift + std::abs(a) * image_size;
  m.low = std::min(edge0, edge1) - m.shift;
  m.high = std::max(edge0, edge1) - m.shift;
  m.first = -m.shift;
  m.last = last - m.shift;
  return m;
}

// plane = sign (row_axis - limit row_z), relative to the scene's centre, rounded to float32.
void set_plane(const OcclusionFrame& f, const BlockView& blocks, int axis, double sign,
               double limit, float* plane, float* margin) {
  double at_centre = 0, reach = 0, size = 0;
  for (int j = 0; j < 4; ++j) {
    const double n = sign * (f.row[axis][j] - limit * f.row[2][j]);
    const double n_size = f.row_size[axis][j] + std::abs(limit) * f.row_size[2][j];
    const double centre = j < 3 ? blocks.scene_centre[j] : 1.0;
    at_centre += n * centre;
    reach += j < 3 ? std::abs(n) * blocks.reach[j] : 0.0;
    size += n_size * (std::abs(centre) + (j < 3 ? blocks.reach[j] : 0.0));
    if (j < 3) plane[j] = static_cast<float>(n);
  }
  plane[3] = static_cast<float>(at_centre);
  *margin = static_cast<float>(10 * kEps * (reach + std::abs(at_centre)) + kEps64 * size + kTiny);
}

void set_rows(const double* pose, const AxisMap (&axes)[2], OcclusionFrame* f) {
  for (int j = 0; j < 4; ++j) {
    const double z = pose[8 + j];
    f->row[2][j] = z;
    f->row_size[2][j] = std::abs(z);
    for (int a = 0; a < 2; ++a) {
      const double c = pose[4 * a + j];
      f->row[a][j] = axes[a].focal * c + axes[a].principal * z;
      f->row_size[a][j] = std::abs(axes[a].focal * c) + axes[a].principal_size * std::abs(z);
    }
  }
}

void set_bounds(const AxisMap (&axes)[2], const BlockView& blocks, OcclusionFrame* f) {
  for (int a = 0; a < 2; ++a) {
    const AxisMap& m = axes[a];
    f->middle[a] = static_cast<float>((m.low + m.high) / 2);
    f->half[a] = static_cast<float>((m.high - m.low) / 2);
    f->clamp_low[a] = static_cast<float>(m.first);
    f->clamp_high[a] = static_cast<float>(m.last);
    f->reach[a] = 1.01 * std::max(std::abs(m.low), std::abs(m.high)) + 1;
    set_plane(*f, blocks, a, 1, m.low, f->outer[2 * a], &f->outer_margin[2 * a]);
    set_plane(*f, blocks, a, -1, m.high, f->outer[2 * a + 1], &f->outer_margin[2 * a + 1]);
    // A quarter pixel before the tie at the map's border, so that no index leaves the map.
    set_plane(*f, blocks, a, 1, std::max(m.low, m.first - 0.25), f->inner[2 * a],
              &f->inner_margin[2 * a]);
    set_plane(*f, blocks, a, -1, std::min(m.high, m.last + 0.25), f->inner[2 * a + 1],
              &f->inner_margin[2 * a + 1]);
  }
  set_plane(*f, blocks, 2, 1, 0, f->outer[4], &f->outer_margin[4]);
}

enum class Path { kNothing, kLoops, kExact };

bool all_finite(const double* values, int count) {
  return std::all_of(values, values + count, [](double x) { return is_finite(x); });
}

// Whether the bound above holds: sizes within its assumptions.
bool fits_float32(const OcclusionFrame& f, const OcclusionRule& r, const BlockView& blocks,
                  const AxisMap (&axes)[2]) {
  if (r.depth_width * r.depth_height > kMaxPixels || r.depth_width > kMaxColumns ||
      r.depth_height > kMaxColumns) {
    return false;
  }
  for (const AxisMap& m : axes) {
    if (!(m.principal_size <= kMaxPixel)) return false;
  }
  for (int i = 0; i < 3; ++i) {
    double size = f.row_size[i][3];
    for (int j = 0; j < 3; ++j) {
      size += f.row_size[i][j] * (std::abs(blocks.scene_centre[j]) + blocks.reach[j]);
    }
    if (!(size <= kMaxMetre * kMaxPixel)) return false;
  }
  const double scale = r.depth_scale;
  return scale >= 1e-12 && scale <= 1e12 && r.rule.relative <= 1e6 && r.rule.absolute <= kMaxMetre;
}

Path set_frame(const OcclusionRule& r, const BlockView& blocks, const double* pose,
               const Pinhole& k, OcclusionFrame* f) {
  const double pinhole_numbers[4] = {k.fx, k.fy, k.cx, k.cy};
  if (!all_finite(pose, 12) || !all_finite(pinhole_numbers, 4)) return Path::kNothing;
  const AxisMap axes[2] = {
      axis_map(k.fx, k.cx, r.map.ax, r.map.bx, static_cast<double>(r.width), r.depth_width),
      axis_map(k.fy, k.cy, r.map.ay, r.map.by, static_cast<double>(r.height), r.depth_height)};
  set_rows(pose, axes, f);
  if (!fits_float32(*f, r, blocks, axes)) return Path::kExact;
  set_bounds(axes, blocks, f);
  f->index_shift =
      static_cast<float>(axes[1].shift * static_cast<double>(r.depth_width) + axes[0].shift);
  f->depth_width = static_cast<float>(r.depth_width);
  f->strict = r.rule.strict;
  f->depth_scale = static_cast<float>(r.depth_scale);
  f->relative = r.rule.strict ? 0 : static_cast<float>(r.rule.relative);
  f->absolute = r.rule.strict ? 0 : static_cast<float>(r.rule.absolute);
  return Path::kLoops;
}

// One frame of a call. T: type of the points, D: of the depth.
template <class T, class D>
struct FrameTask {
  const PointBlocks& blocks;
  const OcclusionRule& rule;
  const double* pose;
  Pinhole pinhole;
  const D* depth;
  uint64_t* words;  // ceil(P / 64), zero

  bool exact(int64_t row) const {
    const T* point = static_cast<const T*>(blocks.points().pointer) + 3 * row;
    return is_visible(rule, pose, pinhole, depth, point[0], point[1], point[2]);
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
    const Path path = set_frame(rule, blocks.view(), pose, pinhole, &frame);
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

template <class T, class D>
void visible_typed(const PointBlocks& blocks, View<const double, 3> K, View<const double, 3> poses,
                   const D* depth, const OcclusionRule& rule, uint64_t* words, int threads) {
  const int64_t frame_count = poses.shape[0], count = blocks.points().count;
  const int64_t row_words = (count + 63) / 64;
  const int64_t run_count = (blocks.view().block_count + kRunBlocks - 1) / kRunBlocks;
  if (threads <= 0) threads = available_threads();
  // Few frames: their runs are shared out too, unless bits are scattered to a common row.
  const bool split = frame_count < 4 * threads && blocks.order().empty();
  const int64_t part_count = split ? run_count : 1;
  const OcclusionFn loops = kLoops.active();
  std::memset(words, 0, frame_count * row_words * sizeof(uint64_t));
  const auto task = [&](int64_t f) {
    return FrameTask<T, D>{blocks,
                           rule,
                           poses.row(f),
                           pinhole(K.row(f)),
                           depth + f * rule.depth_width * rule.depth_height,
                           words + f * row_words};
  };
  parallel_for(frame_count * part_count, 1, threads, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      const int64_t part = i % part_count;
      task(i / part_count).run(loops, split ? part : 0, split ? part + 1 : run_count);
    }
  });
  if (blocks.far_rows().empty()) return;
  for (int64_t f = 0; f < frame_count; ++f) task(f).run_far();
}

template <class D>
void visible_from(const PointBlocks& blocks, View<const double, 3> K, View<const double, 3> poses,
                  const D* depth, const OcclusionRule& rule, uint64_t* words, int threads) {
  if (blocks.points().is_float64) {
    visible_typed<double>(blocks, K, poses, depth, rule, words, threads);
  } else {
    visible_typed<float>(blocks, K, poses, depth, rule, words, threads);
  }
}

}  // namespace

void visible_points_cpu(const PointBlocks& blocks, View<const double, 3> K,
                        View<const double, 3> cam_from_world, const DepthMaps& depth,
                        const OcclusionRule& rule, uint64_t* words, int threads) {
  if (blocks.points().count == 0) return;
  if (depth.is_float) {
    visible_from(blocks, K, cam_from_world, static_cast<const float*>(depth.pointer), rule, words,
                 threads);
  } else {
    visible_from(blocks, K, cam_from_world, static_cast<const uint16_t*>(depth.pointer), rule,
                 words, threads);
  }
}

}  // namespace spatialcore
