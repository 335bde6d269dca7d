// SPDX-License-Identifier: Apache-2.0
// A floor grid: shortest walks over its free cells, and the cells along a straight line.
//
//   find_path_cpu    A* with eight neighbours and octile costs; a diagonal step needs both cells
//                    beside it free. A cost is a count of straight and of diagonal steps,
//                    cost = straight + diagonal * sqrt(2), so equal costs compare equal; ties go to
//                    the lower (f, h, row, column)
//   cells_along_cpu  cells whose centre lies within half a diagonal of the line, row by row: all
//                    that it crosses or grazes, those outside the grid included
//   line_clear_cpu   whether all of these lie on the grid and are set
//
// Lines are given in cells, centres at integers: (column, row). No operation is fused, so the cells
// are those of src/spatialcore/_reference/floor_grid.py. Tests: tests/relations/test_routes.py.
#pragma once

#include <cstdint>
#include <vector>

#include "spatialcore/view.h"

namespace spatialcore {

struct Cell {
  int64_t row, column;
};

struct FloorPath {
  std::vector<Cell> cells;  // start and goal included; empty where the goal cannot be reached
  double cost = 0.0;        // cells
};

struct GridLine {
  double ax, ay, bx, by;
};

// free: (H, W) bytes, not 0 = free; start and goal lie on the grid.
FloorPath find_path_cpu(View<const uint8_t, 2> free, Cell start, Cell goal);

std::vector<Cell> cells_along_cpu(const GridLine& line);

bool line_clear_cpu(View<const uint8_t, 2> mask, const GridLine& line);

}  // namespace spatialcore
