// SPDX-License-Identifier: Apache-2.0
// Sets a frame up for the float32 loops: rows, planes and limits, and whether their bound holds.
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
#include "cpu/occlusion_frame.h"

#include <algorithm>
#include <cmath>

namespace spatialcore {
namespace {

constexpr int64_t kMaxPixels = int64_t{1} << 24;  // indices stay exact in float32
constexpr int64_t kMaxColumns = int64_t{1} << 20;
constexpr double kMaxPixel = 1e8;   // of the map's terms: float64 error stays below the margin
constexpr double kMaxMetre = 1e12;  // of pose and box sizes: float32 stays far from overflow
constexpr double kEps = 0x1p-24;
constexpr double kEps64 = 0x1p-48;
constexpr double kTiny = 1e-30;

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

}  // namespace

Path set_frame(const OcclusionRule& r, const BlockView& blocks, const double* pose,
               const Pinhole& k, const PixelMap& map, OcclusionFrame* f) {
  const double pinhole_numbers[4] = {k.fx, k.fy, k.cx, k.cy};
  if (!all_finite(pose, 12) || !all_finite(pinhole_numbers, 4)) return Path::kNothing;
  const AxisMap axes[2] = {
      axis_map(k.fx, k.cx, map.ax, map.bx, static_cast<double>(r.width), r.depth_width),
      axis_map(k.fy, k.cy, map.ay, map.by, static_cast<double>(r.height), r.depth_height)};
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

}  // namespace spatialcore
