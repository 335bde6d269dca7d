// SPDX-License-Identifier: Apache-2.0
// Which frames together show the whole of an object, and which sets together cover most points.
//
//   axis_extents      lo, hi (F, 3) float64  m   least and greatest ((a0 x + a1 y) + a2 z) of the
//                     object's points that a frame sees, for 3 axes; NaN where it sees none
//   minimal_view_sets singles i: |(hi - lo) - T| <= tolerance T; pairs i < j of seen frames that
//                     are no singles: the same of (max hi - min lo). No larger minimal set exists.
//   max_coverage      lazy greedy: the row with most new points, ties to the lower row
//   minimal_covers    sets of at most `most` frames that see every bin, each frame needed
//
// Docs: docs/ops/coverage.md. Tests: tests/ops/test_coverage.py.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "spatialcore/overlap.h"

namespace spatialcore {

// rows: (n,) ascending point indices of one object; axes (3, 3), one axis a row.
void axis_extents_cpu(const double* points, const MaskRows& visible, const int64_t* rows,
                      int64_t row_count, const double* axes, double* lo, double* hi, int threads);

void minimal_view_sets_cpu(const double* lo, const double* hi, int64_t frame_count, double target,
                           double tolerance, std::vector<int32_t>* singles,
                           std::vector<int32_t>* pairs);

// Appends up to k rows and their gains; stops at gain 0.
void max_coverage_cpu(const MaskRows& sets, int64_t k, std::vector<int32_t>* order,
                      std::vector<int64_t>* gain);

// covers[s - 1] receives the sets of s frames, flattened, in lexicographic order; most <= 4.
void minimal_covers_cpu(const uint64_t* bins, int64_t frame_count, uint64_t required, int most,
                        std::vector<std::vector<int32_t>>* covers);

}  // namespace spatialcore
