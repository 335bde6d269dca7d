// SPDX-License-Identifier: Apache-2.0
// The least distance of two sets of points, exactly: no pair that is left out could be nearer.
//
//   least_square_gap_cpu  min over pairs of ((ax - bx)^2 + (ay - by)^2) + (az - bz)^2
//
// A short distance is found first, from nearest point to nearest point; points farther than that
// from the other set's bounds are left out, and what is left is met along its longest axis. A
// difference of rounded numbers grows with the exact one, and so do its square and sums of squares:
// a bound that is rounded as the distance is never exceeds it, and needs no margin.
// Reference: all pairs, tests/relations/test_solids.py.
#pragma once

#include "spatialcore/view.h"

namespace spatialcore {

// a, b: (3, N) and (3, M) finite coordinates, N and M >= 1.
double least_square_gap_cpu(View<const double, 2> a, View<const double, 2> b);

}  // namespace spatialcore
