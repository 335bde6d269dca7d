// SPDX-License-Identifier: Apache-2.0
// Which visible points may be asked about: the guards on one point in one frame.
//
//   z in [depth_min, depth_max]
//   border:    the mark's disc lies in the image: r <= clip(rint(u), 0, W - 1) <= W - 1 - r,
//              likewise v and H; r = mark_radius
//   agreement: |z - d| < max(agreement_relative z, agreement_absolute), d the point's own reading
//   edge:      of the readings in the disc of disc_radius depth pixels around the point's own one,
//              a share of at least edge_share has |d - z| <= max(edge_relative z, edge_absolute)
//
// float64 throughout, one operation order, so the bits equal
// src/spatialcore/relations/reference.py. Cost: one projection and about pi disc_radius^2 readings
// for each visible point. Test: tests/relations/test_askable.py.
#pragma once

#include <cstdint>

#include "spatialcore/camera.h"
#include "spatialcore/view.h"

namespace spatialcore {

struct AskableRule {
  double depth_min, depth_max;                    // metres
  bool border;                                    // whether the mark must lie in the image
  double mark_radius;                             // colour pixels
  double edge_share;                              // of the readings in the disc; 0 = off
  double edge_relative, edge_absolute;            // share of z; metres
  double agreement_relative, agreement_absolute;  // share of z; metres
  double disc_radius;                             // depth pixels
};

// points           (P, 3)          metres       in
// K                one camera of the colour image, W x H pixels
// cam_from_world   (F, 4, 4)                    in
// depth            (F, h, w)       depth_scale  in
// visible          (F, ceil(P/64)) bits         in
// askable          (F, ceil(P/64)) bits         out, every word is written
template <class T>
void askable_points_cpu(View<const float, 2> points, const Pinhole& K, double width, double height,
                        View<const double, 3> cam_from_world, View<const T, 3> depth,
                        double depth_scale, const PixelMap& map, const AskableRule& rule,
                        View<const uint64_t, 2> visible, uint64_t* askable, int threads);

}  // namespace spatialcore
