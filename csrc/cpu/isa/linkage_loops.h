// SPDX-License-Identifier: Apache-2.0
// The inner loops of linkage: the nearest neighbour of a row, and the row of a union. The body is
// compiled once for each instruction set; every step is one rounding, so the bits agree.
#pragma once

#include <cstdint>

#include "cpu/isa/dispatch.h"
#include "spatialcore/rigidity.h"

namespace spatialcore {

struct LinkageLoopsTable {
  // First index of the least row[j] + gone[j]; gone is 0 or infinity.
  int64_t (*nearest)(const double* row, const double* gone, int64_t n);
  // row_y becomes the distances of the union of clusters x and y.
  void (*unite)(const double* row_x, double* row_y, const double* size, double size_x,
                double size_y, double apart, Linkage method, int64_t n);
};
using LinkageLoops = LinkageLoopsTable (*)();

LinkageLoopsTable linkage_loops_baseline();
LinkageLoopsTable linkage_loops_avx2();
LinkageLoopsTable linkage_loops_avx512();

}  // namespace spatialcore
