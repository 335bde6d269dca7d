// SPDX-License-Identifier: Apache-2.0
// What csrc/cpu/occlusion.cpp hands to the loops of one instruction set. Plain structures without
// inline functions: code compiled for one set must never be linked into another.
#pragma once

#include <cstdint>

namespace spatialcore {

// 128 and 256 measure alike, 64 and 512 are slower (docs/ops/occlusion.md).
constexpr int kBlockPoints = 256;
constexpr int kBlockWords = kBlockPoints / 64;

// The points of a call (csrc/cpu/point_blocks.h). Axis a of a box array with B boxes starts at
// a * box_stride.
struct BlockView {
  const float* offset;      // (B, 3, 256) metres from the block's centre; NaN = no such point
  const double* centre;     // (B, 3) metres, world
  const float* box_centre;  // (3, box_stride) metres, relative to scene_centre
  const float* box_half;    // (3, box_stride) metres, rounded up
  const uint8_t* has_gap;   // (B,) whether any offset is NaN
  int64_t box_stride;       // B rounded up to 16
  int64_t block_count;      // B
  double scene_centre[3];   // metres, world
  float reach[3];           // largest |box_centre| + box_half of each axis
};

enum ImageAxis { kU = 0, kV = 1 };

// One frame, in shifted depth pixels: s = p / z is the depth column (row) minus `shift`, with
// p = row . (X, 1). `shift` is a whole number near the middle of the image, so that rounding s
// rounds the column, and s is small where float32 needs it to be.
struct OcclusionFrame {
  double row[3][4];       // world -> (p_u, p_v, z)
  double row_size[3][4];  // sums of absolute terms that made `row`, for the float64 error
  float middle[2];        // inside iff |s - middle| < half (the edge itself is decided in float64)
  float half[2];
  float clamp_low[2], clamp_high[2];  // first and last depth column, shifted
  float index_shift;                  // row-major index of the pixel at s = 0
  float depth_width;
  double reach[2];        // largest |s| inside the image
  float outer[5][4];      // planes of the frustum, relative to scene_centre: a block below
  float outer_margin[5];  // -margin is outside
  float inner[4][4];      // planes inside which no lane needs a test of bounds or a clamp
  float inner_margin[4];
  const void* depth;  // (h, w) uint16 or float
  bool depth_is_float;
  bool strict;
  float depth_scale, relative, absolute;
};

// Points of one word that float32 could not decide.
struct Pending {
  int64_t word;
  uint64_t lanes;
};

// Decides the blocks [first, last). bits[0] and word 0 of `pending` are the first word of block
// `first`. Bits of lanes listed in `pending` have any value. Returns how many entries it wrote
// there, at most one a word.
using OcclusionFn = int64_t (*)(const OcclusionFrame& frame, const BlockView& blocks, int64_t first,
                                int64_t last, uint64_t* bits, Pending* pending);

int64_t occlusion_baseline(const OcclusionFrame& frame, const BlockView& blocks, int64_t first,
                           int64_t last, uint64_t* bits, Pending* pending);
int64_t occlusion_avx2(const OcclusionFrame& frame, const BlockView& blocks, int64_t first,
                       int64_t last, uint64_t* bits, Pending* pending);
int64_t occlusion_avx512(const OcclusionFrame& frame, const BlockView& blocks, int64_t first,
                         int64_t last, uint64_t* bits, Pending* pending);
int64_t occlusion_neon(const OcclusionFrame& frame, const BlockView& blocks, int64_t first,
                       int64_t last, uint64_t* bits, Pending* pending);

}  // namespace spatialcore
