// SPDX-License-Identifier: Apache-2.0
// From a pose, an intrinsic matrix and a rule to what the occlusion loops of one frame read.
#pragma once

#include "cpu/isa/occlusion_loops.h"
#include "spatialcore/occlusion.h"

namespace spatialcore {

enum class Path {
  kNothing,  // pose or intrinsics are not finite: nothing is visible
  kLoops,    // float32 loops, open lanes in float64
  kExact,    // sizes beyond the loops' bound: every point in float64
};

// Fills all of `frame` but the depth map when the result is kLoops.
//   pose  12 numbers, the upper rows of cam_from_world
//   map   from the colour image to the depth map
Path set_frame(const OcclusionRule& rule, const BlockView& blocks, const double* pose,
               const Pinhole& pinhole, const PixelMap& map, OcclusionFrame* frame);

}  // namespace spatialcore
