// SPDX-License-Identifier: Apache-2.0
// Occlusion's first pass: one frame as float32 sees the points of one thread block, and what it can
// decide of them. What lies within the error bound of a decision edge stays open, for float64.
//
// The bound is that of csrc/cpu/occlusion_frame.cpp, where it is derived, with the block's own
// centre and box: p = ((k + r0 d0) + r1 d1) + r2 d2 for a point at the offset d from the centre,
// s = p / z is the depth column (row) minus a whole `shift` near the middle of the image.
#pragma once

#include "cuda/launch.cuh"
#include "spatialcore/occlusion.h"

namespace spatialcore {

struct Box {
  double low[3], high[3];  // metres, world
};

enum class Verdict { kHidden, kSeen, kOpen };

// One a frame of the tile, in shared memory; aligned so that it is read four numbers at a time.
struct alignas(16) Lens {
  float row[3][3], at_centre[3];  // of p_u, p_v and z
  float middle[2], half[2];       // inside iff |s - middle| < half
  float first[2], last[2];        // of the depth image, shifted
  float width, index_shift;       // index of the pixel at s is v width + (u + index_shift)
  float slope, floor;             // error of s: slope / z + floor
  float z_low, z_near;            // up to z_low behind the camera, up to z_near open
  float rule_slope, rule_floor;   // error of the depth rule: rule_slope z + rule_floor
  float scale, relative, absolute;
  bool fits;  // false: sizes beyond the bound, or not finite; everything is open
};

// One image axis in float64: colour pixel to shifted depth pixel.
struct LensAxis {
  double focal, principal, principal_size, shift, low, high, last;
};

__device__ inline LensAxis lens_axis(double f, double c, double a, double b, double image_size,
                                     int64_t depth_size) {
  const double edge = a * image_size + b, middle = rint((b + edge) / 2);
  LensAxis m;
  m.last = static_cast<double>(depth_size - 1);
  m.shift = fmin(fmax(middle, 0.0), m.last);
  m.focal = f * a;
  m.principal = (a * c + b) - m.shift;
  m.principal_size = fabs(a * c) + fabs(b) + m.shift + fabs(a) * image_size;
  m.low = fmin(b, edge) - m.shift;
  m.high = fmax(b, edge) - m.shift;
  return m;
}

__device__ inline Lens make_lens(const OcclusionRule& r, const double* pose, const Pinhole& k,
                                 const PixelMap& map, const Box& box) {
  constexpr double kEps = 0x1p-24, kEps64 = 0x1p-48, kTiny = 1e-30, kNearRatio = 128;
  constexpr double kMaxPixel = 1e8, kMaxMetre = 1e12;
  const LensAxis axes[2] = {
      lens_axis(k.fx, k.cx, map.ax, map.bx, static_cast<double>(r.width), r.depth_width),
      lens_axis(k.fy, k.cy, map.ay, map.by, static_cast<double>(r.height), r.depth_height)};
  Lens lens;
  double error[3], z_half = 0, z_size = 0;
  bool fits = r.depth_width * r.depth_height <= (1 << 24) && r.depth_width <= (1 << 20) &&
              r.depth_height <= (1 << 20);
  SC_UNROLL
  for (int i = 0; i < 3; ++i) {
    double centre = 0, half = 0, size = 0;
    SC_UNROLL
    for (int j = 0; j < 4; ++j) {
      const double z = pose[8 + j];
      double row = z, row_size = fabs(z);
      if (i < 2) {
        row = axes[i].focal * pose[4 * i + j] + axes[i].principal * z;
        row_size = fabs(axes[i].focal * pose[4 * i + j]) + axes[i].principal_size * fabs(z);
      }
      const double at = j < 3 ? (box.low[j] + box.high[j]) / 2 : 1.0;
      // One part in 2^20 more than half of the box: the centre and the offsets are rounded.
      const double reach = j < 3 ? (box.high[j] - box.low[j]) * (0.5 + 0x1p-20) : 0.0;
      centre += row * at;
      half += fabs(row) * reach;
      size += row_size * (fabs(at) + reach);
      if (j < 3) lens.row[i][j] = static_cast<float>(row);
    }
    lens.at_centre[i] = static_cast<float>(centre);
    error[i] = kEps * (5 * fabs(centre) + 8 * half) + kEps64 * size + kTiny;
    fits = fits && size <= kMaxMetre * kMaxPixel;
    z_half = half;  // the last row is z
    z_size = size;
  }
  double slope = 0, most = 0;
  SC_UNROLL
  for (int a = 0; a < 2; ++a) {
    const LensAxis& m = axes[a];
    const double reach = 1.01 * fmax(fabs(m.low), fabs(m.high)) + 1;
    slope = fmax(slope, error[a] + reach * error[2]);
    most = fmax(most, reach);
    fits = fits && m.principal_size <= kMaxPixel;
    lens.middle[a] = static_cast<float>((m.low + m.high) / 2);
    lens.half[a] = static_cast<float>((m.high - m.low) / 2);
    lens.first[a] = static_cast<float>(-m.shift);
    lens.last[a] = static_cast<float>(m.last - m.shift);
  }
  const double relative = r.rule.strict ? 0 : r.rule.relative;
  const double absolute = r.rule.strict ? 0 : r.rule.absolute;
  lens.fits = fits && r.depth_scale >= 1e-12 && r.depth_scale <= 1e12 && relative <= 1e6 &&
              absolute <= kMaxMetre;
  lens.width = static_cast<float>(r.depth_width);
  lens.index_shift =
      static_cast<float>(axes[1].shift * static_cast<double>(r.depth_width) + axes[0].shift);
  lens.slope = static_cast<float>(1.05 * slope);
  lens.floor = static_cast<float>(10 * kEps * (most + 1));
  lens.z_low = static_cast<float>(-2 * error[2]);
  lens.z_near = static_cast<float>(kNearRatio * error[2]);
  lens.rule_slope = static_cast<float>(17.5 * kEps * (1 + relative));
  lens.rule_floor = static_cast<float>((1 + relative) * (14 * kEps * z_half + kEps64 * z_size) +
                                       12 * kEps * absolute + kTiny);
  lens.scale = static_cast<float>(r.depth_scale);
  lens.relative = static_cast<float>(relative);
  lens.absolute = static_cast<float>(absolute);
  return lens;
}

// offset: of the point from the block's centre. Comparisons are written so that NaN stays open.
template <class DepthType>
__device__ Verdict decide(const Lens& lens, bool strict, const DepthType* depth,
                          const float (&offset)[3]) {
  if (!lens.fits) return Verdict::kOpen;
  float p[3];
  SC_UNROLL
  for (int i = 0; i < 3; ++i) {
    p[i] = lens.row[i][0] * offset[0] +
           (lens.row[i][1] * offset[1] + (lens.row[i][2] * offset[2] + lens.at_centre[i]));
  }
  const float z = p[2];
  if (z <= lens.z_low) return Verdict::kHidden;
  if (!(z > lens.z_near)) return Verdict::kOpen;
  const float inverse = 1.0f / z, margin = lens.slope * inverse + lens.floor;
  float nearest[2], excess = -INFINITY, fraction = 0;
  SC_UNROLL
  for (int a = 0; a < 2; ++a) {
    const float s = p[a] * inverse;
    excess = fmaxf(excess, fabsf(s - lens.middle[a]) - lens.half[a]);
    const float clipped = fminf(fmaxf(s, lens.first[a]), lens.last[a]);
    nearest[a] = rintf(clipped);
    fraction = fmaxf(fraction, fabsf(clipped - nearest[a]));
  }
  if (excess >= margin) return Verdict::kHidden;
  if (!(excess < -margin) || !(fraction < 0.5f - margin)) return Verdict::kOpen;
  const float index = nearest[1] * lens.width + (nearest[0] + lens.index_shift);
  const float reading = static_cast<float>(depth[static_cast<int>(index)]),
              d = reading * lens.scale;
  if (!(reading > 0 && reading < INFINITY)) return Verdict::kHidden;
  const float over = strict ? z - d : fabsf(z - d) - fmaxf(lens.relative * z, lens.absolute);
  if (!(fabsf(over) > lens.rule_slope * z + lens.rule_floor)) return Verdict::kOpen;
  return over < 0 ? Verdict::kSeen : Verdict::kHidden;
}

}  // namespace spatialcore
